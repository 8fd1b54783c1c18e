/** While two releases run, an app's release is that of the workers that serve, of those the newest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releasesOf } from '../../../src/workers/pool/rows.js';
import type { WorkerRow, WorkerState } from '../../../src/workers/types.js';

const row = (id: string, state: WorkerState, revision: string | null): WorkerRow => ({
	app: id.replace(/-\d+$/, ''),
	id,
	pid: state === 'backoff' || state === 'failed' ? null : 7,
	state,
	started_at: null,
	restarts: 0,
	healthy: state === 'serving',
	memory: null,
	cpu: null,
	release: `/srv/${revision}.js`,
	revision,
	pinned: null,
	requests: null,
});

for (const [what, rows, expected] of [
	['the old set while the new one proves itself', [row('a-1', 'serving', '1'), row('a-2', 'proving', '2')], { a: '1' }],
	['the new set while the old one drains', [row('a-3', 'serving', '2'), row('a-1', 'draining', '1')], { a: '2' }],
	['the newest of those that serve', [row('a-10', 'serving', '2'), row('a-9', 'serving', '1')], { a: '2' }],
	[
		'of each app its own',
		[row('a-1', 'serving', '1'), row('constructor-1', 'backoff', '2')],
		{ a: '1', constructor: '2' },
	],
	['what drains, when nothing serves', [row('a-1', 'draining', '1'), row('a-2', 'starting', '2')], { a: '1' }],
	['nothing of an app that was given up', [row('a-1', 'failed', '1')], {}],
] as const) {
	test(what, () => {
		const revisions = Object.entries(releasesOf(rows)).map(([app, { path, revision }]) => {
			assert.equal(path, `/srv/${revision}.js`);
			return [app, revision];
		});
		assert.deepEqual(revisions, Object.entries(expected));
	});
}
