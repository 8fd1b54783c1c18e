import type { TrafficReport } from '../../connection/control.js';

/** What a process had counted at a moment. */
interface Mark {
	readonly at: number;
	readonly total: number;
	readonly errors: number;
	readonly slow: number;
}

/** A process's counts over the last minutes, the oldest mark first. */
export type TrafficMarks = readonly Mark[];

/** Users' requests over so many ms, and those of them answered 5xx, or late. */
export interface RecentTraffic {
	ms: number;
	total: number;
	errors: number;
	/** Only where answers are timed. */
	slow?: number | undefined;
}

/** How far back is looked: nodes are compared over the same time, though one runs for days and another since this roll. */
const recentMs = 600_000;
const markEveryMs = 30_000;

/** Takes in a report; marks stay few, since a new one is made only every so often and the oldest go. */
export function marked(marks: TrafficMarks, { requests, errors, slow = 0 }: TrafficReport, now: number): TrafficMarks {
	const last = marks.at(-1);
	if (last && now - last.at < markEveryMs) return marks;
	return [...marks.filter(({ at }) => now - at <= recentMs), { at: now, total: requests, errors, slow }];
}

/** What came since the oldest mark. */
export function recentOf(marks: TrafficMarks, traffic: TrafficReport, now: number): RecentTraffic {
	const first = marks[0] ?? { at: now, total: traffic.requests, errors: traffic.errors, slow: traffic.slow ?? 0 };
	const since = (count: number, before: number): number => Math.max(0, count - before);
	return {
		ms: Math.round(Math.max(0, now - first.at)),
		total: since(traffic.requests, first.total),
		errors: since(traffic.errors, first.errors),
		...(traffic.slow === undefined ? {} : { slow: since(traffic.slow, first.slow) }),
	};
}
