/** Looking first: a rollout that holds after some nodes, covers some nodes, and says why it was asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimateOf } from '../../../src/rollout/requests/estimate.js';
import type { CoreRequest, OperatorCommand } from '../../../src/rollout/messages.js';
import type { RolloutView } from '../../../src/rollout/types.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const five = [...three, 'delta', 'epsilon'];
const fresh = (names = three): SimFleet => new SimFleet(names).settled();
/** Each node has said its zone, as with its hello. */
function zoned(fleet: SimFleet, zoneOf: Record<string, string>): SimFleet {
	for (const node of fleet.nodes.values()) {
		const { members = [], memberHash = '' } = node.core ?? {};
		const known = members.map(({ name }) => ({ name, zone: zoneOf[name] ?? null }));
		node.tell({ kind: 'members', members: known, memberHash });
	}
	fleet.run(10);
	return fleet;
}
const zones = { alpha: 'a', beta: 'a', gamma: 'b' };

const begunIn = ({ begun }: SimFleet): string[] => begun.map((one) => one.node);
const statesOf = (view: RolloutView | undefined): string[] =>
	(view?.nodes ?? [])
		.map(({ node, state, reason }) => `${node} ${state}${reason === null ? '' : `: ${reason}`}`)
		.sort();
const resume = (rollout: string): OperatorCommand => ({ kind: 'resume', rollout, skip: [], user: 'admin' });

test('hold_after pauses with a reason once so many nodes are back, and no node begins before an operator resumes it', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha', { holdAfter: 1 }).view?.id ?? '';
	const held = fleet.untilState('gamma', id, 'paused');
	assert.equal(
		held.reason,
		'held after 1 of 3 nodes, as hold_after asked; resume_rollout continues with the others, abort_rollout ends the rollout',
	);
	assert.deepEqual([held.held, held.hold_after], [true, 1]);
	fleet.run(20_000);
	for (const name of three) assert.deepEqual(fleet.view(name, id)?.reason, held.reason, name);
	assert.deepEqual(begunIn(fleet), ['beta']);
	const { view } = fleet.say('beta', resume(id));
	assert.deepEqual([view?.state, view?.held, view?.reason], ['running', false, null]);
	const done = fleet.untilState('beta', id, 'completed');
	assert.deepEqual(begunIn(fleet), ['beta', 'gamma', 'alpha']);
	assert.deepEqual([done.held, done.hold_after, done.reason], [false, 1, null]);
});

test('a hold survives a takeover, before it was stored and after', () => {
	for (const killAt of ['back', 'held']) {
		const fleet = fresh();
		const id = fleet.ask('alpha', { holdAfter: 1 }).view?.id ?? '';
		if (killAt === 'held') fleet.untilState('beta', id, 'paused');
		else fleet.until('back', () => fleet.node('beta').disk.durable.records.some((one) => one.state === 'back'));
		fleet.killed('alpha');
		fleet.until('taken over', () => fleet.notes.some((note) => note.event === 'lease_held' && note.node !== 'alpha'));
		assert.match(fleet.untilState('gamma', id, 'paused').reason ?? '', /^held after 1 of 3 nodes/);
		fleet.run(10_000);
		assert.deepEqual(begunIn(fleet), ['beta'], killAt);
		fleet.node('alpha').start();
		fleet.say('gamma', resume(id));
		fleet.untilState('alpha', id, 'completed');
		assert.deepEqual(begunIn(fleet).sort(), three, killAt);
	}
});

test('no more nodes begin than the hold says, however many may be out; one that failed does not count', () => {
	const fleet = fresh(five);
	fleet.node('beta').executor.fates = ['refused'];
	const id = fleet.ask('alpha', { holdAfter: 2, maxUnavailable: 4, onFailure: 'continue' }).view?.id ?? '';
	fleet.untilState('gamma', id, 'paused');
	fleet.run(5_000);
	const states = statesOf(fleet.view('gamma', id)).map((text) => text.replace(/:.*/, ''));
	assert.deepEqual(states, ['alpha pending', 'beta refused', 'delta back', 'epsilon back', 'gamma pending']);
});

test('one resume is enough where an operator had paused it before the hold', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha', { holdAfter: 1 }).view?.id ?? '';
	fleet.say('alpha', { kind: 'pause', rollout: id, user: 'admin' });
	fleet.until('held', () => fleet.view('gamma', id)?.held === true);
	fleet.say('gamma', resume(id));
	fleet.untilState('gamma', id, 'completed');
});

