/** A fleet with a web app and queue workers rolls: no job is cut off, one app never has two workers at a time, and readiness is the web app's. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import { makeFleet, type RealFleet, type RealNode, waitFor, webApp } from '../support/fleet/nodes.js';
import { nodeQueue, pythonQueue } from '../support/workers/queue.js';
import { kill, lives } from '../support/workers/supervised.js';

const jobsMin = 60;

describe('three nodes with a web app and two kinds of queue workers', () => {
	let fleet: RealFleet;
	before(async () => {
		fleet = await makeFleet(['alpha', 'beta', 'gamma'].map((name) => ({ name })));
		const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `ws://127.0.0.1:${ports.cluster}` }));
		for (const node of fleet.nodes) {
			for (const name of ['jobs', 'together']) mkdirSync(join(node.folder, name));
			writeFileSync(join(node.folder, 'queue.js'), nodeQueue({ before: `process.send('ready');` }));
			writeFileSync(join(node.folder, 'queue.py'), pythonQueue());
			const queue = { cwd: node.folder, ports: [], drain: { timeout: '20s' }, crash_loop: { intensity: 1 } };
			node.configure({
				http_workers: [
					{ ...webApp(node.ports.app, node.name), instances: 1 },
					{
						...queue,
						name: 'bills',
						script: './queue.js',
						overlap: false,
						env: { QUEUE: 'bills' },
						health: { ready: true, soak: '300ms' },
					},
					{
						...queue,
						name: 'mails',
						script: './queue.py',
						interpreter: 'python3',
						env: { QUEUE: 'mails' },
						health: { command: ['sh', '-c', 'test -s jobs/mails-$ROLLCALL_PID'], soak: '300ms' },
					},
				],
				cluster: {
					listen: { host: '127.0.0.1', port: node.ports.cluster },
					secret_file: join(fleet.folder, 'secret'),
					peers,
				},
			});
		}
		await fleet.start();
		await waitFor('every node to be linked, every queue to be worked at', async () => {
			const { json } = await fleet
				.node('alpha')
				.call<{ nodes: { link: string; ready: boolean | null }[] }>('cluster_status');
			const linked = json.nodes.every(({ link, ready }) => link !== 'down' && ready === true);
			return linked && fleet.nodes.every((node) => marksOf(node).every(({ marks }) => marks.includes('+')));
		});
	});
	after(() => fleet.end());

	/** What each process that ever was has noted of its jobs. */
	const marksOf = (node: RealNode): { file: string; marks: string }[] => {
		const files = readdirSync(join(node.folder, 'jobs'));
		const all = files.map((file) => ({ file, marks: readFileSync(join(node.folder, 'jobs', file), 'latin1') }));
		return all.length === 0 ? [{ file: 'none', marks: '' }] : all;
	};
	const roll = async (fields: Record<string, unknown> = {}): Promise<RolloutView> => {
		const { status, json } = await fleet
			.node('alpha')
			.call('restart_service', { service: 'http_workers', replicated: true, ...fields });
		assert.equal(status, 200, JSON.stringify(json));
		return fleet.node('alpha').rollout(String(json['job_id']));
	};

	test('a roll replaces them all; every job that was begun is done, and never two work at the bills of one node', async () => {
		const enough = (): boolean =>
			fleet.nodes.every(
				(node) => marksOf(node).reduce((sum, { marks }) => sum + marks.replaceAll('+', '').length, 0) > jobsMin,
			);
		await waitFor('enough jobs', enough);
		const old = new Map<RealNode, Set<number | null>>();
		for (const node of fleet.nodes) old.set(node, new Set((await node.workers()).map(({ pid }) => pid)));
		const view = await roll();
		assert.equal(view.state, 'completed', JSON.stringify(view));
		for (const node of fleet.nodes) {
			const workers = await node.workers();
			assert.equal(workers.length, 3);
			const pids = new Set(workers.map(({ pid }) => pid));
			for (const pid of pids) assert.equal(old.get(node)?.has(pid), false);
			const gone = marksOf(node).filter(({ file }) => !pids.has(Number(file.split('-').at(-1))));
			assert.equal(gone.length, 2);
			for (const { file, marks } of gone)
				assert.match(marks, /^(?:\+-)+$/, `${file} of ${node.name}: a job was cut off`);
			const together = readdirSync(join(node.folder, 'together')).filter((name) => name.startsWith('bills'));
			assert.deepEqual(together, [], node.name);
		}
	});

	test('a node whose queue workers are given up is ready by its web app, and a roll of that goes through', async () => {
		const beta = fleet.node('beta');
		const given = async () => (await beta.workers()).filter(({ app, state }) => app !== 'web' && state === 'failed');
		await waitFor('both to be given up', async () => {
			for (const { app, pid, state } of await beta.workers()) {
				if (app !== 'web' && pid !== null && state !== 'failed' && lives(pid)) kill(pid, 'SIGKILL');
			}
			return (await given()).length === 2;
		});
		const { status, json } = await beta.get('/readyz');
		assert.equal(status, 200, JSON.stringify(json));
		assert.deepEqual(
			(json['apps'] as { app: string; healthy: number; listens?: boolean }[]).map(({ app, healthy, listens }) => [
				app,
				healthy,
				listens,
			]),
			[
				['web', 1, undefined],
				['bills', 0, false],
				['mails', 0, false],
			],
		);
		assert.equal((await beta.get('/readyz/bills')).status, 503);
		const view = await roll({ app: 'web' });
		assert.equal(view.state, 'completed', JSON.stringify(view));
	});
});
