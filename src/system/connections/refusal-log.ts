import type { Logger } from '../../log.js';

/** Lines within one period; further refusals are counted, so that strangers cannot fill the log. */
export const linesMax = 20;
export const periodMs = 60_000;

/** Logs who was turned away at a listener, and why: `EVENT_refused`, and how many more there were. */
export class RefusalLog {
	#periodEnds = Number.NEGATIVE_INFINITY;
	#told = 0;
	#untold = 0;

	constructor(
		private readonly what: 'link' | 'connection',
		private readonly clock: { now(): number },
		private readonly logger: Pick<Logger, 'warn'>,
	) {}

	tell(remote: string, reason: string): void {
		const now = this.clock.now();
		if (now >= this.#periodEnds) {
			if (this.#untold > 0) this.logger.warn({ event: `${this.what}s_refused`, more: this.#untold });
			this.#periodEnds = now + periodMs;
			this.#told = 0;
			this.#untold = 0;
		}
		if (this.#told >= linesMax) {
			this.#untold += 1;
			return;
		}
		this.#told += 1;
		this.logger.warn({ event: `${this.what}_refused`, remote, reason });
	}
}
