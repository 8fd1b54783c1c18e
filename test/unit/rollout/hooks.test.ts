/** Hooks: each is recorded before it runs, runs once whatever dies, and nothing follows one that did not go well unless an operator says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperatorCommand } from '../../../src/rollout/messages.js';
import type { HookName, RolloutView } from '../../../src/rollout/types.js';
import type { HookFate } from '../../support/rollout/fake-executor.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const three = ['alpha', 'beta', 'gamma'];
const all: readonly HookName[] = ['before_rollout', 'after_rollout', 'before_node', 'after_node'];

interface Watched {
	fleet: SimFleet;
	/** What happened in order: `alpha before_rollout running`, `beta replaces`. */
	course: string[];
}

/** `fates`: of the hooks' commands on each node, in turn; the last one stays. */
function watched(hooks: readonly HookName[], fates: Record<string, HookFate[]> = {}): Watched {
	const fleet = new SimFleet(three, { hooks }).settled();
	const course: string[] = [];
	for (const [name, some] of Object.entries(fates)) fleet.node(name).executor.hooks = { fates: some, ms: 20 };
	fleet.onEffect = (node, effect) => {
		if (effect.kind === 'run_hook') course.push(`${node} ${effect.hook} ${effect.state}`);
		if (effect.kind === 'run_step')
			course.push(`${node} ${effect.refused === undefined ? 'replaces' : 'is left alone'}`);
	};
	return { fleet, course };
}

const resume = (rollout: string): OperatorCommand => ({ kind: 'resume', rollout, skip: [], user: 'admin' });
const abort = (rollout: string): OperatorCommand => ({ kind: 'abort', rollout, user: 'admin' });
const ofNode = (view: RolloutView, name: string) => view.nodes.find(({ node }) => node === name);

test('the hooks run in order, each once: around the rollout on its coordinator, around each step on its node', () => {
	const { fleet, course } = watched(all);
	const id = fleet.ask('alpha', { note: 'why' }).view?.id ?? '';
	const done = fleet.untilState('beta', id, 'completed');
	const turn = (node: string) => [`${node} before_node running`, `${node} replaces`, `${node} after_node back`];
	const turns = ['beta', 'gamma', 'alpha'].flatMap(turn);
	assert.deepEqual(course, ['alpha before_rollout running', ...turns, 'alpha after_rollout completed']);
	const run = { state: 'done', node: 'alpha', detail: 'exited with 0' };
	assert.deepEqual(done.hooks, { before_rollout: run, after_rollout: run });
	for (const name of three) {
		const own = { ...run, node: name };
		assert.deepEqual(ofNode(done, name)?.hooks, { before_node: own, after_node: own });
	}
});

test('a rollout without hooks sends and stores no word of them, and neither does one that restarts no workers', () => {
	for (const [hooks, service] of [
		[[], 'http_workers'],
		[all, 'clustering'],
	] as const) {
		const { fleet, course } = watched(hooks);
		const stored: unknown[] = [];
		const onEffect = fleet.onEffect;
		fleet.onEffect = (node, effect) => {
			onEffect(node, effect);
			if (effect.kind === 'store') stored.push(effect.entries);
		};
		const id = fleet.ask('alpha', { service }).view?.id ?? '';
		fleet.untilState('beta', id, 'completed');
		assert.ok(!JSON.stringify([fleet.sent, stored]).includes('"hooks"'));
		assert.deepEqual(
			course.filter((line) => !line.endsWith('replaces')),
			[],
		);
	}
});

test('before_rollout that fails halts before any node is touched; resumed, it counts as gone well and does not run again', () => {
	for (const [fate, why] of [
		['failed', /^before_rollout on alpha exited with 1: no such server\. No node was touched/],
		['unknown', /^before_rollout was started on alpha, and how it ended is not known\. No node was touched/],
	] as const) {
		const { fleet, course } = watched(['before_rollout', 'after_rollout'], { alpha: [fate, 'good'] });
		const id = fleet.ask('alpha').view?.id ?? '';
		const halted = fleet.untilState('gamma', id, 'halted');
		assert.match(halted.reason ?? '', why);
		assert.deepEqual(course, ['alpha before_rollout running']);
		const resumed = fleet.say('gamma', resume(id));
		assert.ok(resumed.ok);
		const done = fleet.untilState('gamma', id, 'completed');
		assert.deepEqual([done.hooks?.before_rollout?.state, done.hooks?.before_rollout?.accepted], [fate, 'admin']);
		assert.equal(course.filter((line) => line.includes('before_rollout')).length, 1);
	}
});

