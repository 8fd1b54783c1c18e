import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
	closeSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	realpathSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { RolloutView } from '../../../src/rollout/types.js';
import type { WorkerRow } from '../../../src/workers/types.js';
import { freePorts } from '../system/ports.js';

export const mainScript = fileURLToPath(new URL('../../../src/main.js', import.meta.url));
/** An app that tells who it is, and proves itself when it may: see HOLD_FILE there. */
export const whoApp = fileURLToPath(new URL('../apps/who.cjs', import.meta.url));
const demoApp = fileURLToPath(new URL('../../../src/demo/app.js', import.meta.url));

export const admin = { username: 'admin', password: 'correct-horse-battery' };

/** How long real processes on a busy machine may take before a test gives up on them. */
const patienceMs = 60_000;
const lookMs = 50;

export interface Answer<Body = Record<string, unknown>> {
	status: number;
	json: Body;
}

export interface RealNodeOptions {
	name: string;
	/** Any part of the configuration, laid over the default one. */
	config?: Record<string, unknown>;
	/** Environment beside the first user's. */
	env?: Record<string, string>;
}

/** A node as an operator runs it: a configuration file, the daemon as a process of its own, a worker host below it. */
export class RealNode {
	child: ChildProcess | null = null;
	/** What the daemon is started by, for example in a network of its own. */
	launcher: readonly string[] = [];
	/** The build that it runs. */
	mainScript = mainScript;
	/** Where the node's app is asked. */
	host = '127.0.0.1';
	readonly configFile: string;
	readonly socketPath: string;
	readonly logFile: string;
	readonly stateDir: string;
	readonly workerDir: string;

	constructor(
		readonly name: string,
		readonly folder: string,
		readonly ports: { app: number; operations: number; cluster: number },
		readonly env: Record<string, string>,
	) {
		this.configFile = join(folder, 'rollcall.yaml');
		this.socketPath = join(folder, 'run', 'admin.sock');
		this.logFile = join(folder, 'daemon.log');
		this.stateDir = join(folder, 'state');
		this.workerDir = join(folder, 'w');
	}

	get appUrl(): string {
		return `http://${this.host}:${this.ports.app}/`;
	}

	/** The default configuration with `changes` laid over it, written as an operator would have it. */
	configure(changes: Record<string, unknown>): void {
		const config = {
			node: { name: this.name },
			state_dir: this.stateDir,
			worker_dir: this.workerDir,
			runtime_dir: join(this.folder, 'run'),
			operations_api: {
				socket: { path: this.socketPath, mode: '0600' },
				http: { host: '127.0.0.1', port: this.ports.operations },
			},
			http_workers: [webApp(this.ports.app, this.name)],
			...changes,
		};
		writeFileSync(this.configFile, stringify(config), { mode: 0o600 });
	}

	/** Lays sections over the file as it stands, one level deep. */
	amend(changes: Record<string, unknown>): void {
		const config = parse(readFileSync(this.configFile, 'utf8')) as Record<string, unknown>;
		for (const [key, value] of Object.entries(changes))
			config[key] = Array.isArray(value) ? value : { ...(config[key] as object), ...(value as object) };
		writeFileSync(this.configFile, stringify(config), { mode: 0o600 });
	}

	/** Starts the daemon; resolves when it was started, not when it is ready. */
	start(): ChildProcess {
		const log = openSync(this.logFile, 'a', 0o600);
		const daemon = [process.execPath, this.mainScript, 'daemon', '--config', this.configFile];
		const [program = '', ...words] = [...this.launcher, ...daemon];
		const child = spawn(program, words, {
			stdio: ['ignore', log, log],
			env: {
				PATH: process.env['PATH'] ?? '/usr/bin:/bin',
				ROLLCALL_ADMIN_USERNAME: admin.username,
				ROLLCALL_ADMIN_PASSWORD: admin.password,
				...this.env,
			},
		});
		closeSync(log);
		this.child = child;
		return child;
	}

	async ready(): Promise<void> {
		await waitFor(`${this.name} to be ready`, async () => {
			if (this.child && (this.child.exitCode !== null || this.child.signalCode !== null)) {
				throw new Error(`${this.name} ended before it was ready:\n${this.log().slice(-4000)}`);
			}
			return (await this.get('/readyz').catch(() => null))?.status === 200;
		});
	}

	log(): string {
		return readFileSync(this.logFile, 'utf8');
	}

	/** An operation over the admin socket. */
	call<Body = Record<string, unknown>>(operation: string, fields: Record<string, unknown> = {}): Promise<Answer<Body>> {
		return this.#ask<Body>('POST', '/', JSON.stringify({ operation, ...fields }));
	}

	get(path: string): Promise<Answer> {
		return this.#ask('GET', path);
	}

	async workers(): Promise<WorkerRow[]> {
		const { json } = await this.call<WorkerRow[]>('list_workers');
		return json;
	}

	/** The rollout once `until` holds of it. */
	async rollout(
		id: string,
		until: (view: RolloutView) => boolean = isOver,
		withinMs = patienceMs,
	): Promise<RolloutView> {
		let last: RolloutView | undefined;
		await waitFor(
			`rollout ${id} on ${this.name}`,
			async () => {
				const { status, json } = await this.call<RolloutView>('get_rollout', { id }).catch(nobodyThere);
				if (status === 200) last = json;
				return last !== undefined && until(last);
			},
			() => JSON.stringify(last),
			withinMs,
		);
		if (!last) throw new Error('unreachable');
		return last;
	}

