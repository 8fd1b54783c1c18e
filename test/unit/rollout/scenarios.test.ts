import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimateOf } from '../../../src/rollout/requests/estimate.js';
import { fakeConfig, fleetDeadlineMs, fleetLeaseMs, SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const fresh = (names = three): SimFleet => new SimFleet(names).settled();

test('three nodes roll one after the other, the coordinator last, and all of them show the same end', () => {
	const fleet = fresh();
	const { view } = fleet.ask('beta');
	assert.equal(view?.state, 'running');
	const id = view?.id ?? '';
	for (const name of three) assert.equal(fleet.view(name, id)?.id, id, `${name} answers for it once the 200 was sent`);
	const done = fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		fleet.begun.map((one) => one.node),
		['alpha', 'gamma', 'beta'],
	);
	assert.deepEqual(done.order, ['alpha', 'gamma', 'beta']);
	assert.equal(done.coordinator, 'beta');
	fleet.run(3000);
	for (const name of three) assert.deepEqual(fleet.view(name, id), done);
	for (const node of done.nodes) {
		assert.equal(node.state, 'back');
		assert.equal(node.after?.workers.length, 2);
		assert.ok(
			node.after?.workers.every((worker) => !node.before?.workers.some((old) => old.started === worker.started)),
		);
	}
});

test('a step begins only when the one before it is back', () => {
	const fleet = fresh();
	const { view } = fleet.ask('alpha');
	fleet.untilState('beta', view?.id ?? '', 'completed');
	const times = fleet.begun.map((one) => one.at);
	assert.ok(times.every((at, index) => index === 0 || at - (times[index - 1] ?? 0) > 200));
});

test('a refused release halts with the node and its reason; skip lets the rest go on', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['refused', 'good'];
	const id = fleet.ask('alpha').view?.id ?? '';
	const halted = fleet.untilState('gamma', id, 'halted');
	assert.match(halted.reason ?? '', /beta refused: the new release answers 500\. resume_rollout tries beta again/);
	assert.deepEqual(
		fleet.begun.map((one) => one.node),
		['beta'],
		'nobody else was touched',
	);
	const { view } = fleet.say('gamma', { kind: 'resume', rollout: id, skip: ['beta'], user: 'admin' });
	assert.equal(view?.state, 'running');
	const done = fleet.untilState('beta', id, 'completed');
	assert.deepEqual(done.nodes.map((node) => `${node.node} ${node.state}`).sort(), [
		'alpha back',
		'beta skipped',
		'gamma back',
	]);
});

test('skip of a name that is no target is refused where it is asked, and no peer hears of it', () => {
	const fleet = new SimFleet(['alpha', 'beta', 'gamma']).settled();
	const id = fleet.begin('alpha');
	assert.ok(fleet.answer(id).ok);
	for (const name of ['Beta', 'zeta', '__proto__', 'b'.repeat(5000)]) {
		const { ok, refusal } = fleet.say('beta', { kind: 'resume', rollout: id, skip: [name], user: 'admin' });
		assert.equal(ok, false);
		assert.equal(refusal?.code, 'invalid');
	}
	assert.deepEqual(
		fleet.sent.filter(({ message }) => message.kind === 'forward'),
		[],
	);
	fleet.say('beta', { kind: 'resume', rollout: id, skip: Array(2000).fill('gamma'), user: 'admin' });
	const words = fleet.sent.flatMap(({ message }) => (message.kind === 'forward' ? [message.word] : []));
	assert.deepEqual(words, [{ kind: 'resume', rollout: id, skip: ['gamma'], user: 'admin' }]);
});

test('resume tries what is left again under a higher attempt', () => {
	const fleet = fresh();
	fleet.node('gamma').executor.fates = ['failed', 'good'];
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('alpha', id, 'halted');
	fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	const done = fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		fleet.begun.map((one) => `${one.node} ${one.attempt}`),
		['beta 1', 'gamma 1', 'gamma 2', 'alpha 2'],
	);
	assert.ok(done.nodes.every((node) => node.state === 'back'));
});

test('the times of a node are those of its last attempt, not of the wait for an operator before it', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['refused', 'good'];
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('gamma', id, 'halted');
	fleet.run(2 * fleetDeadlineMs);
	fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	const { nodes } = fleet.untilState('alpha', id, 'completed');
	const { started_at, back_at } = nodes.find(({ node }) => node === 'beta') ?? {};
	assert.ok((back_at ?? 0) - (started_at ?? 0) < fleetDeadlineMs, `${started_at} to ${back_at}`);
});

