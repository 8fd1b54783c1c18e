import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withFirstReleases } from '../../../src/rollout/agent/execution.js';

const at = (revision: string) => ({
	boot: 1,
	workers: [{ id: `web-${revision}`, pid: 1, started: 1 }],
	links: [],
	configHash: null,
	releases: { web: { path: `/srv/${revision}/server.js`, revision } },
});

test('a further attempt goes back to what ran before the first', () => {
	assert.deepEqual(withFirstReleases(at('2'), { before: at('1') }), { ...at('2'), releases: at('1').releases });
	assert.deepEqual(withFirstReleases(at('2'), { before: null }), at('2'));
	assert.deepEqual(withFirstReleases(at('2'), undefined), at('2'));
});
