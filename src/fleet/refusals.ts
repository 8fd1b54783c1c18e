import type { Logger } from '../log.js';
import type { Clock } from './clock.js';

/** Lines within one period; whoever knocks more often is counted, so that strangers cannot fill the log. */
export const linesMax = 20;
export const periodMs = 60_000;

/** Tells the log who was turned away at the listener, and why. */
export class Refusals {
	#periodEnds = Number.NEGATIVE_INFINITY;
	#told = 0;
	#untold = 0;

	constructor(
		private readonly clock: Pick<Clock, 'now'>,
		private readonly logger: Pick<Logger, 'warn'>,
	) {}

	tell(remote: string, reason: string): void {
		const now = this.clock.now();
		if (now >= this.#periodEnds) {
			if (this.#untold > 0) this.logger.warn({ event: 'links_refused', more: this.#untold });
			this.#periodEnds = now + periodMs;
			this.#told = 0;
			this.#untold = 0;
		}
		if (this.#told >= linesMax) {
			this.#untold += 1;
			return;
		}
		this.#told += 1;
		this.logger.warn({ event: 'link_refused', remote, reason });
	}
}
