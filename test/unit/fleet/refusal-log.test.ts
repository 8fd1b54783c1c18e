import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesMax, periodMs, RefusalLog } from '../../../src/system/connections/refusal-log.js';

test('strangers who knock without end cost a bounded number of lines, and those not told are counted', () => {
	let now = 0;
	const lines: Record<string, unknown>[] = [];
	const logger = { warn: (line: Record<string, unknown>) => lines.push(line) };
	const refusals = new RefusalLog(
		'link',
		{ now: () => now },
		logger as unknown as ConstructorParameters<typeof RefusalLog>[2],
	);
	for (let n = 0; n < 1_000; n++) refusals.tell(`10.0.0.9:${n}`, 'no certificate');
	assert.equal(lines.length, linesMax);
	assert.deepEqual(lines[0], { event: 'link_refused', remote: '10.0.0.9:0', reason: 'no certificate' });
	now = periodMs;
	refusals.tell('10.0.0.9:1000', 'no certificate');
	assert.deepEqual(lines[linesMax], { event: 'links_refused', more: 1_000 - linesMax });
	assert.equal(lines.length, linesMax + 2);
});
