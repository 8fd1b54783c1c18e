/** An installation keeps the releases that were put in place last, and every one that a worker still runs from. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { superfluous } from '../../../src/cli/install/release.js';

test('the oldest by when they were put in place go, whatever their names; not one that a running process names', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-releases-'));
	t.after(() => rmSync(folder, { recursive: true }));
	// From the oldest to the newest; the names sort otherwise.
	for (const [age, name] of ['0.9.0-c', '0.10.0-a', '0.8.0-b', '0.2.0-d', '0.1.0-e'].entries()) {
		mkdirSync(join(folder, name));
		utimesSync(join(folder, name), 1_000 + age, 1_000 + age);
	}
	const names = (): string[] => superfluous(folder, join(folder, '0.1.0-e')).map((path) => basename(path));
	assert.deepEqual(names(), ['0.9.0-c', '0.10.0-a']);
	const worker = spawn('sleep', ['600'], {
		env: { ...process.env, PRELOAD: join(folder, '0.9.0-c', 'dist/src/preload.js') },
	});
	await once(worker, 'spawn');
	assert.deepEqual(names(), ['0.10.0-a']);
	worker.kill();
	await once(worker, 'exit');
	assert.deepEqual(names(), ['0.9.0-c', '0.10.0-a']);
});
