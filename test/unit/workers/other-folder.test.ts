import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { releaseOf } from '../../../src/workers/host/revision.js';
import { KeptReleases } from '../../../src/workers/releases/kept-releases.js';
import { assertStartable } from '../../../src/workers/releases/put-back.js';
import type { WorkerApp } from '../../../src/workers/types.js';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'rc-folder-')));
after(() => rmSync(root, { recursive: true }));

const program = join(root, 'npm.cjs');
writeFileSync(program, '');
for (const name of ['one', 'two']) mkdirSync(join(root, name));

test('releases that differ by their working folder alone have different revisions', () => {
	const [one, two] = ['one', 'two'].map((name) => releaseOf(program, join(root, name)));
	assert.notEqual(one?.revision, two?.revision);
	assert.equal(releaseOf(program, join(root, 'one')).revision, one?.revision);
	assert.equal(releaseOf(program, root).revision, releaseOf(program).revision);
});

test('an app is not put back in a working folder that is known by a link alone', async () => {
	const link = join(root, 'current');
	symlinkSync(join(root, 'two'), link);
	const app = (cwd: string): WorkerApp[] => [
		{ name: 'web', user: null, pinned: { path: program, cwd, revision: null, rollout: 'r', reason: '' } } as never,
	];
	const seen = async (): Promise<[ReturnType<typeof releaseOf>]> => [releaseOf(program)];
	await assertStartable(app(join(root, 'one')), seen);
	await assert.rejects(assertStartable(app(link), seen), /known as \S+current alone, which leads to \S+two now/);
});

test('an app that is no longer here loses its pin', async () => {
	const file = join(root, 'state', 'releases.json');
	const kept = new KeptReleases(file);
	await kept.begin('web', { path: program, cwd: root, revision: null, rollout: 'r', reason: '' });
	await kept.settle('web');
	await kept.unpinOthers(['web']);
	assert.equal(new KeptReleases(file).pinOf('web')?.path, program);
	await kept.unpinOthers(['api']);
	assert.equal(new KeptReleases(file).pinOf('web'), null);
});
