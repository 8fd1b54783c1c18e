/** A node's record file as far as the core can tell: what was synced is kept, what was not may be torn or lost. */
import { emptyDurable, foldEntry } from '../../src/rollout/durable.js';
import type { DurableEntry, DurableState } from '../../src/rollout/protocol.js';

export class FakeDisk {
	/** The fold of what is synced. */
	durable: DurableState = emptyDurable();
	full = false;
	/** A copy that was taken, to be put back as an operator would after a loss. */
	#backup: DurableState | null = null;
	#writing: readonly DurableEntry[] = [];

	begin(entries: readonly DurableEntry[]): void {
		this.#writing = entries;
	}

	/** The sync is done: from now on the entries survive. */
	end(): void {
		for (const entry of this.#writing) foldEntry(this.durable, entry);
		this.#writing = [];
	}

	/** The machine or process died while it wrote: some first part of it may have reached the disk. */
	tear(share: number): void {
		const kept = Math.floor(this.#writing.length * share);
		for (const entry of this.#writing.slice(0, kept)) foldEntry(this.durable, entry);
		this.#writing = [];
	}

	/** What a start reads. */
	read(): DurableState {
		return JSON.parse(JSON.stringify(this.durable)) as DurableState;
	}

	lose(): void {
		this.durable = emptyDurable();
	}

	backUp(): void {
		this.#backup = structuredClone(this.durable);
	}

	putBack(): boolean {
		if (!this.#backup) return false;
		this.durable = this.#backup;
		this.#backup = null;
		return true;
	}
}
