import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { farewellMs, type PreloadSettings, preloadVariable } from '../connection/control.js';
import { plainEnvironmentOf } from '../host/environment.js';
import { isShared } from '../pm2/home.js';
import { workerLogPaths } from '../host/log-files.js';
import type { Pm2Start } from '../pm2/process.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from './worker.js';

const preloadFile = fileURLToPath(new URL('../preload/worker.cjs', import.meta.url));
const reportIntervalMs = 1_000;
/** PM2's own patience lies behind the drain's, so that it never cuts one short. */
const killMarginMs = 2_000;

/** The process description that PM2 gets for a worker. */
export function describeWorker(worker: Worker): Pm2Start {
	const { app, id } = worker;
	const node = isNode(app);
	const { home } = worker.host;
	const logs = workerLogPaths(home.logs, id);
	const settings: PreloadSettings = {
		id,
		directory: home.sockets,
		gate: app.gate,
		...(app.listens ? {} : { listens: app.listens }),
		...(app.traffic ? { countsTraffic: true } : {}),
		...(app.traffic?.slowMs ? { slowMs: app.traffic.slowMs } : {}),
		reportIntervalMs,
		drainTimeoutMs: app.drainTimeoutMs,
		socketMode: isShared(home) ? 0o660 : 0o600,
	};
	return {
		name: id,
		script: worker.release,
		cwd: worker.cwd,
		args: app.args,
		mode: node ? ('cluster' as const) : ('fork' as const),
		interpreter: app.interpreter,
		nodeArgs: node ? ['--require', preloadFile, ...app.nodeArgs] : [],
		env: {
			...(node ? { [preloadVariable]: JSON.stringify(settings) } : plainEnvironmentOf(app.user, process.env)),
			...ownEnvironment(worker),
		},
		outFile: logs.out,
		errorFile: logs.error,
		pidFile: join(home.pids, `${id}.pid`),
		killTimeoutMs: killTimeoutOf(app),
		// A job may be a process of its own, which the worker waits for.
		endsTree: app.listens,
		stopExitCodes: [],
	};
}

/** What the configuration gives a worker. */
function ownEnvironment({ app, slot, port }: Worker): Record<string, string> {
	return {
		NODE_APP_INSTANCE: String(slot),
		...(port === null ? {} : { PORT: String(port) }),
		...app.env,
	};
}

/** The environment of a command that asks about a worker: the worker's own, with which one is meant. */
export function commandEnvironment(worker: Worker): Record<string, string> {
	return {
		...plainEnvironmentOf(worker.app.user, process.env),
		...ownEnvironment(worker),
		ROLLCALL_WORKER: worker.id,
		ROLLCALL_PID: String(worker.identity?.pid ?? ''),
	};
}

/** Node programs run as cluster workers on the host's own Node, with the preload; everything else is forked. */
export function isNode(app: WorkerApp): boolean {
	return app.interpreter === 'node';
}

/** Whether new workers of the app can run beside the old ones on the same ports; one that listens nowhere needs none. */
export function sharesPorts(app: WorkerApp): boolean {
	return isNode(app) || app.reusePort || !app.listens;
}

/** Whether new workers start beside the old ones. If not, an old one ends before its successor starts. */
export function startsBeside(app: WorkerApp): boolean {
	return app.overlap && sharesPorts(app);
}

/** How long load balancers get before a worker that leaves a gap ends. */
export function lbWaitOf(app: WorkerApp, lbWaitMs: number): number {
	return app.listens && !startsBeside(app) ? lbWaitMs : 0;
}

/** Longest that a worker may take from the word to leave to its end: it may be busy at first, for as long as a probe waits. */
export function leaveTimeoutOf(app: WorkerApp): number {
	if (!isNode(app)) return app.drainTimeoutMs;
	// Where there are no requests to finish first, the app's own handlers have the whole of the drain.
	return app.drainTimeoutMs + app.health.timeoutMs + (app.listens ? farewellMs : 0);
}

/** How long PM2 lets it leave. */
export function killTimeoutOf(app: WorkerApp): number {
	return leaveTimeoutOf(app) + killMarginMs;
}

/** Where workers of an app start: links are resolved now, once. null: the script cannot be found. */
export function startOf({ pinned, script, cwd }: WorkerApp): { script: string; cwd: string } | null {
	if (pinned) return { script: pinned.path, cwd: pinned.cwd };
	try {
		return { script: realpathSync(script), cwd: resolvedFolder(cwd) };
	} catch {
		return null;
	}
}

/** A folder that only the app's own user may enter stays as it is named. */
export function resolvedFolder(folder: string): string {
	try {
		return realpathSync(folder);
	} catch {
		return folder;
	}
}
