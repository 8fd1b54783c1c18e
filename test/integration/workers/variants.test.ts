import assert from 'node:assert/strict';
import { get } from 'node:http';
import { describe, test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { lives, programs, Supervised, until } from '../../support/workers/supervised.js';

describe('what an operator may set', () => {
	test('more, fewer and no workers: the set becomes what is wanted, with no more than the surge side by side', async () => {
		const node = await Supervised.start(programs.good, { instances: 1, surge: 1 });
		try {
			const load = startLoad({ urls: node.url, ratePerSecond: 50 });
			for (const [instances, surge] of [
				[3, 1],
				[4, 2],
				[2, 1],
			] as const) {
				const before = node.pids;
				let most = 0;
				const count = () => {
					most = Math.max(most, node.pids.length);
				};
				node.supervisor.on('readiness', count);
				const result = await node.replace({ instances, surge });
				node.supervisor.off('readiness', count);
				assert.equal(result.outcome, 'back', result.reason ?? '');
				assert.equal(node.pids.length, instances);
				assert.ok(!before.some(lives));
				assert.ok(most <= Math.max(before.length, instances) + surge, `at most ${most} side by side`);
			}
			const report = await load.stop();
			assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
			const left = node.pids;
			const result = await node.supervisor.replace({ only: null, apps: [], deadlineMs: 60_000 });
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.ok(!left.some(lives));
			assert.deepEqual(node.supervisor.readiness(), []);
		} finally {
			await node.end();
		}
	});

	test('an app that is healthy only once it listens on its real port is replaced with gate: false', async () => {
		// It asks its own public port, which nobody answers while it is held.
		const program = `
			let ready = false;
			const server = require('http').createServer((q, r) => { r.statusCode = q.url === '/self' || ready ? 200 : 503; r.end(String(process.pid)); });
			server.listen(+process.env.PORT, () => fetch('http://127.0.0.1:' + process.env.PORT + '/self').then(() => { ready = true; }));`;
		const health = { path: '/', timeoutMs: 2_000, deadlineMs: 10_000, soakMs: 200, intervalMs: 1_000, failures: 3 };
		const node = await Supervised.start(program, { gate: false, health });
		try {
			await node.full();
			const before = node.pids;
			const result = await node.replace();
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.ok(!before.some(lives));
		} finally {
			await node.end();
		}
	});

	test('a request that outlasts the drain timeout is cut off and counted; one that does not is answered', async () => {
		const program = `require('http').createServer((q, r) => { const ms = Number(q.url.slice(1)); ms ? setTimeout(() => r.end('late'), ms) : r.end('ok'); }).listen(+process.env.PORT);`;
		const node = await Supervised.start(program, { instances: 1, drainTimeoutMs: 3_000 });
		try {
			const answers = [2_500, 60_000].map(
				(ms) =>
					new Promise<string>((resolve) => {
						get(`${node.url}${ms}`, (response) => response.setEncoding('utf8').on('data', resolve)).on('error', () =>
							resolve('cut off'),
						);
					}),
			);
			await until(async () => (await fetch(node.url)).ok, 5_000, 'the app to answer');
			const result = await node.replace();
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.equal(result.cutOff, 1);
			assert.deepEqual(await Promise.all(answers), ['late', 'cut off']);
		} finally {
			await node.end();
		}
	});

	test('a script that is not there fails the first start and refuses a replacement, and both say so', async () => {
		const node = await Supervised.start(programs.good);
		try {
			const before = node.pids;
			const result = await node.replace({ script: '/nowhere/server.js' });
			assert.equal(result.outcome, 'refused', result.reason ?? '');
			assert.match(result.reason ?? '', /\/nowhere\/server\.js.*cannot be found/);
			assert.deepEqual(node.pids.sort(), before.sort());
			// An app that is new is refused just so, and is no part of what the node serves.
			const app = { ...node.app, name: 'other', script: '/nowhere/server.js', env: {} };
			const added = await node.supervisor.replace({ only: ['other'], apps: [node.app, app], deadlineMs: 5_000 });
			assert.equal(added.outcome, 'refused', added.reason ?? '');
			assert.match(added.reason ?? '', /other.*\/nowhere\/server\.js.*cannot be found/);
			assert.deepEqual(node.pids.sort(), before.sort());
			node.app = { ...node.app, script: '/nowhere/server.js' };
			await node.supervisor.shutdown();
			node.supervisor = node.create();
			await node.supervisor.start();
			const [web] = node.supervisor.readiness();
			assert.equal(web?.healthy, 0);
			assert.match(web?.degraded ?? '', /\/nowhere\/server\.js.*cannot be found/);
		} finally {
			await node.end();
		}
	});
});
