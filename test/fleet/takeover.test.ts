import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import { DaemonLog, type LogLine } from '../support/daemon-log.js';
import { type Answer, makeFleet, type RealFleet, type RealNode, waitFor, whoApp } from '../support/fleet/nodes.js';
import { Witness } from '../support/fleet/witness.js';

const names = ['alpha', 'beta', 'gamma'];
const request = { service: 'http_workers', replicated: true };
/** Longer than a busy machine holds a coordinator up, so that only one that was killed is taken over from. */
const rollout = { lease: '3s' };
const longMs = 120_000;

const begun = (line: LogLine): boolean => line.event === 'step_begun';

describe('a fleet of three real nodes, some of them killed in the middle of a roll', () => {
	let fleet: RealFleet;
	/** While it is there a step does not come to its end. */
	let holdFile: string;
	before(async () => {
		fleet = await makeFleet(
			names.map((name) => ({ name })),
			{ rollout },
		);
		holdFile = join(fleet.folder, 'hold');
		for (const node of fleet.nodes) {
			const env = { PORT: String(node.ports.app), NODE_NAME: node.name, HOLD_FILE: holdFile };
			node.configure({
				...clusterOf(fleet, node),
				rollout,
				http_workers: [{ name: 'web', script: whoApp, instances: 2, env, health: { path: '/healthz', soak: '100ms' } }],
			});
		}
		await fleet.start();
	});
	after(() => fleet.end());

	let witness: Witness;
	let logs: { node: RealNode; log: DaemonLog }[];
	beforeEach(async () => {
		await allLinked();
		logs = fleet.nodes.map((node) => ({ node, log: new DaemonLog(node.logFile) }));
		witness = await Witness.begin(fleet.nodes);
	});
	afterEach(async () => {
		for (const { log } of logs) log.close();
		await witness.end();
	});

	const others = (node: RealNode): RealNode[] => fleet.nodes.filter((one) => one !== node);

	async function allLinked(): Promise<void> {
		for (const node of fleet.nodes)
			await waitFor(`${node.name} to hear all`, async () => {
				const { json } = await node.call<{ nodes: { link: string; ready: boolean | null }[] }>('cluster_status');
				return json.nodes.every((one) => one.link !== 'down' && one.ready === true);
			});
	}

	async function ask(coordinator: RealNode): Promise<string> {
		const { status, json } = await coordinator.call('restart_service', request);
		assert.equal(status, 200, JSON.stringify(json));
		return String(json['job_id']);
	}

	/** Each worker replaced once, by processes that answer, one node at a time, and no request lost. */
	async function assertRolledOnce(): Promise<void> {
		await witness.answered(20);
		const reports = await witness.end();
		for (const name of names) {
			const { before, came, alive, answering, most } = witness.sighting(name);
			const seen = JSON.stringify(witness.sighting(name));
			assert.equal(before.length, 2, seen);
			assert.equal(came.length, 2, `${name} restarted once: ${seen}`);
			assert.deepEqual([...alive].sort(), [...came].sort(), `only new workers live: ${seen}`);
			assert.deepEqual([...answering].sort(), [...came].sort(), `both answer: ${seen}`);
			assert.ok(most <= 4, `never a surplus set: ${seen}`);
		}
		assert.deepEqual(witness.together, [], 'never two nodes at once');
		for (const [name, { lost, failures }] of reports) assert.equal(lost, 0, `${name}: ${failures.join('; ')}`);
	}

	async function completedOn(nodes: readonly RealNode[], id: string): Promise<RolloutView[]> {
		const views = await Promise.all(nodes.map((node) => node.rollout(id, undefined, longMs)));
		for (const view of views) assert.equal(view.state, 'completed', JSON.stringify(view));
		return views;
	}

	test('SIGKILL of the coordinator in the middle of a step: another takes over, finishes, and the killed one learns it', async () => {
		const alpha = fleet.node('alpha');
		const [beta, gamma] = others(alpha) as [RealNode, RealNode];
		writeFileSync(holdFile, '');
		const id = await ask(alpha);
		const target = await firstOf(logs);
		await alpha.kill('SIGKILL');
		rmSync(holdFile);
		// Followed from the others: the step in the middle ends; with a node not heard, the next one may not begin.
		const takenOver = (view: RolloutView): boolean =>
			view.coordinator !== 'alpha' && view.nodes.some(({ node, state }) => node === target.name && state === 'back');
		for (const node of [beta, gamma]) await node.rollout(id, takenOver, longMs);
		for (const node of others(target)) assert.deepEqual(witness.sighting(node.name).came, [], `${node.name} waits`);
		alpha.start();
		for (const view of await completedOn(fleet.nodes, id)) assert.notEqual(view.coordinator, 'alpha');
		await alpha.ready();
		await assertRolledOnce();
	});

	test('SIGKILL of a target in its step: started again it goes forward, without a surplus set', async () => {
		const alpha = fleet.node('alpha');
		writeFileSync(holdFile, '');
		const id = await ask(alpha);
		const target = await firstOf(logs);
		await waitFor(
			'its new workers',
			() => witness.sighting(target.name).came.length > 0,
			() => '',
			longMs,
		);
		await target.kill('SIGKILL');
		rmSync(holdFile);
		target.start();
		await completedOn(fleet.nodes, id);
		await target.ready();
		await assertRolledOnce();
	});

	test('of two operators at once on two nodes one gets 200, the other 409 with the job of the first', async () => {
		writeFileSync(holdFile, '');
		const both = [fleet.node('alpha'), fleet.node('gamma')];
		let answers: Answer[] = [];
		const said = (): string => JSON.stringify(answers);
		/** A machine that is too slow for the two seconds of an answer starts nothing, and says so. */
		const askAll = async (nodes: readonly RealNode[]): Promise<Answer[]> => {
			const all = await Promise.all(nodes.map((node) => node.call('restart_service', request)));
			for (const { status, json } of all)
				if (status === 503) assert.match(String(json['error']), /nothing was started|was not\. Try again/);
			return all;
		};
		const statuses = (): number[] => answers.map(({ status }) => status);
		await waitFor(
			'one of them to start it',
			async () => {
				answers = await askAll(both);
				return statuses().includes(200);
			},
			said,
			longMs,
		);
		const won = answers.find(({ status }) => status === 200)?.json['job_id'];
		const second = both[statuses().indexOf(200) === 0 ? 1 : 0] as RealNode;
		let lost = answers.filter(({ status }) => status !== 200);
		assert.equal(lost.length, 1, said());
		await waitFor(
			'the other to hear of it',
			async () => {
				if (lost[0]?.status === 503) lost = await askAll([second]);
				return lost[0]?.status !== 503;
			},
			said,
			longMs,
		);
		assert.deepEqual([lost[0]?.status, lost[0]?.json['job_id']], [409, won], said());
		rmSync(holdFile);
		await completedOn(fleet.nodes, String(won));
		await assertRolledOnce();
	});
});

/** The node whose step begins first. */
function firstOf(logs: readonly { node: RealNode; log: DaemonLog }[]): Promise<RealNode> {
	return Promise.race(
		logs.map(async ({ node, log }) => {
			await log.seen('a step to begin', begun);
			return node;
		}),
	);
}

function clusterOf(fleet: RealFleet, node: RealNode): Record<string, unknown> {
	const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `ws://127.0.0.1:${ports.cluster}` }));
	const listen = { host: '127.0.0.1', port: node.ports.cluster };
	return { cluster: { listen, secret_file: `${fleet.folder}/secret`, peers } };
}
