import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyDurable, entriesOf, foldEntry } from '../../../src/fleet/core/durable.js';
import { firstFlags } from '../../../src/rollout/records.js';
import type { DurableEntry } from '../../../src/fleet/core/events.js';
import { fakeConfig, fleetLeaseMs, SimFleet } from '../../support/rollout/sim-fleet.js';

const goneMs = 5 * fleetLeaseMs;
const endHere = (rollout: string) => ({ kind: 'end_here', rollout, user: 'eve' }) as const;
const local = { replicated: false } as const;

/** A roll that alpha coordinates, and whose first step is under way when all others die. */
function leftAlone(names: readonly string[]): { fleet: SimFleet; id: string } {
	const fleet = new SimFleet(names).settled();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	for (const name of names.slice(1)) fleet.killed(name);
	return { fleet, id };
}

function endedAlone(names: readonly string[]): { fleet: SimFleet; id: string } {
	const { fleet, id } = leftAlone(names);
	fleet.run(goneMs);
	assert.equal(fleet.say('alpha', endHere(id)).ok, true);
	return { fleet, id };
}

const stateOf = (fleet: SimFleet, id: string, node: string) =>
	fleet.view('alpha', id)?.nodes.find((one) => one.node === node);

test('before five leases without a majority the 503 says how long still, and who is missing', () => {
	const { fleet, id } = leftAlone(['alpha', 'beta']);
	fleet.run(goneMs / 2);
	const { refusal } = fleet.say('alpha', endHere(id));
	assert.equal(refusal?.code, 'unavailable');
	assert.match(
		refusal?.message ?? '',
		/can be ended on alpha alone once no majority has been heard for five leases: in \d s, at \d\d:\d\d:\d\dZ; beta is not linked/,
	);
	assert.doesNotMatch(fleet.view('alpha', id)?.waiting_for ?? '', /--local/);
	fleet.run(goneMs / 2);
	assert.match(
		fleet.view('alpha', id)?.waiting_for ?? '',
		new RegExp(`^frozen, hears 1 of 2; missing: beta.*rollcall rollout abort --local ${id}$`),
	);
	const { view } = fleet.say('alpha', endHere(id));
	assert.equal(view?.state, 'aborted');
	assert.match(view?.reason ?? '', /^ended on alpha alone by eve at \d\d:\d\d:\d\dZ, after \d+ s without a majority$/);
	assert.equal(fleet.view('alpha', id)?.state, 'aborted');
	assert.equal(fleet.say('alpha', endHere(id)).view?.state, 'aborted', 'twice is once');
});

test('while a majority is heard it is ended for all, or not at all', () => {
	const fleet = new SimFleet(['alpha', 'beta', 'gamma']).settled();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	const { refusal } = fleet.say('alpha', endHere(id));
	assert.match(refusal?.message ?? '', /alpha hears a majority of the fleet.*abort_rollout without local/);
	fleet.untilState('alpha', id, 'completed');
	assert.match(fleet.say('alpha', endHere(id)).refusal?.message ?? '', /is completed already/);
	assert.equal(fleet.say('alpha', endHere('nothing')).refusal?.code, 'not_found');
});

test('what is asked of the one that is left says the next command, and works once that was given', () => {
	const { fleet, id } = leftAlone(['alpha', 'beta']);
	fleet.run(goneMs);
	for (const { refusal } of [fleet.ask('alpha', local), fleet.ask('alpha')])
		assert.match(refusal?.message ?? '', new RegExp(`rollcall rollout abort --local ${id}$`));
	fleet.say('alpha', endHere(id));
	const own = fleet.ask('alpha', local).view?.id ?? '';
	fleet.untilState('alpha', own, 'completed');
	assert.match(
		fleet.ask('alpha').refusal?.message ?? '',
		/beta is not linked; 2 of 2 nodes are needed.*take them out of cluster\.peers, then: rollcall restart_service service=clustering_config$/,
	);
	fleet.node('alpha').file = fakeConfig(['alpha'], 'c2');
	fleet.untilState('alpha', fleet.ask('alpha', { ...local, service: 'clustering_config' }).view?.id ?? '', 'completed');
	const alone = fleet.ask('alpha').view;
	assert.equal(alone?.replicated, true);
	fleet.untilState('alpha', alone?.id ?? '', 'completed');
	assert.deepEqual(fleet.node('alpha').core?.durable.open, [], 'nothing is left over');
	assert.equal(fleet.view('alpha', id)?.state, 'aborted');
});

