import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planWith } from '../../../src/fleet/core/plan.js';
import type { CheckResult, NodeApps } from '../../../src/rollout/messages.js';
import { lackingApp } from '../../../src/rollout/requests/request.js';
import { faultOf } from '../../../src/rollout/requests/member-change.js';
import type { CoreState } from '../../../src/rollout/state.js';
import type { RolloutPlan } from '../../../src/rollout/types.js';

const good: CheckResult = { fault: null, members: null, memberHash: null, configHash: null };
const lacks: CheckResult = { ...good, fault: "http_workers has no app 'api'", lacksApp: true };
const request = { type: 'restart_service', service: 'http_workers', app: 'api', replicated: true } as never;

test('nodes without an app are passed over as long as one node has it; any other fault refuses the roll', () => {
	const state = { settings: { self: 'alpha' } } as CoreState;
	const cases: [Record<string, CheckResult>, string[], string | null][] = [
		[{ alpha: good, beta: good }, [], null],
		[{ alpha: lacks, beta: good, gamma: lacks }, ['alpha', 'gamma'], null],
		[{ alpha: lacks, beta: lacks }, ['alpha', 'beta'], "alpha: http_workers has no app 'api'"],
		[{ alpha: lacks, beta: { ...good, fault: 'no script' } }, ['alpha'], 'beta: no script'],
		// A build that does not know how to be passed over.
		[{ alpha: good, beta: { ...lacks, lacksApp: undefined } }, [], "beta: http_workers has no app 'api'"],
	];
	for (const [checks, passed, fault] of cases) {
		assert.deepEqual(lackingApp({ request, checks }), passed);
		assert.equal(faultOf(state, { request, checks }), fault, JSON.stringify(checks));
	}
});

test('a plan remarks lists of apps that differ, and says as which fault a start would be refused', () => {
	const plan = { refused: null, refused_as: null, order: [] } as unknown as RolloutPlan;
	const apps = (names: string[] | null, lacksApp = false): NodeApps => ({
		changes: null,
		names,
		releases: null,
		lacksApp,
	});
	assert.deepEqual(
		planWith(plan, null, { alpha: apps(['web', 'api']), beta: apps(['api', 'web']), old: apps(null) }),
		plan,
	);
	const differ = planWith(plan, null, { gamma: apps([], true), alpha: apps(['web']), beta: apps(['web']) });
	assert.deepEqual(differ.remarks, ['the apps are not the same on all nodes (alpha, beta: web; gamma: none)']);
	const { refused, refused_as } = planWith(plan, 'beta: no script', {});
	assert.deepEqual([refused, refused_as], ['beta: no script', 'unavailable']);
	const running = planWith({ ...plan, refused: 'Rollout r1 runs', refused_as: 'conflict' }, 'beta: no script', {});
	assert.deepEqual([running.refused, running.refused_as], ['Rollout r1 runs', 'conflict']);
});

test('a plan says from what to what each node would go, and remarks nodes that would start different releases', () => {
	const plan = { refused: null, refused_as: null, order: [] } as unknown as RolloutPlan;
	const going = (revision: string | null, path = '/srv/new.js'): NodeApps => ({
		changes: null,
		names: ['web'],
		releases: { before: { web: { path: '/srv/old.js', revision: 'v1' } }, after: { web: { path, revision } } },
		lacksApp: false,
	});
	const old: NodeApps = { changes: null, names: null, releases: null, lacksApp: false };
	const same = planWith(plan, null, { alpha: going('v2'), beta: going('v2', '/srv/elsewhere.js'), old });
	assert.deepEqual(same.release, {
		alpha: {
			before: { web: { path: '/srv/old.js', revision: 'v1' } },
			after: { web: { path: '/srv/new.js', revision: 'v2' } },
		},
		beta: {
			before: { web: { path: '/srv/old.js', revision: 'v1' } },
			after: { web: { path: '/srv/elsewhere.js', revision: 'v2' } },
		},
	});
	assert.equal(same.remarks, undefined, 'the same revision may lie elsewhere');
	const differ = planWith(plan, null, {
		alpha: going('v2'),
		beta: going('v3'),
		gamma: going('v2'),
		delta: going(null),
	});
	assert.deepEqual(differ.remarks, [
		'web would not be the same release on all nodes (alpha, gamma: v2; beta: v3; delta: /srv/new.js)',
	]);
});
