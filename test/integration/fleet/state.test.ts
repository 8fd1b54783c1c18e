import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { RollcallError } from '../../../src/errors.js';
import { recordsFile } from '../../../src/fleet/fleet.js';
import type { Fleet, RolloutRequest } from '../../../src/fleet/types.js';
import { reached, TestFleet } from '../../support/fleet/fleet.js';
import { until } from '../../support/fleet/links.js';

const request: RolloutRequest = {
	type: 'restart_service',
	service: 'http_workers',
	app: null,
	replicated: true,
	user: 'admin',
};

describe('a node and its state folder', () => {
	let fleet: TestFleet | undefined;
	afterEach(async () => {
		await fleet?.close();
		fleet = undefined;
	});
	async function rolled(names: readonly string[]): Promise<TestFleet> {
		fleet = await TestFleet.make(names);
		await fleet.start();
		await roll(fleet, names[0] ?? '');
		return fleet;
	}
	async function roll(all: TestFleet, from: string): Promise<string> {
		const { id } = await all.fleet(from).startRollout(request);
		for (const { name, fleet } of all.nodes) if (fleet) await reached(all.fleet(name), id, 'completed');
		return id;
	}
	/** How a rollout ended may be among what was forgotten; its peers tell it in their first words. */
	const caughtUp = (node: Fleet): Promise<void> =>
		until(
			node,
			['rollout', 'link'],
			() => node.list(100).every((view) => view.state === 'completed'),
			'it knows the ends',
		);
	const fileOf = (all: TestFleet, name: string): string => join(all.folder, name, recordsFile);

	it('two nodes roll from either side', async () => {
		const all = await rolled(['alpha', 'beta']);
		await roll(all, 'beta');
		assert.deepEqual(
			all.nodes.map((node) => node.local.steps.length),
			[2, 2],
		);
	});

	it('a node that lost its records takes part again once it has heard all others', async () => {
		const all = await rolled(['alpha', 'beta', 'gamma']);
		await all.stop('beta');
		rmSync(fileOf(all, 'beta'));
		await all.start(['beta']);
		await roll(all, 'beta');
		assert.deepEqual(
			all.nodes.map((node) => node.local.steps.length),
			[2, 2, 2],
		);
	});

	it('while one other is away, a node that lost its records coordinates only after an operator admitted it', async () => {
		const all = await rolled(['alpha', 'beta', 'gamma', 'omega']);
		await all.stop('beta');
		await all.stop('gamma');
		rmSync(fileOf(all, 'beta'));
		await all.start(['beta']);
		const beta = all.fleet('beta');
		await assert.rejects(beta.startRollout({ ...request, maxUnavailable: 2 }), (error: unknown) => {
			assert.ok(error instanceof RollcallError);
			assert.match(error.message, /beta is new or lost its state.*gamma.*admit_node beta/);
			return true;
		});
		await beta.admit('beta', 'admin');
		await beta.startRollout({ ...request, maxUnavailable: 2 });
	});

	it('a torn tail costs nothing but the torn entry; it is kept aside and told', async () => {
		const all = await rolled(['alpha', 'beta', 'gamma']);
		const ended = all.fleet('beta').list(1)[0]?.id ?? '';
		await all.stop('beta');
		writeFileSync(fileOf(all, 'beta'), '0000aaaa 000000ff [{"kind":', { flag: 'a' });
		const node = all.node('beta');
		const beta = await all.startNode(node);
		const [told] = await new Promise<{ file: string; reason: string }[]>((resolve) =>
			beta.once('recordError', (error) => resolve([error])),
		);
		assert.match(told?.reason ?? '', /cut at byte \d+, 27 bytes lost, kept as .*damaged-1/);
		assert.equal(beta.get(ended)?.state, 'completed');
		assert.equal(beta.clusterStatus().boot, 2);
		assert.ok(readdirSync(join(all.folder, 'beta')).includes(`${recordsFile}.damaged-1`));
		await all.start([]);
		await roll(all, 'beta');
	});

	it('a file damaged in its middle makes the node a stranger: it asks its peers what it forgot', async () => {
		const all = await rolled(['alpha', 'beta', 'gamma']);
		await all.stop('beta');
		const file = fileOf(all, 'beta');
		const bytes = readFileSync(file);
		const middle = Math.floor(bytes.length / 2);
		bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
		writeFileSync(file, bytes);
		await all.start(['beta']);
		await caughtUp(all.fleet('beta'));
		await roll(all, 'beta');
		await all.stop('beta');
		truncateSync(file, Math.floor(statSync(file).size / 2));
		await all.start(['beta']);
		await caughtUp(all.fleet('beta'));
		await roll(all, 'alpha');
		// A step whose end was forgotten is taken up again, finds its work done and begins nothing.
		assert.deepEqual(
			all.nodes.map((node) => node.local.steps.filter((step) => !step.recovered).length),
			[3, 3, 3],
		);
	});
});
