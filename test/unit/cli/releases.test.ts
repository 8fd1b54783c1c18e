/** From what to what, in a line: by revisions, by paths where these are the same or unknown, and fit for a terminal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseChange } from '../../../src/cli/output/releases.js';
import type { NodeReleases } from '../../../src/rollout/types.js';

const release = (revision: string | null, path = '/srv/a.js') => ({
	web: { path, revision },
});
const commit = '3f786850e387550fdab836ed7e6dc881de23001b';

for (const [releases, expected] of [
	[undefined, null],
	[{ before: null, after: null }, null],
	[{ before: release('v1'), after: null }, 'web v1'],
	[{ before: release('v1'), after: release('v2') }, 'web v1 -> v2'],
	[{ before: release('v1'), after: release('v1') }, 'web v1, as before'],
	[{ before: release('v1'), after: release('v1', '/srv/b.js') }, 'web /srv/a.js -> /srv/b.js'],
	[{ before: release(null), after: release(commit) }, 'web /srv/a.js -> 3f786850e387'],
	[{ before: {}, after: release(`sha256:${'ab'.repeat(32)}`) }, 'web none -> sha256:abababababab'],
	[{ before: release('v1'), after: {} }, 'web v1 -> none'],
	[{ before: release('v1'), after: release('x'.repeat(60)) }, `web v1 -> ${'x'.repeat(23)}…`],
	[
		{
			before: release('\u001b[31mv1'),
			after: release(null, '/srv/\u202eb.js'),
		},
		'web [31mv1 -> /srv/b.js',
	],
	[
		{
			before: { ...release('v1'), api: { path: '/b', revision: '1' } },
			after: release('v2'),
		},
		'web v1 -> v2; api 1 -> none',
	],
] as [NodeReleases | undefined, string | null][]) {
	test(`${expected}`, () => assert.equal(releaseChange(releases), expected));
}
