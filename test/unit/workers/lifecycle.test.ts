/** A worker's machine does in each state what the table says of each event, and nothing else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
	isServing,
	type Lifecycle,
	type LifecycleEvent,
	newLifecycle,
	type Phase,
	stepLifecycle,
} from '../../../src/workers/pool/lifecycle.js';

const identity = { id: 'web-1', pid: 71, started: 500 };
const next = { id: 'web-1', pid: 72, started: 900 };
const limits = { intensity: 2, periodMs: 1_000 };
const exit = {
	event: 'exited',
	identity,
	detail: 'its process ended',
	at: 0,
	limits,
} as const;
const unseenExit = { ...exit, identity: null };

const spawning: Lifecycle = { ...newLifecycle, pmId: 3 };
const after = (state: Lifecycle, ...events: LifecycleEvent[]): Lifecycle =>
	events.reduce((one, event) => stepLifecycle(one, event).state, state);

const starting = after(spawning, { event: 'spawned', identity }, { event: 'connected' });
const proving = after(starting, { event: 'healthy' });
const joining = after(proving, { event: 'join_began' });
const serving = after(joining, { event: 'joined' });
const draining = after(serving, { event: 'drain_began', detail: null });
const states: Readonly<Record<Phase, Lifecycle>> = {
	spawning,
	starting,
	proving,
	joining,
	serving,
	draining,
	backoff: after(serving, exit),
	failed: after(serving, { event: 'given_up', detail: 'too often' }),
	gone: after(draining, { event: 'forgotten' }),
};

const events: Readonly<Record<string, LifecycleEvent>> = {
	forked: { event: 'forked' },
	spawned: { event: 'spawned', identity: next },
	disowned: { event: 'disowned', detail: 'another user’s' },
	connected: { event: 'connected' },
	healthy: { event: 'healthy' },
	unhealthy: { event: 'unhealthy', detail: 'answered 500', overlooked: false },
	overlooked: { event: 'unhealthy', detail: 'answered 500', overlooked: true },
	join_began: { event: 'join_began' },
	join_refused: { event: 'join_refused' },
	joined: { event: 'joined' },
	approved: { event: 'approved' },
	drain_began: { event: 'drain_began', detail: null },
	drained: { event: 'drained', cutOff: 4 },
	exited: exit,
	exited_unseen: unseenExit,
	exited_before: { ...exit, identity: next },
	adopted: { event: 'adopted', pmId: 9, restarts: 0, approved: true },
	awaits_restart: { event: 'awaits_restart', detail: 'its process ended' },
	orphaned: { event: 'orphaned' },
	replacement_began: { event: 'replacement_began' },
	replacement_ended: { event: 'replacement_ended' },
	given_up: { event: 'given_up', detail: 'too often' },
	forgotten: { event: 'forgotten' },
};

/** The phase after each event, by the phase before it: `=` the same with other facts, `·` nothing changes. */
const table = `
                   spawning  starting  proving   joining   serving   draining  backoff   failed    gone
forked             ·         ·         ·         ·         ·         ·         spawning  ·         ·
spawned            starting  ·         ·         ·         ·         =         starting  ·         ·
disowned           =         =         =         =         =         =         =         =         ·
connected          ·         ·         ·         ·         ·         ·         ·         ·         ·
healthy            ·         proving   ·         ·         ·         ·         ·         ·         ·
unhealthy          ·         =         starting  ·         =         ·         ·         ·         ·
overlooked         ·         =         starting  ·         ·         ·         ·         ·         ·
join_began         ·         ·         joining   ·         ·         ·         ·         ·         ·
join_refused       ·         ·         ·         proving   ·         ·         ·         ·         ·
joined             ·         serving   serving   serving   ·         ·         ·         ·         ·
approved           =         =         =         =         =         =         =         =         ·
drain_began        draining  draining  draining  draining  draining  ·         draining  ·         ·
drained            =         =         =         =         =         =         =         =         ·
exited             ·         backoff   backoff   backoff   backoff   =         ·         =         ·
exited_unseen      backoff   ·         ·         ·         ·         ·         ·         ·         ·
exited_before      ·         ·         ·         ·         ·         ·         ·         ·         ·
adopted            =         =         =         =         =         =         =         =         ·
awaits_restart     backoff   ·         ·         ·         ·         ·         ·         ·         ·
orphaned           =         =         =         =         =         =         =         ·         ·
replacement_began  =         =         =         =         =         =         =         =         ·
replacement_ended  ·         ·         ·         ·         ·         ·         ·         ·         ·
given_up           failed    failed    failed    failed    failed    failed    failed    ·         ·
forgotten          gone      gone      gone      gone      gone      gone      gone      gone      ·
`;