test('the times of every node outlive the death of all daemons', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const isBack = (): boolean => fleet.view('alpha', id)?.nodes.some((one) => one.state === 'back') === true;
	fleet.until('beta is back', isBack);
	const wall = fleet.node('alpha').wallOffset + fleet.time.now;
	for (const name of three) fleet.node(name).kill();
	fleet.run(fleetDeadlineMs);
	for (const name of three) fleet.node(name).start();
	const { nodes } = fleet.untilState('alpha', id, 'completed');
	for (const { node, started_at, back_at } of nodes)
		assert.ok(started_at !== null && back_at !== null && started_at < back_at, `${node} ${started_at} to ${back_at}`);
	assert.ok((nodes.find(({ node }) => node === 'beta')?.back_at ?? Number.POSITIVE_INFINITY) <= wall);
});

test('with continue the rest goes on, and the end is halted all the same', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['refused'];
	const id = fleet.ask('alpha', { onFailure: 'continue' }).view?.id ?? '';
	const halted = fleet.untilState('alpha', id, 'halted');
	assert.deepEqual(
		fleet.begun.map((one) => one.node),
		['beta', 'gamma', 'alpha'],
	);
	assert.match(halted.reason ?? '', /beta refused/);
});

test('a step that takes longer than its deadline halts and says what may still live', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['hangs'];
	const id = fleet.ask('alpha').view?.id ?? '';
	const halted = fleet.untilState('gamma', id, 'halted');
	assert.match(halted.reason ?? '', /beta is not back within the deadline and may still be restarting/);
	assert.ok(fleet.time.now >= fleetDeadlineMs);
});

test('evidence that does not prove it is a failure, whatever the executor says', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['same-workers'];
	const id = fleet.ask('alpha').view?.id ?? '';
	const halted = fleet.untilState('alpha', id, 'halted');
	assert.match(halted.reason ?? '', /beta failed: worker .* is not new/);
});

test('a killed coordinator is taken over from within a lease, and nobody restarts twice', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	fleet.node('alpha').kill();
	const killedAt = fleet.time.now;
	fleet.until('another coordinator', () =>
		fleet.notes.some((note) => note.event === 'lease_held' && note.node !== 'alpha'),
	);
	assert.ok(fleet.time.now - killedAt <= fleetLeaseMs + 50, `took over after ${fleet.time.now - killedAt} ms`);
	fleet.run(1500);
	fleet.node('alpha').start();
	const done = fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(fleet.begun.map((one) => one.node).sort(), three);
	assert.notEqual(done.coordinator, 'alpha');
});

test('a target that is killed in the middle goes forward when it starts again', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	fleet.run(150);
	fleet.node('beta').kill();
	fleet.run(500);
	fleet.node('beta').start();
	fleet.untilState('gamma', id, 'completed');
	assert.deepEqual(
		fleet.begun.map((one) => `${one.node} ${one.recovered}`),
		['beta false', 'beta true', 'gamma false', 'alpha false'],
	);
});

test('a peer that is not there is named in a 503 within two seconds, and nothing stays open', () => {
	const fleet = fresh();
	fleet.killed('gamma');
	const answer = fleet.ask('alpha');
	assert.equal(answer.refusal?.code, 'unavailable');
	assert.match(answer.refusal?.message ?? '', /gamma is not heard; max_unavailable is 1, so no node may be taken out/);
	assert.ok(answer.afterMs <= 2000);
	assert.deepEqual(fleet.begun, []);
	for (const name of ['alpha', 'beta']) assert.deepEqual(fleet.node(name).core?.durable.open, []);
});

test('without a majority the 503 says how many are needed', () => {
	const fleet = fresh();
	fleet.killed('gamma');
	fleet.killed('beta');
	assert.match(
		fleet.ask('alpha').refusal?.message ?? '',
		/beta is not linked, gamma is not linked; 2 of 3 nodes are needed/,
	);
});

test('a fault in the file of any target is answered, and nothing is started', () => {
	const fleet = fresh();
	fleet.node('gamma').fileFault = 'http_workers[0].script: expected a file';
	const { refusal } = fleet.ask('alpha');
	assert.equal(refusal?.message, 'gamma: http_workers[0].script: expected a file');
	assert.deepEqual(fleet.begun, []);
});

