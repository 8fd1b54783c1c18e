import { open } from 'node:fs/promises';
import { request } from 'node:http';
import { messageOf } from '../../errors.js';

/** One thing that must work for the daemon to count as alive. Resolves when it does, rejects or hangs when not. */
export interface VitalSign {
	name: string;
	check(signal: AbortSignal): Promise<void>;
}

export interface WatchdogOptions {
	/** How often to look, in ms (the notifier's watchdogIntervalMs). */
	intervalMs: number;
	/**
	 * What is looked at besides the event loop itself. Never a peer or a worker: a partition or a bad app must not get a
	 * daemon killed that could still serve its operators.
	 */
	vitalSigns: readonly VitalSign[];
	feed: () => void;
	/** A sign that failed or did not come in time; said when it changes, not at every look. */
	onTrouble: (name: string, reason: string) => void;
	onRecovery: (name: string) => void;
}

export interface Watchdog {
	/** Ends the looking; nothing is fed any more. */
	stop(): void;
}

/**
 * Feeds the service manager's watchdog as long as the event loop turns and every vital sign answers. Nothing is done
 * about a failing sign but not to feed: the manager then ends the process (SIGABRT) and starts it anew.
 */
export function startWatchdog(options: WatchdogOptions): Watchdog {
	const troubled = new Set<string>();
	let looking = false;
	let stopped = false;

	async function looksWell(sign: VitalSign): Promise<boolean> {
		try {
			await inTime(sign, options.intervalMs);
		} catch (error) {
			if (!stopped && !troubled.has(sign.name)) options.onTrouble(sign.name, messageOf(error));
			troubled.add(sign.name);
			return false;
		}
		if (troubled.delete(sign.name) && !stopped) options.onRecovery(sign.name);
		return true;
	}

	async function look(): Promise<void> {
		if (looking) return;
		looking = true;
		const well = await Promise.all(options.vitalSigns.map(looksWell));
		looking = false;
		if (!stopped && well.every(Boolean)) options.feed();
	}

	const timer = setInterval(() => void look(), options.intervalMs);
	void look();
	return {
		stop: () => {
			stopped = true;
			clearInterval(timer);
		},
	};
}

async function inTime(sign: VitalSign, limitMs: number): Promise<void> {
	const ended = new AbortController();
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(limitMs)} ms`)), limitMs);
	});
	try {
		await Promise.race([sign.check(ended.signal), late]);
	} finally {
		clearTimeout(timer);
		ended.abort();
	}
}

/** The admin socket takes a connection and answers `/livez`. */
export function socketAnswers(path: string): VitalSign {
	return {
		name: 'admin socket',
		check: (signal) =>
			new Promise((resolve, reject) => {
				const asked = request({ socketPath: path, path: '/livez', agent: false, signal }, (response) => {
					response.resume();
					if (response.statusCode === 200) resolve();
					else reject(new Error(`/livez answered ${response.statusCode}`));
				});
				asked.once('error', reject);
				asked.end();
			}),
	};
}

/** The record file (or its folder) is there and its storage takes a sync. Nothing is written: a full disk is no reason to be killed. */
export function storageAnswers(path: string): VitalSign {
	return {
		name: 'record file',
		check: async () => {
			const file = await open(path, 'r');
			try {
				await file.sync();
			} finally {
				await file.close();
			}
		},
	};
}
