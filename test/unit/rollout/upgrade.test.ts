import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const fresh = (): SimFleet => new SimFleet(three).settled();

/** What the next start of these nodes brings up. */
function upgraded(fleet: SimFleet, names: readonly string[], protocol: { min: number; max: number }): void {
	for (const name of names) fleet.node(name).settings.core.protocol = protocol;
}

test('a rolling restart into a newer protocol goes through: two versions meet while they have one in common', () => {
	const fleet = fresh();
	upgraded(fleet, three, { min: 1, max: 3 });
	const id = fleet.ask('alpha', { type: 'restart', service: null }).view?.id ?? '';
	fleet.until('beta is back', () => fleet.node('beta').disk.durable.records.some((one) => one.state === 'back'));
	assert.deepEqual(
		three.map((name) => fleet.node(name).core?.settings.protocol.max),
		[2, 3, 2],
		'old and new take part in the same rollout',
	);
	fleet.untilState('gamma', id, 'completed');
	assert.deepEqual(
		three.map((name) => fleet.node(name).core?.durable.boot),
		[2, 2, 2],
	);
	fleet.settled();
	fleet.untilState('gamma', fleet.ask('gamma').view?.id ?? '', 'completed');
});

test('a node that comes back without a version in common halts the roll before the next step, and is counted as out until it is mended', () => {
	const fleet = fresh();
	upgraded(fleet, three, { min: 3, max: 4 });
	const id = fleet.ask('alpha', { type: 'restart', service: null }).view?.id ?? '';
	const halted = fleet.untilState('alpha', id, 'halted');
	assert.match(halted.reason ?? '', /beta is not back within the deadline/);
	assert.deepEqual([...new Set(fleet.begun.map((one) => one.node))], ['beta'], 'no other node was taken down');
	const { refusal } = fleet.ask('gamma');
	assert.equal(refusal?.code, 'unavailable');
	assert.match(refusal?.message ?? '', /beta takes no part \(speaks protocol 3 to 4, .*, so no node may be taken out/);
	upgraded(fleet, ['beta'], { min: 1, max: 3 });
	fleet.node('beta').kill();
	fleet.node('beta').start();
	upgraded(fleet, three, { min: 1, max: 3 });
	const { ok, view } = fleet.say('gamma', { kind: 'resume', rollout: id, skip: [], user: 'admin' });
	assert.equal(ok, true);
	fleet.untilState('beta', view?.id ?? '', 'completed');
});
