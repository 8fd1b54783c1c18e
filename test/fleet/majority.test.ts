import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { after, before, describe, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import { DaemonLog } from '../support/daemon-log.js';
import {
	admin,
	type Answer,
	type CommandResult,
	makeFleet,
	type RealFleet,
	type RealNode,
	rollcall,
	waitFor,
	webApp,
} from '../support/fleet/nodes.js';

const rollout = { lease: '1s' };
const own = { service: 'http_workers' };

describe('two real nodes, one of them gone for good in the middle of a roll', () => {
	let fleet: RealFleet;
	let alpha: RealNode;
	let id: string;
	before(async () => {
		fleet = await makeFleet([{ name: 'alpha' }, { name: 'beta' }], { rollout });
		alpha = fleet.node('alpha');
		await fleet.start();
		await waitFor('both to be linked', async () => (await links(alpha)).every((link) => link !== 'down'));
	});
	after(() => fleet.end());

	const run = (...words: string[]): Promise<CommandResult> => rollcall([...words, '--socket', alpha.socketPath]);

	async function completes({ status, json }: Answer): Promise<RolloutView> {
		assert.equal(status, 200, JSON.stringify(json));
		const view = await alpha.rollout(String(json['job_id']));
		assert.equal(view.state, 'completed', JSON.stringify(view));
		return view;
	}

	test('while beta is heard the roll is ended for both or not at all, and never over the network', async () => {
		// Its step takes longer than this test, on any machine.
		const { ports, name } = fleet.node('beta');
		const app = { ...webApp(ports.app, name), health: { path: '/healthz', soak: '120s' } };
		fleet.node('beta').configure({ ...clusterOf(fleet, fleet.node('beta'), ['alpha', 'beta']), http_workers: [app] });
		const log = new DaemonLog(fleet.node('beta').logFile);
		const { json } = await alpha.call('restart_service', { ...own, replicated: true });
		id = String(json['job_id']);
		await log.seen('beta to begin', (line) => line.event === 'step_begun');
		log.close();
		const early = await run('rollout', 'abort', '--local', id);
		assert.equal(early.code, 1, JSON.stringify(early));
		assert.match(early.stderr, /alpha hears a majority of the fleet.*rollcall rollout abort without local/);
		const over = await overHttp(alpha, { operation: 'abort_rollout', id, local: true });
		assert.equal(over.status, 403);
		assert.match(String(over.json['error']), /'local' is taken over the admin socket alone/);
	});

	test('once beta was gone for five leases every answer names the command, which frees alpha for a rollout of its own', async () => {
		await fleet.node('beta').kill('SIGKILL');
		await fleet.node('beta').stop();
		const command = `rollcall rollout abort --local ${id}`;
		await waitFor('the way out', async () => (await run('rollout', 'status', id)).stdout.includes(command));
		assert.match((await run('status')).stdout, new RegExp(`frozen, hears 1 of 2; missing: beta.*${command}`));
		for (const replicated of [false, true]) {
			const { status, json } = await alpha.call('restart_service', { ...own, replicated });
			assert.equal(status, 409);
			assert.ok(String(json['error']).endsWith(command), JSON.stringify(json));
		}
		const ended = await run('rollout', 'abort', '--local');
		assert.equal(ended.code, 0, JSON.stringify(ended));
		const by = new RegExp(`^aborted: http_workers.*\\nreason: ended on alpha alone by ${userInfo().username} at `);
		assert.match(ended.stdout, by);
		const old = (await alpha.workers()).map(({ pid }) => pid);
		await completes(await alpha.call('restart_service', own));
		const now = (await alpha.workers()).map(({ pid }) => pid);
		assert.ok(now.length === 2 && now.every((pid) => !old.includes(pid)), `${old} -> ${now}`);
	});

	test('a replicated roll says that beta is to be taken out of the file; then alpha is a fleet of its own', async () => {
		const { status, json } = await alpha.call('restart_service', { ...own, replicated: true });
		assert.equal(status, 503);
		assert.match(
			String(json['error']),
			/beta is not linked; 2 of 2 nodes are needed.*take them out of cluster\.peers, then: rollcall restart_service service=clustering_config$/,
		);
		alpha.configure(clusterOf(fleet, alpha, ['alpha']));
		await completes(await alpha.call('restart_service', { service: 'clustering_config' }));
		const view = await completes(await alpha.call('restart_service', { ...own, replicated: true }));
		assert.deepEqual(
			view.nodes.map(({ node, state }) => `${node} ${state}`),
			['alpha back'],
		);
		assert.equal((await alpha.rollout(id)).state, 'aborted');
	});
});

function clusterOf({ folder, nodes }: RealFleet, { ports }: RealNode, members: string[]): Record<string, unknown> {
	const peers = nodes
		.filter(({ name }) => members.includes(name))
		.map((peer) => ({ name: peer.name, url: `ws://127.0.0.1:${peer.ports.cluster}` }));
	const listen = { host: '127.0.0.1', port: ports.cluster };
	return { rollout, cluster: { listen, secret_file: `${folder}/secret`, peers } };
}

async function links(node: RealNode): Promise<string[]> {
	const { json } = await node.call<{ nodes: { link: string }[] }>('cluster_status');
	return json.nodes.map(({ link }) => link);
}

async function overHttp(node: RealNode, body: Record<string, unknown>): Promise<Answer> {
	const response = await fetch(`http://127.0.0.1:${node.ports.operations}/`, {
		method: 'POST',
		headers: {
			'content-type': 'application/json',
			authorization: `Basic ${Buffer.from(`${admin.username}:${admin.password}`).toString('base64')}`,
		},
		body: JSON.stringify(body),
	});
	return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}
