/** The next node and whether it may begin are decided from zones, health and the budget alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Budget } from '../../../src/rollout/targets/budget.js';
import { mayBegin, orderOf } from '../../../src/rollout/targets/order.js';

const member = (text: string) => {
	const [name = '', zone = null] = text.split('@');
	return { name, zone };
};

const orders: [what: string, pending: string, unhealthy: string, coordinator: string | null, expected: string][] = [
	['by name', 'gamma beta alpha', '', null, 'alpha beta gamma'],
	['by zone, then by name; without a zone first', 'a@west b@east c@east d', '', null, 'd b c a'],
	['the coordinator last, whatever its zone', 'alpha@a beta@b gamma@c', '', 'alpha', 'beta gamma alpha'],
	[
		'unhealthy nodes first, among themselves by name',
		'alpha beta gamma delta',
		'gamma delta',
		null,
		'delta gamma alpha beta',
	],
	['an unhealthy coordinator with the unhealthy ones', 'alpha beta gamma', 'gamma', 'gamma', 'gamma alpha beta'],
	['a coordinator that is not pending changes nothing', 'beta gamma', '', 'alpha', 'beta gamma'],
	['names by code point, so that every node orders alike', 'b B a Z', '', null, 'B Z a b'],
	['none', '', '', 'alpha', ''],
];

for (const [what, pending, unhealthy, coordinator, expected] of orders) {
	test(`order: ${what}`, () => {
		const members = pending.split(' ').filter(Boolean).map(member);
		const given = structuredClone(members);
		assert.equal(orderOf(members, new Set(unhealthy.split(' ')), coordinator).join(' '), expected);
		assert.deepEqual(members, given, 'the list of members is not changed');
	});
}

/** `used` and `maybeOut` by name; `heard` plays no part. */
const begins: [what: string, target: string, used: string, maybeOut: string, max: number, may: boolean][] = [
	['a free slot', 'beta', '', '', 1, true],
	['no slot left', 'beta', 'alpha', 'alpha', 1, false],
	['the second of two slots', 'beta', 'alpha', 'alpha', 2, true],
	['both slots used', 'gamma', 'alpha beta', 'alpha', 2, false],
	['a node that is down already needs no slot', 'beta', 'beta', '', 1, true],
	['and begins beside others that are down, since it makes nothing worse', 'beta', 'alpha beta gamma', '', 1, true],
	['but not beside one that is out', 'beta', 'alpha beta', 'alpha', 1, false],
	['nor beside one that may be out', 'beta', 'beta gamma', 'gamma', 1, false],
	['one that may be out itself is not in its own way', 'beta', 'beta', 'beta', 1, true],
	['two out, of two that may be', 'beta', 'alpha beta', 'alpha', 2, true],
];

for (const [what, target, used, maybeOut, max, may] of begins) {
	test(`may begin: ${what}`, () => {
		const names = (text: string): string[] => text.split(' ').filter(Boolean);
		const budget: Budget = {
			heard: new Set(),
			used: new Map(names(used).map((name) => [name, 'is out'])),
			maybeOut: new Set(names(maybeOut)),
		};
		assert.equal(mayBegin(target, budget, max), may);
	});
}
