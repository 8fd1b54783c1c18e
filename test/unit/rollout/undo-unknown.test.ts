import assert from 'node:assert/strict';
import { test } from 'node:test';
import { undoOf } from '../../../src/rollout/requests/undo.js';
import type { RolloutView } from '../../../src/rollout/types.js';

const request = { type: 'restart_service', service: 'http_workers', replicated: true, user: 'u' } as never;

function undo(then: object, now: object): ReturnType<typeof undoOf> {
	const node = { node: 'alpha', state: 'back', release: { before: { web: then }, after: { web: now } } };
	const view = {
		id: 'r',
		type: 'restart_service',
		service: 'http_workers',
		app: null,
		max_unavailable: 1,
		nodes: [node],
	};
	return undoOf(view as unknown as RolloutView, request, [{ name: 'alpha', zone: null }]);
}

test('a release without a revision at the same path as before is nothing to go back to', () => {
	assert.match(
		String(undo({ path: '/a', revision: null }, { path: '/a', revision: null })),
		/^alpha started .* same path/,
	);
	assert.equal(typeof undo({ path: '/a', revision: null }, { path: '/b', revision: null }), 'object');
	assert.equal(typeof undo({ path: '/a', revision: '1' }, { path: '/a', revision: '2' }), 'object');
});