test('a second rollout, local or replicated, is refused with 409 and the id of the one in the way', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	for (const replicated of [true, false]) {
		const { refusal } = fleet.ask('beta', { replicated });
		assert.equal(refusal?.code, 'conflict');
		assert.deepEqual(refusal?.extra, { job_id: id });
	}
	fleet.untilState('beta', id, 'completed');
});

test('of two operators at once exactly one is answered 200', () => {
	const fleet = fresh();
	const tokens = three.map((name) => fleet.begin(name));
	const answers = tokens.map((token) => fleet.answer(token));
	assert.equal(answers.filter((answer) => answer.ok).length, 1);
	const id = answers.find((answer) => answer.ok)?.view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(fleet.begun.map((one) => one.node).sort(), three);
});

test('of two operators at once the one who is refused does not cost the other the lease', () => {
	const fleet = new SimFleet(['alpha', 'beta', 'gamma', 'delta']).settled();
	const tokens = [fleet.begin('beta'), fleet.begin('gamma')];
	const answers = tokens.map((token) => fleet.answer(token));
	assert.deepEqual(
		answers.map((one) => one.refusal?.code ?? 'started'),
		['conflict', 'started'],
	);
	fleet.run(fleetLeaseMs);
	assert.deepEqual(
		fleet.notes.filter(({ event }) => event === 'lease_lost' || event === 'takeover'),
		[],
	);
});

test('a halted rollout is superseded by a new one', () => {
	const fleet = fresh();
	fleet.node('beta').executor.fates = ['refused', 'good'];
	const first = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('beta', first, 'halted');
	const second = fleet.ask('beta').view?.id ?? '';
	fleet.untilState('gamma', second, 'completed');
	for (const name of three) {
		assert.equal(fleet.view(name, first)?.state, 'aborted');
		assert.equal(fleet.view(name, first)?.reason, `superseded by ${second}`);
	}
});

test('pause stops at once, finishes the running step, and resume goes on; from any node', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	const { view } = fleet.say('gamma', { kind: 'pause', rollout: id, user: 'admin' });
	assert.equal(view?.state, 'paused');
	assert.match(view?.waiting_for ?? '', /^the running step to finish, beta/);
	fleet.run(8000);
	assert.equal(fleet.begun.length, 1);
	assert.match(fleet.view('beta', id)?.waiting_for ?? '', /resume_rollout or abort_rollout/);
	fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	fleet.untilState('beta', id, 'completed');
	assert.equal(fleet.begun.length, 3);
});

test('a node that has stored a word shows nothing that was waited for before it', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('gamma sees beta restart', () => /^beta: /.test(fleet.view('gamma', id)?.waiting_for ?? ''));
	fleet.say('alpha', { kind: 'pause', rollout: id, user: 'admin' });
	fleet.until('gamma has stored it', () => fleet.view('gamma', id)?.state === 'paused');
	assert.doesNotMatch(fleet.view('gamma', id)?.waiting_for ?? '', /^beta: /);
});

test('abort lets the running step finish and skips the rest', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	fleet.say('beta', { kind: 'abort', rollout: id, user: 'eve' });
	const ended = fleet.untilState('gamma', id, 'aborted');
	assert.equal(ended.reason, 'aborted by eve');
	assert.deepEqual(
		ended.nodes.map((node) => `${node.node} ${node.state}`),
		['beta back', 'gamma skipped', 'alpha skipped'],
	);
});

test('who does not hear enough starts no step and says so', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	for (const name of ['beta', 'gamma']) {
		fleet.network.cut('alpha', name);
		fleet.network.cut(name, 'alpha');
	}
	fleet.run(fleetLeaseMs);
	assert.match(fleet.view('alpha', id)?.waiting_for ?? '', /^frozen, hears 1 of 3; missing: beta, gamma$/);
	fleet.network.healAll();
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(fleet.begun.map((one) => one.node).sort(), three);
});