	/** Kills the daemon alone; its workers go on. */
	async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
		const { child } = this;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const ended = once(child, 'exit');
		child.kill(signal);
		await ended;
	}

	/** `rollcall stop`: daemon, worker host and workers. */
	stop(): Promise<CommandResult> {
		return rollcall(['stop', '--kill', '--config', this.configFile]);
	}

	#ask<Body>(method: string, path: string, body?: string): Promise<Answer<Body>> {
		return new Promise((resolve, reject) => {
			const asked = request(
				{
					socketPath: this.socketPath,
					method,
					path,
					timeout: patienceMs,
					headers: { host: 'localhost', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
				},
				(response) => {
					let text = '';
					response.setEncoding('utf8').on('data', (part: string) => {
						text += part;
					});
					response.once('end', () => {
						try {
							resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Body });
						} catch {
							reject(new Error(`not JSON: ${text.slice(0, 200)}`));
						}
					});
				},
			);
			asked.once('error', reject);
			asked.once('timeout', () => asked.destroy(new Error('no answer in time')));
			asked.end(body);
		});
	}
}

/** A daemon that is just being started has no socket yet. */
const nobodyThere = (error: NodeJS.ErrnoException): { status: number; json: RolloutView } => {
	if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return { status: 0, json: {} as RolloutView };
	throw error;
};

export const isOver = (view: RolloutView): boolean => ['completed', 'halted', 'aborted'].includes(view.state);

export function webApp(port: number, node: string): Record<string, unknown> {
	return {
		name: 'web',
		script: demoApp,
		instances: 2,
		env: { PORT: String(port), NODE_NAME: node },
		health: { path: '/healthz', soak: '300ms' },
	};
}

/** Real nodes in one temporary folder; `end` leaves no process and no file, whatever the test did. */
export class RealFleet {
	readonly nodes: RealNode[] = [];
	constructor(readonly folder: string) {}

	node(name: string): RealNode {
		const found = this.nodes.find((node) => node.name === name);
		if (!found) throw new Error(`no node ${name}`);
		return found;
	}

	async start(): Promise<void> {
		for (const node of this.nodes) node.start();
		await Promise.all(this.nodes.map((node) => node.ready()));
	}

	async end(): Promise<void> {
		await Promise.allSettled(this.nodes.map((node) => node.stop()));
		await Promise.allSettled(this.nodes.map((node) => node.kill()));
		rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
	}
}

/** Writes configurations for these nodes, linked to one another when there are several; nothing is started. */
export async function makeFleet(
	options: readonly RealNodeOptions[],
	changes: Record<string, unknown> = {},
): Promise<RealFleet> {
	const base = realpathSync(tmpdir());
	const fleet = new RealFleet(mkdtempSync(join(base.length <= 40 ? base : '/tmp', 'rc-')));
	const ports = await freePorts(options.length * 3);
	const secretFile = join(fleet.folder, 'secret');
	writeFileSync(secretFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
	const port = (node: number, which: number): number => ports[node * 3 + which] ?? 0;
	const peers = options.map(({ name }, index) => ({ name, url: `ws://127.0.0.1:${port(index, 2)}` }));
	for (const [index, { name, config = {}, env = {} }] of options.entries()) {
		const folder = join(fleet.folder, name);
		mkdirSync(folder, { mode: 0o700 });
		const places = { app: port(index, 0), operations: port(index, 1), cluster: port(index, 2) };
		const node = new RealNode(name, folder, places, env);
		const cluster =
			options.length > 1
				? { cluster: { listen: { host: '127.0.0.1', port: places.cluster }, secret_file: secretFile, peers } }
				: {};
		node.configure({ ...cluster, ...changes, ...config });
		fleet.nodes.push(node);
	}
	return fleet;
}

export interface CommandResult {
	code: number | null;
	stdout: string;
	stderr: string;
}

/** Runs the program as a person would, to its end; Ctrl-C after `patientMs`. */
export async function rollcall(
	words: readonly string[],
	env: Record<string, string> = {},
	patientMs?: number,
): Promise<CommandResult> {
	const child = spawn(process.execPath, [mainScript, ...words], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env },
	});
	const result = { code: null as number | null, stdout: '', stderr: '' };
	child.stdout.setEncoding('utf8').on('data', (part: string) => {
		result.stdout += part;
	});
	child.stderr.setEncoding('utf8').on('data', (part: string) => {
		result.stderr += part;
	});
	const giveUp = patientMs === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), patientMs);
	const [code] = (await once(child, 'close')) as [number | null];
	clearTimeout(giveUp);
	result.code = code;
	return result;
}

/** Looks again until it holds; what is outside of this process has no event to wait for. */
export async function waitFor(
	what: string,
	holds: () => boolean | Promise<boolean>,
	describe: () => string = () => '',
	withinMs = patienceMs,
	everyMs = lookMs,
): Promise<void> {
	const until = performance.now() + withinMs;
	while (!(await holds())) {
		if (performance.now() > until) throw new Error(`waited ${withinMs} ms for ${what} ${describe()}`);
		await delay(everyMs);
	}
}

/**
 * Asks for a replicated `restart_service`; again where nodes were slower than the two seconds that an answer may take, as
 * `tooSlow` has it: that is the machine's, not the fleet's.
 */
export async function askInTime(node: RealNode, fields: Record<string, unknown>, tooSlow: RegExp): Promise<Answer> {
	let answer: Answer | undefined;
	await waitFor('an answer in time', async () => {
		answer = await node.call('restart_service', { replicated: true, ...fields });
		return !(answer.status === 503 && tooSlow.test(String(answer.json['error'])));
	});
	return answer as Answer;
}
