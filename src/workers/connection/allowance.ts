/**
 * How much another user's program may say: so much at once, and so much a second. The work that its words make is bounded
 * by that, for any message.
 */
export class Allowance {
	private left: number;
	private at: number;

	constructor(
		private readonly atOnce: number,
		private readonly perSecond: number,
		private readonly now: () => number = () => performance.now(),
	) {
		this.left = atOnce;
		this.at = now();
	}

	/** Takes what was said, whether it is allowed or not. Answers after how many ms it would have been: 0 within the allowance. */
	take(amount: number): number {
		const now = this.now();
		this.left = Math.min(this.atOnce, this.left + ((now - this.at) / 1_000) * this.perSecond) - amount;
		this.at = now;
		return this.left >= 0 ? 0 : Math.ceil((-this.left / this.perSecond) * 1_000);
	}

	/** What was taken was asked for. */
	giveBack(amount: number): void {
		this.left += amount;
	}
}
