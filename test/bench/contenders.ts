import { readdirSync, readFileSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAlive, readProcessStat } from '../../src/system/proc/process.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';
import { appFile } from '../support/workers/primary.js';

const lookMs = 5;
const tryMs = 250;
const pm2Script = createRequire(import.meta.url).resolve('pm2/bin/pm2');

/** Who keeps the workers of the same app, and how it is told to replace them all. */
export interface Contender {
	readonly name: string;
	readonly url: string;
	start(): Promise<void>;
	/** By its own command, as people do; resolves when that is through. */
	replace(): Promise<void>;
	/** Process ids of the workers. */
	workers(): number[];
	/** Process ids of everything that runs for them, the workers included. */
	processes(): number[];
	end(): Promise<void>;
}

/** Resolves when none of these processes lives. */
export async function gone(pids: readonly number[]): Promise<void> {
	const old = pids.flatMap((pid) => {
		const started = readProcessStat(pid)?.started;
		return started === undefined ? [] : [{ pid, started }];
	});
	const none = (): boolean => !old.some(isAlive);
	await waitFor('the old workers to be gone', none, () => old.map(({ pid }) => pid).join(), 60_000, lookMs);
}

/** Resident bytes of these processes together. */
export function residentBytes(pids: readonly number[]): number {
	const pageBytes = 4_096;
	return pids.reduce((sum, pid) => {
		try {
			return sum + Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * pageBytes;
		} catch {
			return sum;
		}
	}, 0);
}

function childrenOf(parent: number): number[] {
	return readdirSync('/proc').flatMap((name) => {
		const pid = Number(name);
		return Number.isInteger(pid) && readProcessStat(pid)?.parentPid === parent ? [pid] : [];
	});
}

/** Only for processes of a cluster: what else a host starts for a moment is no worker. */
function clusterWorkersOf(parent: number): number[] {
	return childrenOf(parent).filter((pid) => {
		try {
			return readFileSync(`/proc/${pid}/environ`, 'latin1').includes('\0NODE_UNIQUE_ID=');
		} catch {
			return false;
		}
	});
}

/** The real PM2 in a home of its own: cluster mode, `pm2 reload`. */
export class Pm2Reload implements Contender {
	readonly #home = mkdtempSync(join(tmpdir(), 'rb-'));
	#port = 0;
	#daemonPid = 0;

	constructor(
		readonly name: string,
		readonly instances: number,
		/** PM2's own advice: the app says when it is ready, and closes its server at SIGINT. */
		readonly graceful: boolean,
		readonly app = 'bench.cjs',
		/** More of PM2's own settings for the app. */
		readonly settings: Record<string, unknown> = {},
	) {}

	get url(): string {
		return `http://127.0.0.1:${this.#port}/`;
	}

