/** Which apps a rollout covers, in its text, its proof and its refusals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appNowhere, requestText } from '../../../src/rollout/requests/request.js';
import type { CheckResult } from '../../../src/rollout/messages.js';
import { inScope } from '../../../src/rollout/targets/proof.js';
import { coversApp, type Scope, sameScope } from '../../../src/rollout/targets/scope.js';

const workers = ['web-1', 'web-2', 'web-api-1', 'jobs-1'].map((id) => ({ id, pid: 1, started: 1 }));

const rows: [scope: Scope, text: string, covered: string[]][] = [
	[{ app: null }, 'restart_service http_workers', ['web-1', 'web-2', 'web-api-1', 'jobs-1']],
	[{ app: 'web' }, 'restart_service http_workers of web', ['web-1', 'web-2']],
	[{ app: 'web-api' }, 'restart_service http_workers of web-api', ['web-api-1']],
	[{ app: null, apps: ['jobs', 'web'] }, 'restart_service http_workers of jobs and web', ['web-1', 'web-2', 'jobs-1']],
	[{ app: null, apps: ['a', 'b', 'c'] }, 'restart_service http_workers of a, b and c', []],
];

for (const [scope, text, covered] of rows)
	test(text, () => {
		assert.equal(requestText({ type: 'restart_service', service: 'http_workers', ...scope }), text);
		assert.deepEqual(
			inScope(scope, workers).map(({ id }) => id),
			covered,
		);
		assert.equal(coversApp(scope, 'web'), covered.includes('web-1'));
		for (const [other] of rows) assert.equal(sameScope(scope, other), scope === other);
	});

test('one of several apps that no node has is named, with those there are; one that is only taken away counts', () => {
	const says = (appNames: string[], removed: string[] = []): CheckResult => ({
		fault: null,
		members: null,
		memberHash: null,
		configHash: null,
		appNames,
		apps: { added: [], removed },
	});
	const scope = { app: null, apps: ['api', 'web', 'wbe'] };
	assert.equal(
		appNowhere(scope, [says(['web']), says([], ['api'])]),
		"http_workers has no app 'wbe' on any node; the apps are: api, web",
	);
	assert.equal(appNowhere(scope, [says(['web', 'wbe']), says([], ['api'])]), null);
	assert.equal(appNowhere({ app: 'web' }, [says([])]), null, 'of one app each node says it itself');
});
