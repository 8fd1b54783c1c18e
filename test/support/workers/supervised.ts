import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../../../src/log.js';
import { isAlive, readProcessStat } from '../../../src/system/proc/process.js';
import { createSupervisor } from '../../../src/workers/supervisor.js';
import type {
	ReplacementResult,
	StartsFrom,
	Supervisor,
	SupervisorOptions,
	WorkerApp,
	WorkerIdentity,
} from '../../../src/workers/types.js';

const childEntry = fileURLToPath(new URL('./replacing-supervisor.js', import.meta.url));
const hostEntry = fileURLToPath(new URL('./worker-host.js', import.meta.url));

/** Apps of tests, as people write them. */
export const programs = {
	good: `require('http').createServer((q, r) => r.end(String(process.pid))).listen(+process.env.PORT);`,
	environment: `require('http').createServer((q, r) => r.end(JSON.stringify(process.env))).listen(+process.env.PORT);`,
} as const;

/**
 * A program that is not Node: it answers with a word, its process id and the names of its variables; or, where `says` is
 * an expression of Python, with what that comes to.
 */
export const python = (
	word: string,
	before = '',
	says = `'${word} ' + str(os.getpid()) + ' ' + ' '.join(os.environ)`,
): string => `
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
${before}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(${says}).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
`;

type SupervisedOptions = Partial<Pick<SupervisorOptions, 'lbWaitMs' | 'logger' | 'clock'>>;

/** One node's supervisor over real PM2 and real workers, in a folder of its own; `end()` leaves nothing behind. */
export class Supervised {
	readonly folder = mkdtempSync(join(tmpdir(), 'rw-'));
	readonly workerDir = join(this.folder, 'w');
	readonly link = join(this.folder, 'current.js');
	supervisor: Supervisor;
	private releases = 0;

	private constructor(
		readonly port: number,
		public app: WorkerApp,
		private readonly options: SupervisedOptions,
	) {
		this.app = {
			...app,
			script: this.link,
			cwd: this.folder,
			env: { ...(app.ports.length > 0 ? {} : { PORT: String(port) }), ...app.env },
		};
		this.supervisor = this.create();
	}

