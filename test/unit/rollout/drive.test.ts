/** What the coordinator does next, from what it knows of each node: one table, no fleet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decidedIn, down, type Known, type Situation } from '../../support/rollout/decided.js';

const back: Known = { record: { state: 'back' } };
const refused: Known = { record: { state: 'refused' } };
const running: Known = { grant: { begun: true }, record: { state: 'restarting' } };

/** Gamma leaves; the others have applied their files. */
const changed: Situation = {
	spec: {
		service: 'clustering_config',
		membersNext: ['alpha', 'beta'].map((name) => ({ name, zone: null })),
		memberHash: 'before',
		memberHashNext: 'abc',
		configHashes: { alpha: 'x', beta: 'x', gamma: 'x' },
	},
	alpha: back,
	beta: back,
};

const rows: [what: string, situation: Situation, decided: (string | RegExp)[]][] = [
	['nothing has begun', {}, ['beta restarts']],
	['the first is back', { beta: back }, ['gamma restarts']],
	['the others are back: the own node comes last', { beta: back, gamma: back }, ['alpha restarts']],
	['all are back', { alpha: back, beta: back, gamma: back }, ['completed']],
	['a step runs, and one may be out', { beta: running }, []],
	['a step runs, and two may be out', { beta: running, spec: { maxUnavailable: 2 } }, ['gamma restarts']],
	[
		'all may be out at once: the own node waits for the others',
		{ spec: { maxUnavailable: 3 } },
		['beta restarts', 'gamma restarts'],
	],
	['another node is down, and one may be out: its turn is first', { gamma: { readiness: down } }, ['gamma restarts']],
	['another node is not heard, and one may be out', { gamma: { heard: false } }, []],
	[
		'another node is not heard, and two may be out',
		{ gamma: { heard: false }, spec: { maxUnavailable: 2 } },
		['beta restarts'],
	],
	['the next node has not stored the rollout yet', { beta: { behind: true } }, ['gamma restarts']],
	['no majority has stored the rollout yet', { confirmed: false }, []],
	['no majority is heard', { majority: false }, []],
	['the pause between two nodes is not over', { beta: back, backAgoMs: 4_000, spec: { waitBetweenMs: 5_000 } }, []],
	[
		'the pause between two nodes is over',
		{ beta: back, backAgoMs: 5_000, spec: { waitBetweenMs: 5_000 } },
		['gamma restarts'],
	],
	['a node that was back is down again', { beta: { ...back, readiness: down } }, []],
	[
		'a node that was back is down again, and more may be out: the change may be bad',
		{ beta: { ...back, readiness: down }, spec: { maxUnavailable: 3 } },
		[],
	],
	['a node that was back is not heard', { beta: { ...back, heard: false } }, []],
	['a node refused', { beta: refused }, [/^halts: beta refused: beta says why\./]],
	[
		'a node says that it is back and did not prove it',
		{ beta: { record: { state: 'back', proven: false } } },
		[/^halts: beta failed: /],
	],
	['a node refused, and the others continue', { beta: refused, spec: { onFailure: 'continue' } }, ['gamma restarts']],
	[
		'a node refused, and the others are done',
		{ alpha: back, beta: refused, gamma: back, spec: { onFailure: 'continue' } },
		[/^halts: beta refused/],
	],
	['a node refused and was skipped', { beta: refused, flags: { skipped: ['beta'] } }, ['gamma restarts']],
	[
		'a step takes longer than the deadline',
		{ beta: { ...running, overdue: true } },
		[/^halts: beta is not back within the deadline/],
	],
	[
		'nothing could begin for a whole deadline',
		{ gamma: { heard: false }, idleMs: 60_000 },
		[/^halts: waited longer than the deadline for a free slot: gamma is not heard/],
	],
	['nothing could begin for less than a deadline', { gamma: { heard: false }, idleMs: 59_999 }, []],
	['nothing could begin, and no majority was heard', { gamma: { heard: false }, idleMs: 60_000, majority: false }, []],
	[
		'a node that leaves is not heard, and the others have applied the change',
		{ ...changed, gamma: { heard: false } },
		['completed'],
	],
	[
		'a node that leaves has refused its part, and is not heard any more',
		{ ...changed, gamma: { ...refused, heard: false } },
		[
			/^halts: gamma failed: gamma says why.*; abort_rollout ends it here: gamma left, new members \(alpha, beta\) on alpha, beta$/,
		],
	],
	[
		'a node that leaves died in its step: the others take theirs, without waiting for the deadline',
		{ ...changed, alpha: {}, beta: {}, gamma: { ...running, heard: false } },
		['beta restarts'],
	],
	['a node that leaves is heard in its step: the others wait', { ...changed, beta: {}, gamma: running }, []],
	[
		'a node that leaves died in its step, longer than the deadline ago',
		{ ...changed, gamma: { ...running, heard: false, overdue: true } },
		['completed'],
	],
	['it is paused', { flags: { paused: true } }, []],
	['it is paused, and a node refused', { beta: refused, flags: { paused: true } }, []],
	['it has halted', { flags: { halted: 'beta refused' } }, []],
	['it is to be aborted, and a step runs', { beta: running, flags: { aborting: { by: 'eve' } } }, []],
	[
		'it is to be aborted, and no step runs',
		{ beta: back, flags: { aborting: { by: 'eve' } } },
		['aborted: aborted by eve'],
	],
	['one is back, and it holds after one', { beta: back, spec: { holdAfter: 1 } }, ['holds']],
	['a step runs, and it holds after one', { beta: running, spec: { holdAfter: 1, maxUnavailable: 3 } }, []],
	[
		'nothing has begun, three may be out, and it holds after one',
		{ spec: { holdAfter: 1, maxUnavailable: 3 } },
		['beta restarts'],
	],
	[
		'an operator has resumed it from its hold',
		{ beta: back, spec: { holdAfter: 1 }, flags: { held: 'over' } },
		['gamma restarts'],
	],
	[
		'the own node restarts as a whole: another one leads first',
		{ beta: back, gamma: back, spec: { type: 'restart', service: null } },
		['hands over to beta'],
	],
	[
		'every node has ended it for itself',
		{ alpha: { endedHere: 'a' }, beta: { endedHere: 'b' }, gamma: { endedHere: 'c' } },
		['aborted: a; b; c'],
	],
	[
		'a silent node was shown as back: it may not count as proven',
		{ alpha: back, beta: back, gamma: { reported: false, shown: { state: 'back' } } },
		[],
	],
];

for (const [what, situation, decided] of rows)
	test(`${what}: ${decided.length === 0 ? 'waits' : decided.map(String).join(', ')}`, () => {
		const lines = decidedIn(situation);
		assert.equal(lines.length, decided.length, lines.join('; '));
		for (const [at, expected] of decided.entries()) {
			if (typeof expected === 'string') assert.equal(lines[at], expected);
			else assert.match(lines[at] ?? '', expected);
		}
	});
