import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { test } from 'node:test';
import { pino } from 'pino';
import { entryOf, isJournal, journalDestination, journalSink } from '../../../src/system/systemd/journal.js';
import { createNotifyReceiver } from '../../support/system/notify-receiver.js';

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

/** The fields of an entry in the journal's native protocol. */
function fieldsOf(entry: Buffer): Map<string, string> {
	const fields = new Map<string, string>();
	for (let at = 0; at < entry.length; ) {
		const end = entry.indexOf('\n', at);
		const line = entry.toString('utf8', at, end);
		const equals = line.indexOf('=');
		if (equals >= 0) {
			fields.set(line.slice(0, equals), line.slice(equals + 1));
			at = end + 1;
			continue;
		}
		const length = Number(entry.readBigUInt64LE(end + 1));
		fields.set(line, entry.toString('utf8', end + 9, end + 9 + length));
		assert.equal(entry[end + 9 + length], 10);
		at = end + 9 + length + 1;
	}
	return fields;
}

test('a line becomes an entry: itself as MESSAGE, and its plain values as fields that the journal can be searched by', () => {
	const entries: Buffer[] = [];
	const sink = (entry: Buffer) => entries.push(entry) > 0;
	const lines: string[] = [];
	const log = pino(
		{ base: { pid: 1, node: 'alpha' } },
		journalDestination({ write: (line) => lines.push(line) }, sink),
	);
	const reason = 'it threw\nError: no';
	log.child({ room: 'rollout' }).error({ event: 'node_state', rollout: 'r-1', attempt: 2, reason, nested: { a: 1 } });
	assert.deepEqual(lines, []);
	const { MESSAGE = '', ...fields } = Object.fromEntries(fieldsOf(entries[0] ?? Buffer.alloc(0)));
	assert.deepEqual(fields, {
		PRIORITY: '3',
		SYSLOG_IDENTIFIER: 'rollcall',
		ROLLCALL_NODE: 'alpha',
		ROLLCALL_ROOM: 'rollout',
		ROLLCALL_EVENT: 'node_state',
		ROLLCALL_ROLLOUT: 'r-1',
		ROLLCALL_ATTEMPT: '2',
		ROLLCALL_REASON: reason,
	});
	const { nested, reason: told } = JSON.parse(MESSAGE) as Record<string, unknown>;
	assert.deepEqual([nested, told], [{ a: 1 }, reason]);
});

test('nothing in a line can add a field of another name, and a name that the journal would not take is left out', () => {
	const line = JSON.stringify({ event: 'x\nPRIORITY=0', 'a=b\nPRIORITY': 'c', _pid: '1', ['é']: 1 });
	const fields = fieldsOf(entryOf(line, 6));
	assert.deepEqual([...fields.keys()], ['MESSAGE', 'PRIORITY', 'SYSLOG_IDENTIFIER', 'ROLLCALL_EVENT']);
	assert.equal(fields.get('PRIORITY'), '6');
});

test('entries reach a real datagram socket; what it does not take at once goes to standard output', async (t) => {
	const receiver = await createNotifyReceiver();
	t.after(receiver.close);
	const lines: string[] = [];
	const sink = journalSink({}, undefined, receiver.path);
	const log = pino({ base: null }, journalDestination({ write: (line) => lines.push(line) }, sink));
	log.warn({ event: 'small' });
	assert.match(await receiver.next(), /^MESSAGE=\{.*\}\nPRIORITY=4\n[\s\S]*ROLLCALL_EVENT=small\n$/);
	log.warn({ event: 'large', text: 'x'.repeat(4_000_000) });
	assert.match(lines[0] ?? '', /^<4>\{.*"event":"large"/);
	log.warn({ event: 'small again' });
	assert.match(await receiver.next(), /ROLLCALL_EVENT=small again/);
	const nowhere = journalSink({}, undefined, `${receiver.path}-nowhere`);
	assert.equal(nowhere(Buffer.from('MESSAGE=x\n')), false);
});
