import { type Datagram, datagramOn, openDatagram } from './datagram.js';

/** Messages to the service manager (sd_notify(3)). Without a service manager every call is a no-op. */
export interface Notifier {
	ready(): void;
	/** To be followed by ready() when the reload ended, well or not. */
	reloading(): void;
	stopping(): void;
	/** One line for `systemctl status`. */
	status(text: string): void;
	/** Feeds the watchdog once. */
	watchdog(): void;
	/** Longest time in ms between two feedings that the manager takes; null when it does not watch. */
	readonly watchdogLimitMs: number | null;
	/** How often to feed, in ms: a third of the limit, so that one late feeding is no death; null without a watchdog. */
	readonly watchdogIntervalMs: number | null;
}

/** What a service manager hands to the process itself, and no child may inherit. */
export const serviceVariables = [
	'NOTIFY_SOCKET',
	'NOTIFY_FD',
	'JOURNAL_FD',
	'WATCHDOG_USEC',
	'WATCHDOG_PID',
	'LISTEN_FDS',
	'LISTEN_PID',
	'LISTEN_FDNAMES',
	'FDSTORE',
] as const;

const retryMs = 50;
const retriesMax = 100;
const statusCharactersMax = 512;

/**
 * Chooses how to reach the manager named by NOTIFY_SOCKET: a descriptor in NOTIFY_FD (opened by systemd/notify-exec or
 * OpenFile=), else koffi. Found nothing: warns once and does nothing; a Type=notify unit will then time out at start.
 */
export function createNotifier(
	env: NodeJS.ProcessEnv,
	warn: (message: string) => void = () => undefined,
	open: (path: string) => Datagram | null = openDatagram,
): Notifier {
	const limitMs = readWatchdogLimit(env);
	const send = createSender(env, warn, open);
	return {
		ready: () => send('READY=1', true),
		reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`, true),
		stopping: () => send('STOPPING=1', true),
		status: (text) => send(`STATUS=${text.replace(/\s+/g, ' ').slice(0, statusCharactersMax)}`, false),
		watchdog: () => send('WATCHDOG=1', false),
		watchdogLimitMs: limitMs,
		watchdogIntervalMs: limitMs === null ? null : limitMs / 3,
	};
}

type Send = (message: string, mustArrive: boolean) => void;

function createSender(
	env: NodeJS.ProcessEnv,
	warn: (message: string) => void,
	open: (path: string) => Datagram | null,
): Send {
	const path = env['NOTIFY_SOCKET'];
	if (!path) return () => undefined;
	const inherited = Number(env['NOTIFY_FD'] ?? Number.NaN);
	let socket: Datagram | null = null;
	let warned = false;
	const waiting: string[] = [];
	let retries = 0;

	const deliver = (message: string): 'sent' | 'full' | 'lost' => {
		socket ??= inherited > 2 ? datagramOn(inherited) : open(path);
		const answer = socket?.send(message) ?? 'lost';
		if (answer !== 'lost') return answer;
		// The manager may have executed itself anew behind another socket: an own one is opened again, once for each message.
		if (!(inherited > 2)) {
			socket?.close();
			socket = open(path);
		}
		return socket?.send(message) ?? 'lost';
	};

	/** A manager that is busy (daemon-reload) is behind for a moment; a change of state must reach it all the same, in order. */
	const retry = (): void => {
		const next = waiting[0];
		if (next === undefined) return;
		if (deliver(next) === 'full' && retries < retriesMax) {
			retries += 1;
		} else {
			waiting.shift();
			retries = 0;
		}
		if (waiting.length > 0) setTimeout(retry, retryMs).unref();
	};

	return (message, mustArrive) => {
		const answer = waiting.length > 0 ? 'full' : deliver(message);
		if (answer === 'full' && mustArrive && waiting.length < retriesMax) {
			waiting.push(message);
			if (waiting.length === 1) setTimeout(retry, retryMs).unref();
		}
		if (answer === 'lost' && !warned) {
			warned = true;
			warn(
				`NOTIFY_SOCKET is ${path}, but no message reaches it: install the optional dependency koffi, or start with systemd/notify-exec.`,
			);
		}
	};
}

/** WATCHDOG_USEC counts only for the process that WATCHDOG_PID names (sd_watchdog_enabled(3)). */
function readWatchdogLimit(env: NodeJS.ProcessEnv): number | null {
	const micros = Number(env['WATCHDOG_USEC'] ?? Number.NaN);
	if (!(micros > 0)) return null;
	const owner = env['WATCHDOG_PID'];
	return owner === undefined || Number(owner) === process.pid ? micros / 1_000 : null;
}
