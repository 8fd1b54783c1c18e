/** Followers are sent what changes, and hold the very views that their coordinator has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEqual } from '../../../src/rollout/equal.js';
import type { RolloutView } from '../../../src/rollout/types.js';
import { changeOf, withChange } from '../../../src/rollout/views/change.js';
import { Random } from '../../support/random.js';
import { SimFleet } from '../../support/rollout/sim-fleet.js';

const five = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'];

/** Compares all views of one epoch and number, on every node, while the fleet runs; how many there were. */
function comparing(fleet: SimFleet): { views: number; follower: number } {
	const known = new Map<string, { node: string; view: RolloutView }>();
	const seen = { views: 0, follower: 0 };
	fleet.onEffect = (name, effect) => {
		if (effect.kind !== 'changed') return;
		const kept = fleet.node(name).core?.views[effect.view.id];
		if (!kept || kept.view !== effect.view) return;
		const key = `${kept.view.id} ${kept.epoch.counter}@${kept.epoch.node} ${kept.number}`;
		const same = known.get(key);
		seen.views += 1;
		if (!same) known.set(key, { node: name, view: kept.view });
		else {
			assert.ok(isEqual(JSON.parse(JSON.stringify(same.view)), kept.view), `${key} on ${same.node} and ${name}`);
			seen.follower += 1;
		}
	};
	return seen;
}

const kindsOf = (fleet: SimFleet, to: string): Set<string> =>
	new Set(
		fleet.sent.filter((one) => one.to === to && one.message.kind.startsWith('view')).map(({ message }) => message.kind),
	);

test('every node has the same view under the same number, also after it was away, and under the next coordinator', () => {
	const fleet = new SimFleet(five, { maxUnavailable: 2 }).settled();
	const seen = comparing(fleet);
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('two steps', () => fleet.begun.length >= 2);
	fleet.node('epsilon').kill();
	fleet.node('epsilon').start();
	fleet.until('three steps', () => fleet.begun.length >= 3);
	fleet.node('alpha').kill();
	fleet.until('another coordinator', () => fleet.view('beta', id)?.coordinator !== 'alpha');
	fleet.node('alpha').start();
	fleet.untilState('gamma', id, 'completed');
	assert.ok(seen.follower > 8, JSON.stringify(seen));
	assert.deepEqual([...kindsOf(fleet, 'gamma')], ['view_change'], 'no whole view is sent');
});

test('a follower that misses a change asks for the whole view, and has it', () => {
	const fleet = new SimFleet(five).settled();
	const seen = comparing(fleet);
	const id = fleet.ask('alpha').view?.id ?? '';
	fleet.until('a view', () => fleet.node('beta').core?.views[id] !== undefined);
	delete fleet.node('beta').core?.views[id];
	fleet.until('the whole view', () => fleet.node('beta').core?.views[id] !== undefined);
	assert.ok(fleet.sent.some(({ from, message }) => from === 'beta' && message.kind === 'view_wanted'));
	fleet.untilState('beta', id, 'completed');
	assert.ok(seen.follower > 8, JSON.stringify(seen));
});

test('a peer of protocol version 1 is sent whole views, and nothing that it does not know', () => {
	const fleet = new SimFleet(five);
	fleet.node('beta').kill();
	fleet.node('beta').settings.core.protocol = { min: 1, max: 1 };
	fleet.node('beta').start();
	fleet.settled();
	const seen = comparing(fleet);
	fleet.untilState('beta', fleet.ask('alpha').view?.id ?? '', 'completed');
	assert.deepEqual([...kindsOf(fleet, 'beta')], ['view']);
	assert.deepEqual([...kindsOf(fleet, 'gamma')], ['view_change']);
	assert.ok(seen.follower > 8, JSON.stringify(seen));
});

test('a change made to the view that it was made from is the other view, whatever the two are', () => {
	const random = new Random(11);
	const state = (): 'pending' | 'back' => random.pick(['pending', 'back']);
	const viewOf = (): RolloutView => {
		const order = [...five].sort(() => random.next() - 0.5);
		return {
			...{ id: 'r1', type: 'restart', service: null, app: null, replicated: true, user: 'admin', state: 'running' },
			...{ reason: null, coordinator: 'alpha', epoch: '1@alpha', max_unavailable: 1, created_at: 1, ended_at: null },
			waiting_for: random.pick([null, 'beta', 'gamma']),
			order,
			nodes: order.map((node) => ({
				...{ node, state: state(), attempt: random.between(1, 2), before: null, reason: random.pick([null, 'why']) },
				after: random.chance(0.5) ? null : { boot: 1, workers: [{ id: 'web', pid: random.between(1, 9), started: 1 }] },
				...{ started_at: null, back_at: random.between(1, 3), ended_at: null },
			})),
		} as RolloutView;
	};
	for (let run = 0; run < 2_000; run++) {
		const [before, after] = [viewOf(), viewOf()];
		const change = JSON.parse(JSON.stringify(changeOf(before, after))) as ReturnType<typeof changeOf>;
		assert.deepEqual(withChange(before, change), after);
	}
	const view = viewOf();
	assert.deepEqual(changeOf(view, { ...view, waiting_for: 'x' }), { waiting_for: 'x', nodes: [] });
});
