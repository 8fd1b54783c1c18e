import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { controlUser } from '../../../config/checks/system-users.js';
import { durationMs, durationText, portNumber } from '../../../config/document/values.js';
import { type HttpWorkerEntry, instancesMax } from '../../../config/schema.js';
import { environmentOf } from './environment.js';
import { counterparts, withoutCounterpart } from './fields.js';
import { programFor } from './program.js';
import { NotTaken, type Pm2App, type Remarks } from './types.js';
import { userNamed } from './user.js';
import { scalarText } from './words.js';

/** `rollout.deadline` (5m) has to be longer than health.deadline, soak and drain.timeout together. */
const longestMs = 120_000;
/** Of health.deadline and of drain.timeout. */
const defaultMs = 30_000;
const crashesMax = 1_000;

export interface Surroundings {
	folder: string;
	/** What `--env` names. */
	environment: string | null;
	/** What `--user` names: for apps that name none. */
	user: string | null;
}

/** One app of PM2 as an entry of http_workers. Throws {@link NotTaken} when it cannot be one. */
export function entryOf(app: Pm2App, name: string, around: Surroundings, remarks: Remarks): HttpWorkerEntry {
	const cwd = resolve(around.folder, typeof app['cwd'] === 'string' ? app['cwd'] : '.');
	refuseJobs(app);
	const program = programFor(app, cwd, remarks);
	remarks.taken('cwd', `cwd: ${cwd}`);
	const environment = { ...program.env, ...environmentOf(app, around.environment, remarks) };
	const user = userOf(app, around.user, remarks);
	const entry: HttpWorkerEntry = {
		name,
		script: program.script,
		cwd,
		...(program.args.length > 0 && { args: program.args }),
		...(program.options.length > 0 && program.interpreter === 'node' && { node_args: program.options }),
		...(program.interpreter !== 'node' && { interpreter: program.interpreter }),
		...(user !== null && { user }),
		...sharing(app, program.interpreter, environment, remarks),
		...(Object.keys(environment).length > 0 && { env: environment }),
		...limits(app, remarks),
	};
	sourceMaps(app, entry, remarks);
	tellPort(entry, remarks);
	restOf(app, remarks);
	return entry;
}

/** What PM2 runs once, or by the clock, is no http worker. */
function refuseJobs(app: Pm2App): void {
	const isOnce = app['autorestart'] === false || app['autorestart'] === 'false';
	const cron = app['cron_restart'] ?? 0;
	if (isOnce && cron !== 0 && cron !== '0') {
		throw new NotTaken('cron_restart', 'it runs by the clock and ends: that is a job for a systemd timer');
	}
	if (isOnce) {
		throw new NotTaken(
			'autorestart',
			'it is not started again when it ends: that is a job for a systemd service of its own',
		);
	}
	if (app['autostart'] === false) {
		throw new NotTaken('autostart', 'PM2 does not start it with the others: Rollcall starts all that it has');
	}
}

/** How many workers, and on which ports where they cannot share one. */
function sharing(
	app: Pm2App,
	interpreter: string,
	environment: Readonly<Record<string, string>>,
	remarks: Remarks,
): Pick<HttpWorkerEntry, 'instances' | 'ports'> {
	const port = portNumber(environment['PORT'] ?? null);
	const isFork = interpreter !== 'node';
	let instances = instancesOf(app, remarks);
	if (isFork && instances !== 1 && port === null) {
		remarks.changed(
			'instances',
			'instances: 1, since programs in fork mode need ports of their own: name them in ports',
		);
		instances = 1;
	}
	tellMode(app, isFork, remarks);
	return { instances, ...(isFork && port !== null && { ports: [port] }) };
}

function instancesOf(app: Pm2App, remarks: Remarks): number | 'max' {
	const given = app['instances'];
	if (given === undefined) return 1;
	const number = given === 'max' ? 0 : Number.parseInt(scalarText(given), 10);
	if (Number.isNaN(number) || number === 0) {
		if (number === 0) remarks.taken('instances', 'instances: max, one a processor');
		else remarks.changed('instances', 'instances: max, which is what PM2 makes of a text that is no number');
		return 'max';
	}
	if (number < 0) {
		const count = Math.max(1, availableParallelism() + number);
		remarks.changed(
			'instances',
			`instances: ${count}, counted on this host: ${number} means all processors but ${-number}`,
		);
		return count;
	}
	if (number > instancesMax) {
		remarks.changed('instances', `instances: ${instancesMax}, the most that one app may have`);
		return instancesMax;
	}
	remarks.taken('instances', `instances: ${number}`);
	return number;
}

