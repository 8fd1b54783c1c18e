/** A worker_dir in which others may exchange a worker host's home is refused before anything in it is touched. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { requireUnexchangeable } from '../../../src/daemon/folders.js';

test('a worker folder that others may change is refused and named', async () => {
	const above = await mkdtemp(join(tmpdir(), 'rollcall-'));
	const folder = join(above, 'workers');
	const check = (): void => requireUnexchangeable(folder, 'worker_dir');
	try {
		assert.doesNotThrow(check, 'a missing one');
		await mkdir(folder);
		for (const mode of [0o700, 0o751, 0o755, 0o1777]) {
			await chmod(folder, mode);
			assert.doesNotThrow(check, mode.toString(8));
		}
		for (const mode of [0o777, 0o770, 0o702]) {
			await chmod(folder, mode);
			assert.throws(check, /^RollcallError: worker_dir: .*workers may be changed by others/, mode.toString(8));
		}
	} finally {
		await rm(above, { recursive: true });
	}
});
