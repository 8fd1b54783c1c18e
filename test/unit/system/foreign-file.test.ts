import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readUntrustedFile } from '../../../src/system/files/untrusted-file.js';
import { lastErrorLines } from '../../../src/workers/host/log-files.js';

test('of what another user may have put in a file’s place only a regular file is read, and never more than asked for', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-ff-'));
	try {
		const at = (name: string): string => join(folder, name);
		writeFileSync(at('secret'), 'only for the reader');
		writeFileSync(at('file'), 'one two three');
		symlinkSync(at('secret'), at('link'));
		symlinkSync(at('secret'), at('web-1-error.log'));
		execFileSync('mkfifo', [at('pipe'), at('web-2-error.log')]);
		assert.equal(readUntrustedFile(at('file'), 100), 'one two three');
		assert.equal(readUntrustedFile(at('file'), 5), 'three');
		assert.throws(() => readUntrustedFile(at('link'), 100), { code: 'ELOOP' });
		assert.throws(() => readUntrustedFile(at('pipe'), 100), { code: 'EINVAL' });
		assert.throws(() => readUntrustedFile(folder, 100), { code: 'EINVAL' });
		assert.deepEqual(await lastErrorLines({ path: folder, logs: folder }, 'web-1', 5), []);
		assert.deepEqual(await lastErrorLines({ path: folder, logs: folder }, 'web-2', 5), []);
	} finally {
		rmSync(folder, { recursive: true });
	}
});
