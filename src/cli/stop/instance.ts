import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, RollcallError } from '../../errors.js';
import { findHolder, findNamed } from '../../system/files/process-lock.js';
import { untrustedPlace } from '../../system/files/untrusted-file.js';
import { isAlive, isOwned } from '../../system/proc/process.js';
import type { Places } from '../client/places.js';
import { count, span } from '../output/format.js';
import { drainWorker, orphanWorkers } from './orphans.js';

/** A process of an instance, found and ended. */
export interface Ended {
	what: 'daemon' | 'worker host' | 'worker';
	/** The app user of a worker host; null for the own one. */
	user: string | null;
	pid: number;
	/** True when it had to be killed because it did not leave in time. */
	killed: boolean;
}

export interface EndOptions {
	/** Longest to wait for each process; null: as long as its drain may take. */
	timeoutMs: number | null;
	/** Kill what does not leave in time, instead of failing. */
	kill: boolean;
	say: (text: string) => void;
	signal: AbortSignal;
}

/** What a daemon needs at most to let go of its workers and links. */
const daemonLeavesMs = 30_000;
/** What a worker host needs beside the drain of its workers. */
const hostLeavesMs = 15_000;
/** A daemon that is just restarting hands over to a successor, so it is looked again until nothing is found, at most so often. */
const roundsMax = 5;
/** Poll interval for the end of a process that is not a child: the kernel sends no event. */
const lookMs = 25;

/** `owner`: whom a process has to belong to that its own user named; null for the daemon, whose folder is its own. */
type Found = Omit<Ended, 'killed'> & { started: number; owner: number | null };

/**
 * Ends one instance in order: the daemon, so that nothing is started again, then each worker host, which drains its
 * workers, then workers that outlived their host. Rejects with `timeout` naming what still runs.
 */
export async function endInstance(places: Places, options: EndOptions): Promise<Ended[]> {
	refuseUnderSystemd([...(await findDaemon(places)), ...(await findHosts(places))]);
	const drainMs = options.timeoutMs ?? places.drainMaxMs + hostLeavesMs;
	const ended: Ended[] = [];
	for (let round = 0; round < roundsMax; round += 1) {
		const daemons = await findDaemon(places);
		for (const daemon of daemons) ended.push(await end(daemon, options.timeoutMs ?? daemonLeavesMs, options));
		const hosts = await findHosts(places);
		ended.push(...(await Promise.all(hosts.map((host) => end(host, drainMs, options)))));
		if (daemons.length + hosts.length === 0) break;
	}
	ended.push(...(await endLeftWorkers(places, drainMs, options)));
	return ended;
}

async function findDaemon({ stateDir }: Places): Promise<Found[]> {
	return find(join(stateDir, 'lock'), { what: 'daemon', user: null, owner: null });
}

/** Every folder of worker_dir may have a host, also of a user whom the configuration no longer names. */
async function findHosts({ workerDir }: Places): Promise<Found[]> {
	const found: Found[] = [];
	for (const folder of foldersOf(workerDir)) {
		const user = folder === 'self' ? null : folder;
		const { owner } = untrustedPlace(join(workerDir, folder));
		found.push(...(await find(join(workerDir, folder, 'lock'), { what: 'worker host', user, owner })));
	}
	return found;
}

async function find(lock: string, name: Pick<Found, 'what' | 'user' | 'owner'>): Promise<Found[]> {
	try {
		accessSync(lock, constants.R_OK | constants.W_OK);
	} catch (error) {
		if (isMissing(error)) return [];
		throw notAllowed(lock, error);
	}
	// One that is just starting has no lock yet, and would go on when everything else has been stopped. What another user
	// wrote there is not taken for it.
	const holder = (await findHolder(lock)) ?? (name.user === null ? findNamed(lock) : null);
	if (holder === null) return [];
	const found = { ...name, pid: holder.pid, started: holder.started };
	if (isTheirs(found)) return [found];
	if (!isAlive(found)) return [];
	const text = `${lock} names process ${holder.pid}, which does not belong to the owner of the folder: nothing is stopped by it. Look who wrote that file.`;
	throw new RollcallError('forbidden', text);
}

