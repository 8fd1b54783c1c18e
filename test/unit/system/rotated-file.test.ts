import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	appendFileSync,
	chmodSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import type { AuditRecord } from '../../../src/operations/types.js';
import { Audit } from '../../../src/server/audit.js';
import { RotatedFile } from '../../../src/system/files/rotated-file.js';

let folder: string;
let path: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-rotated-'));
	path = join(folder, 'audit.log');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('lines are kept in files of mode 0600 that stay bounded, and the last ones are read over all of them', () => {
	const file = new RotatedFile(path, { bytesMax: 1_000, keep: 2 });
	for (let line = 0; line < 500; line++) file.append(`line ${line}`.padEnd(49, '.'));
	assert.deepEqual(readdirSync(folder).sort(), ['audit.log', 'audit.log.1', 'audit.log.2']);
	for (const name of readdirSync(folder)) {
		const { size, mode } = statSync(join(folder, name));
		assert.ok(size <= 1_000, `${name} has ${size} bytes`);
		assert.equal(mode & 0o777, 0o600);
	}
	const last = file.last(45).map((line) => Number(/\d+/.exec(line)?.[0]));
	assert.deepEqual(
		last,
		Array.from({ length: 45 }, (_, index) => 455 + index),
	);
	assert.equal(file.last(1_000).length, 60, 'as many as there are');
	file.close();
});

test('a line that was cut never runs into the next one, and a file that was moved away is made anew', () => {
	appendFileSync(path, 'whole\nhalf of a li', { mode: 0o600 });
	const file = new RotatedFile(path, { bytesMax: 1_000, keep: 1 });
	file.append('next');
	assert.equal(readFileSync(path, 'utf8'), 'whole\nhalf of a li\nnext\n');
	renameSync(path, join(folder, 'moved'));
	file.append('after');
	assert.equal(readFileSync(path, 'utf8'), 'after\n');
	chmodSync(path, 0o644);
	file.close();
	assert.throws(() => file.append('x'), /must be a plain file of this user with mode 0600/);
});

const record = (operation: string): AuditRecord => ({
	time: 1,
	user: 'ada',
	uid: 1_000,
	role: 'super_user',
	by: 'socket',
	from: 'socket',
	operation,
	fields: null,
	status: 200,
	error: null,
	rollout: null,
});

test('a full disk behind the file silences no line of the log, is said once, and what is missing is counted', () => {
	const lines: Record<string, unknown>[] = [];
	const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) });
	let isFull = true;
	class Disk extends RotatedFile {
		override append(line: string): void {
			if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
			super.append(line);
		}
	}
	const audit = new Audit(new Disk(path, { bytesMax: 10_000, keep: 1 }), logger);
	for (let change = 0; change < 3; change++) audit.write(record('set_status'));
	assert.match(String(audit.note()), /audit\.log cannot be written \(ENOSPC: .*\): 3 changes stand in the log alone/);
	isFull = false;
	audit.write(record('clear_status'));
	assert.equal(audit.note(), null);
	assert.deepEqual(
		lines.map(({ event, operation }) => [event, operation]),
		[
			['operation', 'set_status'],
			['audit_not_written', undefined],
			['operation', 'set_status'],
			['operation', 'set_status'],
			['operation', 'clear_status'],
			['audit_written_again', undefined],
		],
	);
	assert.deepEqual(audit.list(10), [{ ...record('clear_status'), left_out: 3 }]);
	audit.close();
});

test('a disk that takes a part of a line leaves the lines before it, and the next one whole', () => {
	// A bound on the size of files cuts a write short as a disk does that gets full in the middle of it.
	const module = JSON.stringify(new URL('../../../src/system/files/rotated-file.js', import.meta.url).href);
	const program = `import(${module}).then(({ RotatedFile }) => {
		const file = new RotatedFile(process.argv[1], { bytesMax: 1e6, keep: 1 });
		file.append('first');
		try { file.append('x'.repeat(2_000)); } catch ({ code }) { console.log(code); }
	});`;
	const script = `trap '' XFSZ; ulimit -f 1; exec "$0" --eval "$1" "$2"`;
	const said = execFileSync('bash', ['-c', script, process.execPath, program, path], { encoding: 'utf8' });
	assert.equal(said, 'EFBIG\n');
	const file = new RotatedFile(path, { bytesMax: 1e6, keep: 1 });
	file.append('next');
	file.close();
	const lines = readFileSync(path, 'utf8').split('\n');
	assert.deepEqual([lines[0], lines[1]?.slice(0, 3), lines[2], lines[3]], ['first', 'xxx', 'next', '']);
});
