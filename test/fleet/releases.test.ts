/** Every view says which release runs and which would: plan, rollout, history, workers, readyz and metrics, on each node. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RolloutPlan, RolloutView } from '../../src/rollout/types.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor, webApp } from '../support/fleet/nodes.js';
import { deploy, pathOf } from '../support/fleet/deploy.js';

const program = `require('http').createServer((q, r) => r.end('ok')).listen(+process.env.PORT);`;
const bad = `throw new Error('no such table');`;
const roll = { service: 'http_workers', replicated: true } as const;

const web = (node: RealNode, revision: string) => ({
	web: { path: pathOf(node, revision), revision },
});

describe('three nodes', () => {
	let fleet: RealFleet;
	let alpha: RealNode;
	before(async () => {
		fleet = await makeFleet(['alpha', 'beta', 'gamma'].map((name) => ({ name })));
		alpha = fleet.node('alpha');
		const peers = fleet.nodes.map(({ name, ports }) => ({
			name,
			url: `ws://127.0.0.1:${ports.cluster}`,
		}));
		for (const node of fleet.nodes) {
			deploy(node, 'v1', program);
			const app = {
				...webApp(node.ports.app, node.name),
				script: './current/server.js',
				cwd: node.folder,
				instances: 1,
			};
			const cluster = {
				listen: { host: '127.0.0.1', port: node.ports.cluster },
				secret_file: join(fleet.folder, 'secret'),
				peers,
			};
			node.configure({ http_workers: [app], cluster });
		}
		await fleet.start();
		await linked();
	});
	after(() => fleet.end());

	const linked = (): Promise<void> =>
		waitFor('every node to be linked', async () => {
			const { json } = await alpha.call<{ nodes: { link: string; ready: boolean | null }[] }>('cluster_status');
			return json.nodes.every(({ link, ready }) => link !== 'down' && ready === true);
		});
	const start = async (): Promise<string> => {
		const { status, json } = await alpha.call('restart_service', roll);
		assert.equal(status, 200, JSON.stringify(json));
		return String(json['job_id']);
	};
	const plan = async (): Promise<RolloutPlan> =>
		(
			await alpha.call<RolloutPlan>('restart_service', {
				...roll,
				dry_run: true,
			})
		).json;

	test('the plan says from what to what, and remarks a node that the release was not brought to', async () => {
		for (const name of ['alpha', 'beta']) deploy(fleet.node(name), 'v2', program);
		const partly = await plan();
		assert.deepEqual(
			partly.release,
			Object.fromEntries(
				fleet.nodes.map((node) => [
					node.name,
					{
						before: web(node, 'v1'),
						after: web(node, node.name === 'gamma' ? 'v1' : 'v2'),
					},
				]),
			),
		);
		assert.deepEqual(partly.remarks, ['web would not be the same release on all nodes (alpha, beta: v2; gamma: v1)']);
		deploy(fleet.node('gamma'), 'v2', program);
		assert.equal((await plan()).remarks, undefined);
		const { stdout } = await rollcall(['rollout', 'plan', '--config', alpha.configFile]);
		for (const name of ['alpha', 'beta', 'gamma']) assert.match(stdout, new RegExp(`^${name}: web v1 -> v2$`, 'm'));
	});

	test('a roll shows it on every node, and so do workers, readyz and metrics', async () => {
		const id = await start();
		for (const node of fleet.nodes) {
			const view = await node.rollout(id);
			assert.equal(view.state, 'completed', JSON.stringify(view));
			for (const { node: name, release } of view.nodes) {
				const target = fleet.node(name);
				assert.deepEqual(release, { before: web(target, 'v1'), after: web(target, 'v2') }, `${name} on ${node.name}`);
			}
			const [worker] = await node.workers();
			assert.deepEqual([worker?.release, worker?.revision], [pathOf(node, 'v2'), 'v2']);
			const { json } = await node.get('/readyz');
			assert.deepEqual((json['apps'] as { release: unknown }[])[0]?.release, web(node, 'v2').web);
		}
		const history = await rollcall(['rollout', 'history', '--config', fleet.node('gamma').configFile]);
		assert.match(history.stdout, /RELEASE.*\n.* v2(?: |$)/m);
	});

	test('a daemon that was killed knows it again, in its workers and in what it remembers of the roll', async () => {
		const beta = fleet.node('beta');
		deploy(beta, 'v3', bad);
		await beta.kill();
		beta.start();
		await beta.ready();
		await linked();
		const [worker] = await beta.workers();
		assert.deepEqual([worker?.release, worker?.revision], [pathOf(beta, 'v2'), 'v2']);
		const { json } = await beta.call<RolloutView[]>('list_rollouts');
		const own = json[0]?.nodes.find(({ node }) => node === 'beta');
		assert.deepEqual(own?.release, {
			before: web(beta, 'v1'),
			after: web(beta, 'v2'),
		});
	});

	test('a node that refused a release still runs the one before, and what comes after it is told as pending', async () => {
		for (const node of fleet.nodes) deploy(node, 'v3', bad);
		const view = await alpha.rollout(await start());
		assert.equal(view.state, 'halted', JSON.stringify(view));
		const [first, second] = view.nodes;
		assert.equal(first?.state, 'refused');
		const target = fleet.node(first?.node ?? '');
		assert.deepEqual(first?.release, {
			before: web(target, 'v2'),
			after: web(target, 'v2'),
		});
		assert.deepEqual(second?.release, { before: null, after: null });
		const { stdout } = await rollcall(['rollout', 'status', view.id, '--config', alpha.configFile]);
		assert.match(stdout, /refused .*web v2, as before/);
	});
});
