/** The room's one clock port: tests put a hand on it. */
export interface Clock {
	/** ms on a monotonic clock. */
	now(): number;
	/** ms since 1970. */
	wall(): number;
	/** Calls once after `ms`, unless the process ends first for want of other things to do; returns what cancels it. */
	after(ms: number, call: () => void): () => void;
	/** Resolves after `ms`. */
	sleep(ms: number): Promise<void>;
}

export const systemClock: Clock = {
	now: () => performance.now(),
	wall: () => Date.now(),
	after(ms, call) {
		const timer = setTimeout(call, ms).unref();
		return () => clearTimeout(timer);
	},
	sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