test('a hold after all nodes, or after 0, holds nothing; the configured one is for rollouts of workers alone', () => {
	const fleet = fresh();
	fleet.untilState('beta', fleet.ask('alpha', { holdAfter: 3 }).view?.id ?? '', 'completed');
	for (const name of three) Object.assign(fleet.node(name).core?.settings ?? {}, { holdAfter: 1 });
	fleet.untilState('beta', fleet.ask('alpha', { holdAfter: 0 }).view?.id ?? '', 'completed');
	fleet.untilState('beta', fleet.ask('alpha', { service: 'clustering' }).view?.id ?? '', 'completed');
	fleet.untilState('beta', fleet.ask('alpha').view?.id ?? '', 'paused');
});

test('only the selected nodes begin, in any coordinator and after a takeover; the others show that they were not selected', () => {
	const fleet = fresh(five);
	const id = fleet.ask('alpha', { nodes: ['gamma', 'beta', 'gamma'], maxUnavailable: 2 }).view?.id ?? '';
	fleet.until('begun', () => fleet.begun.length === 1);
	fleet.killed('alpha');
	const done = fleet.untilState('delta', id, 'completed');
	assert.deepEqual(begunIn(fleet).sort(), ['beta', 'gamma']);
	assert.deepEqual(statesOf(done), [
		'alpha skipped: not selected',
		'beta back',
		'delta skipped: not selected',
		'epsilon skipped: not selected',
		'gamma back',
	]);
	assert.deepEqual([...done.order].sort(), ['beta', 'gamma']);
	assert.deepEqual(done.selected, { nodes: ['gamma', 'beta'], zone: null });
	assert.equal(done.reason, null, 'a node that is not concerned leaves nothing behind, whether it is heard or not');
	fleet.node('alpha').start();
	fleet.until('alpha knows', () => fleet.view('alpha', id)?.state === 'completed');
	for (const name of five) assert.deepEqual(fleet.view(name, id), done, name);
});

test('a zone selects the nodes in it, as they say it themselves', () => {
	const fleet = zoned(fresh(), zones);
	const { view } = fleet.ask('gamma', { zone: 'a' });
	assert.deepEqual(view?.selected, { nodes: null, zone: 'a' });
	fleet.untilState('gamma', view?.id ?? '', 'completed');
	assert.deepEqual(begunIn(fleet).sort(), ['alpha', 'beta']);
});

test('a node refuses a step of a rollout that does not select it, whoever grants it', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha', { nodes: ['beta'], holdAfter: 1 }).view?.id ?? '';
	const grant = fleet.sent.find(({ to, message }) => to === 'beta' && message.kind === 'restart');
	fleet.until('granted', () => fleet.begun.length === 1);
	const { message } = grant ?? fleet.sent.find(({ message: sent }) => sent.kind === 'restart') ?? {};
	assert.equal(message?.kind, 'restart');
	fleet.node('gamma').tell({ kind: 'message', from: 'alpha', message });
	fleet.untilState('gamma', id, 'completed');
	assert.deepEqual(begunIn(fleet), ['beta']);
});

test('a node that is not selected counts against the budget, and its file is not looked at', () => {
	const fleet = fresh();
	fleet.node('gamma').fileFault = 'http_workers[0].script: missing';
	fleet.untilState('alpha', fleet.ask('alpha', { nodes: ['beta'] }).view?.id ?? '', 'completed');
	fleet.node('gamma').executor.setHealth(false);
	fleet.run(100);
	const { refusal } = fleet.ask('alpha', { nodes: ['beta'] });
	assert.match(refusal?.message ?? '', /gamma .* healthy; max_unavailable is 1, so no node may be taken out/);
	fleet.untilState('alpha', fleet.ask('alpha', { nodes: ['beta'], maxUnavailable: 2 }).view?.id ?? '', 'completed');
	fleet.node('gamma').executor.setHealth(true);
	fleet.run(100);
	const id = fleet.ask('alpha', { nodes: ['alpha', 'beta'] }).view?.id ?? '';
	fleet.until('begun', () => fleet.begun.some((one) => one.rollout === id));
	fleet.node('gamma').executor.setHealth(false);
	fleet.untilState('alpha', id, 'halted');
	fleet.say('alpha', { kind: 'resume', rollout: id, skip: ['gamma'], user: 'admin' });
	assert.deepEqual(statesOf(fleet.untilState('alpha', id, 'completed')), [
		'alpha back',
		'beta back',
		'gamma skipped: not selected',
	]);
});

