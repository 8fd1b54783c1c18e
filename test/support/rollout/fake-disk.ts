/** A node's record file in virtual time: what was synced is kept, what was not may be torn or lost. */
import { RollcallError } from '../../../src/errors.js';
import type { ShellLog } from '../../../src/fleet/ports.js';
import { emptyDurable, entriesOf, foldEntry } from '../../../src/fleet/core/durable.js';
import type { DurableEntry, DurableState } from '../../../src/fleet/core/events.js';
import { Later } from '../later.js';

/** As large as one entry is taken to be, so that a run of some dozens rewrites its file, too. */
const entryBytes = 16 * 1024;

export class FakeDisk implements ShellLog {
	/** The fold of what is synced. */
	durable: DurableState = emptyDurable();
	full = false;
	#entries = 0;
	/** A copy that was taken, to be put back as an operator would after a loss. */
	#backup: DurableState | null = null;
	#writing: { entries: readonly DurableEntry[]; cancel(): void } | null = null;

	/** `sync` calls back when a sync that begins now is done, and can be taken back. */
	constructor(private readonly sync: (done: () => void) => () => void) {}

	append(entries: readonly DurableEntry[]): PromiseLike<void> {
		if (this.full) return Later.failed(new RollcallError('unavailable', 'The disk is full.'));
		const written = new Later<void>();
		const cancel = this.sync(() => {
			this.#writing = null;
			this.#keep(entries);
			written.succeed();
		});
		this.#writing = { entries, cancel };
		return written;
	}

	/** The whole file at once, or nothing of it. */
	rewrite(entries: readonly DurableEntry[]): PromiseLike<void> {
		if (this.full) return Later.failed(new RollcallError('unavailable', 'The disk is full.'));
		const written = new Later<void>();
		const cancel = this.sync(() => {
			this.#writing = null;
			this.durable = emptyDurable();
			this.#entries = 0;
			this.#keep(entries);
			written.succeed();
		});
		this.#writing = { entries: [], cancel };
		return written;
	}

	/** What a start reads. */
	read(): DurableEntry[] {
		return JSON.parse(JSON.stringify(entriesOf(this.durable))) as DurableEntry[];
	}

	reread(): PromiseLike<readonly unknown[]> {
		return Later.done(this.read());
	}

	size(): { bytes: number } {
		return { bytes: this.#entries * entryBytes };
	}

	/** The machine or process died: of what it was writing, some first part may have reached the disk. */
	tear(share: number): void {
		const writing = this.#writing;
		if (!writing) return;
		writing.cancel();
		this.#writing = null;
		this.#keep(writing.entries.slice(0, Math.floor(writing.entries.length * share)));
	}

	#keep(entries: readonly DurableEntry[]): void {
		for (const entry of entries) foldEntry(this.durable, entry);
		this.#entries += entries.length;
	}

	lose(): void {
		this.durable = emptyDurable();
		this.#entries = 0;
	}

	backUp(): void {
		this.#backup = structuredClone(this.durable);
	}

	/** false: there is no copy. */
	putBack(): boolean {
		if (!this.#backup) return false;
		this.durable = this.#backup;
		this.#backup = null;
		return true;
	}
}
