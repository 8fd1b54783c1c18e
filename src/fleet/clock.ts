/** Time and chance as the fleet's shells see them, so that tests can own both. */
export interface Clock {
	/** ms on this node's monotonic clock. */
	now(): number;
	/** ms since 1970. */
	wall(): number;
	/** Calls once after `delayMs`; the answer takes the call back. */
	after(delayMs: number, call: () => void): () => void;
	/** 0 ≤ x < 1; for jitter alone, never for keys. */
	random(): number;
}

/** Node cannot set a longer timer: it would fire at once. */
const timerMsMax = 2_147_483_647;

export const systemClock: Clock = {
	now: () => performance.now(),
	wall: () => Date.now(),
	after: (delayMs, call) => {
		const timer = setTimeout(call, Math.min(Math.max(0, Math.ceil(delayMs)), timerMsMax));
		return () => clearTimeout(timer);
	},
	random: () => Math.random(),
};