	async start(): Promise<void> {
		[this.#port = 0] = await freePorts(1);
		const app = {
			name: 'web',
			script: appFile(this.app),
			exec_mode: 'cluster',
			instances: this.instances,
			env: { PORT: String(this.#port), ...(this.graceful ? { GRACEFUL: '1' } : {}) },
			...(this.graceful ? { wait_ready: true, listen_timeout: 10_000, kill_timeout: 3_000 } : {}),
			...this.settings,
		};
		const file = join(this.#home, 'ecosystem.config.js');
		writeFileSync(file, `module.exports = ${JSON.stringify({ apps: [app] })};`);
		await this.#pm2('start', file);
		this.#daemonPid = Number(readFileSync(join(this.#home, 'pm2.pid'), 'utf8'));
		await answers(this.url);
	}

	async replace(): Promise<void> {
		await this.#pm2('reload', 'web');
	}

	workers(): number[] {
		return clusterWorkersOf(this.#daemonPid);
	}

	processes(): number[] {
		return [this.#daemonPid, ...childrenOf(this.#daemonPid)];
	}

	async end(): Promise<void> {
		await this.#pm2('kill').catch(() => undefined);
		if (this.#daemonPid > 0) await gone([this.#daemonPid]);
		rmSync(this.#home, { recursive: true, force: true });
	}

	async #pm2(...words: string[]): Promise<void> {
		const child = spawn(process.execPath, [pm2Script, ...words], {
			stdio: ['ignore', 'pipe', 'pipe'],
			env: { PATH: process.env['PATH'], HOME: this.#home, PM2_HOME: this.#home },
		});
		let text = '';
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding('utf8').on('data', (part: string) => {
				text += part;
			});
		}
		const [code] = (await once(child, 'exit')) as [number | null];
		if (code !== 0) throw new Error(`pm2 ${words.join(' ')} ended with ${code}: ${text.slice(-2_000)}`);
	}
}

/** Node's own cluster and nothing around it: only what it costs at rest is compared. */
export class BareCluster implements Contender {
	#port = 0;
	#primary: ChildProcess | null = null;

	constructor(
		readonly name: string,
		readonly instances: number,
		readonly policy: 'none' | 'rr',
	) {}

	get url(): string {
		return `http://127.0.0.1:${this.#port}/`;
	}

	async start(): Promise<void> {
		[this.#port = 0] = await freePorts(1);
		const words = [fileURLToPath(new URL('./bare-cluster.cjs', import.meta.url)), appFile('bench.cjs')];
		this.#primary = spawn(process.execPath, [...words, String(this.instances)], {
			stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
			env: { PATH: process.env['PATH'], PORT: String(this.#port), NODE_CLUSTER_SCHED_POLICY: this.policy },
		});
		await answers(this.url);
		await waitFor(
			'every worker',
			() => this.workers().length === this.instances,
			() => '',
			30_000,
			lookMs,
		);
	}

	replace(): Promise<void> {
		return Promise.reject(new Error('nothing of a bare cluster replaces its workers'));
	}

	workers(): number[] {
		return clusterWorkersOf(this.#primary?.pid ?? 0);
	}

	processes(): number[] {
		return [this.#primary?.pid ?? 0, ...this.workers()];
	}

	async end(): Promise<void> {
		const pids = this.processes();
		this.#primary?.kill();
		await gone(pids);
	}
}

/** One node with the real daemon, told by the real command. */
export class Rollcall implements Contender {
	readonly name = 'Rollcall';
	#fleet: RealFleet | null = null;

	constructor(
		public instances: number,
		/** Any part of the app's configuration. */
		readonly settings: Record<string, unknown> = {},
	) {}

	get node(): RealNode {
		if (!this.#fleet) throw new Error('it was not started');
		return this.#fleet.node('alpha');
	}

	get url(): string {
		return this.node.appUrl;
	}

	async start(): Promise<void> {
		this.#fleet = await makeFleet([{ name: 'alpha' }]);
		this.configure();
		await this.#fleet.start();
		await answers(this.url);
	}

	/** Writes its file; the next replacement reads it. */
	configure(): void {
		const env = { PORT: String(this.node.ports.app) };
		const app = { name: 'web', script: appFile('bench.cjs'), instances: this.instances, env, ...this.settings };
		this.node.configure({ http_workers: [app] });
	}

	async replace(): Promise<void> {
		const words = ['restart_service', 'service=http_workers', '--socket', this.node.socketPath];
		const { code, stdout, stderr } = await rollcall(words);
		if (code !== 0) throw new Error(`rollcall ended with ${code}: ${stdout}${stderr}`);
	}

	workers(): number[] {
		return clusterWorkersOf(this.#hostPid());
	}

	processes(): number[] {
		const host = this.#hostPid();
		return [this.node.child?.pid ?? 0, host, ...childrenOf(host)];
	}

	async end(): Promise<void> {
		await this.#fleet?.end();
	}

	#hostPid(): number {
		return (JSON.parse(readFileSync(join(this.node.workerDir, 'self', 'lock'), 'utf8')) as { pid: number }).pid;
	}
}

/** Resolves when the app answers on its port. A connection can be lost on its way to a worker that is gone, so no try waits long. */
export async function answers(url: string): Promise<void> {
	const answered = (): Promise<boolean> =>
		fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(tryMs) })
			.then(async (answer) => (await answer.text()) !== '')
			.catch(() => false);
	await waitFor(`an answer from ${url}`, answered, () => '', 30_000, lookMs);
}
