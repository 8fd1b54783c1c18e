import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LockHolder } from '../../src/system/files/process-lock.js';
import type { RolloutView } from '../../src/rollout/types.js';
import { isAlive, readProcessStat } from '../../src/system/proc/process.js';
import { install, TestAuthority } from '../support/fleet/authority.js';
import { Networks } from '../support/system/netns.js';
import { deploy } from '../support/fleet/deploy.js';
import { makeFleet, type RealFleet, type RealNode, waitFor, whoApp } from '../support/fleet/nodes.js';
import { emptyDisk, fillDisk, mountDisk, unmountDisk } from '../support/system/disk.js';
import { freePorts } from '../support/system/ports.js';
import { canTurnClocks, clockEnvironment, turnClock } from '../support/system/wall-clock.js';

export const leaseMs = 1_000;
/** The release that every node runs at first. */
export const oldRelease = 'v1';
const stateDirSize = '2m';
const patientMs = 90_000;

/** Real daemons, each in a network and with a state folder of its own, linked by mutual TLS. */
export class FaultFleet {
	private constructor(
		readonly fleet: RealFleet,
		readonly networks: Networks,
	) {}

	static readonly canTurnClocks = canTurnClocks;

	static async start(names: readonly string[], turnsClocks: boolean): Promise<FaultFleet> {
		const fleet = await makeFleet(names.map((name) => ({ name })));
		let networks: Networks;
		try {
			networks = Networks.make(names);
		} catch (error) {
			await fleet.end();
			throw error;
		}
		const made = new FaultFleet(fleet, networks);
		try {
			await made.#configure();
			if (turnsClocks) made.#lendClocks();
			await fleet.start();
			await made.settled();
		} catch (error) {
			await made.end();
			throw error;
		}
		return made;
	}

	get nodes(): readonly RealNode[] {
		return this.fleet.nodes;
	}

	node(name: string): RealNode {
		return this.fleet.node(name);
	}

	/** Everyone is linked with everyone, ready, and nothing is open. */
	async settled(): Promise<void> {
		for (const node of this.nodes)
			await waitFor(`${node.name} to hear all and to be ready`, () => isSettled(node), undefined, patientMs);
	}

	/** Makes the disk of a node's state folder full, to the last byte. */
	fill(node: RealNode): void {
		fillDisk(node.stateDir);
	}

	empty(node: RealNode): void {
		emptyDisk(node.stateDir);
	}

	/** The process below which the node's workers live. */
	hostOf(node: RealNode): LockHolder {
		return JSON.parse(readFileSync(join(node.workerDir, 'self', 'lock'), 'utf8')) as LockHolder;
	}

	/** Sets a node's wall clock off by so many seconds; the monotonic clock goes on. */
	turnClock(node: RealNode, seconds: number): void {
		turnClock(clockFile(node), seconds);
	}

	async end(): Promise<void> {
		for (const node of this.nodes) {
			if (node.child?.exitCode === null && node.child.signalCode === null) node.child.kill('SIGCONT');
			this.empty(node);
		}
		await Promise.allSettled(this.nodes.map((node) => node.stop()));
		await Promise.allSettled(this.nodes.map((node) => node.kill()));
		for (const node of this.nodes) unmountDisk(node.stateDir);
		await this.fleet.end();
		this.networks.remove();
	}

	async #configure(): Promise<void> {
		const authority = await TestAuthority.make(this.fleet.folder);
		const [port = 0] = await freePorts(1);
		const addressOf = (name: string): string => this.networks.addressOf(name);
		const peers = this.nodes.map(({ name }) => ({ name, url: `wss://${addressOf(name)}:${port}` }));
		for (const node of this.nodes) {
			const host = addressOf(node.name);
			node.host = host;
			node.launcher = this.networks.launcher(node.name);
			mountDisk(node.stateDir, stateDirSize, 'rc-faults');
			const env = { PORT: String(node.ports.app), HOST: host, NODE_NAME: node.name };
			const health = { path: '/healthz', soak: '100ms', deadline: '20s' };
			deploy(node, oldRelease, releaseText(oldRelease));
			const script = './current/server.js';
			node.configure({
				cluster: {
					listen: { host, port },
					tls: install(await authority.issue(node.name), join(node.folder, 'tls')),
					peers,
				},
				rollout: { lease: `${leaseMs}ms`, deadline: '28s', wait_between: '300ms' },
				http_workers: [{ name: 'web', script, cwd: node.folder, instances: 2, env, health, drain: { timeout: '4s' } }],
			});
		}
	}

	#lendClocks(): void {
		for (const node of this.nodes) {
			this.turnClock(node, 0);
			Object.assign(node.env, clockEnvironment(clockFile(node)));
		}
	}
}

/** A release that serves and says which it is. */
export const releaseText = (revision: string): string =>
	`process.env.RELEASE = '${revision}';\nrequire(${JSON.stringify(whoApp)});\n`;

/** The worker host's process, its workers and the daemon: the whole node. */
export function killAll(fleet: FaultFleet, node: RealNode, workers: readonly number[]): Promise<void> {
	const dead = node.kill('SIGKILL');
	killHost(fleet, node);
	for (const pid of workers) killProcess(pid);
	return dead;
}

export function killHost(fleet: FaultFleet, node: RealNode): void {
	const host = fleet.hostOf(node);
	if (isAlive(host)) killProcess(host.pid);
}

function killProcess(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It has ended by itself.
	}
}

async function isSettled(node: RealNode): Promise<boolean> {
	const status = await node
		.call<{ nodes: { link: string; ready: boolean | null }[] }>('cluster_status')
		.catch(() => null);
	if (status?.status !== 200) return false;
	if (status.json.nodes.some((one) => one.link === 'down' || one.ready !== true)) return false;
	const rows = await node.workers();
	if (rows.length !== 2 || rows.some((row) => row.state !== 'serving' || !row.healthy)) return false;
	// Workers that outlived their host serve on for a while, and are replaced as soon as its loss is noticed.
	if (rows.some(({ pid }) => pid === null || isOrphan(pid))) return false;
	const { json } = await node.call<RolloutView[]>('list_rollouts', {});
	return json.every(({ state }) => state === 'completed' || state === 'aborted');
}

const isOrphan = (pid: number): boolean => (readProcessStat(pid)?.parentPid ?? 1) === 1;

const clockFile = (node: RealNode): string => join(node.folder, 'clock');
