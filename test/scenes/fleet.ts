import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolloutView } from '../../src/rollout/types.js';
import type { LockHolder } from '../../src/system/files/process-lock.js';
import { issueCertificate } from '../../src/system/openssl.js';
import { isAlive } from '../../src/system/proc/process.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor, whoApp } from '../support/fleet/nodes.js';
import { HomeShell } from '../support/pages/home-shell.js';
import { emptyDisk, fillDisk, mountDisk, unmountDisk } from '../support/system/disk.js';
import { Networks } from '../support/system/netns.js';
import { freePorts } from '../support/system/ports.js';
import { clockEnvironment, turnClock } from '../support/system/wall-clock.js';
import { LoadProcess } from '../support/workers/load-process.js';

export const hosts = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'] as const;
export type Host = (typeof hosts)[number];

export const instances = 2;
export const leaseMs = 2_000;
export const deadlineMs = 60_000;
/** Longer than a scene holds a step. */
const healthDeadline = '50s';
const ratePerSecond = 10;
export const stateDirSize = '80m';
const patientMs = 90_000;

interface ClusterStatus {
	nodes: { name: string; link: string; ready: boolean | null; reason: string | null }[];
}

/** Changes of one node's file beside the members that it names. */
export interface FileChanges {
	/** Laid over the app's entry. */
	app?: Record<string, unknown>;
	/** Keys of the document itself. */
	top?: Record<string, unknown>;
}

/**
 * Five real daemons, each with a network, a state disk and an app under load of its own, linked by mutual TLS with
 * certificates that `rollcall ca` made. A host keeps its folder and network; the node on it may change name and port.
 */
export class SceneFleet {
	/** Names of the members, as the operator has them in his files. */
	members: string[] = [...hosts];
	readonly names = new Map<Host, string>(hosts.map((host) => [host, host]));
	readonly #ports = new Map<Host, number>();
	readonly #addresses = new Map<Host, string>();
	readonly #loads = new Map<Host, LoadProcess>();

	readonly shell: HomeShell;

	private constructor(
		readonly fleet: RealFleet,
		readonly networks: Networks,
		readonly turnsClocks: boolean,
	) {
		this.shell = new HomeShell(fleet.folder);
	}

	static async start(turnsClocks: boolean): Promise<SceneFleet> {
		const fleet = await makeFleet(hosts.map((name) => ({ name })));
		let networks: Networks;
		try {
			networks = Networks.make(hosts);
		} catch (error) {
			await fleet.end();
			throw error;
		}
		const made = new SceneFleet(fleet, networks, turnsClocks);
		try {
			await made.#install();
			await fleet.start();
			await made.settled();
			for (const host of hosts) made.startLoad(host);
			await Promise.all(hosts.map((host) => made.load(host).answered(2 * instances)));
		} catch (error) {
			await made.end();
			throw error;
		}
		return made;
	}

	/** The folder at home, where the authority is. */
	get home(): string {
		return this.shell.home;
	}

	node(host: Host): RealNode {
		return this.fleet.node(host);
	}

	nameOf(host: Host): string {
		return this.names.get(host) ?? host;
	}

	/** The node on a host has another name from now on. */
	rename(host: Host, name: string): void {
		this.names.set(host, name);
		this.shell.rename(host, name);
	}

	hostOf(name: string): Host | undefined {
		return hosts.find((host) => this.nameOf(host) === name);
	}

	tls(host: Host, file = ''): string {
		return join(this.node(host).folder, 'tls', file);
	}

