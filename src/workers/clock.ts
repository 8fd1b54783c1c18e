import type { EventEmitter } from 'node:events';

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

interface Wait {
	clock: Clock;
	withinMs: number;
	isOver?: () => boolean;
}

/** Resolves true as soon as `holds`, which is asked now and at each such event; false when `withinMs` have passed, or it is over. */
export function untilHolds(
	events: Pick<EventEmitter, 'on' | 'removeListener'>,
	name: string,
	holds: () => boolean,
	{ clock, withinMs, isOver = () => false }: Wait,
): Promise<boolean> {
	return new Promise((resolve) => {
		const look = (): void => {
			const isTrue = holds();
			if (isTrue || isOver()) end(isTrue);
		};
		const end = (isTrue: boolean): void => {
			cancel();
			events.removeListener(name, look);
			resolve(isTrue);
		};
		const cancel = clock.after(Math.max(0, withinMs), () => end(false));
		events.on(name, look);
		look();
	});
}
