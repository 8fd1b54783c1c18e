import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import type { WorkerRow } from '../../src/workers/types.js';
import { startLoad } from '../support/workers/load.js';
import { makeFleet, type RealFleet, type RealNode, rollcall } from '../support/fleet/nodes.js';

const names = ['alpha', 'beta', 'gamma'];
const requestsMin = 4_000;

/** One roll over the socket of `coordinator`, under load on every node. */
async function rollUnderLoad(fleet: RealFleet, coordinator: RealNode) {
	const load = startLoad({ urls: fleet.nodes.map((node) => node.appUrl), ratePerSecond: 300, keepAliveShare: 0.5 });
	await load.answered(300);
	const { status, json } = await coordinator.call('restart_service', { service: 'http_workers', replicated: true });
	assert.equal(status, 200, JSON.stringify(json));
	const view = await coordinator.rollout(String(json['job_id']));
	await load.answered(Math.max(1, requestsMin - load.ok));
	return { view, report: await load.stop() };
}

function assertOneAtATime(view: RolloutView): void {
	const spans = view.nodes
		.map(({ node, started_at, back_at }) => ({ node, from: started_at ?? 0, to: back_at ?? 0 }))
		.sort((a, b) => a.from - b.from);
	for (const [index, span] of spans.entries()) {
		assert.ok(span.to > span.from, `${span.node} has a beginning and an end`);
		const next = spans[index + 1];
		if (next) assert.ok(next.from >= span.to, `${next.node} began before ${span.node} was back`);
	}
}

function assertAllNew(before: WorkerRow[], after: WorkerRow[], view: RolloutView, node: string): void {
	const old = new Set(before.map((row) => row.pid));
	assert.equal(after.length, 2);
	for (const row of after) {
		assert.ok(!old.has(row.pid), `${row.id} of ${node} is a new process`);
		assert.equal(row.state, 'serving');
	}
	const record = view.nodes.find((row) => row.node === node);
	const starts = new Set(record?.before?.workers.map((worker) => worker.started));
	for (const worker of record?.after?.workers ?? []) assert.ok(!starts.has(worker.started));
	assert.deepEqual(record?.after?.workers.map((worker) => worker.pid).sort(), after.map((row) => row.pid).sort());
}

describe('a fleet of three real nodes', () => {
	let fleet: RealFleet;
	before(async () => {
		fleet = await makeFleet(names.map((name) => ({ name })));
		await fleet.start();
	});
	after(() => fleet.end());

	for (const [roll, coordinatorName] of ['alpha', 'beta', 'gamma', 'alpha', 'beta'].entries()) {
		test(`roll ${roll + 1} replaces every worker, one node at a time, the coordinator last, and loses nothing`, async () => {
			const coordinator = fleet.node(coordinatorName);
			const workersBefore = new Map<string, WorkerRow[]>();
			for (const node of fleet.nodes) workersBefore.set(node.name, await node.workers());
			const { view, report } = await rollUnderLoad(fleet, coordinator);
			assert.equal(view.state, 'completed', JSON.stringify(view));
			assert.equal(report.lost, 0, report.failures.join('; '));
			assert.ok(report.sent >= requestsMin);
			assert.equal(view.order.at(-1), coordinatorName);
			assert.deepEqual([...view.order].sort(), names);
			assertOneAtATime(view);
			for (const node of fleet.nodes) {
				assertAllNew(workersBefore.get(node.name) ?? [], await node.workers(), view, node.name);
				const { json } = await node.call('get_job', { id: view.id });
				assert.equal((json as unknown as { status: string }[])[0]?.status, 'COMPLETE', `${node.name} knows the job`);
			}
		});
	}

	test('a daemon killed under load loses no request and finds the same workers again', async () => {
		const node = fleet.node('beta');
		const pids = (await node.workers()).map((row) => row.pid);
		const load = startLoad({ urls: node.appUrl, ratePerSecond: 300 });
		await load.answered(200);
		await node.kill('SIGKILL');
		await load.answered(300);
		node.start();
		await node.ready();
		await load.answered(200);
		const report = await load.stop();
		assert.equal(report.lost, 0, report.failures.join('; '));
		assert.deepEqual((await node.workers()).map((row) => row.pid).sort(), pids.sort());
	});

	test('a peer that is not there refuses the roll by name, and nothing is restarted', async () => {
		const gone = fleet.node('gamma');
		const before = await Promise.all([fleet.node('alpha'), fleet.node('beta')].map((node) => node.workers()));
		await gone.kill('SIGKILL');
		const { status, json } = await fleet
			.node('alpha')
			.call('restart_service', { service: 'http_workers', replicated: true });
		assert.equal(status, 503, JSON.stringify(json));
		assert.match(String(json['error']), /gamma/);
		const after = await Promise.all([fleet.node('alpha'), fleet.node('beta')].map((node) => node.workers()));
		const pids = (rows: WorkerRow[][]) => rows.flat().map((row) => row.pid);
		assert.deepEqual(pids(after), pids(before));
		gone.start();
		await gone.ready();
	});

	test('every line of a daemon’s log is one object that names no key twice, and itself as the node', () => {
		for (const node of fleet.nodes) {
			const lines = node
				.log()
				.split('\n')
				.filter((line) => line.startsWith('{'));
			assert.ok(lines.length > 10);
			for (const line of lines) {
				const read = JSON.parse(line) as { node?: string };
				assert.equal(JSON.stringify(read), line);
				assert.equal(read.node, node.name, line);
			}
		}
	});

	test('stop ends the daemon, the worker host and every worker', async () => {
		const node = fleet.node('gamma');
		const pids = (await node.workers()).flatMap((row) => (row.pid === null ? [] : [row.pid]));
		const result = await rollcall(['stop', '--config', node.configFile]);
		assert.equal(result.code, 0, result.stderr);
		for (const pid of pids) assert.throws(() => process.kill(pid, 0), `worker ${pid} is gone`);
		assert.equal((await rollcall(['stop', '--config', node.configFile])).code, 0, 'stopping again finds nothing');
	});
});