	/** Where a host's node is linked to. */
	addressOf(host: Host): { host: string; port: number } {
		return { host: this.#addresses.get(host) ?? this.networks.addressOf(host), port: this.#ports.get(host) ?? 0 };
	}

	/** Hosts of the members. */
	get inside(): Host[] {
		return hosts.filter((host) => this.members.includes(this.nameOf(host)));
	}

	/** Writes a host's file with these members; `move` gives a host another port or address, for all files written later. */
	write(host: Host, { app = {}, top = {} }: FileChanges = {}, members: readonly string[] = this.members): void {
		const node = this.node(host);
		const files = Object.fromEntries(['ca', 'cert', 'key'].map((file) => [file, this.tls(host, `${file}.pem`)]));
		const peers = members.map((name) => {
			const at = this.addressOf(this.hostOf(name) ?? host);
			return { name, url: `wss://${at.host}:${at.port}` };
		});
		node.configure({
			node: { name: this.nameOf(host) },
			cluster: { listen: this.addressOf(host), tls: files, peers },
			rollout: { lease: `${leaseMs}ms`, deadline: `${deadlineMs}ms`, wait_between: '100ms' },
			http_workers: [{ ...this.webOf(host), ...app }],
			...top,
		});
	}

	/** The entry of a host's app in its file. */
	webOf(host: Host): Record<string, unknown> {
		const node = this.node(host);
		return {
			name: 'web',
			script: join(node.folder, 'release', 'server.cjs'),
			instances,
			env: {
				PORT: String(node.ports.app),
				HOST: node.host,
				NODE_NAME: host,
				BIRTHS_FILE: this.#births(host),
				HOLD_FILE: this.holdFile(host),
			},
			health: { path: '/healthz', soak: '100ms', deadline: healthDeadline },
			drain: { timeout: '4s' },
		};
	}

	/** A certificate of the fleet's authority in this host's name, valid from and to so many days from now. */
	issued(host: Host, to = 100, from = Math.min(-1, to - 1)): Promise<{ cert: string; key: string }> {
		const day = (days: number): number => Date.now() + days * 86_400_000;
		const dir = join(this.home, 'fleet-ca');
		return issueCertificate(dir, this.nameOf(host), { from: day(from), to: day(to) }, new AbortController().signal);
	}

	/** Writes every host's file for these members. */
	writeAll(members: readonly string[], on: readonly Host[] = hosts): void {
		for (const host of on) this.write(host, {}, members);
	}

	move(host: Host, to: { port?: number; address?: string }): void {
		if (to.port !== undefined) this.#ports.set(host, to.port);
		if (to.address !== undefined) this.#addresses.set(host, to.address);
	}

	/** Exactly these members hear each other and are ready, and no rollout is open. */
	async settled(members: readonly string[] = this.members): Promise<void> {
		this.members = [...members];
		for (const host of this.inside) {
			let last = '';
			const look = async (): Promise<boolean> => {
				last = await this.#unsettled(host);
				return last === '';
			};
			await waitFor(`${this.nameOf(host)} to be settled`, look, () => last, patientMs);
		}
	}

	/** As `settled`, at this moment. */
	async isWhole(): Promise<boolean> {
		for (const host of this.inside) if ((await this.#unsettled(host)) !== '') return false;
		return true;
	}

	/** A host's newest rollout has completed. */
	async hasCompleted(host: Host): Promise<boolean> {
		return (await this.#newest(host))?.state === 'completed';
	}

	/** A host's newest rollout runs no more. */
	async settledOrHalted(host: Host): Promise<void> {
		const over = async (): Promise<boolean> => {
			const newest = await this.#newest(host);
			return newest !== undefined && ['completed', 'halted', 'aborted', 'paused'].includes(newest.state);
		};
		await waitFor(`the rollout to be over on ${host}`, over, undefined, patientMs);
	}

	/** Resolves with the id of the rollout that runs, once a host knows one. */
	async runs(host: Host): Promise<string> {
		let id = '';
		await waitFor(
			`a rollout to run on ${host}`,
			async () => {
				const newest = await this.#newest(host);
				id = newest?.id ?? '';
				return newest?.state === 'running';
			},
			undefined,
			patientMs,
			5,
		);
		return id;
	}

	async status(host: Host): Promise<ClusterStatus | null> {
		const answer = await this.node(host)
			.call<ClusterStatus>('cluster_status')
			.catch(() => null);
		return answer?.status === 200 ? answer.json : null;
	}

	/** What a host's workers recorded of their own starts: a line each, with pid and time. */
	births(host: Host): number {
		const file = this.#births(host);
		return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
	}

	load(host: Host): LoadProcess {
		const load = this.#loads.get(host);
		if (!load) throw new Error(`no load on ${host}`);
		return load;
	}

	startLoad(host: Host): void {
		const { appUrl } = this.node(host);
		const urls = [0, 0, 0, 200].map((ms) => `${appUrl}?ms=${ms}`);
		const load = new LoadProcess(
			{ [host]: { urls, ratePerSecond, timeoutMs: 30_000, keepAliveSockets: 4 } },
			this.networks.launcher(host),
		);
		this.#loads.set(host, load);
	}

	/** Ends a host's load; what it lost, with the reasons. */
	async stopLoad(host: Host): Promise<{ lost: number; failures: string[] }> {
		const load = this.#loads.get(host);
		if (!load) return { lost: 0, failures: [] };
		this.#loads.delete(host);
		return (await load.stop())[host] ?? { lost: 0, failures: [] };
	}

	hasLoad(host: Host): boolean {
		return this.#loads.has(host);
	}

	/** Holds new workers of a host back from being healthy, so that its step lasts until `release`. */
	hold(host: Host): void {
		writeFileSync(this.holdFile(host), '');
	}

	release(host: Host): void {
		rmSync(this.holdFile(host), { force: true });
	}

	holdFile(host: Host): string {
		return join(this.node(host).folder, 'hold');
	}

	fill(host: Host): void {
		fillDisk(this.node(host).stateDir);
	}

	empty(host: Host): void {
		emptyDisk(this.node(host).stateDir);
	}

	turnClock(host: Host, seconds: number): void {
		turnClock(join(this.node(host).folder, 'clock'), seconds);
	}

	/** The whole host loses its power: daemon, worker host, workers. */
	async powerOff(host: Host): Promise<void> {
		const node = this.node(host);
		await this.stopLoad(host);
		const workers = await node.workers().catch(() => []);
		await node.kill();
		const holder = JSON.parse(readFileSync(join(node.workerDir, 'self', 'lock'), 'utf8')) as LockHolder;
		if (isAlive(holder)) killProcess(holder.pid);
		for (const { pid } of workers) if (pid !== null) killProcess(pid);
	}

	/** A fresh host in place of a dead one: nothing on its disks but program, configuration and certificates. */
	reinstall(host: Host): void {
		const node = this.node(host);
		unmountDisk(node.stateDir);
		rmSync(node.stateDir, { recursive: true, force: true });
		rmSync(node.workerDir, { recursive: true, force: true });
		mountDisk(node.stateDir, stateDirSize, 'rc-scenes');
	}

	/** Starts a host's daemon; resolves once it answers. */
	async startDaemon(host: Host): Promise<void> {
		this.node(host).start();
		await waitFor(`${host} to answer`, async () => (await this.status(host)) !== null);
	}

	async end(): Promise<void> {
		for (const load of this.#loads.values()) load.kill();
		for (const host of hosts) {
			const node = this.node(host);
			if (node.child?.exitCode === null && node.child.signalCode === null) node.child.kill('SIGCONT');
			this.release(host);
			this.empty(host);
		}
		await Promise.allSettled(hosts.map((host) => this.node(host).stop()));
		await Promise.allSettled(hosts.map((host) => this.node(host).kill()));
		for (const host of hosts) unmountDisk(this.node(host).stateDir);
		await this.fleet.end();
		this.networks.remove();
	}

	/** Why a member is not settled; empty: it is. */
	async #unsettled(host: Host): Promise<string> {
		const status = await this.status(host);
		if (!status) return 'does not answer';
		const names = status.nodes.map(({ name }) => name).sort();
		if (names.join() !== [...this.members].sort().join()) return `has members ${names.join()}`;
		const other = status.nodes.find(({ link, ready }) => link === 'down' || ready !== true);
		if (other) return `${other.name}: ${other.link}, ready ${other.ready}, ${other.reason}`;
		const rows = await this.node(host).workers();
		if (rows.length !== instances || rows.some(({ state, healthy }) => state !== 'serving' || !healthy))
			return `workers ${JSON.stringify(rows)}`;
		const { status: code, json } = await this.node(host).call<RolloutView[]>('list_rollouts', {});
		if (code !== 200) return JSON.stringify(json);
		const open = json.find(({ state }) => state !== 'completed' && state !== 'aborted');
		return open ? `rollout ${open.id} is ${open.state}: ${open.reason}` : '';
	}

	async #newest(host: Host): Promise<RolloutView | undefined> {
		const answer = await this.node(host)
			.call<RolloutView[]>('list_rollouts', { limit: 1 })
			.catch(() => null);
		return answer?.status === 200 ? answer.json[0] : undefined;
	}

	async #install(): Promise<void> {
		const [port = 0] = await freePorts(1);
		const dir = join(this.home, 'fleet-ca');
		const must = async (words: string[]): Promise<void> => {
			const { code, stderr } = await rollcall(words);
			if (code !== 0) throw new Error(`rollcall ${words.join(' ')}: ${stderr}`);
		};
		await must(['ca', 'init', '--dir', dir]);
		for (const host of hosts) {
			const node = this.node(host);
			this.#ports.set(host, port);
			node.host = this.networks.addressOf(host);
			node.launcher = this.networks.launcher(host);
			mountDisk(node.stateDir, stateDirSize, 'rc-scenes');
			await must(['ca', 'issue', host, '--dir', dir]);
			cpSync(join(dir, host), this.tls(host), { recursive: true });
			mkdirSync(join(node.folder, 'release'));
			cpSync(whoApp, join(node.folder, 'release', 'server.cjs'));
			if (this.turnsClocks) {
				this.turnClock(host, 0);
				Object.assign(node.env, clockEnvironment(join(node.folder, 'clock')));
			}
		}
		this.writeAll(this.members);
	}

	#births(host: Host): string {
		return join(this.node(host).folder, 'births');
	}
}

function killProcess(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It has ended.
	}
}