const unfit: [Partial<CoreRequest>, 'invalid' | 'unavailable', RegExp][] = [
	[{ nodes: ['beta', 'delta'] }, 'invalid', /^'nodes' names delta, which is no member; the members are alpha, beta, g/],
	[{ nodes: ['x', 'y'] }, 'invalid', /^'nodes' names x, y, which are no members/],
	[{ zone: 'c' }, 'invalid', /^'zone' names c, in which no node is; the zones are a, b$/],
	[{ nodes: ['beta', 'gamma'], zone: 'a' }, 'invalid', /^'nodes' names gamma, which is in zone b, not in a$/],
	[
		{ holdAfter: 4 },
		'invalid',
		/^'hold_after' is 4, but the rollout has 3 nodes; it must be at most 3, or 0 not to hold$/,
	],
	[
		{ holdAfter: 2, nodes: ['beta'] },
		'invalid',
		/^'hold_after' is 2, but the rollout has 1 node; it must be at most 1/,
	],
];

test('what the fleet does not have is refused by name, before anything starts, and the plan says the same', () => {
	const fleet = zoned(fresh(), zones);
	const { core } = fleet.node('alpha');
	assert.ok(core);
	const usual = { type: 'restart_service', service: 'http_workers', app: null, replicated: true, user: 'a' } as const;
	for (const [request, code, text] of unfit) {
		const { refusal } = fleet.ask('alpha', request);
		assert.deepEqual([refusal?.code, text.test(refusal?.message ?? '')], [code, true], refusal?.message);
		const plan = estimateOf(core, { ...usual, maxUnavailable: null, onFailure: null, ...request });
		assert.deepEqual([plan.refused_as, plan.refused], [code, refusal?.message]);
	}
	assert.deepEqual(core.durable.open, []);
	const alone = new SimFleet(['solo'], { clustered: false });
	alone.until('started', () => alone.node('solo').core?.started === true);
	assert.match(alone.ask('solo', { nodes: ['beta'] }).refusal?.message ?? '', /beta, which is no member; .* are solo$/);
	const { view } = alone.ask('solo', { nodes: ['solo'], note: 'by hand' });
	assert.equal(alone.untilState('solo', view?.id ?? '', 'completed').note, 'by hand');
});

test('a peer that would coordinate without selection and hold is named, and nothing starts; a note goes through', () => {
	const fleet = new SimFleet(three);
	fleet.killed('gamma');
	fleet.node('gamma').settings.core.protocol = { min: 1, max: 1 };
	fleet.node('gamma').start();
	zoned(fleet.settled(), zones);
	for (const request of [{ nodes: ['beta'] }, { zone: 'a' }, { holdAfter: 1 }, { apps: ['api', 'web'] }]) {
		const { refusal } = fleet.ask('alpha', request);
		assert.match(refusal?.message ?? '', /^'\w+' needs .* protocol 2 on every node; upgrade gamma first$/);
		assert.equal(refusal?.code, 'unavailable');
	}
	assert.deepEqual(fleet.begun, []);
	fleet.untilState('beta', fleet.ask('alpha', { note: 'all of them' }).view?.id ?? '', 'completed');
});

test('a zone is not guessed of a node that was never linked', () => {
	const fleet = fresh();
	fleet.killed('gamma');
	zoned(fleet, { alpha: 'a', beta: 'a' });
	for (const zone of ['a', 'b'])
		assert.match(
			fleet.ask('alpha', { zone }).refusal?.message ?? '',
			/^the zone of gamma is not known, since there was no link yet; start gamma, or name/,
		);
});

test('every node shows why and by whom a rollout was asked for, also after its end', () => {
	const fleet = fresh();
	const id = fleet.ask('alpha', { note: 'hotfix 4.2.1', user: 'token:ci', from: '10.0.0.9' }).view?.id ?? '';
	for (const state of ['running', 'completed'] as const)
		for (const name of three) {
			const view = fleet.untilState(name, id, state === 'running' ? (fleet.view(name, id)?.state ?? state) : state);
			assert.deepEqual([view.note, view.asked_by], ['hotfix 4.2.1', { user: 'token:ci', from: '10.0.0.9' }]);
		}
});

test('a plan shows the hold, the nodes that are left out, and steps that do not reach beyond the hold', () => {
	const fleet = fresh(five);
	const { core } = fleet.node('alpha');
	assert.ok(core);
	const usual = { type: 'restart_service', service: 'http_workers', app: null, replicated: true, user: 'a' } as const;
	const plan = estimateOf(core, {
		...usual,
		maxUnavailable: 2,
		onFailure: null,
		holdAfter: 1,
		nodes: ['beta', 'gamma', 'delta'],
	});
	assert.deepEqual([plan.hold_after, plan.unselected, plan.refused], [1, ['alpha', 'epsilon'], null]);
	assert.deepEqual(
		plan.steps.map(({ nodes }) => nodes),
		[['beta'], ['delta', 'gamma']],
	);
});