	static async start(
		program: string,
		settings: Partial<WorkerApp> = {},
		options: SupervisedOptions = {},
	): Promise<Supervised> {
		const port = await freePort();
		const ports = settings.interpreter === undefined ? [] : [port];
		const supervised = new Supervised(port, { ...plainApp, ports, ...settings }, options);
		supervised.release(program);
		await supervised.supervisor.start();
		return supervised;
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}/`;
	}

	/** Ids on the supervisor's record, of workers that live or are believed to. */
	get recorded(): string[] {
		const { workers } = JSON.parse(readFileSync(join(this.folder, 's', 'workers.json'), 'utf8')) as {
			workers: { id: string }[];
		};
		return workers.map(({ id }) => id);
	}

	get home(): string {
		return join(this.workerDir, 'self');
	}

	get pids(): number[] {
		return this.supervisor.identities().map((one) => one.pid);
	}

	/** Process id of the worker host; throws when there is none. */
	get hostPid(): number {
		return (JSON.parse(readFileSync(join(this.home, 'lock'), 'utf8')) as { pid: number }).pid;
	}

	/** Puts a release in place: a file of its own, with the link set to it. */
	release(program: string, extension = 'js'): void {
		this.releases += 1;
		const file = join(this.folder, `release-${this.releases}.${extension}`);
		writeFileSync(file, program);
		if (existsSync(this.link)) unlinkSync(this.link);
		symlinkSync(file, this.link);
	}

	replace(settings: Partial<WorkerApp> = {}, onProgress = (_: string): void => undefined): Promise<ReplacementResult> {
		this.app = { ...this.app, ...settings };
		return this.supervisor.replace({ only: null, apps: [this.app], deadlineMs: 60_000, onProgress });
	}

	/** A step of a rollout. */
	step(rollout: string, from: StartsFrom, before?: readonly WorkerIdentity[]): Promise<ReplacementResult> {
		const given = before === undefined ? {} : { before };
		return this.supervisor.replace({ only: null, apps: [this.app], deadlineMs: 60_000, from, rollout, ...given });
	}

	/** What a host does that loses its power, or starts anew: nothing is left but the folders. */
	async losePower(): Promise<void> {
		const gone = [this.hostPid, ...this.pids];
		await this.supervisor.detach();
		for (const pid of gone) kill(pid, 'SIGKILL');
		await until(() => !gone.some(lives), 5_000, 'every process to be gone');
		const record = join(this.folder, 's', 'workers.json');
		const told = { ...(JSON.parse(readFileSync(record, 'utf8')) as object), boot: 'an earlier one' };
		writeFileSync(record, JSON.stringify(told));
		this.supervisor = this.create();
		await this.supervisor.start();
	}

	create(): Supervisor {
		return createFor(this.app, this.folder, [this.app], this.options);
	}

	/** As a control plane does whose configuration has no app any more. */
	restartWithoutApps(): Promise<void> {
		return this.restartWith([]);
	}

	/** As a control plane does whose configuration has these apps now. */
	async restartWith(apps: readonly WorkerApp[]): Promise<void> {
		await this.supervisor.detach();
		this.supervisor = createFor(this.app, this.folder, apps, this.options);
		await this.supervisor.start();
	}

	/**
	 * Starts a replacement in a process of its own and kills that by SIGKILL as soon as its progress matches; then a new
	 * supervisor starts here. What it makes of it is the test's matter.
	 */
	async replaceAndDie(at: RegExp, from: StartsFrom = 'configured'): Promise<void> {
		await this.supervisor.detach();
		const child = spawn(process.execPath, [childEntry, JSON.stringify({ app: this.app, folder: this.folder, from })], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		for await (const chunk of child.stdout) if (at.test(String(chunk))) break;
		child.kill('SIGKILL');
		this.supervisor = this.create();
		await this.supervisor.start();
	}

	/** What a control plane that died and came again does. */
	async restartSupervisor(): Promise<void> {
		await this.supervisor.detach();
		this.supervisor = this.create();
		await this.supervisor.start();
	}

	/** Resolves when every wanted worker serves. */
	full(withinMs = 30_000): Promise<void> {
		return until(() => this.supervisor.readiness().every((one) => one.healthy >= one.wanted), withinMs, 'all to serve');
	}

	/** Resolves when the full set serves and none of it is one of these. */
	async onlyNew(old: readonly number[]): Promise<void> {
		const isNew = () => this.pids.length === this.app.instances && !this.pids.some((pid) => old.includes(pid));
		await until(isNew, 30_000, 'a set of new workers alone');
		await this.full();
	}

	async end(): Promise<void> {
		await this.supervisor.shutdown();
		rmSync(this.folder, { recursive: true, force: true });
	}
}

export function createFor(
	app: WorkerApp,
	folder: string,
	apps: readonly WorkerApp[] = [app],
	options: SupervisedOptions = {},
): Supervisor {
	const workerDir = join(folder, 'w');
	return createSupervisor({
		apps,
		workerDir,
		stateDir: join(folder, 's'),
		mode: 'own',
		logLimits: { maxSizeBytes: 64 * 1_024, keep: 3 },
		logger: createLogger(process.env['TEST_LOG'] === undefined ? 'silent' : 'debug'),
		hostCommand: [process.execPath, hostEntry, workerDir],
		...options,
	});
}

export const plainApp: WorkerApp = {
	name: 'web',
	script: '',
	cwd: '',
	args: [],
	nodeArgs: [],
	interpreter: 'node',
	user: null,
	instances: 2,
	env: {},
	health: { path: null, timeoutMs: 2_000, deadlineMs: 15_000, soakMs: 300, intervalMs: 300, failures: 3 },
	gate: true,
	ports: [],
	listens: true,
	overlap: true,
	reusePort: false,
	drainTimeoutMs: 8_000,
	surge: 2,
	maxMemory: null,
	crashLoop: { intensity: 5, periodMs: 60_000 },
};

/** Looks at a condition until it holds; rejects naming it when it does not in time. */
export async function until(
	condition: () => boolean | Promise<boolean>,
	withinMs: number,
	what: string,
): Promise<void> {
	const end = performance.now() + withinMs;
	while (!(await condition())) {
		if (performance.now() > end) throw new Error(`waited ${withinMs} ms for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** A signal for one process; 0 or nothing would be a whole group. */
export function kill(pid: number | undefined, signal: NodeJS.Signals): void {
	if (pid === undefined || pid <= 1) throw new Error(`there is no process to send ${signal} to`);
	process.kill(pid, signal);
}

export function lives(pid: number): boolean {
	const stat = readProcessStat(pid);
	return stat !== null && isAlive({ pid, started: stat.started });
}

export function freePort(): Promise<number> {
	return new Promise((resolve, reject) => {
		const port = 20_000 + Math.floor(Math.random() * 12_000);
		const server = createServer().listen(port, '127.0.0.1');
		server.once('listening', () => server.close(() => resolve(port)));
		server.once('error', () => freePort().then(resolve, reject));
	});
}
