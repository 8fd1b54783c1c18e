import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppReleases } from '../../../src/workers/releases/app-releases.js';
import { KeptReleases } from '../../../src/workers/releases/kept-releases.js';

test('a set that has become whole since its start is kept before it is replaced', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-whole-'));
	t.after(() => rmSync(folder, { recursive: true }));
	const kept = new KeptReleases(join(folder, 'releases.json'));
	const releases = new AppReleases('web', { kept, clock: { wall: () => 1 }, log: {} } as never);
	const worker = { isServing: true, release: '/srv/1/server.js', cwd: '/srv/1', revision: '1' } as never;
	await releases.begin({} as never, { instances: 2 } as never, [worker]);
	assert.deepEqual(kept.provenOf('web'), []);
	await releases.begin({} as never, { instances: 2 } as never, [worker, worker]);
	assert.equal(kept.provenOf('web')[0]?.revision, '1');
});
