import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { RollcallError } from '../../errors.js';
import { acquireLock } from '../../system/files/process-lock.js';
import { LineTimeNotes } from '../../system/logs/line-times.js';
import { signalTree } from '../../system/proc/process-tree.js';
import { heldSockets } from '../../system/proc/sockets.js';
import { createNotifier } from '../../system/systemd/notify.js';
import { hostEnvironment } from './environment.js';
import { type HostHome, hostHome, isShared, makeHome, ownerOf } from '../pm2/home.js';
import { releaseOf } from './revision.js';
import { runCommand } from './run-command.js';
import { StderrTail } from './stderr-tail.js';
import { findOrphans } from '../pm2/orphans.js';
import { type HostSettings, readHostSettings } from './host-settings.js';
import { type LogLimits, pruneLogs, turnOverLogs, workerLogPaths } from './log-files.js';
import type { Pm2Host } from '../pm2/daemon.js';

const logCheckMs = 5_000;
const channelMs = 20;
/** A host that is started while its predecessor still ends waits for it this long. */
const lockWaitMs = 2_000;

/**
 * Runs one app user's worker host: PM2's daemon in the foreground, in this very process. What `rollcall worker-host` is.
 * Resolves when SIGTERM or SIGINT was obeyed: every worker drained and gone. Throws `already_running` when the home has a host.
 */
export async function runWorkerHost(options: WorkerHostOptions): Promise<void> {
	const { settings, user } = options;
	const { workerDir, logs } = settings === null ? await configuredSettings(options) : readHostSettings(settings);
	await runHost(workerDir, user, logs);
}

export interface WorkerHostOptions {
	/** What the control plane that starts it says; null: the configuration file says it. */
	settings: string | null;
	configFile: string;
	user: string | null;
}

/** What a unit's host, or one that a person starts, finds in the file. */
async function configuredSettings({ configFile, user }: WorkerHostOptions): Promise<HostSettings> {
	const { loadAtStart } = await import('../../config/last-good.js');
	const { config, standIn } = loadAtStart({
		file: configFile,
		env: process.env,
		underSystemd: user !== null,
		secretFiles: 'ignored',
	});
	if (standIn) process.stderr.write(`running by the last good configuration, since:\n${standIn.fault}\n`);
	const { max_size, keep } = config.logging;
	return { workerDir: config.worker_dir, logs: { maxSizeBytes: max_size, keep } };
}

/** The same with the parts of the configuration that it needs. */
export async function runHost(workerDir: string, user: string | null, limits: LogLimits): Promise<void> {
	const home = hostHome(workerDir, user);
	// Whatever is made from here on is for this user alone, or for the control plane's group where the home is shared.
	process.umask(0o077);
	makeHome(home);
	const lock = await acquireLock(home.lock, { home: home.path }, lockWaitMs);
	if (isShared(home)) {
		// The control plane, another user, looks there who runs.
		chmodSync(home.lock, 0o660);
		process.umask(0o007);
	}
	const notifier = createNotifier({ ...process.env }, (message) => process.stderr.write(`${message}\n`));
	cleanEnvironment(home);
	process.chdir(home.path);
	process.title = `rollcall worker-host (${home.path})`;
	const ending = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
	// A second stop must not cut the drain short: without a handler its signal would end this process.
	for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);
	await installPreload(home);
	const { runPm2 } = await import('../pm2/daemon.js');
	const pm2 = await runPm2(home.path, {
		heldSockets: ({ holder, inodes }) => heldSockets(holder, inodes),
		orphans: () => findOrphans(home, process.pid),
		releaseOf,
		runCommand,
		signalOrphan: ({ orphan, signal }) => signalTree(orphan, ownerOf(home), signal),
	});
	keepLastWords(home, pm2);
	const times = noteTimes(home);
	notifier.ready();
	const rotation = setInterval(() => tendLogs(home, pm2, limits), logCheckMs);
	// A host that is blocked or stopped does not feed: the service manager ends it then, and the workers serve on.
	const { watchdogIntervalMs } = notifier;
	const feeding = watchdogIntervalMs === null ? undefined : setInterval(() => notifier.watchdog(), watchdogIntervalMs);
	try {
		await ending;
		notifier.stopping();
		await endWorkers(pm2);
	} finally {
		clearInterval(feeding);
		clearInterval(rotation);
		times?.close();
		lock.release();
	}
}

/** Nothing of what this process was started with may reach a worker: neither variables nor arguments. */
function cleanEnvironment(home: HostHome): void {
	const clean = hostEnvironment(home.path, process.env);
	for (const name of Object.keys(process.env)) if (!(name in clean)) delete process.env[name];
	Object.assign(process.env, clean);
	// node:cluster hands its primary's arguments on: a worker would find this command line before its own.
	process.argv.splice(2);
}

/** The host's own part of replacing without loss, before PM2 forks the first worker. */
async function installPreload(home: HostHome): Promise<void> {
	const { default: cluster } = await import('node:cluster');
	cluster.schedulingPolicy = cluster.SCHED_NONE;
	const { default: hostPreload } = await import('../preload/host.cjs');
	hostPreload.install(cluster);
	const { default: borrow } = await import('../preload/host/receive-listeners.cjs');
	try {
		const borrowed = await borrow(home.sockets);
		if (borrowed > 0) process.stderr.write(`Took over ${borrowed} listening sockets from workers without a host.\n`);
	} catch (error) {
		// Without them the ports are free only once the old workers have left; the supervisor sees to that.
		process.stderr.write(`No listening sockets were taken over: ${String(error)}\n`);
	}
}

function keepLastWords(home: HostHome, pm2: Pm2Host): void {
	const lastWords = new StderrTail();
	pm2.onErrorText((name, text) => lastWords.hear(name, text));
	pm2.onExit((name) => {
		// What the process sent before its end may still be on its way.
		setTimeout(() => {
			try {
				lastWords.write(name, workerLogPaths(home.logs, name).error);
			} catch (error) {
				process.stderr.write(`The last words of ${name} could not be kept: ${String(error)}\n`);
			}
		}, channelMs);
	});
}

/** Without it, lines have the time at which their file was last written. */
function noteTimes(home: HostHome): LineTimeNotes | null {
	try {
		return new LineTimeNotes(home.logs);
	} catch (error) {
		process.stderr.write(`The times of log lines are not noted: ${String(error)}\n`);
		return null;
	}
}

function tendLogs(home: HostHome, pm2: Pm2Host, limits: LogLimits): void {
	try {
		if (turnOverLogs(home.logs, home.hostLog, limits)) pm2.reloadLogs();
		pruneLogs(home.logs, new Set(pm2.list().map((row) => row.name)), limits.keep);
	} catch (error) {
		// A full or broken disk must not end the workers; the next round tries again.
		process.stderr.write(`The log files in ${home.logs} could not be turned over: ${String(error)}\n`);
	}
}

/** All side by side: each gets the drain's time, whatever the number of workers. */
async function endWorkers(pm2: Pm2Host): Promise<void> {
	await Promise.all(pm2.list().map((row) => pm2.remove(row.pmId)));
	const left = pm2.list().filter((row) => row.pid !== null);
	if (left.length === 0) return;
	const names = left.map((row) => `${row.name} (process ${row.pid})`).join(', ');
	throw new RollcallError('internal', `These workers could not be ended: ${names}.`);
}