test('a coordinator that dies while before_rollout runs, or just after: the next one runs it no second time, and an operator decides', () => {
	for (const last of ['recorded', 'begun', 'ended']) {
		const { fleet, course } = watched(['before_rollout'], { alpha: ['good'] });
		fleet.node('alpha').executor.hooks.ms = last === 'ended' ? 1 : 100_000;
		const id = fleet.ask('alpha').view?.id ?? '';
		const isRecorded = () =>
			[...fleet.nodes.values()].filter((node) => node.core?.durable.open[0]?.flags.hooks?.before_rollout).length > 1;
		if (last === 'recorded') fleet.until('it is recorded', isRecorded);
		else fleet.until('it runs', () => course.length > 0);
		if (last === 'ended') fleet.until('a step begins', () => course.length > 1);
		fleet.killed('alpha');
		if (last !== 'ended') {
			const halted = fleet.untilState('gamma', id, 'halted');
			assert.match(halted.reason ?? '', /^before_rollout was started on alpha, and how it ended is not known/);
			fleet.run(10_000);
			assert.ok(!course.some((line) => line.endsWith('replaces')), last);
		}
		assert.ok(course.filter((line) => line.includes('before_rollout')).length <= 1, last);
		fleet.node('alpha').start();
		if (last !== 'ended') assert.ok(fleet.say('gamma', resume(id)).ok);
		fleet.untilState('gamma', id, 'completed');
		assert.ok(course.filter((line) => line.includes('before_rollout')).length <= 1, last);
	}
});

test('after_rollout runs at the end, completed or aborted, and changes nothing of it: failed, or with a coordinator that died', () => {
	const { fleet, course } = watched(['after_rollout'], { alpha: ['failed'], gamma: ['failed'] });
	const id = fleet.ask('alpha').view?.id ?? '';
	const done = fleet.untilState('beta', id, 'completed');
	assert.equal(done.reason, 'after_rollout on alpha exited with 1: no such server');
	const second = fleet.ask('gamma').view?.id ?? '';
	assert.ok(fleet.say('beta', abort(second)).ok);
	const ended = fleet.untilState('beta', second, 'aborted');
	assert.match(ended.reason ?? '', /^aborted by admin; after_rollout on gamma exited with 1: no such server$/);
	assert.ok(course.includes('alpha after_rollout completed') && course.includes('gamma after_rollout aborted'));

	fleet.node('alpha').executor.hooks = { fates: ['good'], ms: 100_000 };
	const third = fleet.ask('alpha').view?.id ?? '';
	fleet.until('it runs', () => course.filter((line) => line === 'alpha after_rollout completed').length === 2);
	fleet.killed('alpha');
	const over = fleet.untilState('beta', third, 'completed');
	assert.equal(over.reason, 'after_rollout was started on alpha, and how it ended is not known');
	assert.equal(over.hooks?.after_rollout?.state, 'unknown');
});

test('before_node that fails refuses the turn and leaves the workers alone; resumed, the new attempt runs it again', () => {
	const { fleet, course } = watched(['before_node', 'after_node'], { beta: ['failed', 'good'] });
	const before = fleet.node('beta').snapshot().workers;
	const id = fleet.ask('alpha').view?.id ?? '';
	const halted = fleet.untilState('alpha', id, 'halted');
	const beta = ofNode(halted, 'beta');
	assert.equal(beta?.state, 'refused');
	assert.equal(beta?.reason, 'before_node on beta exited with 1: no such server; no worker was touched');
	assert.deepEqual(fleet.node('beta').snapshot().workers, before);
	assert.deepEqual(course, ['beta before_node running', 'beta is left alone']);
	assert.ok(fleet.say('gamma', resume(id)).ok);
	const again = () => ofNode(fleet.view('alpha', id) as RolloutView, 'beta');
	fleet.until('the new attempt', () => again()?.state === 'restarting');
	assert.equal(again()?.ended_at, null, 'when the attempt before ended is not when this one did');
	fleet.untilState('gamma', id, 'completed');
	assert.equal(course.filter((line) => line === 'beta before_node running').length, 2);
});

