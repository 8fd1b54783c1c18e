/** Lines of workers are read once each, in order, with their times, whatever becomes of the files; nothing that a terminal obeys is left in them. */
import assert from 'node:assert/strict';
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { cleanLine } from '../../../src/system/logs/clean-line.js';
import { LineTimeNotes, LineTimes } from '../../../src/system/logs/line-times.js';
import { type FilePlace, lineBytesMax, type LogRow } from '../../../src/system/logs/line-reader.js';
import { type LogPart, type LogQuery, readLogs } from '../../../src/system/logs/read-logs.js';

let folder: string;
let logs: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-lines-'));
	logs = join(folder, 'self', 'logs');
	mkdirSync(logs, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

const all: LogQuery = { lines: 1_000, since: 0, charactersMax: 8 * 1024 * 1024, follow: false };
const out = (worker: string, turn = ''): string => join(logs, `${worker}-out.log${turn}`);
const note = (size: number, time: number): Buffer => {
	const bytes = Buffer.alloc(16);
	bytes.writeDoubleLE(size, 0);
	bytes.writeDoubleLE(time, 8);
	return bytes;
};

async function rowsOf(query: Partial<LogQuery> = {}): Promise<LogRow[]> {
	const rows: LogRow[] = [];
	const parts = readLogs(folder, { ...all, ...query }, new AbortController().signal);
	for await (const part of parts) rows.push(...part.rows);
	return rows;
}
const textsOf = async (query: Partial<LogQuery> = {}) => (await rowsOf(query)).map(({ text }) => text);

describe('the lines that are there', () => {
	test('come by their time, from turned-over files too, as far as they were asked for', async () => {
		writeFileSync(out('web-1', '.1'), 'a\nb\n');
		utimesSync(out('web-1', '.1'), 1, 1);
		writeFileSync(out('web-1'), 'c\nd\nlast word');
		writeFileSync(join(logs, 'web-1-out.times'), Buffer.concat([note(2, 3_000), note(4, 5_000)]));
		utimesSync(out('web-1'), 7, 7);
		writeFileSync(join(logs, 'api-2-error.log'), 'e\nf\n');
		writeFileSync(join(logs, 'api-2-error.times'), Buffer.concat([note(1, 2_000), note(4, 4_000)]));
		const rows = await rowsOf();
		assert.deepEqual(
			rows.slice(0, -1).map(({ time, worker, stream, text }) => [time, worker, stream, text]),
			[
				[1_000, 'web-1', 'out', 'a'],
				[1_000, 'web-1', 'out', 'b'],
				[2_000, 'api-2', 'error', 'e'],
				[3_000, 'web-1', 'out', 'c'],
				[4_000, 'api-2', 'error', 'f'],
				[5_000, 'web-1', 'out', 'd'],
			],
		);
		assert.equal(rows.at(-1)?.text, 'last word');
		const cases: [Partial<LogQuery>, string[]][] = [
			[{ lines: 2 }, ['e', 'c', 'f', 'd', 'last word']],
			[{ lines: 3 }, ['b', 'e', 'c', 'f', 'd', 'last word']],
			[{ lines: 1, app: 'api' }, ['f']],
			[{ worker: 'web-1', since: 3_000 }, ['c', 'd', 'last word']],
			[{ app: 'api-2' }, ['e', 'f']],
			[{ isMeant: (worker) => worker === 'api-2' }, ['e', 'f']],
			[{ app: 'none' }, []],
		];
		for (const [query, expected] of cases) assert.deepEqual(await textsOf(query), expected, JSON.stringify(query));
	});

	test('are read in bounded memory, the newest of them, and it is said that older ones are left out', async () => {
		const line = `${'x'.repeat(99)}\n`;
		for (const number of [1, 2, 3]) writeFileSync(out(`web-${number}`), line.repeat(20_000));
		let leftOut = false;
		let characters = 0;
		for await (const part of readLogs(
			folder,
			{ ...all, lines: 100_000, charactersMax: 500_000 },
			new AbortController().signal,
		)) {
			leftOut ||= part.leftOut;
			for (const { text } of part.rows) characters += text.length;
		}
		assert.equal(leftOut, true);
		assert.ok(characters > 200_000 && characters < 500_000, String(characters));
	});

	test('have no sequence that a terminal obeys, are shown in parts where they are long, and have times whatever is noted', async () => {
		const cases: [string, string][] = [
			['\u001b[31mred\u001b[0m', 'red'],
			['\u001b]0;title\u0007x\u001b]8;;http://a\u001b\\link\u001b]8;;\u001b\\', 'xlink'],
			['\u009b31mc1\u0085\u007f', 'c1'],
			['\u202eright\u2066to left\u200f', 'rightto left'],
			['a\tb\r', 'a\tb'],
			['\u001bPq#0\u001b\\sixel\u001bc\u001b(B', 'sixel'],
			['\u001b[', ''],
			['\u001b]0;never ended', ''],
		];
		for (const [text, expected] of cases) assert.equal(cleanLine(text), expected, JSON.stringify(text));
		const hostile = '\u001b]'.repeat(200_000);
		assert.equal(cleanLine(hostile), '');
		writeFileSync(out('web-1'), `${'y'.repeat(1024 * 1024)}\nshort\n`);
		writeFileSync(
			join(logs, 'web-1-out.times'),
			Buffer.concat([note(Number.NaN, -1), note(9e15, Number.MAX_VALUE), Buffer.alloc(7, 255)]),
		);
		const rows = await rowsOf();
		assert.equal(rows.at(-1)?.text, 'short');
		assert.equal(
			rows
				.slice(0, -1)
				.map(({ text }) => text)
				.join('').length,
			1024 * 1024,
		);
		assert.ok(rows.every(({ text, time }) => text.length <= lineBytesMax && time > 0 && time <= Date.now()));
	});

	test('a link in the place of a file, of its notes or of the folder is not followed', async () => {
		writeFileSync(join(folder, 'secret'), 'secret\n');
		symlinkSync(join(folder, 'secret'), out('web-1'));
		writeFileSync(out('web-2'), 'own\n');
		symlinkSync(join(folder, 'secret'), join(logs, 'web-2-out.times'));
		mkdirSync(join(folder, 'other'));
		symlinkSync(logs, join(folder, 'other', 'logs'));
		assert.deepEqual(await textsOf(), ['own']);
	});
});

/** Follows and waits, by events alone, until so many lines have come. */
class Follower {
	readonly texts: string[] = [];
	leftOut = 0;
	readonly #abort = new AbortController();
	readonly #parts = readLogs(folder, { ...all, lines: 0, follow: true }, this.#abort.signal);

	async begin(): Promise<this> {
		await this.#parts.next();
		return this;
	}
	async until(last: string): Promise<void> {
		while (!this.texts.includes(last)) {
			const { value, done } = await this.#parts.next();
			if (done) throw new Error(`it ended before ${last}`);
			if (value.leftOut) this.leftOut += 1;
			for (const { text } of value.rows) this.texts.push(text);
		}
	}
	async end(): Promise<void> {
		this.#abort.abort();
		await this.#parts.return(undefined);
	}
}

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `line ${from + index}`);
const joined = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');

