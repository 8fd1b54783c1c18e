/** A majority is one of the members; while they change, one of the old and one of the new. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMajority, leftBy, memberHashes } from '../../../src/coordination/quorum/members/voters.js';
import { makeState, openChange } from '../../support/coordination/state.js';

const three = 'alpha beta gamma';
const split = (text: string): string[] => text.split(' ').filter(Boolean);

/** `change`: members after it; `left`: those known to have left by it. */
interface Row {
	what: string;
	members: string;
	change?: string;
	left?: string;
	names: string;
	majority: boolean;
}

const rows: Row[] = [
	{ what: 'two of three', members: three, names: 'alpha beta', majority: true },
	{ what: 'one of three', members: three, names: 'alpha', majority: false },
	{ what: 'half of four', members: `${three} delta`, names: 'alpha beta', majority: false },
	{ what: 'three of four', members: `${three} delta`, names: 'alpha beta delta', majority: true },
	{ what: 'one of two', members: 'alpha beta', names: 'alpha', majority: false },
	{ what: 'a fleet of one is its own', members: 'alpha', names: 'alpha', majority: true },
	{ what: 'none', members: three, names: '', majority: false },
	{ what: 'strangers do not count', members: three, names: 'alpha delta epsilon', majority: false },
	{
		what: 'two added: two of the old three are two of the new five',
		members: three,
		change: `${three} delta epsilon`,
		names: 'alpha beta',
		majority: false,
	},
	{
		what: 'two added: a majority of the new alone',
		members: three,
		change: `${three} delta epsilon`,
		names: 'alpha delta epsilon',
		majority: false,
	},
	{
		what: 'two added: a majority of both',
		members: three,
		change: `${three} delta epsilon`,
		names: 'alpha beta delta',
		majority: true,
	},
	{
		what: 'one taken out: two of the three that stay are two of the old four',
		members: `${three} delta`,
		change: three,
		names: 'alpha beta',
		majority: false,
	},
	{
		what: 'one taken out, and it has left: two of three',
		members: `${three} delta`,
		change: three,
		left: 'delta',
		names: 'alpha beta',
		majority: true,
	},
	{
		what: 'one taken out: its vote counts before it has left',
		members: `${three} delta`,
		change: three,
		names: 'alpha beta delta',
		majority: true,
	},
	{
		what: 'one taken out, and it has left: its vote does not count',
		members: `${three} delta`,
		change: three,
		left: 'delta',
		names: 'alpha delta',
		majority: false,
	},
	{
		what: 'all exchanged: old alone',
		members: three,
		change: 'delta epsilon zeta',
		names: three,
		majority: false,
	},
];

for (const { what, members, change, left = '', names, majority } of rows) {
	test(`${majority ? 'a majority' : 'no majority'}: ${what}`, () => {
		const state = makeState('alpha', split(members));
		if (change !== undefined) state.durable.open = [openChange('c1', split(members), split(change), split(left))];
		assert.equal(isMajority(state, new Set(split(names))), majority);
	});
}

test('a change that only a promise tells of counts as well, and so does who refused because it has left', () => {
	const state = makeState('alpha', split(`${three} delta`));
	const told = [openChange('c1', split(`${three} delta`), split(three))];
	const names = new Set(['alpha', 'beta', 'delta']);
	assert.equal(isMajority(state, names), true);
	assert.equal(isMajority(state, names, told), true, 'three of the old, two of the new');
	assert.equal(isMajority(state, new Set(['alpha', 'beta']), told), false);
	assert.equal(isMajority(state, new Set(['alpha', 'beta']), told, [{ node: 'delta', rollout: 'c1' }]), true);
	assert.equal(isMajority(state, new Set(['alpha', 'beta']), told, [{ node: 'delta', rollout: 'c9' }]), false);
});

test('while members change, the hashes before and after are right', () => {
	const state = makeState('alpha', split(three));
	assert.deepEqual(memberHashes(state), ['alpha+beta+gamma']);
	state.durable.open = [openChange('c1', split(three), ['alpha', 'beta'])];
	assert.deepEqual(memberHashes(state), ['alpha+beta+gamma', 'alpha+beta']);
});

test('a node has left once its own record, or what the others have stored, says that it has done its part', () => {
	const change = openChange('c1', split(three), ['alpha', 'beta']);
	const state = makeState('gamma', split(three));
	state.durable.open = [change];
	assert.equal(leftBy(state), undefined);
	state.durable.records = [{ rollout: 'c1', state: 'back' }];
	assert.equal(leftBy(state), change);
	state.durable.records = [];
	state.durable.open = [openChange('c1', split(three), ['alpha', 'beta'], ['gamma'])];
	assert.equal(leftBy(state), state.durable.open[0]);
	const stays = makeState('alpha', split(three));
	stays.durable.open = [change];
	stays.durable.records = [{ rollout: 'c1', state: 'back' }];
	assert.equal(leftBy(stays), undefined, 'a node that stays never leaves by its part');
});
