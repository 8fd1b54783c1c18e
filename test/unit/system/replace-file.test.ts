import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeLeftovers, replaceFile } from '../../../src/system/files/replace-file.js';
import { Passwords } from '../../../src/server/access/passwords.js';
import { UserStore } from '../../../src/server/access/users.js';

test('a file is replaced as a whole, for its owner alone; what a killed replacement left is removed, and nothing else', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-replace-'));
	try {
		const file = join(folder, 'users.json');
		writeFileSync(file, 'before', { mode: 0o644 });
		await replaceFile(file, '{"version":1,"users":[]}');
		assert.equal(readFileSync(file, 'utf8'), '{"version":1,"users":[]}');
		assert.equal(statSync(file).mode & 0o777, 0o600);
		const others = ['users.json.bak', 'users.json.1.old', 'users.jsonx.12', 'token.key.34'];
		for (const name of ['users.json.1234567', ...others]) writeFileSync(join(folder, name), '');
		mkdirSync(join(folder, 'users.json.5'));
		await removeLeftovers(file);
		assert.deepEqual(readdirSync(folder).sort(), ['users.json', 'users.json.5', ...others].sort());
		writeFileSync(join(folder, 'users.json.89'), 'half of the users');
		await UserStore.open(folder, { passwords: new Passwords({ log2n: 1, r: 1, p: 1 }), changed: () => undefined });
		assert.equal(readdirSync(folder).includes('users.json.89'), false);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});

test('a file keeps its old content when the disk takes only a part of the new', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-replace-'));
	try {
		const file = join(folder, 'users.json');
		writeFileSync(file, 'before');
		// A bound on the size of files cuts a write short as a disk does that gets full in the middle of it.
		const module = JSON.stringify(new URL('../../../src/system/files/replace-file.js', import.meta.url).href);
		const program = `import(${module}).then(({ replaceFile }) => replaceFile(process.argv[1], 'x'.repeat(100_000)))
			.then(() => console.log('replaced'), ({ code }) => console.log(code));`;
		const limited = ['-c', 'ulimit -f 64; exec "$0" "$@"', process.execPath, '-e', program, file];
		assert.equal(execFileSync('sh', limited, { encoding: 'utf8' }), 'EFBIG\n');
		assert.equal(readFileSync(file, 'utf8'), 'before');
		assert.deepEqual(readdirSync(folder), ['users.json']);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});