function tellMode(app: Pm2App, isFork: boolean, remarks: Remarks): void {
	const mode = typeof app['exec_mode'] === 'string' ? app['exec_mode'].replace(/_mode$/, '') : undefined;
	if (mode === 'cluster' && isFork) remarks.changed('exec_mode', 'fork mode, since cluster mode is for Node alone');
	else if (mode === 'cluster') remarks.taken('exec_mode', 'every app of interpreter node runs in cluster mode');
	else if (mode !== undefined && isFork) remarks.taken('exec_mode', 'fork mode, by its interpreter');
	else if (mode !== undefined) {
		remarks.changed(
			'exec_mode',
			'cluster mode, since every app of interpreter node shares its port; it needs no change',
		);
	}
	if (app['execute_command'] !== undefined)
		remarks.changed('execute_command', 'the interpreter says how the script runs');
	if (app['increment_var'] !== undefined) {
		if (isFork && app['increment_var'] === 'PORT')
			remarks.taken('increment_var', 'ports: each instance has the next one');
		else
			remarks.leftOut('increment_var', 'only PORT grows, in fork mode; workers of interpreter node share their port');
	}
	if (app['instance_var'] !== undefined) {
		if (app['instance_var'] === 'NODE_APP_INSTANCE') remarks.taken('instance_var', 'NODE_APP_INSTANCE, as always');
		else remarks.leftOut('instance_var', 'the number of a worker is in NODE_APP_INSTANCE');
	}
}

function limits(app: Pm2App, remarks: Remarks): Partial<HttpWorkerEntry> {
	const memory = memoryOf(app, remarks);
	const drain = drainOf(app, remarks);
	const deadline = deadlineOf(app, remarks);
	const crashes = crashesOf(app, remarks);
	return {
		...(memory !== null && { max_memory: memory }),
		...(deadline !== null && { health: { deadline } }),
		...(drain !== null && { drain: { timeout: drain } }),
		...(crashes !== null && { crash_loop: { intensity: crashes } }),
	};
}

const field = { memory: 'max_memory_restart', kill: 'kill_timeout', listen: 'listen_timeout' } as const;

/** PM2 takes bytes, or a number with K, M or G. */
function memoryOf(app: Pm2App, remarks: Remarks): string | null {
	const given = app[field.memory];
	if (given === undefined || given === 0 || given === '0') return null;
	const [, digits = '', unit = ''] = /^(\d{1,15})\s*([KMG]?)B?$/i.exec(scalarText(given).trim()) ?? [];
	if (digits === '') {
		remarks.leftOut(field.memory, 'it is no size such as 300M');
		return null;
	}
	const size = unit === '' ? `${Math.max(1, Math.ceil(Number(digits) / 1024))}k` : `${digits}${unit.toUpperCase()}`;
	if (!/^0*[1-9][0-9]{0,8}[kKMG]$/.test(size)) {
		remarks.leftOut(field.memory, 'it is no size that a process can reach');
		return null;
	}
	remarks.taken(field.memory, `max_memory: ${size}; the worker is replaced without loss, new before old`);
	return size;
}

function drainOf(app: Pm2App, remarks: Remarks): string | null {
	const ms = millisecondsOf(app, field.kill, remarks);
	if (ms === null) return null;
	const text = durationText(Math.min(ms, longestMs));
	if (ms > longestMs) remarks.changed(field.kill, `drain.timeout: ${text}; more needs a longer rollout.deadline, too`);
	else remarks.taken(field.kill, `drain.timeout: ${text}, the longest that open requests may take`);
	return text;
}

