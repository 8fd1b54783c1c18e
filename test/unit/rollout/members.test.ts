import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeConfig, fleetLeaseMs, SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const four = [...three, 'delta'];

/** A new file on every host of the fleet, and on new ones that are started with it. */
function filed(names: readonly string[], members: readonly string[]): SimFleet {
	const fleet = new SimFleet(names).settled();
	const config = fakeConfig(members, 'c2');
	for (const name of names) fleet.node(name).file = fakeConfig([...new Set([...members, name])], 'c2');
	for (const name of members) if (!names.includes(name)) fleet.add(name, config).start();
	return fleet;
}

const change = (fleet: SimFleet): string => fleet.ask('alpha', { service: 'clustering_config' }).view?.id ?? '';
const begun = (fleet: SimFleet, name: string): void =>
	fleet.until(`${name} has begun`, () => fleet.begun.some((one) => one.node === name));
const holders = (fleet: SimFleet): string[] =>
	fleet.notes.filter((note) => note.event === 'lease_held').map((note) => note.node);

test('while members are added, a majority of the old ones alone takes nothing over', () => {
	const fleet = filed(three, [...four, 'epsilon']);
	const id = change(fleet);
	begun(fleet, 'beta');
	fleet.killed('alpha');
	fleet.run(6 * fleetLeaseMs);
	assert.deepEqual(holders(fleet), ['alpha'], 'beta and gamma are two of the three, and two of the five');
	fleet.node('alpha').start();
	fleet.untilState('alpha', id, 'completed');
	fleet.settled();
	for (const node of fleet.nodes.values())
		assert.equal(node.core?.memberHash, fakeConfig([...four, 'epsilon']).memberHash);
});

test('a node that has left votes for nobody, and those that remain go on without it and without the coordinator', () => {
	const fleet = filed(four, three);
	const id = change(fleet);
	begun(fleet, 'beta');
	assert.deepEqual(fleet.node('beta').core?.durable.open[0]?.flags.left, ['delta']);
	fleet.killed('alpha');
	const since = fleet.sent.length;
	const paused = fleet.say('gamma', { kind: 'pause', rollout: id, user: 'admin' });
	assert.equal(paused.ok, true, paused.refusal?.message);
	for (const name of ['beta', 'gamma'])
		assert.equal(fleet.node(name).core?.durable.open[0]?.flags.paused, true, `${name} has stored the word`);
	assert.ok(fleet.sent.slice(since).every(({ from, message }) => from !== 'delta' || message.kind !== 'promise'));
	assert.equal(fleet.say('beta', { kind: 'resume', rollout: id, skip: ['alpha'], user: 'admin' }).ok, true);
	fleet.untilState('gamma', id, 'completed');
});

test('an old member that has not left yet counts: without it and the coordinator nobody takes over', () => {
	const fleet = filed(four, three);
	fleet.node('delta').executor.stepMs = 60_000;
	change(fleet);
	begun(fleet, 'delta');
	fleet.node('delta').kill();
	fleet.killed('alpha');
	fleet.run(6 * fleetLeaseMs);
	assert.deepEqual(holders(fleet), ['alpha']);
});

test('a candidate hears from a node that has left that it did, also when the coordinator died before it could say so', () => {
	const fleet = filed(four, three);
	const id = change(fleet);
	fleet.until('delta has left', () =>
		fleet.node('delta').disk.durable.records.some((one) => one.rollout === id && one.state === 'back'),
	);
	fleet.killed('alpha');
	fleet.until('beta takes over', () => holders(fleet).includes('beta'));
	assert.deepEqual(fleet.node('beta').core?.durable.open[0]?.flags.left, ['delta']);
});

test('a node that has left and was away while the change was tried again has not lost its state', () => {
	const fleet = filed(four, three);
	fleet.node('beta').executor.fates = ['hangs'];
	const id = change(fleet);
	begun(fleet, 'beta');
	fleet.node('delta').kill();
	fleet.untilState('gamma', id, 'halted');
	fleet.killed('alpha');
	fleet.until('beta takes over', () => holders(fleet).includes('beta'));
	fleet.node('alpha').start();
	fleet.run(fleetLeaseMs);
	const resumed = fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	assert.equal(resumed.ok, true, resumed.refusal?.message);
	fleet.run(fleetLeaseMs / 9);
	fleet.node('delta').start();
	fleet.run(fleetLeaseMs);
	const view = fleet.view('beta', id);
	assert.equal(view?.state, 'running', view?.reason ?? '');
	assert.equal(view?.nodes.find(({ node }) => node === 'delta')?.state, 'back');
});

test('a file with more new members than old ones ends the change, and nothing is applied', () => {
	const fleet = filed(['alpha', 'beta'], four);
	const { view } = fleet.ask('alpha', { service: 'clustering_config' });
	assert.equal(view?.state, 'aborted');
	assert.match(view?.reason ?? '', /only 2 of the 4 members in the file of alpha are members now/);
	fleet.run(2000);
	for (const name of ['alpha', 'beta']) assert.equal(fleet.node(name).applied.configHash, 'c1');
});