const withPlaces = (before: ReadonlyMap<string, FilePlace>, { places = [] }: LogPart): Map<string, FilePlace> =>
	new Map([...before, ...places.map((place) => [`${place.stream} ${place.file}`, place] as const)]);

describe('the lines that come', () => {
	test('are each read once and in order while their file is turned over, written on behind its back, and turned over again unread', async () => {
		writeFileSync(out('web-1'), 'old\n');
		const follower = await new Follower().begin();
		appendFileSync(out('web-1'), joined(numbered(0, 10)));
		await follower.until('line 9');
		appendFileSync(out('web-1'), `${joined(numbered(10, 20))}half of `);
		renameSync(out('web-1'), out('web-1', '.1'));
		writeFileSync(out('web-1'), `line 20\n${joined(numbered(21, 30))}`);
		await follower.until('line 29');
		// A worker that has not opened the new file yet.
		appendFileSync(out('web-1', '.1'), 'late\n');
		await follower.until('late');
		appendFileSync(out('web-1'), joined(numbered(30, 40)));
		for (const turn of [1, 2, 3]) {
			for (const old of [3, 2, 1])
				if (existsSync(out('web-1', `.${old}`))) renameSync(out('web-1', `.${old}`), out('web-1', `.${old + 1}`));
			renameSync(out('web-1'), out('web-1', '.1'));
			writeFileSync(out('web-1'), joined(numbered(30 + turn * 10, 40 + turn * 10)));
		}
		await follower.until('line 69');
		await follower.end();
		const expected = numbered(0, 70).map((line) => (line === 'line 20' ? 'half of line 20' : line));
		assert.deepEqual(
			follower.texts.filter((text) => text !== 'late'),
			expected,
		);
		assert.equal(follower.texts.filter((text) => text === 'late').length, 1);
	});

	test('that went away before they were read are missed, and that is said', async () => {
		writeFileSync(out('web-1'), '');
		const follower = await new Follower().begin();
		appendFileSync(out('web-1'), 'one\n');
		await follower.until('one');
		assert.equal(follower.leftOut, 0);
		appendFileSync(out('web-1'), 'lost\n');
		renameSync(out('web-1'), join(folder, 'away'));
		writeFileSync(out('web-1'), 'two\n');
		await follower.until('two');
		await follower.end();
		assert.deepEqual([follower.texts, follower.leftOut], [['one', 'two'], 1]);
	});

	test('go on after a file was cut, of new workers from their first line, and none of another app', async () => {
		writeFileSync(out('web-1'), 'old and long enough\n');
		const follower = await new Follower().begin();
		truncateSync(out('web-1'));
		appendFileSync(out('web-1'), 'after the cut\n');
		await follower.until('after the cut');
		writeFileSync(out('web-2'), 'first of new\n');
		await follower.until('first of new');
		mkdirSync(join(folder, 'late', 'logs'), { recursive: true });
		writeFileSync(join(folder, 'late', 'logs', 'api-1-out.log'), 'new user\n');
		await follower.until('new user');
		await follower.end();
		assert.deepEqual(follower.texts, ['after the cut', 'first of new', 'new user']);
	});

	test('go on after a break from the places that were told, whatever was turned over meanwhile; new streams from their first line', async () => {
		writeFileSync(out('web-1'), 'old\n');
		writeFileSync(out('web-2'), '');
		const texts: string[] = [];
		let places = new Map<string, FilePlace>();
		/** Reads until the text has come, and keeps the places as one does who asks. */
		const readUntil = async (last: string): Promise<void> => {
			const from = places.size === 0 ? {} : { from: [...places.values()] };
			const query = { ...all, lines: 0, follow: true, ...from };
			for await (const part of readLogs(folder, query, new AbortController().signal)) {
				places = withPlaces(places, part);
				texts.push(...part.rows.map(({ text }) => text));
				if (last === '' || texts.includes(last)) return;
			}
		};
		await readUntil('');
		appendFileSync(out('web-1'), joined(numbered(0, 3_000)));
		await readUntil('line 2999');
		appendFileSync(out('web-1'), 'a whole one\nhalf of ');
		await readUntil('a whole one');
		appendFileSync(out('web-1'), 'a line\n');
		renameSync(out('web-1'), out('web-1', '.1'));
		writeFileSync(out('web-1'), 'next file\n');
		writeFileSync(out('web-3'), 'new\n');
		const before = texts.length;
		await readUntil('next file');
		await readUntil('new');
		assert.deepEqual(texts.slice(before).sort(), ['half of a line', 'new', 'next file']);
		assert.deepEqual(
			texts.filter((text) => text.startsWith('line ')),
			numbered(0, 3_000),
		);
		appendFileSync(out('web-1', '.1'), 'late\n');
		await readUntil('late');
		assert.equal(texts.filter((text) => text === 'late').length, 1);
		places = new Map([...places].map(([key, place]) => [key, { ...place, file: 'gone' }]));
		appendFileSync(out('web-1'), 'after\n');
		const abort = new AbortController();
		for await (const part of readLogs(folder, { ...all, follow: true, from: [...places.values()] }, abort.signal)) {
			if (part.rows.length === 0) continue;
			assert.ok(part.leftOut, 'of files that are gone something may be missing');
			return;
		}
	});

	test('of a flood no more is read than is taken, and none of it is lost', async () => {
		writeFileSync(out('web-1'), '');
		const follower = await new Follower().begin();
		const lines = numbered(0, 200_000);
		writeFileSync(out('web-1'), joined(lines), { flag: 'a' });
		await follower.until('line 999');
		assert.ok(follower.texts.length < 10_000, `${follower.texts.length} lines were read`);
		await follower.until('line 199999');
		await follower.end();
		assert.deepEqual(follower.texts, lines);
	});
});

