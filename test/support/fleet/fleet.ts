import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFleet } from '../../../src/fleet/fleet.js';
import type { FleetConfig } from '../../../src/fleet/links/membership.js';
import type { Fleet } from '../../../src/fleet/types.js';
import { createLogger, type LogLevel } from '../../../src/log.js';
import type { RolloutState, RolloutView } from '../../../src/rollout/types.js';
import { FakeNode } from '../rollout/fake-node.js';
import { until } from './links.js';
import { freePorts } from '../system/ports.js';

const logLevel = (process.env['TEST_LOG'] ?? 'silent') as LogLevel;

export interface TestNode {
	name: string;
	config: FleetConfig;
	local: FakeNode;
	/** Undefined while the node is down. */
	fleet: Fleet | undefined;
}

/** Fleets of one process on loopback: real links, real record files, fake workers. */
export class TestFleet {
	readonly folder = mkdtempSync(join(tmpdir(), 'rc-fleet-'));
	readonly nodes: TestNode[] = [];

	static async make(names: readonly string[], rollout: Partial<FleetConfig['rollout']> = {}): Promise<TestFleet> {
		const fleet = new TestFleet();
		const ports = await freePorts(names.length);
		const peers = names.map((name, index) => ({ name, url: `ws://127.0.0.1:${ports[index]}` }));
		const secretFile = join(fleet.folder, 'secret');
		writeFileSync(secretFile, 'a secret of the tests alone\n', { mode: 0o600 });
		for (const [index, name] of names.entries()) {
			const listen = { host: '127.0.0.1', port: ports[index] ?? 0 };
			const config: FleetConfig = {
				node: { name },
				cluster: { listen, secret_file: secretFile, peers },
				rollout: {
					max_unavailable: 1,
					deadline: 20_000,
					lease: 3_000,
					on_failure: 'halt',
					hold_after: 0,
					wait_between: 0,
					lb_wait: 0,
					...rollout,
				},
			};
			fleet.nodes.push({ name, config, local: new FakeNode(name, 2, 1_000 * (index + 1)), fleet: undefined });
		}
		return fleet;
	}

	/** All of them, or those named; resolves when each is linked to all others that run. */
	async start(names: readonly string[] = this.nodes.map((node) => node.name)): Promise<void> {
		await Promise.all(names.map((name) => this.startNode(this.node(name))));
		const running = this.nodes.filter((node) => node.fleet);
		for (const { fleet } of running)
			if (fleet) await until(fleet, ['link'], () => linked(fleet) === running.length - 1, 'all links');
	}

	async startNode(node: TestNode): Promise<Fleet> {
		node.fleet = await createFleet({
			config: node.config,
			stateDir: join(this.folder, node.name),
			version: '0.0.0',
			local: node.local,
			readConfig: () => node.config,
			logger: createLogger(logLevel, { node: node.name }),
		});
		return node.fleet;
	}

	async stop(name: string): Promise<void> {
		const node = this.node(name);
		await node.fleet?.close();
		node.fleet = undefined;
	}

	node(name: string): TestNode {
		const node = this.nodes.find((one) => one.name === name);
		if (!node) throw new Error(`no node ${name}`);
		return node;
	}

	fleet(name: string): Fleet {
		const { fleet } = this.node(name);
		if (!fleet) throw new Error(`${name} does not run`);
		return fleet;
	}

	async close(): Promise<void> {
		await Promise.all(this.nodes.map((node) => node.fleet?.close()));
		rmSync(this.folder, { recursive: true, force: true });
	}
}

function linked(fleet: Fleet): number {
	return fleet.clusterStatus().nodes.filter((node) => node.link === 'up').length;
}

/** Waits until this fleet shows the rollout in one of the states. */
export async function reached(fleet: Fleet, id: string, ...states: RolloutState[]): Promise<RolloutView> {
	const now = (): RolloutView | undefined => fleet.get(id);
	await until(
		fleet,
		['rollout', 'link'],
		() => states.some((state) => now()?.state === state),
		`${id} ${states.join(' or ')}; now ${JSON.stringify(now())}`,
	);
	const view = now();
	if (!view) throw new Error(`${id} is unknown`);
	return view;
}