test('an abort for all says so too, and the coordinator that took it keeps it for those who come back', () => {
	const { fleet, id } = leftAlone(['alpha', 'beta']);
	fleet.run(goneMs);
	const { refusal } = fleet.say('alpha', { kind: 'abort', rollout: id, user: 'eve' });
	assert.match(refusal?.message ?? '', new RegExp(`rollcall rollout abort --local ${id}$`));
	assert.equal(fleet.say('alpha', endHere(id)).view?.state, 'aborted');
	fleet.node('beta').start();
	fleet.untilState('beta', id, 'aborted');
});

test('without that command a file with one member makes a fleet that ends it, after a restart too', () => {
	const { fleet, id } = leftAlone(['alpha', 'beta']);
	const alpha = fleet.node('alpha');
	alpha.kill();
	alpha.file = fakeConfig(['alpha'], 'c2');
	alpha.applied = alpha.file;
	alpha.start();
	fleet.until('alpha leads itself', () => alpha.quorum?.lease?.kind === 'held');
	assert.equal(fleet.say('alpha', { kind: 'abort', rollout: id, user: 'eve' }).ok, true);
	fleet.untilState('alpha', id, 'aborted');
	fleet.untilState('alpha', fleet.ask('alpha').view?.id ?? '', 'completed');
});

test('the others come back: the target counts as skipped, they read by whom, and it takes no step', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta', 'gamma']);
	for (const name of ['beta', 'gamma']) fleet.node(name).start();
	const done = fleet.untilState('beta', id, 'completed');
	const own = done.nodes.find(({ node }) => node === 'alpha');
	assert.equal(own?.state, 'skipped');
	assert.match(own?.reason ?? '', /^ended on alpha alone by eve at /);
	assert.notEqual(done.coordinator, 'alpha', 'those who still want it go first');
	assert.deepEqual([...new Set(fleet.begun.map(({ node }) => node))].sort(), ['beta', 'gamma']);
	fleet.untilState('alpha', id, 'completed');
	fleet.untilState('alpha', fleet.ask('alpha').view?.id ?? '', 'completed');
});

test('ended on every node it is aborted once they meet again, not completed by those that had their turn', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta']);
	fleet.killed('alpha');
	fleet.node('beta').start();
	fleet.run(goneMs);
	assert.equal(fleet.say('beta', endHere(id)).view?.state, 'aborted');
	fleet.node('alpha').start();
	fleet.until('both have one end of it', () =>
		['alpha', 'beta'].every((node) => fleet.node(node).core?.durable.open.length === 0),
	);
	for (const node of ['alpha', 'beta']) {
		const view = fleet.view(node, id);
		assert.equal(view?.state, 'aborted', node);
		for (const name of ['alpha', 'beta'])
			assert.match(view?.reason ?? '', new RegExp(`ended on ${name} alone by eve at`));
	}
});

test('while the others go on with it this node is neither free to restart beside it, nor kept from ending it for all', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta', 'gamma']);
	fleet.node('gamma').start();
	fleet.until('somebody coordinates', () =>
		fleet.notes.some(({ node, event }) => node === 'gamma' && event === 'lease_held'),
	);
	const { refusal } = fleet.ask('alpha', local);
	assert.equal(refusal?.code, 'conflict');
	assert.equal(refusal?.extra['job_id'], id);
	assert.equal(fleet.say('alpha', { kind: 'abort', rollout: id, user: 'eve' }).ok, true);
	assert.match(fleet.untilState('alpha', id, 'aborted').reason ?? '', /^aborted by eve/);
});

