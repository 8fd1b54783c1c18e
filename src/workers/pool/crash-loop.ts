/**
 * When to give a worker up, as OTP's supervisors have it (intensity and period): more than `intensity` crashes within
 * any `periodMs` are a loop. Pure: the shell says when a crash happened.
 */
export interface CrashLoopLimits {
	intensity: number;
	periodMs: number;
}

/** Times of the crashes that still count, oldest first; never longer than intensity + 1. */
export type CrashHistory = readonly number[];

export interface CrashVerdict {
	history: CrashHistory;
	/** true: the loop is established, the worker is to be given up. */
	giveUp: boolean;
}

/** Adds a crash at `at` (ms, any monotonic clock) and judges. */
export function noteCrash(history: CrashHistory, at: number, limits: CrashLoopLimits): CrashVerdict {
	const recent = [...history, at].filter((time) => at - time < limits.periodMs);
	return { history: recent.slice(-(limits.intensity + 1)), giveUp: recent.length > limits.intensity };
}
