import { readText } from '../proc/read-text.js';

/** What crossed a network interface; `_sec` since the reading before, null at the first. */
export interface InterfaceActivity {
	iface: string;
	operstate: string;
	rx_bytes: number;
	rx_dropped: number;
	rx_errors: number;
	tx_bytes: number;
	tx_dropped: number;
	tx_errors: number;
	rx_sec: number | null;
	tx_sec: number | null;
	/** Between the two readings. */
	ms: number;
}

/** Below /sys/class/net/<interface>/. */
type Read = (path: string) => string | null;

/** A rate over less than this is noise: the reading before is answered again. */
const intervalMsMin = 500;
/** Linux's names of interfaces are shorter than 16 bytes and hold neither slash nor space; `.` and `..` are none. */
const namePattern = /^(?!\.{1,2}$)[^/\s]{1,15}$/;

/** Reads the counters of one interface, straight from the kernel: no shell. Each reading's rates are since the one before. */
export function createInterfaceActivity(
	read: Read = readText,
	now: () => number = () => performance.now(),
): (iface: string) => InterfaceActivity[] {
	let last: { activity: InterfaceActivity; at: number } | null = null;
	return (iface) => {
		const folder = `/sys/class/net/${iface}`;
		if (!namePattern.test(iface) || read(`${folder}/statistics/rx_bytes`) === null) return [];
		const at = now();
		const before = last?.activity.iface === iface ? last : null;
		if (before !== null && at - before.at < intervalMsMin) return [before.activity];
		const count = (name: string): number => Number(read(`${folder}/statistics/${name}`) ?? 0);
		const elapsedMs = before === null ? 0 : at - before.at;
		const rate = (value: number, earlier: number | undefined): number | null =>
			earlier === undefined ? null : (Math.max(0, value - earlier) * 1_000) / elapsedMs;
		const received = count('rx_bytes');
		const sent = count('tx_bytes');
		const activity = {
			iface,
			operstate: read(`${folder}/operstate`)?.trim() ?? 'unknown',
			rx_bytes: received,
			rx_dropped: count('rx_dropped'),
			rx_errors: count('rx_errors'),
			tx_bytes: sent,
			tx_dropped: count('tx_dropped'),
			tx_errors: count('tx_errors'),
			rx_sec: rate(received, before?.activity.rx_bytes),
			tx_sec: rate(sent, before?.activity.tx_bytes),
			ms: Math.round(elapsedMs),
		};
		last = { activity, at };
		return [activity];
	};
}
