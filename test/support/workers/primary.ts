import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
	type ControlOptions,
	connectWorker,
	type WorkerControl,
} from '../../../src/workers/connection/control-client.js';
import {
	controlSocketPath,
	type ControlPush,
	type PreloadSettings,
	preloadFile,
	preloadVariable,
	type WorkerStatus,
} from '../../../src/workers/connection/control.js';

const deadlineMs = 20_000;
/** What PM2's daemon starts a cluster worker with: it reads the packed environment and loads the app. */
const containerFile = createRequire(import.meta.url).resolve('pm2/lib/ProcessContainer.js');

/** A file of test/support/apps. */
export const appFile = (name: string): string => fileURLToPath(new URL(`../apps/${name}`, import.meta.url));

export interface Exit {
	code: number | null;
	signal: string | null;
}

/** A worker process with its control connection. */
export interface TestWorker {
	id: string;
	pid: number;
	control: WorkerControl;
	pushes: ControlPush[];
	exited: Promise<Exit>;
	/** The control connection is gone, and with it the process. */
	closed: Promise<void>;
	/** The first push of this kind, be it there already or yet to come. */
	pushed<Name extends ControlPush['event']>(event: Name): Promise<Extract<ControlPush, { event: Name }>>;
	/** Asks again and again until the status is so. */
	until(isSo: (status: WorkerStatus) => boolean): Promise<WorkerStatus>;
	/** Status once every listen is held (or live). */
	listening(listens?: number): Promise<WorkerStatus>;
}

export interface StartOptions {
	/** Default `web-<n>`. */
	id?: string;
	env?: Record<string, string>;
	settings?: Partial<PreloadSettings>;
	/** As PM2 starts it: the environment packed into one variable, PM2's container around the app. */
	container?: boolean;
}

/** A cluster primary in a process of its own, with a folder for the private sockets of its workers. */
export class Primary {
	readonly directory = mkdtempSync(join(tmpdir(), 'rcp-'));
	readonly process: ChildProcess;
	readonly #started = new Map<number, (pid: number) => void>();
	readonly #exits = new Map<number, (exit: Exit) => void>();
	readonly #pids = new Set<number>();
	#calls = 0;
	/** Connections that a stuck relay has taken. */
	kept = 0;

	constructor(options: { node?: string; policy?: 'none' | 'rr'; relay?: 'on' | 'off' | 'stuck' } = {}) {
		this.process = fork(fileURLToPath(new URL('./cluster-primary.cjs', import.meta.url)), [], {
			execPath: options.node ?? process.execPath,
			execArgv: [],
			env: {
				PATH: process.env['PATH'],
				POLICY: options.policy ?? 'none',
				RELAY: options.relay ?? 'on',
			},
		});
		this.process.on('message', (message: { call?: number; pid: number; exited?: number; kept?: number } & Exit) => {
			if (message.kept !== undefined) this.kept += 1;
			if (message.call !== undefined) this.#started.get(message.call)?.(message.pid);
			if (message.exited !== undefined) this.#exits.get(message.exited)?.(message);
		});
	}

	/** Starts a worker and connects to it. */
	async start(app: string, options: StartOptions = {}): Promise<TestWorker> {
		const { id, pid, exited } = await this.startUnwatched(app, options);
		return connectTestWorker(controlSocketPath(this.directory, id, pid), id, pid, exited);
	}