test('the worker host notes when lines were written, anew once a file was cut', async () => {
	const notes = new LineTimeNotes(logs);
	const times = join(logs, 'web-1-out.times');
	const place = { root: join(folder, 'self'), owner: process.getuid?.() ?? 0 };
	/** Looks again at each turn of the loop: the kernel says when a file has grown, not when that was noted. */
	const until = async (holds: () => boolean): Promise<void> => {
		while (!holds()) await new Promise((resolve) => setImmediate(resolve));
	};
	const timeOf = (at: number) => LineTimes.read(out('web-1'), place).of(at);
	const began = Date.now();
	writeFileSync(out('web-1'), 'one\n');
	await until(() => timeOf(0) !== null);
	const first = timeOf(0) ?? 0;
	assert.ok(first >= began && first <= Date.now());
	assert.equal(timeOf(4), null);
	appendFileSync(out('web-1'), 'two\n');
	await until(() => timeOf(4) !== null);
	assert.equal(timeOf(0), first);
	assert.ok((timeOf(4) ?? 0) > first);
	truncateSync(out('web-1'));
	appendFileSync(out('web-1'), 'x\n');
	await until(() => readFileSync(times).length === 16);
	notes.close();
	// The next host goes on from what is noted, and cuts off half a note.
	appendFileSync(times, 'half');
	const next = new LineTimeNotes(logs);
	appendFileSync(out('web-1'), 'y\n');
	await until(() => readFileSync(times).length === 32);
	next.close();
});
