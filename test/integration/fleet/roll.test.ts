import type { RolloutView } from '../../../src/rollout/types.js';
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { RollcallError } from '../../../src/errors.js';
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

describe('a fleet of three', () => {
	let fleet: TestFleet | undefined;
	afterEach(async () => {
		await fleet?.close();
		fleet = undefined;
	});
	async function three(rollout: Parameters<typeof TestFleet.make>[1] = {}): Promise<TestFleet> {
		fleet = await TestFleet.make(['alpha', 'beta', 'gamma'], rollout);
		await fleet.start();
		return fleet;
	}
	const stepsOf = (all: TestFleet): number[] => all.nodes.map((node) => node.local.steps.length);
	const refusalOf = (promise: Promise<unknown>): Promise<RollcallError> =>
		promise.then(
			(answer) => assert.fail(`answered ${JSON.stringify(answer)}`),
			(error: unknown) => {
				assert.ok(error instanceof RollcallError, String(error));
				return error;
			},
		);
	function holdSteps(all: TestFleet, name: string): () => void {
		let release: () => void = () => undefined;
		all.node(name).local.hold = new Promise((resolve) => {
			release = resolve;
		});
		return release;
	}
	const stepping = (on: Fleet, id: string, node: string): Promise<void> =>
		until(
			on,
			['rollout', 'link'],
			() => on.get(id)?.nodes.find((one) => one.node === node)?.state === 'restarting',
			`${node} is restarting`,
		);

	it('links up, and each shows all', async () => {
		const all = await three();
		for (const { name } of all.nodes) {
			const status = all.fleet(name).clusterStatus();
			assert.equal(status.boot, 1);
			assert.deepEqual(
				status.nodes.map((node) => [node.name, node.link, node.boot]),
				all.nodes.map((node) => [node.name, node.name === name ? 'self' : 'up', 1]),
			);
		}
	});

	it('plans with what every file says, and with what earlier rollouts took', async () => {
		const all = await three();
		const alpha = all.fleet('alpha');
		const first = await alpha.plan(request);
		assert.deepEqual([first.refused, first.order], [null, ['beta', 'gamma', 'alpha']]);
		const { id } = await alpha.startRollout(request);
		const { nodes } = await reached(alpha, id, 'completed');
		const took = nodes.map((node) => Math.round((node.back_at ?? 0) - (node.started_at ?? 0)));
		all.node('gamma').local.fault = new Error('web.js has a fault');
		const second = await alpha.plan(request);
		assert.equal(second.refused, 'gamma: web.js has a fault');
		assert.deepEqual(
			second.steps.map((step) => step.estimate_ms),
			took,
		);
		assert.deepEqual(
			all.nodes.map(({ local }) => local.steps.length),
			[1, 1, 1],
			'a plan restarts nothing',
		);
	});

	it('rolls one node after the other, the coordinator last, and every node shows it completed', async () => {
		const all = await three();
		const before = all.nodes.map((node) => node.local.workers);
		const { id, state } = await all.fleet('beta').startRollout(request);
		assert.equal(state, 'running');
		for (const { name } of all.nodes) {
			const view = await reached(all.fleet(name), id, 'completed');
			assert.deepEqual(view.order, ['alpha', 'gamma', 'beta']);
			assert.deepEqual(
				view.nodes.map((node) => node.state),
				['back', 'back', 'back'],
			);
			assert.equal(view.coordinator, 'beta');
		}
		for (const [index, { local }] of all.nodes.entries()) {
			assert.equal(local.steps.length, 1);
			assert.ok(local.workers.every((worker) => !before[index]?.some((old) => old.pid === worker.pid)));
		}
		const spans = all.nodes.flatMap((node) => node.local.steps).sort((a, b) => a.begunAt - b.begunAt);
		for (const [index, span] of spans.slice(1).entries())
			assert.ok((spans[index]?.endedAt ?? Number.POSITIVE_INFINITY) <= span.begunAt, 'two nodes were out at once');
	});

	it('a peer that is not there refuses with its name, and nothing is restarted', async () => {
		fleet = await TestFleet.make(['alpha', 'beta', 'gamma']);
		await fleet.start(['alpha', 'beta']);
		const refusal = await refusalOf(fleet.fleet('alpha').startRollout(request));
		assert.equal(refusal.code, 'unavailable');
		assert.match(refusal.message, /gamma/);
		assert.deepEqual(stepsOf(fleet), [0, 0, 0]);
		assert.deepEqual(
			fleet
				.fleet('alpha')
				.list(10)
				.filter((view) => view.state === 'running'),
			[],
		);
	});

	it('a fault in one node’s file refuses with node and key, and nothing is started anywhere', async () => {
		const all = await three();
		all.node('gamma').local.fault = new RollcallError('unavailable', 'http_workers.0.script: ./gone.js is not there');
		const refusal = await refusalOf(all.fleet('alpha').startRollout(request));
		assert.equal(refusal.code, 'unavailable');
		assert.match(refusal.message, /gamma.*http_workers\.0\.script/);
		assert.deepEqual(stepsOf(all), [0, 0, 0]);
		const local = await refusalOf(all.fleet('gamma').startRollout({ ...request, replicated: false }));
		assert.match(local.message, /http_workers\.0\.script/);
		assert.deepEqual(stepsOf(all), [0, 0, 0]);
	});

	it('a second replicated request is refused with the id of the first', async () => {
		const all = await three();
		const release = holdSteps(all, 'beta');
		const { id } = await all.fleet('alpha').startRollout(request);
		for (const name of ['alpha', 'gamma']) {
			const refusal = await refusalOf(all.fleet(name).startRollout(request));
			assert.equal(refusal.code, 'conflict');
			assert.equal(refusal.extra['job_id'], id);
		}
		release();
		await reached(all.fleet('gamma'), id, 'completed');
	});

	it('a failed step halts; resume with skip goes on without that node', async () => {
		const all = await three();
		all.node('beta').local.outcome = 'failed';
		const { id } = await all.fleet('alpha').startRollout(request);
		const halted = await reached(all.fleet('gamma'), id, 'halted');
		assert.match(halted.reason ?? '', /beta/);
		assert.deepEqual(stepsOf(all), [0, 1, 0]);
		await all.fleet('gamma').resume(id, ['beta'], 'admin');
		const ended = await reached(all.fleet('alpha'), id, 'completed', 'halted');
		assert.deepEqual(ended.nodes.map((node) => [node.node, node.state]).sort(), [
			['alpha', 'back'],
			['beta', 'skipped'],
			['gamma', 'back'],
		]);
	});

	it('pause, resume and abort work from any node', async () => {
		const all = await three();
		const release = holdSteps(all, 'beta');
		const { id } = await all.fleet('alpha').startRollout(request);
		await stepping(all.fleet('gamma'), id, 'beta');
		assert.equal((await all.fleet('gamma').pause(id, 'admin')).state, 'paused');
		release();
		await until(
			all.fleet('beta'),
			['rollout'],
			() =>
				all
					.fleet('beta')
					.get(id)
					?.nodes.find((one) => one.node === 'beta')?.state === 'back',
			'beta is back',
		);
		assert.deepEqual(stepsOf(all), [0, 1, 0]);
		const again = holdSteps(all, 'gamma');
		assert.equal((await all.fleet('beta').resume(id, [], 'admin')).state, 'running');
		await stepping(all.fleet('alpha'), id, 'gamma');
		await all.fleet('beta').abort(id, 'admin');
		again();
		const view = await reached(all.fleet('alpha'), id, 'aborted');
		assert.equal(view.nodes.find((node) => node.node === 'alpha')?.state, 'skipped');
		assert.deepEqual(stepsOf(all), [0, 1, 1]);
	});

	it('requests for one node queue up, need nobody else, and are told from replicated ones', async () => {
		const all = await three();
		const alpha = all.fleet('alpha');
		const release = holdSteps(all, 'alpha');
		const first = await alpha.startRollout({ ...request, replicated: false });
		const second = await alpha.startRollout({ ...request, replicated: false });
		assert.equal(alpha.get(second.id)?.state, 'planned');
		release();
		await reached(alpha, first.id, 'completed');
		await reached(alpha, second.id, 'completed');
		assert.deepEqual(stepsOf(all), [2, 0, 0]);
		assert.equal(all.fleet('beta').get(first.id), undefined);
	});

	it('the coordinator stops in the middle: another node takes over and finishes, and nobody restarts twice', async () => {
		const all = await three({ lease: 600 });
		const release = holdSteps(all, 'beta');
		const { id } = await all.fleet('alpha').startRollout({ ...request, maxUnavailable: 2 });
		await stepping(all.fleet('gamma'), id, 'beta');
		await all.stop('alpha');
		release();
		await until(
			all.fleet('gamma'),
			['rollout', 'link'],
			() =>
				all.fleet('gamma').get(id)?.coordinator !== 'alpha' &&
				all
					.fleet('gamma')
					.get(id)
					?.nodes.filter((one) => one.state === 'back').length === 2,
			'another coordinator drives it',
		);
		await all.start(['alpha']);
		for (const name of ['alpha', 'beta', 'gamma']) await reached(all.fleet(name), id, 'completed');
		assert.deepEqual(stepsOf(all), [1, 1, 1]);
	});

	it('a target that dies in the middle of its step goes forward when it is started again', async () => {
		const all = await three({ lease: 600 });
		holdSteps(all, 'beta');
		const { id } = await all.fleet('alpha').startRollout(request);
		await until(all.fleet('beta'), ['rollout'], () => all.node('beta').local.steps.length === 1, 'beta began');
		await all.stop('beta');
		all.node('beta').local.hold = null;
		await all.start(['beta']);
		await reached(all.fleet('gamma'), id, 'completed');
		const { steps } = all.node('beta').local;
		assert.deepEqual(
			steps.map((step) => step.recovered),
			[false, true],
		);
		assert.equal(all.fleet('beta').clusterStatus().boot, 2);
	});

	it('restart takes each daemon down in turn, hands coordination over at the end, and boot proves it', async () => {
		const all = await three({ lease: 1_000 });
		const booted: string[] = [];
		for (const node of all.nodes)
			node.local.dies = () => {
				booted.push(node.name);
				setImmediate(() => void all.stop(node.name).then(() => all.startNode(node)));
			};
		const { id } = await all.fleet('alpha').startRollout({ ...request, type: 'restart', service: null });
		await until(all.fleet('gamma'), ['rollout'], () => booted.length === 1, 'the first has gone');
		await settled(all, id);
		assert.deepEqual(booted, ['beta', 'gamma', 'alpha']);
		for (const { name, local } of all.nodes) {
			assert.equal(all.fleet(name).clusterStatus().boot, 2);
			assert.deepEqual(
				local.steps.map((step) => step.recovered),
				[false, true],
			);
		}
	});
	/** Nothing of a node that stops, or has not started again. */
	function viewOf({ fleet }: TestFleet['nodes'][number], id: string): RolloutView | undefined {
		try {
			return fleet?.get(id);
		} catch {
			return undefined;
		}
	}

	/** The fleets are replaced under way, so each look is at those that run now. */
	async function settled(all: TestFleet, id: string): Promise<void> {
		const deadline = performance.now() + 30_000;
		for (;;) {
			const views = all.nodes.map((node) => viewOf(node, id));
			if (views.every((view) => view?.state === 'completed')) return;
			const text = JSON.stringify(
				views.map((view) => [view?.state, view?.reason, view?.waiting_for, view?.nodes.map((one) => one.state)]),
			);
			assert.ok(performance.now() < deadline, text);
			assert.ok(!views.some((view) => view?.state === 'halted' || view?.state === 'aborted'), text);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}

	it('restart of one node alone ends that daemon, and its next boot proves it', async () => {
		const all = await three();
		const node = all.node('alpha');
		node.local.dies = () => setImmediate(() => void all.stop('alpha').then(() => all.startNode(node)));
		const { id } = await all
			.fleet('alpha')
			.startRollout({ ...request, type: 'restart', service: null, replicated: false });
		const deadline = performance.now() + 30_000;
		while (viewOf(node, id)?.state !== 'completed') {
			assert.ok(performance.now() < deadline, JSON.stringify(viewOf(node, id)));
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		assert.equal(all.fleet('alpha').clusterStatus().boot, 2);
		assert.deepEqual(
			all.nodes.map(({ local }) => local.steps.map((step) => step.recovered)),
			[[false, true], [], []],
		);
	});

	it('a node that was configured with other members takes no part, and the refusal names it', async () => {
		const all = await TestFleet.make(['alpha', 'beta', 'gamma', 'delta']);
		fleet = all;
		for (const name of ['alpha', 'beta', 'gamma']) {
			const { config } = all.node(name);
			assert.ok(config.cluster);
			const peers = config.cluster.peers.filter((peer) => peer.name !== (name === 'gamma' ? '' : 'delta'));
			all.node(name).config = { ...config, cluster: { ...config.cluster, peers } };
		}
		await all.start(['alpha', 'beta', 'gamma']);
		const refusal = await refusalOf(all.fleet('alpha').startRollout(request));
		assert.equal(refusal.code, 'unavailable');
		assert.match(refusal.message, /gamma/);
		assert.deepEqual(stepsOf(all), [0, 0, 0, 0]);
	});

	it('goes zone by zone, by what each node says of its own zone', async () => {
		const all = await TestFleet.make(['alpha', 'beta', 'gamma', 'omega']);
		fleet = all;
		for (const [name, zone] of Object.entries({ alpha: 'a', beta: 'z', gamma: 'a', omega: 'b' })) {
			const node = all.node(name);
			node.config = { ...node.config, node: { name, zone } };
		}
		await all.start();
		const { id } = await all.fleet('alpha').startRollout(request);
		const view = await reached(all.fleet('beta'), id, 'completed');
		assert.deepEqual(view.order, ['gamma', 'omega', 'beta', 'alpha']);
		assert.deepEqual(
			all
				.fleet('beta')
				.clusterStatus()
				.nodes.map((node) => node.zone),
			['a', 'z', 'a', 'b'],
		);
	});

	it('clustering makes every link of each node anew and leaves workers alone', async () => {
		const all = await three();
		const before = all.nodes.map((node) => node.local.workers);
		const { id } = await all.fleet('alpha').startRollout({ ...request, service: 'clustering' });
		const view = await reached(all.fleet('gamma'), id, 'completed', 'halted');
		assert.equal(view.state, 'completed', view.reason ?? '');
		assert.deepEqual(
			all.nodes.map((node) => node.local.workers),
			before,
		);
		assert.deepEqual(stepsOf(all), [0, 0, 0]);
		for (const { name } of all.nodes)
			assert.ok(
				all
					.fleet(name)
					.replication()
					.every((row) => row.reconnects >= 2),
				`${name} reconnected`,
			);
	});

	it('clustering_config takes a member out, once the files of those who stay agree, and leaves the other link alone', async () => {
		const all = await three();
		const withoutGamma = (name: string): void => {
			const node = all.node(name);
			const { cluster } = node.config;
			assert.ok(cluster);
			const peers = cluster.peers.filter((peer) => peer.name !== 'gamma');
			node.config = { ...node.config, cluster: { ...cluster, peers } };
		};
		withoutGamma('alpha');
		const alpha = all.fleet('alpha');
		const since = () => alpha.replication().find((row) => row.node === 'beta')?.since;
		const before = since();
		const disagreed = await alpha.startRollout({ ...request, service: 'clustering_config' });
		const ended = await reached(all.fleet('gamma'), disagreed.id, 'aborted');
		assert.match(ended.reason ?? '', /file of beta names other members/);
		assert.equal(alpha.clusterStatus().nodes.length, 3, 'nothing was applied');
		withoutGamma('beta');
		const { id } = await alpha.startRollout({ ...request, service: 'clustering_config' });
		await reached(alpha, id, 'completed');
		await reached(all.fleet('beta'), id, 'completed');
		for (const name of ['alpha', 'beta'])
			assert.deepEqual(
				all
					.fleet(name)
					.clusterStatus()
					.nodes.map((node) => [node.name, node.link]),
				['alpha', 'beta'].map((node) => [node, node === name ? 'self' : 'up']),
			);
		assert.equal(since(), before);
		const roll = await alpha.startRollout(request);
		await reached(alpha, roll.id, 'completed');
		assert.deepEqual(stepsOf(all), [1, 1, 0]);
	});

	it('clustering_config brings a new member in, and the next rollout goes over all four', async () => {
		fleet = await TestFleet.make(['alpha', 'beta', 'delta', 'gamma']);
		const old = ['alpha', 'beta', 'gamma'];
		for (const name of old) {
			const node = fleet.node(name);
			const { cluster } = node.config;
			assert.ok(cluster);
			const whole = node.config;
			node.config = { ...whole, cluster: { ...cluster, peers: cluster.peers.filter((peer) => peer.name !== 'delta') } };
			await fleet.startNode(node);
			node.config = whole;
		}
		await fleet.startNode(fleet.node('delta'));
		const alpha = fleet.fleet('alpha');
		await until(alpha, ['link'], () => alpha.replication().every((row) => row.connected), 'alpha is linked');
		const { id } = await alpha.startRollout({ ...request, service: 'clustering_config' });
		const view = await reached(alpha, id, 'completed', 'halted', 'aborted');
		assert.equal(view.state, 'completed', view.reason ?? '');
		const delta = fleet.fleet('delta');
		await until(delta, ['link'], () => delta.replication().every((row) => row.connected), 'delta is linked');
		const roll = await delta.startRollout(request);
		await reached(delta, roll.id, 'completed');
		assert.deepEqual(stepsOf(fleet), [1, 1, 1, 1]);
	});

	it('a node without `cluster:` rolls alone, replicated or not, and has nothing to do for clustering', async () => {
		fleet = await TestFleet.make(['solo']);
		const node = fleet.node('solo');
		node.config = { node: node.config.node, rollout: node.config.rollout };
		await fleet.start();
		const solo = fleet.fleet('solo');
		for (const service of ['http_workers', 'clustering', 'clustering_config'] as const) {
			const { id } = await solo.startRollout({ ...request, service });
			const view = await reached(solo, id, 'completed', 'halted');
			assert.equal(view.state, 'completed', `${service}: ${view.reason}`);
			assert.deepEqual(
				view.nodes.map((one) => [one.node, one.state]),
				[['solo', 'back']],
			);
		}
		assert.equal(node.local.steps.length, 1);
	});

	it('what happened is known after a start: ended rollouts, boot, and no step is done again', async () => {
		const all = await three();
		const { id } = await all.fleet('alpha').startRollout(request);
		for (const { name } of all.nodes) await reached(all.fleet(name), id, 'completed');
		await Promise.all(all.nodes.map(({ name }) => all.stop(name)));
		await all.start();
		for (const { name } of all.nodes) {
			assert.equal(all.fleet(name).get(id)?.state, 'completed');
			assert.equal(all.fleet(name).clusterStatus().boot, 2);
		}
		assert.deepEqual(stepsOf(all), [1, 1, 1]);
	});
});
