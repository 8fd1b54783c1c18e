import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PreloadSettings, preloadVariable } from '../connection/control.js';
import { plainEnvironmentOf } from '../host/environment.js';
import { isShared } from '../pm2/home.js';
import { workerLogPaths } from '../host/log-files.js';
import type { Pm2Start } from '../pm2/process.js';
import type { Worker } from './worker.js';

const preloadFile = fileURLToPath(new URL('../preload/worker.cjs', import.meta.url));
const reportIntervalMs = 1_000;

/** What PM2 is told to run for a worker. */
export function describeWorker(worker: Worker, node: boolean, killTimeoutMs: number): Pm2Start {
	const { app, id } = worker;
	const { home } = worker.host;
	const logs = workerLogPaths(home.logs, id);
	const settings: PreloadSettings = {
		id,
		directory: home.sockets,
		gate: app.gate,
		reportIntervalMs,
		drainTimeoutMs: app.drainTimeoutMs,
		socketMode: isShared(home) ? 0o660 : 0o600,
	};
	return {
		name: id,
		script: worker.release,
		cwd: app.cwd,
		args: app.args,
		mode: node ? ('cluster' as const) : ('fork' as const),
		interpreter: app.interpreter,
		nodeArgs: node ? ['--require', preloadFile, ...app.nodeArgs] : [],
		env: {
			...(node ? { [preloadVariable]: JSON.stringify(settings) } : plainEnvironmentOf(app.user, process.env)),
			NODE_APP_INSTANCE: String(worker.slot),
			...(worker.port === null ? {} : { PORT: String(worker.port) }),
			...app.env,
		},
		outFile: logs.out,
		errorFile: logs.error,
		pidFile: join(home.pids, `${id}.pid`),
		killTimeoutMs,
		stopExitCodes: [],
	};
}