function deadlineOf(app: Pm2App, remarks: Remarks): string | null {
	if (app['wait_ready'] !== undefined) {
		remarks.changed(
			'wait_ready',
			"each worker is proven by an answer before it joins; process.send('ready') does no harm",
		);
	}
	const ms = millisecondsOf(app, field.listen, remarks);
	if (ms === null) return null;
	if (ms <= defaultMs) {
		remarks.changed(
			field.listen,
			`health.deadline: ${durationText(defaultMs)}, the default: a worker that is later is refused`,
		);
		return null;
	}
	const text = durationText(Math.min(ms, longestMs));
	if (ms > longestMs)
		remarks.changed(field.listen, `health.deadline: ${text}; more needs a longer rollout.deadline, too`);
	else remarks.taken(field.listen, `health.deadline: ${text}`);
	return text;
}

/** PM2 takes ms; some write a duration. */
function millisecondsOf(app: Pm2App, name: string, remarks: Remarks): number | null {
	const given = app[name];
	if (given === undefined) return null;
	const text = scalarText(given).trim();
	const ms = /^\d{1,9}(?:ms|s|m|h)$/.test(text) ? durationMs(text) : Number(text);
	if (Number.isSafeInteger(ms) && ms > 0) return ms;
	remarks.leftOut(name, 'it is no number of milliseconds');
	return null;
}

function crashesOf(app: Pm2App, remarks: Remarks): number | null {
	const given = app['max_restarts'];
	if (given === undefined) return null;
	const number = Number(scalarText(given) || Number.NaN);
	if (!Number.isSafeInteger(number) || number < 1) {
		remarks.leftOut('max_restarts', 'crash_loop.intensity is a number from 1');
		return null;
	}
	const intensity = Math.min(number, crashesMax);
	remarks.changed('max_restarts', `crash_loop.intensity: ${intensity}, counted over crash_loop.period (60s)`);
	return intensity;
}

function userOf(app: Pm2App, fallback: string | null, remarks: Remarks): string | null {
	const given = app['uid'];
	if (given === undefined || given === '') return fallback;
	const name = userNamed(scalarText(given));
	if (name === null) remarks.leftOut('uid', 'this host has no such user: name one in user, under systemd');
	else if (name === 'root') remarks.leftOut('uid', 'no worker runs as root: without user it is rollcall-app');
	else if (name === controlUser)
		remarks.leftOut('uid', 'the apps may not run as the control plane: without user it is rollcall-app');
	else {
		remarks.taken('uid', `user: ${name}, under systemd only`);
		return name;
	}
	return fallback;
}

function sourceMaps(app: Pm2App, entry: HttpWorkerEntry, remarks: Remarks): void {
	if (app['disable_source_map_support'] !== undefined) {
		remarks.taken('disable_source_map_support', 'Rollcall loads no source maps by itself');
	}
	const wanted = app['source_map_support'];
	if (wanted === undefined) return;
	if (wanted !== true || entry.interpreter !== undefined) {
		remarks.taken('source_map_support', 'Rollcall loads no source maps by itself');
		return;
	}
	entry.node_args = ['--enable-source-maps', ...(entry.node_args ?? [])];
	remarks.changed('source_map_support', 'node_args: --enable-source-maps, which is part of Node');
}

/** PM2's file does not say whether an app listens; Rollcall runs only what does. */
function tellPort({ env, ports }: HttpWorkerEntry, remarks: Remarks): void {
	if (portNumber(env?.['PORT'] ?? null) !== null || ports !== undefined) return;
	remarks.changed(
		'env',
		'no PORT shows: an app that listens nowhere is never proven, so take it out; one with a fixed port is found',
	);
}

function restOf(app: Pm2App, remarks: Remarks): void {
	if (app['autorestart'] !== undefined) remarks.taken('autorestart', 'a worker that ends is always started again');
	if (app['autostart'] !== undefined) remarks.taken('autostart', 'all apps start with the daemon');
	if (app['cron_restart'] !== undefined) {
		remarks.leftOut('cron_restart', 'a systemd timer that runs rollcall rollout start APP does it without loss');
	}
	for (const [name, value] of Object.entries(app)) {
		if (counterparts.has(name) || /^env_./.test(name)) continue;
		const why = withoutCounterpart[name] ?? 'PM2 does not document this field';
		if (value !== undefined && !isOff(value)) remarks.leftOut(name, why);
		else remarks.taken(name, 'it is off, as it always is');
	}
}

const isOff = (value: unknown): boolean => value === false || value === null || value === '';
