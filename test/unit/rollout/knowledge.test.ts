import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inquiryTimeoutMs } from '../../../src/rollout/requests/inquiry.js';
import { fakeConfig, fleetLeaseMs, SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const fresh = (): SimFleet => new SimFleet(three).settled();

test('a node that lost its state knows again what it had helped to store before it votes', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('beta has begun', () => fleet.begun.length > 0);
	for (const other of ['alpha', 'beta'])
		for (const [from, to] of [
			[other, 'gamma'],
			['gamma', other],
		] as const)
			fleet.network.cut(from, to);
	fleet.run(2 * fleetLeaseMs);
	assert.equal(fleet.say('alpha', { kind: 'pause', rollout: id, user: 'admin' }).ok, true);
	assert.equal(fleet.node('gamma').disk.durable.open[0]?.flags.paused, false, 'gamma was not told');
	fleet.killed('alpha');
	fleet.node('beta').kill();
	fleet.node('beta').disk.lose();
	fleet.network.healAll();
	fleet.node('beta').start();
	fleet.run(3 * fleetLeaseMs);
	assert.equal(fleet.node('beta').core?.durable.voting, false, 'alpha may know what beta has forgotten');
	fleet.node('alpha').start();
	fleet.until('beta votes', () => fleet.node('beta').disk.durable.voting);
	assert.equal(fleet.node('beta').disk.durable.open[0]?.flags.paused, true);
	const begun = fleet.begun.length;
	fleet.killed('alpha');
	fleet.until('another coordinator', () => fleet.view('gamma', id)?.coordinator !== 'alpha');
	fleet.run(2 * fleetLeaseMs);
	assert.equal(fleet.view('gamma', id)?.state, 'paused');
	assert.equal(fleet.begun.length, begun, 'nothing goes on that an operator has paused');
});

test('a request is not refused because of a rollout whose end is still on its way to this node', () => {
	for (const replicated of [true, false]) {
		const fleet = fresh();
		fleet.node('gamma').settings.syncMs = 40;
		const id = fleet.ask('alpha').view?.id ?? '';
		fleet.untilState('alpha', id, 'completed');
		assert.equal(fleet.view('gamma', id)?.state, 'running', 'it does not know yet');
		const { ok, refusal } = fleet.ask('gamma', { replicated });
		assert.equal(ok, true, refusal?.message);
	}
});

test('a rollout whose coordinator says nothing counts as running', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.network.cut('gamma', 'alpha');
	const { refusal, afterMs } = fleet.ask('gamma');
	assert.equal(refusal?.code, 'conflict');
	assert.deepEqual(refusal?.extra, { job_id: id });
	assert.ok(afterMs <= inquiryTimeoutMs + 5);
});

test('a dry run asks every target for its file and names the one with a fault; nothing is promised or stored', () => {
	const fleet = fresh();
	const dry = (service: 'http_workers' | 'clustering_config', replicated = true): string | undefined => {
		const request = { type: 'restart_service', service, app: null, replicated, user: 'admin' } as const;
		const token = `dry-${fleet.time.now}`;
		fleet.node('alpha').tell({ kind: 'look', token, request: { ...request, maxUnavailable: null, onFailure: null } });
		return fleet.answer(token).refusal?.message;
	};
	assert.equal(dry('http_workers'), undefined);
	fleet.node('gamma').fileFault = 'http_workers[0].exec: no such file';
	assert.equal(dry('http_workers'), 'gamma: http_workers[0].exec: no such file');
	assert.equal(dry('http_workers', false), undefined, 'a rollout of alpha alone has nothing to do with it');
	fleet.node('gamma').fileFault = null;
	fleet.node('beta').file = fakeConfig(['alpha', 'beta'], 'c2');
	assert.match(dry('clustering_config') ?? '', /the file of beta names other members than the file of alpha/);
	fleet.killed('gamma');
	assert.match(dry('clustering_config') ?? '', /needs every node that stays in the fleet; not linked: gamma/);
	assert.equal(dry('http_workers'), undefined, 'who is down is said by the plan itself');
	for (const name of ['alpha', 'beta']) assert.equal(fleet.node(name).disk.durable.promised.counter, 0);
});
