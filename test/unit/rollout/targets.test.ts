/** How one target of a rollout stands for the coordinator: by its own record first, by what an earlier one showed only while it is silent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Known, type Situation, targetIn } from '../../support/rollout/decided.js';

const lost = /lost its state while this rollout ran/;

const rows: [what: string, beta: Known, stands: string, reason?: RegExp | null, rest?: Situation][] = [
	['has had no step', {}, 'pending 1'],
	['was granted a step and has not answered', { grant: {} }, 'restarting 1'],
	['says that its step runs', { record: { state: 'restarting' } }, 'restarting 1'],
	['says that it is back, and its evidence shows it', { record: { state: 'back' } }, 'back 1'],
	[
		'says that it is back, and its evidence does not',
		{ record: { state: 'back', proven: false } },
		'failed 1',
		/web-2/,
	],
	['refused its release', { record: { state: 'refused' } }, 'refused 1', /beta says why/],
	['failed', { record: { state: 'failed' } }, 'failed 1', /beta says why/],
	['failed before it was resumed', { record: { state: 'failed' } }, 'pending 2', null, { flags: { attempt: 2 } }],
	['was back before others were resumed', { record: { state: 'back' } }, 'back 1', null, { flags: { attempt: 2 } }],
	['says itself that it lost its state', { record: { state: 'lost' } }, 'failed 1', lost],
	['lost its state before it was resumed', { record: { state: 'lost' } }, 'pending 2', null, { flags: { attempt: 2 } }],
	['had begun, and has no record any more', { grant: { begun: true } }, 'failed 1', lost],
	['was shown as back, and has no record any more', { shown: { state: 'back' } }, 'failed 1', lost],
	['was shown as refused, and has no record any more', { shown: { state: 'refused' } }, 'failed 1', lost],
	[
		'was shown as refused before it was resumed',
		{ shown: { state: 'refused' } },
		'pending 2',
		null,
		{ flags: { attempt: 2 } },
	],
	['is silent, and was never shown', { reported: false }, 'pending 1'],
	['is silent, and was shown as back', { reported: false, shown: { state: 'back' } }, 'back 1'],
	['is silent, and was shown as restarting', { reported: false, shown: { state: 'restarting' } }, 'restarting 1'],
	[
		'is silent, and was shown as refused',
		{ reported: false, shown: { state: 'refused', reason: 'no port' } },
		'refused 1',
		/no port/,
	],
	[
		'is silent, and was shown as refused before it was resumed',
		{ reported: false, shown: { state: 'refused' } },
		'pending 2',
		null,
		{ flags: { attempt: 2 } },
	],
	[
		'is silent, and a majority has stored that it left',
		{ reported: false },
		'back 1',
		null,
		{ flags: { left: ['beta'] } },
	],
	['was skipped', {}, 'skipped 1', /skipped by an operator/, { flags: { skipped: ['beta'] } }],
	['was skipped after it was back', { record: { state: 'back' } }, 'back 1', null, { flags: { skipped: ['beta'] } }],
	[
		'has no such app',
		{},
		'skipped 1',
		/has no app web/,
		{ spec: { app: 'web', without: ['beta'] }, flags: { skipped: ['beta'] } },
	],
	['was not selected', {}, 'skipped 1', /.+/, { spec: { unselected: ['beta'] } }],
	[
		'was told by an operator to end it for itself',
		{ endedHere: 'ended on beta alone' },
		'skipped 1',
		/ended on beta alone/,
	],
	['ended it for itself after it was back', { record: { state: 'back' }, endedHere: 'ended' }, 'back 1'],
];

for (const [what, beta, stands, reason, rest] of rows)
	test(`a target that ${what}: ${stands}`, () => {
		const target = targetIn({ ...rest, beta }, 'beta');
		assert.equal(`${target.state} ${target.attempt}`, stands);
		assert.match(target.reason ?? '', reason ?? /^$/);
		assert.equal(target.hearsay, beta.reported === false && rest?.spec === undefined);
	});

test('the own step is known without a report, and an overdue one is marked unless it was skipped', () => {
	assert.equal(targetIn({ alpha: { record: { state: 'back' } } }, 'alpha').state, 'back');
	const overdue: Known = { grant: { begun: true }, record: { state: 'restarting' }, overdue: true };
	assert.equal(targetIn({ beta: overdue }, 'beta').overdue, true);
	assert.equal(targetIn({ beta: overdue, flags: { skipped: ['beta'] } }, 'beta').overdue, false);
});
