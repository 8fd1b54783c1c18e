import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { messageOf, RollcallError } from '../../../../errors.js';
import { environmentName } from '../../../../config/schema.js';
import type { Pm2App, Pm2Source } from '../types.js';

const answerTimeoutMs = 15_000;
const answerBytesMax = 32 * 1024 * 1024;

/**
 * The apps of the running PM2 of this user, as the pm2 on PATH lists them. Any pm2 command starts a daemon where none
 * runs, so its socket is asked first.
 */
export async function readRunningPm2(signal: AbortSignal): Promise<Pm2Source> {
	const home = process.env['PM2_HOME'] ?? join(homedir(), '.pm2');
	await refuseWithoutDaemon(join(home, 'rpc.sock'), home);
	const text = await listText(home, signal);
	return { content: appsOf(listIn(text)), folder: '/', notice: `asked the PM2 of ${home} by pm2 jlist` };
}

function refuseWithoutDaemon(path: string, home: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = connect({ path });
		socket.once('connect', () => {
			socket.destroy();
			resolve();
		});
		socket.once('error', (cause: NodeJS.ErrnoException) => {
			const denied = cause.code === 'EACCES' || cause.code === 'EPERM';
			const text = denied
				? `You may not use the PM2 of ${home}: run this as its user, with --print.`
				: `No PM2 runs in ${home}, and none was started. Run this as the user of the apps (sudo -u USER rollcall init --from-pm2-list --print), or set PM2_HOME; --from-pm2 FILE reads a file.`;
			reject(new RollcallError(denied ? 'forbidden' : 'unreachable', text, {}, { cause }));
		});
	});
}

function listText(home: string, signal: AbortSignal): Promise<string> {
	const env = { ...process.env, PM2_HOME: home, PM2_NO_INTERACTION: 'true', PM2_DISABLE_VERSION_CHECK: '1' };
	const limits = { env, signal, timeout: answerTimeoutMs, maxBuffer: answerBytesMax, killSignal: 'SIGKILL' } as const;
	return new Promise((resolve, reject) => {
		execFile('pm2', ['jlist', '--silent'], limits, (error, stdout) => {
			if (error === null) return resolve(stdout);
			if (signal.aborted) return reject(error);
			const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
			const why = missing ? 'there is no pm2 on PATH' : messageOf(error);
			reject(new RollcallError('usage', `PM2 could not be asked: ${why}.`, {}, { cause: error }));
		});
	});
}

/** PM2 may write notes in front of the list, which is one line. */
function listIn(text: string): Record<string, unknown>[] {
	for (const line of text.split('\n').reverse()) {
		if (!line.startsWith('[')) continue;
		try {
			const list: unknown = JSON.parse(line);
			if (Array.isArray(list)) return list as Record<string, unknown>[];
		} catch {
			// A note, such as [PM2] …
		}
	}
	throw new RollcallError('usage', 'PM2 answered no list: does pm2 jlist print one?');
}

/** The processes of one name are one app, with as many instances. */
function appsOf(processes: readonly Record<string, unknown>[]): { apps: Pm2App[] } {
	const byName = new Map<string, { app: Record<string, unknown>; count: number }>();
	for (const one of processes) {
		const state = sectionOf(one['pm2_env']);
		// Modules of PM2, such as pm2-logrotate, serve PM2 alone.
		if (state['pmx_module'] === true) continue;
		const name = String(one['name'] ?? state['name'] ?? '');
		const known = byName.get(name);
		if (known === undefined) byName.set(name, { app: fieldsOf(name, state), count: 1 });
		else known.count += 1;
	}
	return { apps: [...byName.values()].map(({ app, count }) => ({ ...app, instances: count })) };
}

const sectionOf = (value: unknown): Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** Fields that PM2 keeps under the name that the file has. */
const same = [
	...['args', 'node_args', 'exec_mode', 'max_memory_restart', 'kill_timeout', 'listen_timeout', 'wait_ready'],
	...['cron_restart', 'max_restarts', 'min_uptime', 'restart_delay', 'exp_backoff_restart_delay', 'increment_var'],
	...['stop_exit_codes', 'shutdown_with_message', 'log_date_format', 'uid', 'gid'],
];
/** PM2 fills these in, so only what differs from its own value was meant. */
const fromPm2: Readonly<Record<string, unknown>> = {
	namespace: 'default',
	watch: false,
	autorestart: true,
	autostart: true,
	instance_var: 'NODE_APP_INSTANCE',
};

function fieldsOf(name: string, state: Record<string, unknown>): Record<string, unknown> {
	const given = (field: string) => state[field] !== undefined && state[field] !== null;
	const isFilled = (field: string, value: unknown) => JSON.stringify(state[field]) === JSON.stringify(value);
	const differing = Object.entries(fromPm2).flatMap(([field, value]) => (isFilled(field, value) ? [] : [field]));
	const interpreter = state['exec_interpreter'];
	return {
		name,
		script: state['pm_exec_path'],
		cwd: state['pm_cwd'],
		...(typeof interpreter === 'string' && interpreter !== 'node' && { interpreter }),
		...Object.fromEntries([...same, ...differing].filter(given).map((field) => [field, state[field]])),
		env: withoutSession(sectionOf(state['env'])),
	};
}

/** PM2 keeps the whole environment of the shell that started the app; these variables are the shell's and PM2's own. */
function withoutSession(environment: Record<string, unknown>): Record<string, unknown> {
	const ofShell = new Set([
		...['PATH', 'HOME', 'SHELL', 'USER', 'LOGNAME', 'PWD', 'OLDPWD', 'TERM', 'TERM_PROGRAM', 'COLORTERM', 'LANG', '_'],
		...['LANGUAGE', 'MAIL', 'SHLVL', 'HOSTNAME', 'HOSTTYPE', 'DISPLAY', 'EDITOR', 'PAGER', 'LS_COLORS', 'LESSOPEN'],
		...['LESSCLOSE', 'TMPDIR', 'JOURNAL_STREAM', 'INVOCATION_ID', 'NOTIFY_SOCKET', 'MANAGERPID', 'SYSTEMD_EXEC_PID'],
		...['HISTCONTROL', 'HISTSIZE', 'MOTD_SHOWN', 'WINDOWID', 'INIT_CWD', 'NODE', 'NODE_APP_INSTANCE', 'unique_id'],
	]);
	const prefixes = /^(?:LC_|SSH_|SUDO_|XDG_|DBUS_|PM2_|npm_|NVM_|TMUX|STY$|VSCODE_|GPG_)/;
	const isOwn = (name: string, value: unknown) =>
		!ofShell.has(name) && !prefixes.test(name) && typeof value !== 'object' && environmentName.safeParse(name).success;
	return Object.fromEntries(Object.entries(environment).filter(([name, value]) => isOwn(name, value)));
}