function foldersOf(folder: string): string[] {
	try {
		return readdirSync(folder, { withFileTypes: true })
			.filter((entry) => entry.isDirectory())
			.map(({ name }) => name);
	} catch (error) {
		if (isMissing(error)) return [];
		throw notAllowed(folder, error);
	}
}

function isMissing(error: unknown): boolean {
	return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** What may not be looked at cannot be said to be stopped. */
function notAllowed(path: string, cause: unknown): RollcallError {
	const text = `${path} cannot be looked at: ${messageOf(cause)}. Run this as the daemon's user, or as root.`;
	return new RollcallError('forbidden', text, {}, { cause });
}

/** systemd would restart an instance that was not stopped through it, or lose track of it. */
function refuseUnderSystemd(found: readonly Found[]): void {
	const units = found.map(({ pid }) => unitOf(pid)).filter((unit) => unit !== null);
	if (units.length === 0) return;
	const line = `systemctl stop ${[...new Set(units)].join(' ')}`;
	throw new RollcallError('unavailable', `This instance runs under systemd, which has to stop it: ${line}`);
}

function unitOf(pid: number): string | null {
	try {
		return unitIn(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
	} catch {
		return null;
	}
}

/** The unit of Rollcall in what /proc/PID/cgroup says; null if the process belongs to none. */
export function unitIn(controlGroups: string): string | null {
	return /\/(rollcall[^/\s]*\.service)(?:\/|$)/m.exec(controlGroups)?.[1] ?? null;
}

async function end(found: Found, timeoutMs: number, options: EndOptions): Promise<Ended> {
	const { what, user, pid } = found;
	options.say(`stopping ${what}${user === null ? '' : ` of ${user}`}, process ${pid}`);
	send(found, 'SIGTERM');
	if (await isGone(found, timeoutMs, options.signal)) return { what, user, pid, killed: false };
	if (!options.kill) {
		const advice = `Look at its log, wait longer (--timeout), or end it at the price of its requests: --kill.`;
		throw new RollcallError('timeout', `The ${what}, process ${pid}, still runs after ${span(timeoutMs)}. ${advice}`);
	}
	send(found, 'SIGKILL');
	await isGone(found, timeoutMs, options.signal);
	return { what, user, pid, killed: true };
}

/** A process id that was used again belongs to someone else, and so does one that another user made up. */
const isTheirs = (found: Found): boolean => isAlive(found) && (found.owner === null || isOwned(found, found.owner));

function send(found: Found, signal: NodeJS.Signals): void {
	if (!isTheirs(found)) return;
	try {
		process.kill(found.pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
		throw new RollcallError(
			'forbidden',
			`Process ${found.pid} cannot be stopped: ${messageOf(error)}.`,
			{},
			{ cause: error },
		);
	}
}

async function isGone(found: Pick<Found, 'pid' | 'started'>, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
	const until = performance.now() + timeoutMs;
	while (isAlive(found)) {
		if (performance.now() >= until) return false;
		await delay(lookMs, undefined, { signal });
	}
	return true;
}

/** Workers outlive their host, so they are ended here. */
async function endLeftWorkers({ workerDir }: Places, drainMs: number, options: EndOptions): Promise<Ended[]> {
	const left = foldersOf(workerDir).flatMap((folder) => {
		const place = untrustedPlace(join(workerDir, folder));
		const user = folder === 'self' ? null : folder;
		return orphanWorkers(place).map((worker) => ({ worker, place, user }));
	});
	const ended = await Promise.all(
		left.map(async ({ worker, place, user }): Promise<Ended[]> => {
			if (!(await drainWorker(worker, place, drainMs))) return [];
			const { pid, started } = worker;
			const found = { what: 'worker' as const, user, pid, started, owner: place.owner };
			if (await isGone(found, drainMs, options.signal)) return [{ what: 'worker', user, pid, killed: false }];
			return [await end(found, 0, { ...options, kill: true })];
		}),
	);
	const all = ended.flat();
	if (all.length > 0) options.say(`ended ${count(all.length, 'worker')} whose host was gone`);
	return all;
}
