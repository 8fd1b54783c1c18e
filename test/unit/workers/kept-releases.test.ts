/** What a node keeps of its releases survives it, is bounded, and is nothing where its file is damaged. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KeptReleases } from '../../../src/workers/releases/kept-releases.js';
import type { PinnedRelease } from '../../../src/workers/types.js';

const folder = mkdtempSync(join(tmpdir(), 'rk-'));
after(() => rmSync(folder, { recursive: true }));
const newFile = (): string => join(mkdtempSync(join(folder, 'state-')), 'releases.json');

const place = (revision: string) => ({ path: `/srv/${revision}/server.js`, cwd: `/srv/${revision}`, revision });
const pin = (revision: string): PinnedRelease => ({ ...place(revision), rollout: 'undo', reason: 'why' });
const by = (rollout: string | null) => ({ rollout, provenAt: 1 });
const revisions = (kept: KeptReleases, app = 'web') => kept.provenOf(app).map(({ revision }) => revision);

test('the last three proven releases of an app are kept, newest first, each once', async () => {
	const file = newFile();
	const kept = new KeptReleases(file);
	for (const revision of ['1', '2', '3', '2', '4']) await kept.prove('web', place(revision), by(`to-${revision}`));
	assert.deepEqual(revisions(kept), ['4', '2', '3']);
	await kept.prove('web', place('4'), by(null));
	assert.equal(kept.provenOf('web')[0]?.rollout, 'to-4', 'a start proves it again, and a rollout brought it');
	const again = new KeptReleases(file);
	assert.deepEqual([revisions(again), again.damage], [['4', '2', '3'], null]);
	assert.equal(again.find('web', { path: '/srv/2/server.js', revision: '2' })?.cwd, '/srv/2');
	assert.equal(again.find('web', { path: '/srv/2/server.js', revision: null })?.revision, '2');
	assert.equal(again.find('web', { path: '/srv/2/server.js', revision: '3' }), undefined);
});

test('apps are bounded, too: those that proved a release longest ago are forgotten', async () => {
	const kept = new KeptReleases(newFile());
	for (let app = 0; app < 260; app += 1) await kept.prove(`app-${app}`, place('1'), by(null));
	assert.deepEqual([revisions(kept, 'app-3'), revisions(kept, 'app-4')], [[], ['1']]);
});

test('what a step starts from holds from its beginning, also over a death, and what it came to from its end', async () => {
	const file = newFile();
	const now = () => new KeptReleases(file).pinOf('web')?.revision ?? null;
	const kept = new KeptReleases(file);
	await kept.begin('web', pin('1'));
	assert.equal(now(), '1', 'begun');
	await kept.withdraw('web');
	assert.equal(now(), null, 'it was refused');
	await kept.begin('web', pin('1'));
	await kept.settle('web');
	assert.equal(now(), '1', 'it is back');
	await kept.begin('web', null);
	assert.equal(now(), null, 'the next one has begun');
	assert.deepEqual(kept.whoPinned('web', '/srv/1/server.js'), { rollout: 'undo', reason: 'why' }, 'what serves yet');
	await kept.withdraw('web');
	assert.equal(now(), '1', 'the next one was refused');
	await kept.begin('web', null);
	await kept.settle('web');
	assert.deepEqual([now(), kept.whoPinned('web', '/srv/1/server.js')], [null, null], 'the next one is back');
	await kept.begin('web', pin('1'));
	await kept.settle('web');
	await kept.drop('web');
	assert.equal(now(), null, 'the app has left');
});

test('a file that is damaged, or of a version to come, is said to be and leaves nothing kept', () => {
	const file = newFile();
	const kept = new KeptReleases(file);
	assert.equal(kept.damage, null);
	for (const text of [
		'canary',
		'{}',
		'{"version":2,"proven":{},"pins":{},"steps":{}}',
		'{"version":1,"proven":{"web":7}}',
	]) {
		writeFileSync(file, text);
		const found = new KeptReleases(file);
		assert.equal(found.damage, `${file} does not hold the releases of this node`);
		assert.deepEqual([revisions(found), found.pinOf('web')], [[], null]);
		assert.equal(readFileSync(file, 'utf8'), text, 'nothing is changed by looking');
	}
});
