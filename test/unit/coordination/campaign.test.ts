/** Who asks for the lease, and when: a lease after the last heartbeat, one after the other by rank, and only for something open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prepareLimitMs, takeoverAt } from '../../../src/coordination/quorum/campaign.js';
import type { CoordinationState } from '../../../src/coordination/quorum/state.js';
import { leaseMs, linkTo, makeState, openChange, openEntry } from '../../support/coordination/state.js';

const names = ['alpha', 'beta', 'gamma', 'delta'];
const third = leaseMs / 3;
const heardAt = 10_000;

/** `self` with r1 open, linked to all others, last heard from the coordinator at `heardAt`. */
function following(self: string, coordinator = 'alpha'): CoordinationState {
	const state = makeState(self, names);
	state.durable.promised = { counter: 3, node: coordinator };
	state.durable.open = [openEntry('r1', names)];
	state.leaseFrom = heardAt;
	linkTo(
		state,
		names.filter((name) => name !== self),
	);
	return state;
}

interface Row {
	what: string;
	self?: string;
	coordinator?: string;
	but?: (state: CoordinationState) => void;
	/** After the last heartbeat; null: never. */
	afterMs: number | null;
}

const rows: Row[] = [
	{ what: 'the first that is not the coordinator, after a lease', self: 'beta', afterMs: leaseMs },
	{ what: 'the next, a third of a lease later', self: 'gamma', afterMs: leaseMs + third },
	{ what: 'and so on', self: 'delta', afterMs: leaseMs + 2 * third },
	{ what: 'the coordinator of before itself, by its own rank', self: 'alpha', afterMs: leaseMs },
	{
		what: 'a node that is not linked takes nobody’s turn',
		self: 'gamma',
		but: (state) => delete state.links['beta'],
		afterMs: leaseMs,
	},
	{
		what: 'nor does one that takes no part',
		self: 'gamma',
		but: ({ links }) => {
			if (links['beta']) links['beta'].refused = 'speaks protocol 9 to 9';
		},
		afterMs: leaseMs,
	},
	{ what: 'another coordinator is passed over', self: 'gamma', coordinator: 'beta', afterMs: leaseMs + third },
	{
		what: 'nothing is open',
		self: 'beta',
		but: ({ durable }) => {
			durable.open = [];
		},
		afterMs: null,
	},
	{
		what: 'only something of its own is open',
		self: 'beta',
		but: ({ durable }) => {
			durable.open = [openEntry('r1', ['beta'])];
		},
		afterMs: null,
	},
	{
		what: 'it may not vote',
		self: 'beta',
		but: ({ durable }) => {
			durable.voting = false;
		},
		afterMs: null,
	},
	{
		what: 'all that is open has ended on this node alone: last of all',
		self: 'beta',
		but: ({ durable }) => {
			durable.endedHere = [{ rollout: 'r1', view: {} }];
		},
		afterMs: leaseMs + names.length * third,
	},
	{
		what: 'that, without a majority: not at all',
		self: 'beta',
		but: (state) => {
			state.durable.endedHere = [{ rollout: 'r1', view: {} }];
			state.minoritySince = heardAt;
		},
		afterMs: null,
	},
	{
		what: 'one of two open entries has ended here: as ever',
		self: 'beta',
		but: ({ durable }) => {
			durable.open = [...durable.open, openChange('c1', names, names.slice(0, 3))];
			durable.endedHere = [{ rollout: 'c1', view: {} }];
		},
		afterMs: leaseMs,
	},
];

for (const { what, self = 'beta', coordinator, but, afterMs } of rows) {
	test(`takeover by ${self}, ${afterMs === null ? 'never' : `after ${afterMs} ms`}: ${what}`, () => {
		const state = following(self, coordinator);
		but?.(state);
		assert.equal(takeoverAt(state), afterMs === null ? null : heardAt + afterMs);
	});
}

test('a candidate waits longer after each attempt, up to a lease', () => {
	const state = following('beta');
	const waits = [0, 1, 2, 3, 4, 100].map((attempts) => prepareLimitMs({ ...state, attempts }));
	assert.deepEqual(waits, [third, third, 2 * third, leaseMs, leaseMs, leaseMs]);
});