	/** Starts a worker that may be gone before anybody could connect. */
	async startUnwatched(
		app: string,
		options: StartOptions = {},
	): Promise<{ id: string; pid: number; exited: Promise<Exit> }> {
		const call = ++this.#calls;
		const id = options.id ?? `web-${call}`;
		const settings = { id, directory: this.directory, gate: true, reportIntervalMs: 0, ...options.settings };
		const env = { ...options.env, [preloadVariable]: JSON.stringify(settings) };
		const started = new Promise<number>((resolve) => this.#started.set(call, resolve));
		const start = options.container
			? { file: containerFile, env: { pm2_env: JSON.stringify(this.#packed(id, appFile(app), env)) } }
			: { file: appFile(app), env };
		this.process.send({ call, execArgv: ['--require', preloadFile], ...start });
		const pid = await started;
		this.#pids.add(pid);
		const exited = new Promise<Exit>((resolve) => this.#exits.set(pid, resolve));
		void exited.then(() => this.#pids.delete(pid));
		return { id, pid, exited };
	}

	/** Sends a message to a worker over the cluster's channel, as PM2 does. */
	tell(pid: number, message: string): void {
		this.process.send({ tell: pid, message });
	}

	/** Kills the primary alone; its workers live on. */
	async killHost(): Promise<void> {
		const gone = once(this.process, 'exit');
		this.process.kill('SIGKILL');
		await gone;
	}

	#packed(id: string, script: string, env: Record<string, string>): object {
		const log = (kind: string): string => join(this.directory, `${id}.${kind}`);
		return {
			...env,
			env,
			name: id,
			pm_id: 0,
			pm_exec_path: script,
			pm_cwd: this.directory,
			pm_out_log_path: log('out'),
			pm_err_log_path: log('err'),
			pm_pid_path: log('pid'),
			pmx: false,
		};
	}

	/** Kills what is left of it, and removes its folder. */
	async stop(): Promise<void> {
		for (const pid of this.#pids) kill(pid);
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const gone = once(this.process, 'exit');
			this.process.kill('SIGKILL');
			await gone;
		}
		rmSync(this.directory, { recursive: true, force: true });
	}
}

/** The socket appears only when the worker's process has begun. */
async function connectOnceOpen(path: string, options: ControlOptions): Promise<WorkerControl> {
	const until = performance.now() + deadlineMs;
	for (;;) {
		try {
			return await connectWorker(path, options);
		} catch (error) {
			if (performance.now() >= until) throw error;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}
}

async function connectTestWorker(path: string, id: string, pid: number, exited: Promise<Exit>): Promise<TestWorker> {
	const pushes: ControlPush[] = [];
	const waiting = new Set<() => void>();
	let end: () => void = () => undefined;
	const closed = new Promise<void>((resolve) => {
		end = resolve;
	});
	const control = await connectOnceOpen(path, {
		callTimeoutMs: deadlineMs,
		onClose: () => end(),
		onPush: (push) => {
			pushes.push(push);
			for (const look of waiting) look();
		},
	});
	const find = <Found>(what: string, look: () => Found | undefined): Promise<Found> =>
		within(
			what,
			new Promise((resolve) => {
				const check = (): void => {
					const found = look();
					if (found === undefined) return;
					waiting.delete(check);
					resolve(found);
				};
				waiting.add(check);
				check();
			}),
		);
	return {
		id,
		pid,
		control,
		pushes,
		exited,
		closed,
		pushed: <Name extends ControlPush['event']>(event: Name) =>
			find(`push ${event} of ${id}`, () =>
				pushes.find((push): push is Extract<ControlPush, { event: Name }> => push.event === event),
			),
		until: (isSo) => {
			const ask = async (): Promise<WorkerStatus> => {
				const status = await control.status();
				return isSo(status) ? status : ask();
			};
			return within(`status of ${id}`, ask());
		},
		listening: async (listens = 1) => {
			const all = (status: WorkerStatus): boolean => status.listens.filter((listen) => listen.probe).length >= listens;
			const now = await control.status();
			if (all(now)) return now;
			return find(`listening of ${id}`, () => {
				const push = pushes.findLast((one) => one.event === 'listening');
				return push && 'status' in push && all(push.status) ? push.status : undefined;
			});
		},
	};
}

/** Rejects, saying what was waited for, when it takes too long. */
export function within<Value>(what: string, promise: Promise<Value>, ms = deadlineMs): Promise<Value> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// Gone already.
	}
}

/** A TCP port that is free now, below the range from which the kernel gives out ports by itself. */
export async function freePort(): Promise<number> {
	for (;;) {
		const port = 10_000 + Math.floor(Math.random() * 20_000);
		const server = net.createServer();
		const free = await new Promise<boolean>((resolve) => {
			server.once('error', () => resolve(false));
			server.listen(port, '127.0.0.1', () => resolve(true));
		});
		if (!free) continue;
		await new Promise((resolve) => server.close(resolve));
		return port;
	}
}
