import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { test } from 'node:test';
import { pino } from 'pino';
import { isJournal, journalDestination } from '../../src/system/journal.js';

test('every line carries the syslog priority of its level', () => {
	const lines: string[] = [];
	const log = pino({ level: 'trace' }, journalDestination({ write: (line) => lines.push(line) }));
	log.fatal('a');
	log.error('b');
	log.warn('c');
	log.child({ room: 'fleet' }).info('d');
	log.debug('e');
	log.trace('f');
	assert.deepEqual(
		lines.map((line) => line.slice(0, 3)),
		['<2>', '<3>', '<4>', '<6>', '<7>', '<7>'],
	);
	const child = JSON.parse(String(lines[3]).slice(3)) as Record<string, unknown>;
	assert.deepEqual([child['msg'], child['room']], ['d', 'fleet']);
	assert.ok(lines.every((line) => line.endsWith('\n')));
});

test('the journal is recognised by the stream that JOURNAL_STREAM names, not by the variable alone', () => {
	const { dev, ino } = fstatSync(1);
	assert.equal(isJournal({ JOURNAL_STREAM: `${dev}:${ino}` }), true);
	assert.equal(isJournal({ JOURNAL_STREAM: `${dev}:${ino + 1}` }), false);
	assert.equal(isJournal({}), false);
});
