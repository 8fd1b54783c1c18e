import type { TrafficRule, WorkerApp } from '../workers/types.js';
import { instancesOf, runsInForkMode } from './checks/conflicts.js';
import { ConfigurationError, type ConfigurationFault } from './document/faults.js';
import { FileRefused, readTrustedFile } from './document/trusted-files.js';
import type { Config, HttpWorkerConfig } from './schema.js';
import { portNumber, shareOf } from './document/values.js';

/**
 * The http apps as the supervisor wants them. Each call reads the env_files again; throws {@link ConfigurationError} when
 * one of them is missing, not trusted or not in its form.
 */
export function toWorkerApps(config: Pick<Config, 'http_workers'>): WorkerApp[] {
	const apps = config.http_workers.map(toWorkerApp);
	checkPorts(config.http_workers, apps);
	return apps;
}

/** Two apps that get one `PORT`, as far as an env_file has a part in it: the file itself shows the others. */
function checkPorts(configured: readonly HttpWorkerConfig[], apps: readonly WorkerApp[]): void {
	const faults: ConfigurationFault[] = [];
	for (const [index, app] of apps.entries()) {
		const file = configured[index]?.env_file;
		const port = portNumber(app.env['PORT'] ?? null);
		if (file === undefined || port === null || runsInForkMode(app) || !app.listens) continue;
		const other = apps.find((one) => one !== app && !runsInForkMode(one) && one.listens && isPortOf(one, port));
		if (other === undefined) continue;
		const key = `http_workers.${app.name}.env_file`;
		const got = `${port}, also of app ${other.name}`;
		const expected = 'a PORT that no other app listens on';
		faults.push({ file, line: null, column: null, variable: null, key, expected, got, hint: null });
	}
	if (faults.length > 0) throw new ConfigurationError(faults);
}

const isPortOf = ({ env, ports, health }: WorkerApp, port: number): boolean =>
	portNumber(env['PORT'] ?? null) === port || ports.includes(port) || health.port === port;

function toWorkerApp(app: HttpWorkerConfig): WorkerApp {
	const instances = instancesOf(app);
	return {
		name: app.name,
		script: app.script,
		cwd: app.cwd,
		args: [...app.args],
		nodeArgs: [...app.node_args],
		interpreter: app.interpreter,
		user: app.user ?? null,
		instances,
		env: { ...(app.env_file === undefined ? {} : environmentOf(app.name, app.env_file)), ...app.env },
		health: {
			path: app.health.path ?? null,
			...(app.health.port === undefined ? {} : { port: app.health.port }),
			...(app.health.ready ? { ready: true } : {}),
			...(app.health.command.length === 0 ? {} : { command: [...app.health.command] }),
			timeoutMs: app.health.timeout,
			deadlineMs: app.health.deadline,
			soakMs: app.health.soak,
			intervalMs: app.health.interval,
			failures: app.health.failures,
		},
		gate: app.gate,
		ports: [...(app.ports ?? [])],
		listens: app.ports?.length !== 0,
		overlap: app.overlap,
		reusePort: app.reuse_port,
		drainTimeoutMs: app.drain.timeout,
		surge: Math.min(instances, shareOf(app.surge, instances)),
		...(app.traffic.window === 0 ? {} : { traffic: trafficOf(app) }),
		maxMemory: app.max_memory ?? null,
		crashLoop: { intensity: app.crash_loop.intensity, periodMs: app.crash_loop.period },
	};
}

function trafficOf({ traffic }: HttpWorkerConfig): TrafficRule {
	const { window, requests, errors, slow } = traffic;
	return { windowMs: window, requests, errors, ...(slow === 0 ? {} : { slowMs: slow }) };
}

function environmentOf(app: string, file: string): Record<string, string> {
	try {
		return parseEnvironmentFile(file);
	} catch (error) {
		if (!(error instanceof FileRefused)) throw error;
		const key = `http_workers.${app}.env_file`;
		throw new ConfigurationError([{ file, line: null, column: null, variable: null, key, ...error.fault }]);
	}
}

/**
 * Lines of KEY=VALUE; empty ones and those that begin with # do not count, quotes around a whole value are taken off,
 * and nothing in it is expanded. Throws {@link FileRefused} or {@link ConfigurationError}; neither repeats a value.
 */
export function parseEnvironmentFile(file: string): Record<string, string> {
	const environment: Record<string, string> = {};
	const faults: ConfigurationFault[] = [];
	for (const [index, line] of readTrustedFile(file, 'secret').split(/\r?\n/).entries()) {
		if (/^\s*(?:#.*)?$/.test(line)) continue;
		const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/.exec(line) ?? [];
		if (name === undefined || value === undefined || name.startsWith('ROLLCALL_') || name === '__proto__') {
			const expected = 'a line KEY=VALUE, with a KEY that does not begin with ROLLCALL_';
			faults.push({
				file,
				line: index + 1,
				column: 1,
				variable: null,
				key: '',
				expected,
				got: 'another line',
				hint: null,
			});
			continue;
		}
		environment[name] = value.trim().replace(/^(["'])(.*)\1$/, '$2');
	}
	if (faults.length > 0) throw new ConfigurationError(faults);
	return environment;
}
