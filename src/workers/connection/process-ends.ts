import { isAlive, type ProcessIdentity } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';

/** Between two looks at a process that is about to end, and at one that lives. */
const endingGapMs = 10;
const livingGapMs = 200;

/**
 * Says when a process that is no child of this one has ended. The kernel tells that to its parent alone, and to holders of
 * a pidfd, which Node cannot open. Its parent, the worker host, passes it on (`hint`); the gaps bound the wait where the host is
 * gone or away. This is the one place that looks again and again whether a process lives.
 */
export class ProcessEnds {
	private hinted: () => void = () => undefined;
	private nextHint = this.newHint();
	private readonly watches = new Set<() => void>();
	private isResting = false;
	private hintWaits = false;

	constructor(private readonly clock: Clock) {}

	/** Some process has ended. A host that says so all the time makes no more work than one look in each gap. */
	hint(): void {
		this.hintWaits = this.isResting;
		if (this.isResting) return;
		this.isResting = true;
		this.clock.after(endingGapMs, () => {
			this.isResting = false;
			if (this.hintWaits) this.hint();
		});
		const { hinted } = this;
		this.nextHint = this.newHint();
		hinted();
		for (const look of [...this.watches]) look();
	}

	/** Resolves when the process is gone (true), or when `withinMs` have passed or `isOver` holds. */
	async gone(
		identity: ProcessIdentity,
		withinMs = Number.POSITIVE_INFINITY,
		isOver: () => boolean = () => false,
	): Promise<boolean> {
		const until = this.clock.now() + withinMs;
		while (isAlive(identity)) {
			if (isOver() || this.clock.now() >= until) return false;
			await Promise.race([this.clock.sleep(endingGapMs), this.nextHint]);
		}
		return true;
	}

	/** Calls once when a process of which no end is expected is gone; returns what cancels it. */
	watch(identity: ProcessIdentity, call: () => void): () => void {
		let stopTimer = (): void => undefined;
		const cancel = (): void => {
			stopTimer();
			this.watches.delete(look);
		};
		const look = (): void => {
			stopTimer();
			if (isAlive(identity)) {
				stopTimer = this.clock.after(livingGapMs, look);
				return;
			}
			cancel();
			call();
		};
		this.watches.add(look);
		stopTimer = this.clock.after(livingGapMs, look);
		return cancel;
	}

	private newHint(): Promise<void> {
		return new Promise((resolve) => {
			this.hinted = resolve;
		});
	}
}
