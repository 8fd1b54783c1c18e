import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyDurable, entriesOf, foldEntry } from '../../../src/fleet/core/durable.js';
import { fleetLeaseMs, SimFleet } from '../../support/rollout/sim-fleet.js';

const names = ['alpha', 'beta', 'gamma'];
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Between the end of a rollout and the moment at which a node that was away hears of it. */
const slackMs = 500;

function takeOver(fleet: SimFleet): void {
	const wasLeading = fleet.node('alpha').core?.coordination.leads() !== null;
	fleet.killed('alpha');
	if (wasLeading) fleet.until('beta leads', () => fleet.node('beta').core?.coordination.leads() !== null);
	fleet.node('alpha').start();
	fleet.run(fleetLeaseMs);
}

/** What happens to the clocks, each time in the middle of a rollout and between two. */
const jumps: readonly { what: string; jump: (fleet: SimFleet) => void; before?: (fleet: SimFleet) => void }[] = [
	{ what: 'all clocks go an hour back', jump: (fleet) => fleet.setClocks(-hourMs) },
	{ what: 'all clocks go an hour forward', jump: (fleet) => fleet.setClocks(hourMs) },
	{ what: "the coordinator's clock goes an hour back", jump: (fleet) => fleet.setClocks(-hourMs, ['alpha']) },
	{
		what: 'the coordinator dies, and the clock of its successor is a day behind',
		before: (fleet) => fleet.setClocks(-dayMs, ['beta']),
		jump: takeOver,
	},
	{
		what: 'the coordinator dies, and the clock of its successor is a day ahead',
		before: (fleet) => fleet.setClocks(dayMs, ['beta']),
		jump: takeOver,
	},
	{
		what: 'all clocks go back and every daemon is killed and started',
		jump: (fleet) => {
			fleet.setClocks(-hourMs);
			for (const name of names) fleet.node(name).kill();
			for (const name of names) fleet.node(name).start();
			fleet.run(2 * fleetLeaseMs);
		},
	},
];

/** Whether a wall clock alone can tell how long a rollout took whose every witness was killed. */
const isBlind = (what: string): boolean => what.includes('every daemon');

for (const { what, jump, before } of jumps) {
	test(`${what}: history, the newest and the times taken stay as they happened`, () => {
		const fleet = new SimFleet(names).settled();
		before?.(fleet);
		const ids: string[] = [];
		const took = new Map<string, number>();
		for (const replicated of [true, false, true]) {
			const asked = fleet.time.now;
			const id = fleet.ask('alpha', { replicated }).view?.id ?? '';
			ids.unshift(id);
			if (replicated)
				fleet.until(
					'a node is back',
					() => fleet.view('alpha', id)?.nodes.some((one) => one.state === 'back') === true,
				);
			jump(fleet);
			fleet.until(`${id} has ended`, () => fleet.view('alpha', id)?.state === 'completed');
			took.set(id, fleet.time.now - asked);
			fleet.run(2 * fleetLeaseMs);
			jump(fleet);
		}
		const shared = ids.filter((_, index) => index !== 1);
		assert.deepEqual(
			fleet.history('alpha').map(({ id }) => id),
			ids,
		);
		for (const name of ['beta', 'gamma'])
			assert.deepEqual(
				fleet.history(name).map(({ id }) => id),
				shared,
				name,
			);
		for (const view of fleet.history('alpha')) {
			const whole = (view.ended_at ?? 0) - view.created_at;
			const real = took.get(view.id) ?? 0;
			assert.ok(whole >= 0 && whole <= real + slackMs, `${view.id} took ${whole} of ${real} ms`);
			if (!isBlind(what)) assert.ok(whole >= real - slackMs, `${view.id} took ${whole} of ${real} ms`);
			for (const { node, started_at: started, back_at: back } of view.nodes) {
				assert.ok(started !== null && back !== null, node);
				assert.ok(view.created_at <= started && started <= back && back <= (view.ended_at ?? 0), `${view.id} ${node}`);
			}
		}
	});
}

test('a node that missed a rollout lists it where it happened, not where it heard of it', () => {
	const fleet = new SimFleet(names).settled();
	const run = (): string => {
		const { view } = fleet.ask('alpha', { maxUnavailable: 2 });
		const id = view?.id ?? '';
		fleet.until(
			`${id} is over or waits`,
			() =>
				fleet.view('alpha', id)?.state !== 'running' ||
				fleet.view('alpha', id)?.nodes.filter((one) => one.state === 'back').length === 2,
		);
		return id;
	};
	fleet.killed('gamma');
	const missed = run();
	fleet.say('alpha', { kind: 'resume', rollout: missed, skip: ['gamma'], user: 'admin' });
	fleet.untilState('alpha', missed, 'completed');
	fleet.setClocks(-hourMs);
	fleet.node('gamma').start();
	fleet.run(2 * fleetLeaseMs);
	const later = fleet.ask('alpha').view?.id ?? '';
	fleet.until('gamma knows it', () => fleet.view('gamma', later) !== undefined);
	fleet.killed('alpha');
	fleet.untilState('gamma', later, 'running');
	fleet.run(3 * fleetLeaseMs);
	fleet.node('alpha').start();
	fleet.untilState('gamma', later, 'completed');
	const told = fleet.history('gamma').map(({ id }) => id);
	assert.deepEqual(told, told.length === 2 ? [later, missed] : [later]);
	assert.deepEqual(
		fleet.history('beta').map(({ id }) => id),
		[later, missed],
	);
});

test('the order outlives a rewrite of the log, by this build or by one that does not know of it', () => {
	const fleet = new SimFleet(names).settled();
	const { disk } = fleet.node('alpha');
	const first = fleet.ask('alpha', { replicated: false }).view?.id ?? '';
	fleet.untilState('alpha', first, 'completed');
	for (const name of names) fleet.node(name).executor.fates = ['refused'];
	const second = fleet.ask('alpha').view?.id ?? '';
	fleet.untilState('alpha', second, 'halted');
	const entries = entriesOf(disk.durable);
	const ofItsOwn = entries.filter(({ kind }) => kind === 'heard');
	for (const log of [entries, [...entries.filter(({ kind }) => kind !== 'heard'), ...ofItsOwn]]) {
		const again = emptyDurable();
		for (const entry of log) foldEntry(again, entry);
		assert.deepEqual(again.heard, [first, second]);
	}
});
