/**
 * How far a peer's clock is from this node's, from pings that tell the time. A build that does not know them answers
 * them all the same, as WebSocket demands, and is not measured by them.
 */

/** Beyond this the operator is warned. */
export const clockOffsetNamedMs = 5_000;
/** A ping that tells the time comes with every so many beats. */
export const beatsBetweenClockPings = 10;

export const clockPing = (wallMs: number): string => `clock ${Math.round(wallMs)}`;

export class ClockOffset {
	#latest: number | null = null;
	#before: number | null = null;

	/** Takes the text of a ping; `wallMs` is this node's time at its arrival. */
	hear(text: string, wallMs: number): void {
		const told = /^clock (\d{1,15})$/.exec(text)?.[1];
		if (told === undefined) return;
		this.#before = this.#latest;
		this.#latest = Number(told) - wallMs;
	}

	/**
	 * ms that the peer's clock is ahead, negative if it is behind; null before two pings came. The smaller of the last
	 * two counts: one that came late, because either end stood still, says nothing of the clocks.
	 */
	get ms(): number | null {
		if (this.#latest === null || this.#before === null) return null;
		if (Math.sign(this.#latest) !== Math.sign(this.#before)) return 0;
		return Math.abs(this.#latest) < Math.abs(this.#before) ? this.#latest : this.#before;
	}
}
