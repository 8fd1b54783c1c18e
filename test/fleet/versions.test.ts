import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeFleet, type RealFleet, type RealNode, waitFor } from '../support/fleet/nodes.js';
import { PatchedBuild, speaksVersion1, speaksVersion3, speaksVersion3Alone } from '../support/patched-build.js';

interface Peer {
	node: string;
	connected: boolean;
	reconnects: number;
}

async function links(node: RealNode): Promise<Peer[]> {
	const { json } = await node.call<{ replication: Peer[] }>('system_information', { attributes: ['replication'] });
	return json.replication;
}

const remade = async (nodes: readonly RealNode[]): Promise<number[]> =>
	(await Promise.all(nodes.map(links))).flat().map(({ reconnects }) => reconnects);

const pidsOf = async (node: RealNode): Promise<(number | null)[]> => (await node.workers()).map(({ pid }) => pid);

describe('a fleet of three builds: one of version 1 alone, this one, and one of a version more', () => {
	let fleet: RealFleet;
	const builds: PatchedBuild[] = [];
	const build = (...given: ConstructorParameters<typeof PatchedBuild>): string => {
		const made = new PatchedBuild(...given);
		builds.push(made);
		return made.mainScript;
	};

	before(async () => {
		fleet = await makeFleet(['alpha', 'beta', 'gamma'].map((name) => ({ name })));
		fleet.node('alpha').mainScript = build(speaksVersion1);
		fleet.node('gamma').mainScript = build(speaksVersion3);
		await fleet.start();
		for (const node of fleet.nodes)
			await waitFor(`${node.name} to be linked`, async () => (await links(node)).every(({ connected }) => connected));
	});
	after(async () => {
		await fleet.end();
		for (const made of builds) made.remove();
	});

	for (const name of ['alpha', 'beta', 'gamma']) {
		test(`a roll that ${name} coordinates replaces every worker of all three, and no link breaks`, async () => {
			const coordinator = fleet.node(name);
			const before = new Set((await Promise.all(fleet.nodes.map(pidsOf))).flat());
			const remadeBefore = await remade(fleet.nodes);
			const { status, json } = await coordinator.call('restart_service', { service: 'http_workers', replicated: true });
			assert.equal(status, 200, JSON.stringify(json));
			for (const node of fleet.nodes) {
				const view = await node.rollout(String(json['job_id']));
				assert.deepEqual(
					[view.state, view.coordinator, view.nodes.length],
					['completed', name, 3],
					JSON.stringify(view),
				);
			}
			const pids = (await Promise.all(fleet.nodes.map(pidsOf))).flat();
			assert.deepEqual([pids.length, pids.filter((pid) => before.has(pid))], [6, []]);
			assert.deepEqual(await remade(fleet.nodes), remadeBefore);
			for (const node of fleet.nodes) assert.doesNotMatch(node.log(), /peer_message_refused/, node.name);
		});
	}

	test('a message of an unknown kind is ignored, and the log names it once for each link', () => {
		const log = fleet.node('beta').log();
		const named = log.match(/"event":"peer_message_ignored","peer":"gamma","kind":"weather","speaks":"1 to 3"/g) ?? [];
		const made = log.match(/"event":"link_up","peer":"gamma"/g) ?? [];
		assert.ok(named.length >= 1 && named.length <= made.length, `${named.length} lines of ${made.length} links`);
		assert.doesNotMatch(fleet.node('alpha').log(), /weather/, 'version 1 is told nothing beyond it');
	});

	test('an earlier build goes on from the state folder of a later one', async () => {
		const gamma = fleet.node('gamma');
		assert.match(readFileSync(join(gamma.stateDir, 'records.log'), 'utf8'), /"kind":"weather"/);
		const { json: known } = await gamma.call<{ id: string }[]>('list_rollouts');
		await gamma.kill('SIGTERM');
		gamma.mainScript = fleet.node('beta').mainScript;
		gamma.start();
		await gamma.ready();
		const { json } = await gamma.call<{ id: string }[]>('list_rollouts');
		assert.deepEqual(
			json.map(({ id }) => id),
			known.map(({ id }) => id),
		);
	});

	test('a node without a version in common is named in the refusal, and nothing is started', async () => {
		const [beta, gamma] = [fleet.node('beta'), fleet.node('gamma')];
		await gamma.kill('SIGTERM');
		gamma.mainScript = build(speaksVersion3Alone);
		gamma.start();
		await gamma.ready();
		await waitFor('beta to be linked to gamma', async () => (await links(beta)).every(({ connected }) => connected));
		const before = await Promise.all(fleet.nodes.map(pidsOf));
		const { status, json } = await beta.call('restart_service', { service: 'http_workers', replicated: true });
		assert.equal(status, 503, JSON.stringify(json));
		assert.match(
			String(json['error']),
			/gamma takes no part \(speaks protocol 3 to 3, this node 1 to 2; upgrade the older one\)/,
		);
		assert.deepEqual(await Promise.all(fleet.nodes.map(pidsOf)), before);
	});
});