test('a rollout that only this node still knows is told to the others, and comes to an end all the same', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta', 'gamma']);
	for (const name of ['beta', 'gamma']) {
		fleet.node(name).disk.lose();
		fleet.node(name).start();
	}
	const halted = fleet.untilState('gamma', id, 'halted');
	assert.match(halted.reason ?? '', /(beta|gamma) failed: it lost its state/);
	const onGamma = () => fleet.view('gamma', id)?.nodes.find(({ node }) => node === 'alpha')?.state;
	fleet.until('alpha shows as skipped', () => onGamma() === 'skipped');
	assert.equal(fleet.say('alpha', { kind: 'abort', rollout: id, user: 'eve' }).ok, true);
	fleet.untilState('beta', id, 'aborted');
});

test('a step that runs finishes, counts as out until then, and is back in the end', () => {
	const fleet = new SimFleet(['alpha', 'beta', 'gamma']).settled();
	const id = fleet.ask('gamma').view?.id ?? '';
	fleet.node('alpha').executor.fates = ['hangs', 'good'];
	fleet.until('alpha has begun', () => fleet.begun.some(({ node }) => node === 'alpha'));
	for (const name of ['beta', 'gamma']) fleet.killed(name);
	fleet.run(goneMs);
	assert.match(fleet.say('alpha', endHere(id)).view?.reason ?? '', /alpha may still be restarting/);
	for (const name of ['beta', 'gamma']) fleet.node(name).start();
	fleet.run(4 * fleetLeaseMs);
	assert.deepEqual([...new Set(fleet.begun.map(({ node }) => node))], ['alpha'], 'its slot is taken');
	assert.equal(stateOf(fleet, id, 'alpha')?.state, 'restarting');
	fleet.node('alpha').kill();
	fleet.node('alpha').start();
	const done = fleet.untilState('beta', id, 'completed');
	assert.equal(done.nodes.find(({ node }) => node === 'alpha')?.state, 'back');
});

test('a former member that still knows it finds the rebuilt fleet as a target that ended it', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta']);
	const alpha = fleet.node('alpha');
	for (const members of [['alpha'], ['alpha', 'beta']]) {
		alpha.file = fakeConfig(members, members.join());
		fleet.untilState(
			'alpha',
			fleet.ask('alpha', { ...local, service: 'clustering_config' }).view?.id ?? '',
			'completed',
		);
	}
	assert.equal(fleet.view('alpha', id)?.state, 'aborted');
	fleet.node('beta').start();
	const done = fleet.untilState('beta', id, 'completed');
	assert.deepEqual(done.nodes.map(({ node, state }) => `${node} ${state}`).sort(), ['alpha skipped', 'beta back']);
	fleet.untilState('alpha', id, 'completed');
});

test('what is on disk is read the same again, and by a build that does not know that it ended here', () => {
	const { fleet, id } = endedAlone(['alpha', 'beta']);
	const durable = fleet.node('alpha').disk.durable;
	const again = emptyDurable();
	for (const entry of entriesOf(durable)) foldEntry(again, entry);
	assert.deepEqual(again, durable);
	fleet.node('alpha').kill();
	fleet.node('alpha').start();
	fleet.run(fleetLeaseMs);
	assert.equal(fleet.view('alpha', id)?.state, 'aborted', 'after a restart, too');
	const older = emptyDurable();
	for (const entry of entriesOf(durable)) if (entry.kind !== 'ended_here') foldEntry(older, entry);
	assert.deepEqual(
		older.open.map((one) => one.spec.id),
		[id],
	);
	const spec = durable.open[0]?.spec;
	const view = durable.endedHere[0]?.view;
	assert.ok(spec && view);
	const newer: DurableEntry[] = [
		{ kind: 'open', spec, flags: firstFlags(null) },
		{ kind: 'ending', ending: { rollout: id, epoch: { counter: 9, node: 'beta' }, view } },
		{ kind: 'ended_here', rollout: id, view },
	];
	const ended = emptyDurable();
	for (const entry of newer) foldEntry(ended, entry);
	assert.deepEqual([ended.endedHere, ended.open, ended.ended.length], [[], [], 1], 'an ending for all stays');
});
