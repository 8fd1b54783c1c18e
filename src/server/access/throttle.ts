/**
 * Counts failures in a sliding window. More than `failuresMax` within it block the key until the oldest has left the window.
 * While a key is blocked nothing is counted, so an attack that goes on slows its key down but never shuts it for good.
 */
export class FailureWindow {
	/** Times of failures, oldest first, by key. A key moves to the end when it fails again, so the first is the stalest. */
	readonly #failures = new Map<string, number[]>();
	readonly #now: () => number;
	readonly #windowMs: number;
	readonly #failuresMax: number;
	readonly #keysMax: number;

	constructor(options: { now: () => number; windowMs?: number; failuresMax?: number; keysMax?: number }) {
		this.#now = options.now;
		this.#windowMs = options.windowMs ?? 60_000;
		this.#failuresMax = options.failuresMax ?? 10;
		this.#keysMax = options.keysMax ?? 10_000;
	}

	/** ms until the key is open again; 0 when it is. */
	blockedMs(key: string): number {
		if (!this.#failures.has(key)) return 0;
		const recent = this.#recent(key);
		const excess = recent.length - this.#failuresMax;
		const leaving = recent[excess - 1];
		return leaving === undefined ? 0 : Math.max(1, leaving + this.#windowMs - this.#now());
	}

	record(key: string): void {
		const recent = this.#recent(key);
		recent.push(this.#now());
		// More than one beyond the bound says nothing that one beyond it does not.
		if (recent.length > this.#failuresMax + 1) recent.shift();
		this.#failures.delete(key);
		this.#failures.set(key, recent);
		const stalest = this.#failures.keys().next();
		if (this.#failures.size > this.#keysMax && !stalest.done) this.#failures.delete(stalest.value);
	}

	#recent(key: string): number[] {
		const since = this.#now() - this.#windowMs;
		const recent = (this.#failures.get(key) ?? []).filter((time) => time > since);
		if (recent.length === 0) this.#failures.delete(key);
		return recent;
	}
}