describe('the lifecycle of a worker', () => {
	const [head = '', ...rows] = table.trim().split('\n');
	const phases = head.trim().split(/\s+/) as Phase[];

	test('the table has every phase and every event', () => {
		assert.deepEqual([...phases].sort(), Object.keys(states).sort());
		assert.deepEqual(rows.map((row) => row.split(/\s+/)[0]).sort(), Object.keys(events).sort());
		for (const [phase, state] of Object.entries(states)) assert.equal(state.phase, phase);
	});

	for (const row of rows) {
		const [name = '', ...cells] = row.split(/\s+/);
		test(`${name}: from each phase to the one in the table`, () => {
			const event = events[name];
			assert.ok(event);
			const found = phases.map((phase) => {
				const before = states[phase];
				const { state } = stepLifecycle(before, event);
				if (state === before) return '·';
				return state.phase === phase ? '=' : state.phase;
			});
			assert.deepEqual(found, cells);
		});
	}

	test('exactly a healthy worker that has joined serves', () => {
		const serve = (state: Lifecycle) => isServing(state);
		assert.deepEqual(
			phases.filter((phase) => serve(states[phase])),
			['serving'],
		);
		const ill = after(serving, {
			event: 'unhealthy',
			detail: 'answered 500',
			overlooked: false,
		});
		assert.deepEqual([serve(ill), ill.trouble, serve(after(ill, { event: 'healthy' }))], [false, 'answered 500', true]);
		const found = after(starting, { event: 'unhealthy', detail: 'slow', overlooked: false }, { event: 'joined' });
		assert.deepEqual([found.phase, serve(found), found.trouble], ['serving', false, 'slow']);
		for (const phase of phases) assert.equal(serve(after(states[phase], exit)), false, phase);
	});

	test('a process takes nothing along of the one before it but what counts for the worker', () => {
		const again = after(
			serving,
			{ event: 'drained', cutOff: 2 },
			exit,
			{ event: 'forked' },
			{ event: 'spawned', identity: next },
		);
		assert.deepEqual(again, {
			...newLifecycle,
			phase: 'starting',
			process: { identity: next, connected: false },
			pmId: 3,
			restarts: 1,
			crashes: [0],
		});
	});

	test('the end of a process is told with what it means', () => {
		const kindOf = (state: Lifecycle, event: LifecycleEvent = exit) => stepLifecycle(state, event).exit?.kind ?? null;
		const replaced: LifecycleEvent = { event: 'replacement_began' };
		const crash = (at: number): LifecycleEvent => ({ ...exit, at });
		const revived: LifecycleEvent = { event: 'spawned', identity };
		const twice = after(serving, crash(0), revived, crash(10), revived);
		for (const [what, kind, expected] of [
			['serving', kindOf(serving), 'crashed'],
			['gone before it was seen', kindOf(spawning, unseenExit), 'crashed'],
			['before its host gave its number', kindOf(newLifecycle, unseenExit), 'crashed'],
			['one crash too many', kindOf(twice, crash(20)), 'looped'],
			['the first has lapsed', kindOf(twice, crash(1_005)), 'crashed'],
			['in a replacement', kindOf(after(proving, replaced)), 'fell'],
			['in a replacement, unseen', kindOf(after(newLifecycle, replaced), unseenExit), 'fell'],
			['draining', kindOf(draining), 'left'],
			['given up', kindOf(states.failed), 'left'],
			['an orphan', kindOf(after(serving, { event: 'orphaned' })), 'lost'],
			['a process before it', kindOf(serving, { ...exit, identity: next }), null],
			['forgotten', kindOf(states.gone), null],
		] as const)
			assert.equal(kind, expected, what);
		assert.equal(after(serving, { event: 'orphaned' }, exit).phase, 'gone');
		assert.equal(
			stepLifecycle(
				after(starting, {
					event: 'unhealthy',
					detail: 'late',
					overlooked: false,
				}),
				exit,
			).exit?.reason,
			'late',
		);
	});
});
