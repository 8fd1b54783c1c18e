import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeLeftovers, replaceFile } from '../../src/replace-file.js';
import { Passwords } from '../../src/server/passwords.js';
import { UserStore } from '../../src/server/users.js';

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
		await removeLeftovers(file);
		assert.deepEqual(readdirSync(folder).sort(), ['users.json', ...others].sort());
		writeFileSync(join(folder, 'users.json.89'), 'half of the users');
		await UserStore.open(folder, new Passwords({ log2n: 1, r: 1, p: 1 }));
		assert.equal(readdirSync(folder).includes('users.json.89'), false);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});
