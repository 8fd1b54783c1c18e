/** What is made of the rows that a worker host gave before it could be used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adoptAll } from '../../../src/workers/pool/adoption.js';
import type { WorkerPool } from '../../../src/workers/pool/worker-pool.js';
import type { WorkerApp } from '../../../src/workers/types.js';

test('a worker that was started since the host gave its rows stays that host’s', () => {
	const started = { id: 'web-5', pmId: 0 };
	const pool = {
		workers: new Map([[started.id, started]]),
		orphan: (worker: { pmId: number | null }) => {
			worker.pmId = null;
		},
	};
	assert.deepEqual(adoptAll(pool as unknown as WorkerPool, { name: 'web' } as WorkerApp, [], []), []);
	assert.equal(started.pmId, 0, 'ended as an orphan it would be started again by its host, unseen');
});