test('whoever hears no coordinator says so, instead of what it was shown last', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until(
		'beta has begun',
		() => fleet.view('gamma', id)?.nodes.some((one) => one.state === 'restarting') === true,
	);
	fleet.node('alpha').kill();
	fleet.until('beta drives', () => fleet.view('gamma', id)?.coordinator === 'beta');
	fleet.node('beta').kill();
	fleet.run(2 * fleetLeaseMs);
	const { coordinator, waiting_for } = fleet.view('gamma', id) ?? {};
	assert.deepEqual([coordinator, waiting_for], ['beta', 'frozen, hears 1 of 3; missing: alpha, beta']);
	fleet.node('alpha').start();
	fleet.until('it is driven again', () => !fleet.view('gamma', id)?.waiting_for?.startsWith('frozen'));
});

test('an unhealthy node goes first; a healthy one waits for it', () => {
	const fleet = fresh();
	fleet.node('gamma').executor.setHealth(false);
	fleet.run(50);
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		fleet.begun.map((one) => one.node),
		['gamma', 'beta', 'alpha'],
	);
});

test('restart, replicated: every boot grows by one, and the coordinator hands over before it goes', () => {
	const fleet = fresh();
	const id = fleet.ask('beta', { type: 'restart', service: null }).view?.id ?? '';
	const done = fleet.untilState('beta', id, 'completed');
	assert.deepEqual(
		done.nodes.map((node) => [node.node, node.before?.boot, node.after?.boot]),
		[
			['alpha', 1, 2],
			['gamma', 1, 2],
			['beta', 1, 2],
		],
	);
	assert.equal(done.coordinator, 'alpha');
	assert.ok(fleet.notes.some((note) => note.event === 'handover'));
});

test('two nodes: both are the majority, and a restart of both works', () => {
	const fleet = fresh(['alpha', 'beta']);
	const id = fleet.ask('alpha', { type: 'restart', service: null }).view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		fleet.begun.filter((one) => !one.recovered).map((one) => one.node),
		['beta', 'alpha'],
	);
});

test('one node: a replicated request is a rollout of its own, with itself in the result', () => {
	const fleet = new SimFleet(['alpha'], { clustered: false });
	fleet.run(20);
	const { view } = fleet.ask('alpha');
	assert.equal(view?.replicated, true);
	const done = fleet.untilState('alpha', view?.id ?? '', 'completed');
	assert.deepEqual(
		done.nodes.map((node) => `${node.node} ${node.state}`),
		['alpha back'],
	);
});

test('rollouts of one node queue up behind each other, and a failed one does not hold the queue', () => {
	const fleet = fresh();
	fleet.node('alpha').executor.fates = ['failed', 'good'];
	const first = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	const second = fleet.ask('alpha', { replicated: false }).view;
	assert.equal(second?.state, 'planned');
	assert.match(second?.waiting_for ?? '', new RegExp(`rollout ${first} before it`));
	fleet.untilState('alpha', second?.id ?? '', 'completed');
	assert.equal(fleet.view('alpha', first)?.state, 'halted');
	const third = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	assert.equal(fleet.view('alpha', first)?.reason, `superseded by ${third}`);
});

test('a rollout of one node works in a minority', () => {
	const fleet = fresh();
	for (const name of ['beta', 'gamma']) fleet.node(name).kill();
	fleet.run(2000);
	const id = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
});

test('a replicated request waits for the rollout of its own node', () => {
	const fleet = fresh();
	fleet.ask('alpha', { replicated: false });
	const { view } = fleet.ask('alpha');
	assert.equal(view?.state, 'running');
	fleet.untilState('alpha', view?.id ?? '', 'completed');
});

test('a node that lost its state votes again once it has heard all others', () => {
	const fleet = fresh();
	fleet.node('beta').kill();
	fleet.node('gamma').kill();
	fleet.node('beta').disk.lose();
	fleet.run(2000);
	fleet.node('beta').start();
	fleet.run(2000);
	assert.equal(fleet.node('beta').core?.durable.voting, false);
	assert.match(
		fleet.ask('beta').refusal?.message ?? '',
		/beta is new or lost its state and may not vote before it has heard gamma/,
	);
	const refused = fleet.say('alpha', { kind: 'admit', node: 'delta', user: 'admin' });
	assert.equal(refused.refusal?.code, 'not_found');
	fleet.node('gamma').start();
	fleet.until('beta votes', () => fleet.node('beta').core?.durable.voting === true);
	const id = fleet.ask('beta').view?.id ?? '';
	fleet.untilState('gamma', id, 'completed');
});

