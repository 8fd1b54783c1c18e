/** What counts as down, and how many nodes max_unavailable allows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { budgetOf, countOut, unhealthyIn, whatIsDown } from '../../../src/rollout/targets/budget.js';
import type { Readiness } from '../../../src/rollout/types.js';

const well: Readiness = { apps: [{ app: 'web', wanted: 2, healthy: 2 }], availability: null, draining: false };

const readinesses: [what: string, change: Partial<Readiness>, down: string | null][] = [
	['every wanted worker healthy', {}, null],
	['more than wanted, amid a replacement', { apps: [{ app: 'web', wanted: 2, healthy: 3 }] }, null],
	['no app at all', { apps: [] }, null],
	['an app that wants none', { apps: [{ app: 'web', wanted: 0, healthy: 0 }] }, null],
	['Available by an operator', { availability: 'Available' }, null],
	['one worker short', { apps: [{ app: 'web', wanted: 2, healthy: 1 }] }, '1 of 2 workers of web healthy'],
	[
		'the second app short',
		{ apps: [...well.apps, { app: 'api', wanted: 1, healthy: 0 }] },
		'0 of 1 workers of api healthy',
	],
	['Unavailable by an operator', { availability: 'Unavailable' }, 'availability is Unavailable'],
	['draining', { draining: true }, 'draining'],
	[
		'Unavailable and short: the operator first',
		{ availability: 'Unavailable', apps: [{ app: 'web', wanted: 2, healthy: 0 }] },
		'availability is Unavailable',
	],
];

for (const [what, change, down] of readinesses) {
	test(`${down === null ? 'not down' : 'down'}: ${what}`, () => {
		const readiness = { ...well, ...change };
		assert.equal(whatIsDown(readiness), down);
	});
}

const budgets: [wanted: number | string, members: number, nodes: number | null][] = [
	[1, 3, 1],
	[2, 3, 2],
	[9, 3, 3],
	[0, 3, null],
	[-1, 3, null],
	[1.5, 3, null],
	['2', 3, 2],
	[' 2 ', 3, 2],
	['0', 3, null],
	['34%', 3, 1],
	['50%', 3, 1],
	['67%', 3, 2],
	['100%', 3, 3],
	['1%', 300, 3],
	['10%', 5, 1],
	['0%', 3, null],
	['101%', 3, null],
	['10.5%', 3, null],
	['-10%', 3, null],
	['ten', 3, null],
	['', 3, null],
	['1e1', 30, null],
	['10000', 3, null],
];

for (const [wanted, members, nodes] of budgets) {
	test(`max_unavailable ${JSON.stringify(wanted)} of ${members}: ${nodes ?? 'refused'}`, () => {
		assert.equal(budgetOf(wanted, members), nodes);
	});
}

test('a node that begins uses the budget up; nodes are unhealthy only while they are heard', () => {
	const budget = { heard: new Set(['beta']), used: new Map([['gamma', 'is not heard']]), maybeOut: new Set<string>() };
	countOut(budget, 'beta');
	assert.deepEqual(
		[...budget.used],
		[
			['gamma', 'is not heard'],
			['beta', 'is out'],
		],
	);
	assert.deepEqual([...budget.maybeOut], ['beta']);
	assert.deepEqual([...unhealthyIn(budget)], ['beta']);
});
