import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectWorker, type WorkerControl } from '../../src/workers/control-client.js';
import {
	controlSocketPath,
	type ControlPush,
	type PreloadSettings,
	preloadFile,
	preloadVariable,
	type WorkerStatus,
} from '../../src/workers/control.js';

const deadlineMs = 20_000;

/** A file of test/support/apps. */
export const appFile = (name: string): string => fileURLToPath(new URL(`./apps/${name}`, import.meta.url));

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
	/** The first push of this kind, be it there already or yet to come. */
	pushed<Name extends ControlPush['event']>(event: Name): Promise<Extract<ControlPush, { event: Name }>>;
	/** Status once every listen is held (or live). */
	listening(listens?: number): Promise<WorkerStatus>;
}

/** A cluster primary in a process of its own, with a folder for the private sockets of its workers. */
export class Primary {
	readonly directory = mkdtempSync(join(tmpdir(), 'rcp-'));
	readonly process: ChildProcess;
	readonly #started = new Map<number, (pid: number) => void>();
	readonly #exits = new Map<number, (exit: Exit) => void>();
	readonly #pids = new Set<number>();
	#calls = 0;

	constructor(options: { node?: string; policy?: 'none' | 'rr'; relay?: boolean } = {}) {
		this.process = fork(fileURLToPath(new URL('./cluster-primary.cjs', import.meta.url)), [], {
			execPath: options.node ?? process.execPath,
			execArgv: [],
			env: {
				PATH: process.env['PATH'],
				POLICY: options.policy ?? 'none',
				RELAY: options.relay === false ? 'off' : 'on',
			},
		});
		this.process.on('message', (message: { call?: number; pid: number; exited?: number } & Exit) => {
			if (message.call !== undefined) this.#started.get(message.call)?.(message.pid);
			if (message.exited !== undefined) this.#exits.get(message.exited)?.(message);
		});
	}

	/** Starts a worker; `control: false` for one that is not to be connected to. */
	async start(
		app: string,
		options: {
			id?: string;
			env?: Record<string, string>;
			settings?: Partial<PreloadSettings>;
			/** Put into PM2's packed environment instead of a variable of its own. */
			packed?: boolean;
		} = {},
	): Promise<TestWorker> {
		const call = ++this.#calls;
		const id = options.id ?? `web-${call}`;
		const settings = { id, directory: this.directory, gate: true, reportIntervalMs: 0, ...options.settings };
		const direct = { ...options.env, [preloadVariable]: JSON.stringify(settings) };
		const env = options.packed ? { ...options.env, pm2_env: JSON.stringify({ ...direct, env: direct }) } : direct;
		const started = new Promise<number>((resolve) => this.#started.set(call, resolve));
		this.process.send({ call, file: appFile(app), execArgv: ['--require', preloadFile], env });
		const pid = await started;
		this.#pids.add(pid);
		const exited = new Promise<Exit>((resolve) => this.#exits.set(pid, resolve));
		void exited.then(() => this.#pids.delete(pid));
		return connectTestWorker(controlSocketPath(this.directory, id, pid), id, pid, exited);
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

async function connectTestWorker(path: string, id: string, pid: number, exited: Promise<Exit>): Promise<TestWorker> {
	const pushes: ControlPush[] = [];
	const waiting = new Set<() => void>();
	const control = await connectWorker(path, {
		connectWithinMs: deadlineMs,
		callTimeoutMs: deadlineMs,
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
		pushed: <Name extends ControlPush['event']>(event: Name) =>
			find(`push ${event} of ${id}`, () =>
				pushes.find((push): push is Extract<ControlPush, { event: Name }> => push.event === event),
			),
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