for (const { what, node, copy, coordinatorDies } of [
	{ what: 'loses its state', node: 'beta', copy: false, coordinatorDies: false },
	{ what: 'loses its state, and its coordinator dies', node: 'beta', copy: false, coordinatorDies: true },
	{ what: 'is put back from a copy made just before', node: 'beta', copy: true, coordinatorDies: false },
	// Beta takes over, which was shown that gamma was back.
	{ what: 'is put back from a copy, and its coordinator dies', node: 'gamma', copy: true, coordinatorDies: true },
])
	test(`a node that was back has no second turn by itself when it ${what}`, () => {
		const fleet = fresh();
		fleet.node(node).disk.backUp();
		const id = fleet.ask('alpha').view?.id ?? '';
		const other = node === 'beta' ? 'gamma' : 'beta';
		const isBack = (): boolean =>
			fleet.view(other, id)?.nodes.some((one) => one.node === node && one.state === 'back') === true;
		fleet.until(`${node} is back`, isBack);
		fleet.node(node).kill();
		if (copy) assert.ok(fleet.node(node).disk.putBack());
		else fleet.node(node).disk.lose();
		if (coordinatorDies) fleet.killed('alpha');
		fleet.node(node).start();
		fleet.run(200);
		if (coordinatorDies) fleet.node('alpha').start();
		const halted = fleet.untilState(other, id, 'halted');
		assert.match(
			halted.reason ?? '',
			/^(beta|gamma) failed: it lost its state while this rollout ran.* with skip it stays/,
		);
		const turns = (of: string): number => fleet.begun.filter((one) => one.node === of && !one.recovered).length;
		assert.equal(turns(node), 1);
		assert.ok(fleet.say(other, { kind: 'resume', rollout: id, skip: [node], user: 'admin' }).ok);
		fleet.untilState(other, id, 'completed');
		assert.deepEqual(three.map(turns), [1, 1, 1]);
	});

for (const asked of three)
	test(`a word that ends the rollout is answered with its end, at once: ${asked} is asked`, () => {
		const fleet = fresh();
		const id = fleet.ask('alpha').view?.id ?? '';
		fleet.until('gamma has begun', () => fleet.begun.some(({ node }) => node === 'gamma'));
		fleet.node('alpha').executor.fates = ['not-joined'];
		for (const name of three) fleet.untilState(name, id, 'halted');
		const { ok, view, refusal, afterMs } = fleet.say(asked, {
			kind: 'resume',
			rollout: id,
			skip: ['alpha'],
			user: 'admin',
		});
		assert.equal(ok, true, refusal?.message);
		assert.equal(view?.state, 'completed');
		assert.ok(afterMs < 500, `${afterMs} ms`);
	});

test('a target that lost its record in the middle of its step halts the roll, and resume tries it again', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	const begun = (): boolean => fleet.view('alpha', id)?.nodes.some((one) => one.state === 'restarting') === true;
	fleet.until('alpha has heard that beta has begun', begun);
	fleet.run(50);
	fleet.node('beta').kill();
	fleet.node('beta').disk.lose();
	fleet.node('beta').start();
	const halted = fleet.untilState('alpha', id, 'halted');
	assert.match(halted.reason ?? '', /^beta failed: it lost its state while this rollout ran.* resume_rollout tries/);
	assert.deepEqual(
		fleet.begun.map((one) => `${one.node} ${one.attempt}`),
		['beta 1'],
	);
	assert.ok(fleet.say('gamma', { kind: 'resume', rollout: id, skip: [], user: 'admin' }).ok);
	const { nodes } = fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		nodes.map((one) => `${one.node} ${one.state} ${one.attempt}`),
		['beta back 2', 'gamma back 2', 'alpha back 2'],
	);
});

test('admit_node lets a node vote that lost its state while another one is away', () => {
	const fleet = fresh();
	fleet.node('gamma').kill();
	fleet.node('beta').kill();
	fleet.node('beta').disk.lose();
	fleet.run(2000);
	fleet.node('beta').start();
	fleet.run(1000);
	assert.equal(fleet.say('alpha', { kind: 'admit', node: 'beta', user: 'admin' }).ok, true);
	assert.equal(fleet.node('beta').core?.durable.voting, true);
});

test('clustering: every link is made anew, node by node, and no worker is touched', () => {
	const fleet = fresh();
	const before = three.map((name) => fleet.node(name).executor.workers.map((worker) => worker.started));
	const id = fleet.ask('alpha', { service: 'clustering' }).view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(
		three.map((name) => fleet.node(name).executor.workers.map((worker) => worker.started)),
		before,
	);
});

