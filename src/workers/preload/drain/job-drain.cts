import type Gate = require('../listen/gate.cjs');
import type WorkerExit = require('./exit.cjs');

/**
 * Lets a worker that listens nowhere finish: its own handler of SIGTERM, told at once so that no further job is taken, ends
 * the job and then the process. What is open at the timeout is cut off.
 */
class JobDrain {
	#deadline = Number.POSITIVE_INFINITY;
	#timer: NodeJS.Timeout | null = null;

	constructor(
		private readonly gate: Gate,
		private readonly exit: WorkerExit,
	) {}

	get draining(): boolean {
		return this.#timer !== null;
	}

	/** Asked again, it only gets shorter. */
	start({ timeoutMs }: { timeoutMs: number }): void {
		const isFirst = this.#timer === null;
		const now = performance.now();
		this.#deadline = Math.min(this.#deadline, now + timeoutMs);
		if (this.#timer !== null) clearTimeout(this.#timer);
		// A process that has nothing left to do ends without waiting for it.
		this.#timer = setTimeout(() => void this.exit.cutShort(), this.#deadline - now).unref();
		if (!isFirst) return;
		this.gate.close();
		this.exit.letAppEnd();
	}
}

export = JobDrain;