test('nothing is said of old workers at the end of a change that left a node out', () => {
	const fleet = filed(four, three);
	const id = change(fleet);
	const ended = fleet.untilState('gamma', id, 'completed');
	assert.equal(ended.reason, null);
	assert.equal(ended.nodes.find(({ node }) => node === 'delta')?.state, 'back');
});

/** Four nodes, of which delta leaves; gamma does not take up its file, so the change halts with delta and beta done. */
function halfWay(): { fleet: SimFleet; id: string } {
	const fleet = filed(four, three);
	fleet.node('gamma').executor.fates = ['refused'];
	const id = change(fleet);
	fleet.untilState('alpha', id, 'halted');
	return { fleet, id };
}

test('a halted change of members says who has which members, and the ways on', () => {
	const { fleet, id } = halfWay();
	const reason = fleet.view('alpha', id)?.reason ?? '';
	assert.match(
		reason,
		/^gamma refused: nothing was changed.* Correct that, then resume_rollout tries gamma again, or send restart_service/,
	);
	assert.match(
		reason,
		/abort_rollout ends it here: delta left, new members \(alpha, beta, gamma\) on beta, old members \(alpha, beta, delta, gamma\) on alpha, gamma/,
	);
	const roll = fleet.ask('beta');
	assert.deepEqual([roll.refusal?.code, roll.refusal?.extra], ['conflict', { job_id: id, state: 'halted' }]);
});

test('a change of members that is aborted half-way names the command that brings its nodes together, either way', () => {
	const { fleet, id } = halfWay();
	const { view } = fleet.say('beta', { kind: 'abort', rollout: id, user: 'admin' });
	const forward = 'to go forward, run on alpha, gamma: rollcall restart_service service=clustering_config';
	const back = 'to go back, restore the old file on beta, delta and run it there';
	assert.ok(view?.reason?.endsWith(`${forward}; ${back}`), view?.reason ?? '');
	const { refusal } = fleet.ask('alpha', { service: 'clustering_config' });
	assert.match(refusal?.message ?? '', /beta has other members .*run on each: rollcall restart_service/);
	for (const name of ['alpha', 'gamma']) {
		fleet.node(name).executor.fates = ['good'];
		fleet.ask(name, { service: 'clustering_config', replicated: false });
	}
	fleet.run(2 * fleetLeaseMs);
	assert.equal(fleet.ask('gamma').ok, true);
});

test('no node changes the members alone while the others, who would still count it, are linked', () => {
	const fleet = filed(three, ['alpha']);
	const alone = () => {
		const { view } = fleet.ask('alpha', { service: 'clustering_config', replicated: false });
		return fleet.view('alpha', view?.id ?? '');
	};
	const refused = alone();
	assert.equal(refused?.state, 'aborted');
	assert.match(
		refused?.reason ?? '',
		/the file of alpha names other members than the fleet has: it lacks beta, gamma; beta, gamma would still count alpha, .*replicated=true; nothing was applied$/,
	);
	for (const name of ['beta', 'gamma']) fleet.killed(name);
	assert.notEqual(alone()?.state, 'aborted', 'who is alone may part from those that are gone');
});

test('a node that died before the change that takes it out is not asked and not waited for', () => {
	const fleet = filed(four, three);
	fleet.killed('delta');
	const id = change(fleet);
	const { reason, nodes } = fleet.untilState('beta', id, 'completed');
	assert.equal(reason, 'delta did not hear of it; stop it if it still runs');
	assert.deepEqual(
		nodes.map(({ node, state }) => `${node} ${state}`),
		['beta back', 'gamma back', 'alpha back', 'delta skipped'],
	);
	fleet.node('delta').start();
	fleet.run(6 * fleetLeaseMs);
	assert.deepEqual(holders(fleet), ['alpha'], 'it never leads, nor holds anything up');
	assert.equal(fleet.ask('gamma').ok, true);
});

test('a node that stays is asked, dead or not: the refusal says so, and how to take it out', () => {
	const fleet = filed(four, three);
	fleet.killed('gamma');
	const { refusal } = fleet.ask('alpha', { service: 'clustering_config' });
	assert.match(
		refusal?.message ?? '',
		/gamma is not linked; every node that stays is asked .* Start gamma, or take what is gone for good out of cluster\.peers/,
	);
});

test('a change completes without a leaver that died in its part, and says so', () => {
	const fleet = filed(four, three);
	fleet.node('delta').executor.stepMs = 60_000;
	const id = change(fleet);
	begun(fleet, 'delta');
	fleet.killed('delta');
	const { reason } = fleet.untilState('alpha', id, 'completed');
	assert.equal(reason, 'delta was lost in its own step; stop it if it still runs');
	// What it still has of the change does not hold the others up when it is back.
	fleet.node('delta').start();
	const again = fleet.ask('beta', { service: 'http_workers' });
	assert.equal(again.ok, true, again.refusal?.message);
	fleet.untilState('gamma', again.view?.id ?? '', 'completed');
});