test('clustering_config takes a new member in; all report the new members', () => {
	const fleet = fresh();
	const config = fakeConfig([...three, 'delta'], 'c2');
	for (const name of three) fleet.node(name).file = config;
	fleet.add('delta', config).start();
	const id = fleet.ask('alpha', { service: 'clustering_config' }).view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	fleet.settled();
	for (const name of three) assert.equal(fleet.node(name).core?.memberHash, config.memberHash);
	const next = fleet.ask('delta').view?.id ?? '';
	fleet.untilState('beta', next, 'completed');
});

test('a clustering_config with a fault ends with the reason, and nothing is applied', () => {
	const fleet = fresh();
	for (const name of three) fleet.node(name).file = fakeConfig(three, 'c2');
	fleet.node('gamma').fileFault = 'cluster.peers[1].url: expected ws: or wss:';
	const { view } = fleet.ask('alpha', { service: 'clustering_config' });
	assert.equal(view?.state, 'aborted');
	assert.equal(view?.reason, 'gamma: cluster.peers[1].url: expected ws: or wss:');
	fleet.run(2000);
	for (const name of three) assert.equal(fleet.node(name).applied.configHash, 'c1');
});

test('files that name different members end it, too', () => {
	const fleet = fresh();
	for (const name of three) fleet.node(name).file = fakeConfig([...three, 'delta'], 'c2');
	fleet.node('beta').file = fakeConfig(three, 'c2');
	const { view } = fleet.ask('alpha', { service: 'clustering_config' });
	assert.equal(view?.state, 'aborted');
	assert.match(view?.reason ?? '', /the file of beta names other members than the file of alpha/);
});

test('a command below the promise is refused', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	const stale = fleet.sent.find((one) => one.message.kind === 'restart');
	assert.ok(stale);
	fleet.node('alpha').kill();
	fleet.until('taken over', () => fleet.notes.some((note) => note.event === 'lease_held' && note.node !== 'alpha'));
	fleet.run(20);
	const before = fleet.begun.length;
	fleet.node('gamma').tell({ kind: 'message', from: 'beta', message: stale.message });
	fleet.run(5);
	assert.equal(fleet.begun.length, before);
	assert.ok(fleet.notes.some((note) => note.event === 'command_refused' && note.node === 'gamma'));
	fleet.node('alpha').start();
	fleet.untilState('beta', id, 'completed');
});

test('dry_run shows order, budget and who is down, and does nothing', () => {
	const fleet = fresh();
	const { core } = fleet.node('beta');
	assert.ok(core);
	const request = {
		type: 'restart_service' as const,
		service: 'http_workers' as const,
		app: null,
		replicated: true,
		user: 'admin',
		maxUnavailable: null,
		onFailure: null,
	};
	const plan = estimateOf(core, request, { alpha: 1200, beta: 1000, gamma: 1400 });
	assert.deepEqual(plan, {
		order: ['alpha', 'gamma', 'beta'],
		max_unavailable: 1,
		down: [],
		steps: [
			{ nodes: ['alpha'], estimate_ms: 1200 },
			{ nodes: ['gamma'], estimate_ms: 1400 },
			{ nodes: ['beta'], estimate_ms: 1000 },
		],
		estimate_ms: 3600,
		guess: false,
		refused: null,
		refused_as: null,
	});
	assert.equal(estimateOf(core, request).guess, true, 'nothing was rolled yet');
	core.readiness = { ...core.readiness, availability: 'Unavailable' };
	assert.match(String(estimateOf(core, request).remarks), /^beta: out of service by an operator .* ready_node puts it/);
	core.readiness = { ...core.readiness, availability: null };
	fleet.killed('gamma');
	assert.match(estimateOf(core, request).refused ?? '', /gamma down; max_unavailable is 1/);
	fleet.node('gamma').start();
	fleet.until('gamma is linked again', () => fleet.node('beta').quorum?.links['gamma']?.greeting != null);
	fleet.killed('alpha');
	// Gamma can go; alpha is waited for then, and beta, which coordinates, goes last all the same.
	assert.deepEqual(estimateOf(core, { ...request, maxUnavailable: 2 }).order, ['gamma', 'alpha', 'beta']);
	assert.deepEqual(fleet.begun, []);
});
