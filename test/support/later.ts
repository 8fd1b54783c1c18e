/** A result that comes later and is taken at once when it comes: virtual time knows no turns of an event loop. */
export class Later<T> implements PromiseLike<T> {
	#settled: { ok: true; value: T } | { ok: false; error: unknown } | null = null;
	#taken: (() => void) | null = null;

	static failed<T>(error: unknown): Later<T> {
		const later = new Later<T>();
		later.fail(error);
		return later;
	}

	static done<T>(value: T): Later<T> {
		const later = new Later<T>();
		later.succeed(value);
		return later;
	}

	succeed(value: T): void {
		this.#settle({ ok: true, value });
	}

	fail(error: unknown): void {
		this.#settle({ ok: false, error });
	}

	#settle(settled: { ok: true; value: T } | { ok: false; error: unknown }): void {
		if (this.#settled) return;
		this.#settled = settled;
		this.#taken?.();
	}

	/** Of one who waits; what comes of his waiting is nobody's. */
	// biome-ignore lint/suspicious/noThenProperty: whoever waits takes it for a promise.
	then<A, B>(
		onDone?: ((value: T) => A | PromiseLike<A>) | null,
		onFailed?: ((error: unknown) => B | PromiseLike<B>) | null,
	): PromiseLike<A | B> {
		this.#taken = () => {
			if (this.#settled?.ok === true) onDone?.(this.#settled.value);
			else onFailed?.(this.#settled?.error);
		};
		if (this.#settled) this.#taken();
		return new Later<A | B>();
	}
}