test('after_node that fails: the node is not back but failed, so the rollout halts and the node counts as out', () => {
	const { fleet } = watched(['after_node'], { beta: ['failed', 'good'] });
	const id = fleet.ask('alpha').view?.id ?? '';
	const halted = fleet.untilState('alpha', id, 'halted');
	const beta = ofNode(halted, 'beta');
	assert.equal(beta?.state, 'failed');
	assert.equal(beta?.reason, 'after_node on beta exited with 1: no such server; its new workers run and are healthy');
	assert.match(fleet.ask('gamma', { nodes: ['gamma'] }).refusal?.message ?? '', /beta is out/);
	assert.ok(fleet.say('gamma', resume(id)).ok);
	fleet.untilState('gamma', id, 'completed');
});

test('a daemon that dies while a hook of its step runs does not run it again: refused before, failed after', () => {
	for (const [hook, state] of [
		['before_node', 'refused'],
		['after_node', 'failed'],
	] as const) {
		const { fleet, course } = watched([hook]);
		fleet.node('beta').executor.hooks.ms = 100_000;
		const id = fleet.ask('alpha').view?.id ?? '';
		fleet.until('it runs', () => course.some((line) => line.startsWith(`beta ${hook}`)));
		fleet.killed('beta');
		fleet.node('beta').start();
		const beta = ofNode(fleet.untilState('alpha', id, 'halted'), 'beta');
		assert.equal(beta?.state, state);
		assert.match(beta?.reason ?? '', new RegExp(`^${hook} was started on beta, and how it ended is not known`));
		assert.equal(course.filter((line) => line.startsWith(`beta ${hook}`)).length, 1);
	}
});

test('a rollout of one node runs them alike: in order, halted by the first that fails, and no second time after a crash', () => {
	const { fleet, course } = watched(all, { alpha: ['good'] });
	const id = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	fleet.untilState('alpha', id, 'completed');
	assert.deepEqual(course.splice(0), [
		'alpha before_rollout running',
		'alpha before_node running',
		'alpha replaces',
		'alpha after_node back',
		'alpha after_rollout completed',
	]);

	fleet.node('alpha').executor.hooks = { fates: ['failed', 'good'], ms: 20 };
	const second = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	assert.match(fleet.untilState('alpha', second, 'halted').reason ?? '', /^before_rollout on alpha exited with 1/);
	assert.ok(fleet.say('alpha', resume(second)).ok);
	fleet.untilState('alpha', second, 'completed');
	course.splice(0);

	fleet.node('alpha').executor.hooks.ms = 100_000;
	const third = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	fleet.until('it runs', () => course.length > 0);
	fleet.killed('alpha');
	fleet.node('alpha').start();
	assert.match(fleet.untilState('alpha', third, 'halted').reason ?? '', /how it ended is not known/);
	fleet.node('alpha').executor.hooks.ms = 20;
	assert.ok(fleet.say('alpha', abort(third)).ok);
	fleet.untilState('alpha', third, 'aborted');
	assert.deepEqual(course, ['alpha before_rollout running', 'alpha after_rollout aborted']);
});

test('aborted while before_rollout runs: the end waits for the hook, and no node is touched', () => {
	for (const replicated of [true, false]) {
		const { fleet, course } = watched(['before_rollout', 'after_rollout']);
		fleet.node('alpha').executor.hooks.ms = 1_000;
		const id = fleet.ask('alpha', { replicated }).view?.id ?? '';
		fleet.until('it runs', () => course.length > 0);
		assert.ok(fleet.say('alpha', abort(id)).ok);
		const ended = fleet.untilState('alpha', id, 'aborted');
		assert.deepEqual(course, ['alpha before_rollout running', 'alpha after_rollout aborted']);
		assert.equal(ended.hooks?.before_rollout?.state, 'done');
	}
});

test('beside a node of an earlier version a rollout with hooks of its own is refused, and names it; hooks of nodes need nothing', () => {
	const protocols = { gamma: 1 };
	const refused = new SimFleet(three, { hooks: ['before_rollout'], protocols }).settled().ask('alpha');
	assert.equal(refused.refusal?.code, 'unavailable');
	assert.match(
		refused.refusal?.message ?? '',
		/^'rollout\.hooks\.before_rollout' needs a version of Rollcall .* upgrade gamma first$/,
	);
	const fleet = new SimFleet(three, { hooks: ['before_node', 'after_node'], protocols }).settled();
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('beta', id, 'completed');
});
