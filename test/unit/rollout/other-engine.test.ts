/** What is rolled stands on the interface of coordination alone: it works the same on an engine without votes, leases or heartbeats. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Register, ServiceEngine } from '../../support/coordination/service-engine.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];

function fleetOnRegister(): SimFleet {
	const register = new Register();
	const fleet = new SimFleet(three, { engine: (founding) => new ServiceEngine(register, founding) });
	fleet.until('all are linked', () => fleet.node('alpha').core?.coordination.peers().length === 2);
	return fleet;
}

const restartedOnce = (fleet: SimFleet, rollout: string): string[] =>
	fleet.begun.filter((one) => one.rollout === rollout && !one.recovered).map((one) => one.node);

test('a rollout takes every node once, and all know how it ended', () => {
	const fleet = fleetOnRegister();
	const asked = fleet.ask('alpha');
	assert.equal(asked.ok, true);
	const id = asked.view?.id ?? '';
	for (const name of three) fleet.untilState(name, id, 'completed');
	assert.deepEqual(restartedOnce(fleet, id).sort(), three);
});

test('a restart of the whole instance hands the lead over before the coordinator takes itself down', () => {
	const fleet = fleetOnRegister();
	const id = fleet.ask('alpha', { type: 'restart', service: null }).view?.id ?? '';
	for (const name of three) fleet.untilState(name, id, 'completed');
	assert.deepEqual(restartedOnce(fleet, id).sort(), three);
});

test('when the coordinator dies another node finishes, and no node is restarted twice', () => {
	const fleet = fleetOnRegister();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('a step has begun', () => fleet.begun.some((one) => one.rollout === id));
	fleet.node('alpha').kill();
	fleet.until(
		'another node leads',
		() =>
			fleet.node('beta').core?.coordination.leads() != null || fleet.node('gamma').core?.coordination.leads() != null,
	);
	fleet.node('alpha').start();
	for (const name of three) fleet.untilState(name, id, 'completed');
	assert.deepEqual(restartedOnce(fleet, id).sort(), three);
});

test('a second rollout is refused while one runs, and an operator on any node pauses, resumes and aborts it', () => {
	const fleet = fleetOnRegister();
	const id = fleet.ask('alpha').view?.id ?? '';
	const second = fleet.ask('beta');
	assert.equal(second.refusal?.code, 'conflict');
	assert.equal(fleet.say('gamma', { kind: 'pause', rollout: id, user: 'admin' }).ok, true);
	assert.equal(fleet.say('beta', { kind: 'resume', rollout: id, skip: [], user: 'admin' }).ok, true);
	assert.equal(fleet.say('gamma', { kind: 'abort', rollout: id, user: 'admin' }).ok, true);
	for (const name of three) fleet.untilState(name, id, 'aborted');
});

test('a node that fails halts it for all', () => {
	const fleet = fleetOnRegister();
	fleet.node('beta').executor.fates = ['refused'];
	const id = fleet.ask('alpha').view?.id ?? '';
	const view = fleet.untilState('gamma', id, 'halted');
	assert.match(view.reason ?? '', /beta/);
});
