/** How a process is described to PM2 and read back from its list, in PM2's own words. */
import { RollcallError } from '../../errors.js';
import { revisionText } from '../host/revision-text.js';
import { pathCharactersMax, revisionVariable } from './releases.js';

/** What PM2 was told to run; one process with a name of its own. */
export interface Pm2Start {
	/** Worker id. */
	name: string;
	script: string;
	cwd: string;
	args: readonly string[];
	/** cluster: a Node program on the host's own Node. fork: any interpreter. */
	mode: 'cluster' | 'fork';
	interpreter: string;
	nodeArgs: readonly string[];
	/** The app's environment, in full. */
	env: Readonly<Record<string, string>>;
	outFile: string;
	errorFile: string;
	pidFile: string;
	/** How long PM2 waits after its signal before it kills, in ms. */
	killTimeoutMs: number;
	/** Whether PM2's signal goes to all that the process has started, too; its end is waited for together then. */
	endsTree: boolean;
	/** A process that ends with one of these is not started again. */
	stopExitCodes: readonly number[];
}

export type Pm2Status = 'online' | 'launching' | 'stopping' | 'stopped' | 'errored' | 'waiting restart' | 'unknown';

/** A row of PM2's list. */
export interface Pm2Process {
	name: string;
	pmId: number;
	pid: number | null;
	status: Pm2Status;
	restarts: number;
	script: string;
	/** The folder that it was started in. */
	cwd: string;
	/** What the script's release was called when the process was forked; null if it is not known. */
	revision: string | null;
	/** How long PM2 waits before it kills, as it was started with. */
	killTimeoutMs: number;
}

/** First delay of PM2's growing back-off: small, since most crashes are single ones. It grows by half each time. */
const backoffFirstMs = 10;
/** How often PM2 looks whether a process that it ends is gone. */
const killPollMs = 25;

/** Above the longest drain that the configuration allows, a day, and far below what a timer can hold. */
const killTimeoutMaxMs = 90_000_000;

/** A row as PM2 sends it. */
export interface RawProcess {
	pid?: number;
	name?: string;
	pm_id?: number;
	pm2_env?: Record<string, unknown>;
}

/** PM2's description of a process; throws `configuration` when the app's environment would break it. */
export function describe(start: Pm2Start): object {
	const description = {
		name: start.name,
		namespace: 'rollcall',
		pm_exec_path: start.script,
		pm_cwd: start.cwd,
		args: [...start.args],
		node_args: [...start.nodeArgs],
		exec_mode: start.mode === 'cluster' ? 'cluster_mode' : 'fork_mode',
		exec_interpreter: start.interpreter,
		instances: 1,
		instance_var: 'NODE_APP_INSTANCE',
		pm_out_log_path: start.outFile,
		pm_err_log_path: start.errorFile,
		pm_pid_path: start.pidFile,
		merge_logs: true,
		autostart: true,
		autorestart: true,
		watch: false,
		vizion: false,
		pmx: false,
		automation: false,
		treekill: start.endsTree,
		kill_timeout: start.killTimeoutMs,
		kill_retry_time: killPollMs,
		exp_backoff_restart_delay: backoffFirstMs,
		// PM2 never gives a worker up: the supervisor does, by intensity and period.
		max_restarts: Number.MAX_SAFE_INTEGER,
		min_uptime: 1_000,
		stop_exit_codes: [...start.stopExitCodes],
	};
	// PM2 lays the app's variables over its own description of the process; one that is named like a part of it breaks it.
	const clash = Object.keys(start.env).find((name) => name in description || pm2Names.has(name));
	if (clash !== undefined) {
		throw new RollcallError(
			'configuration',
			`env.${clash} of ${start.name} cannot be set: PM2 or Node uses that name itself. Choose another one.`,
		);
	}
	return { ...description, env: { ...start.env } };
}

const pm2Names = new Set([
	// By these Node finds its place in the cluster, and by the last one PM2's container its description.
	'NODE_CHANNEL_FD',
	'NODE_CHANNEL_SERIALIZATION_MODE',
	'NODE_UNIQUE_ID',
	'pm2_env',
	'env',
	'pm_id',
	'status',
	'pm_uptime',
	'created_at',
	'restart_time',
	'unique_id',
	'unstable_restarts',
	revisionVariable,
]);

export function readProcess(row: RawProcess): Pm2Process {
	const env = row.pm2_env ?? {};
	const status = String(env['status']);
	return {
		name: String(row.name ?? env['name']),
		pmId: wholeOr(row.pm_id ?? env['pm_id'], -1),
		// Whose process it is, the kernel is asked when it is taken in.
		pid: wholeOr(row.pid, 0) || null,
		status: isStatus(status) ? status : 'unknown',
		restarts: wholeOr(env['restart_time'], 0),
		script: String(env['pm_exec_path'] ?? '').slice(0, pathCharactersMax),
		cwd: String(env['pm_cwd'] ?? '').slice(0, pathCharactersMax),
		revision: revisionText(env[revisionVariable]),
		killTimeoutMs: Math.min(wholeOr(env['kill_timeout'], 0), killTimeoutMaxMs),
	};
}

/** The program in the worker host's place can write anything into a row. */
function wholeOr(value: unknown, otherwise: number): number {
	return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : otherwise;
}

function isStatus(text: string): text is Pm2Status {
	return ['online', 'launching', 'stopping', 'stopped', 'errored', 'waiting restart'].includes(text);
}
