/** Why a rollout halted is stored without what an operator may do about it; what earlier builds stored in one text is shown as well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notRevertedReason, revertedReason } from '../../../src/rollout/controller/reasons.js';
import type { RolloutFlags } from '../../../src/rollout/messages.js';
import { firstFlags } from '../../../src/rollout/records.js';
import { haltText, remarkOn } from '../../../src/rollout/views/text.js';
import type { NodeRecord, RolloutSpec } from '../../../src/rollout/types.js';

const advice = 'resume_rollout tries beta again, with skip it stays as it is, abort_rollout ends the rollout';
/** The app's own last words may read like an advice. */
const quoting = 'beta refused: the app said: gave up. resume_rollout tries harder';

const rows: { what: string; flags: Pick<RolloutFlags, 'halted' | 'advice'>; shown: string; reason: string }[] = [
	{
		what: 'stored apart',
		flags: { halted: 'beta refused: it answers 500', advice },
		shown: `beta refused: it answers 500. ${advice}`,
		reason: 'beta refused: it answers 500',
	},
	{
		what: 'with words that read like an advice',
		flags: { halted: quoting, advice },
		shown: `${quoting}. ${advice}`,
		reason: quoting,
	},
	{ what: 'without advice', flags: { halted: quoting, advice: null }, shown: quoting, reason: quoting },
	{
		what: 'stored in one by an earlier build',
		flags: { halted: `beta refused: it answers 500. ${advice}` },
		shown: `beta refused: it answers 500. ${advice}`,
		reason: 'beta refused: it answers 500',
	},
];

for (const { what, flags, shown, reason } of rows) {
	test(`a halt ${what} is shown whole, and its reason alone when it was put back`, () => {
		const open = { spec: {} as RolloutSpec, flags: { ...firstFlags(null), ...flags } };
		assert.equal(haltText(open.flags), shown);
		assert.equal(revertedReason(open, 'r2'), `${reason}; reverted by r2`);
		assert.deepEqual(notRevertedReason(open, ['beta'], 'nothing to put back: no node runs it.'), {
			halted: `${reason}; nothing to put back: no node runs it`,
			advice: 'resume_rollout tries beta again, abort_rollout ends the rollout',
		});
	});
}

test('a step that went well says what it cost, and what it was not judged by', () => {
	const rows: [state: NodeRecord['state'], cutOff: number, reason: string | null, said: string | null][] = [
		['back', 0, null, null],
		['back', 1, null, '1 request or connection was ended by drain.timeout'],
		['back', 0, 'web: not compared', 'web: not compared'],
		['back', 2, 'web: not compared', '2 requests or connections were ended by drain.timeout; web: not compared'],
		['refused', 2, 'web: it answers 500', null],
	];
	for (const [state, cutOff, reason, said] of rows)
		assert.equal(remarkOn({ state, result: { cutOff, reason } } as NodeRecord), said);
	assert.equal(remarkOn(null), null);
});
