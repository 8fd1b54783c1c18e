import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { lives, programs, Supervised } from '../../support/workers/supervised.js';

const threads = `const { Worker, isMainThread } = require('node:worker_threads');`;

describe('replacing workers', () => {
	let node: Supervised;
	before(async () => {
		node = await Supervised.start(programs.good);
	});
	after(() => node.end());

	test('every worker is a new process afterwards, and clients lose nothing', async () => {
		// New before old: no request may be lost, kept-alive connections and new ones alike.
		const load = startLoad({ urls: node.url, ratePerSecond: 150 });
		await load.answered(100);
		const before = node.pids;
		const result = await node.replace();
		await load.answered(100);
		const report = await load.stop();
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.equal(result.oldGone, true);
		assert.equal(result.after.length, 2);
		assert.ok(result.after.every((one) => one.proven && one.joined && !before.includes(one.pid)));
		assert.ok(before.every((pid) => !lives(pid)));
		assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
	});

	const bad: Record<string, { program: string; says: RegExp; deadlineMs?: number; extension?: string }> = {
		'throws at boot': {
			program: `console.error('about to break'); throw new Error('no database');`,
			says: /no database/,
		},
		'throws at boot as an ES module': {
			program: `await import('node:fs'); throw new Error('no such table');`,
			says: /no such table/,
			extension: 'mjs',
		},
		'exits soon': { program: `${programs.good} setTimeout(() => process.exit(3), 200);`, says: /process ended/ },
		'never listens': { program: `setInterval(() => {}, 1000);`, says: /not called listen/, deadlineMs: 1_500 },
		'never turns healthy': {
			program: `require('http').createServer((q, r) => { r.statusCode = 503; r.end(); }).listen(+process.env.PORT);`,
			says: /answered 503/,
			deadlineMs: 1_500,
		},
		'turns unhealthy during the soak': {
			program: `const t = Date.now(); require('http').createServer((q, r) => { r.statusCode = Date.now() - t > 500 ? 500 : 200; r.end(); }).listen(+process.env.PORT);`,
			says: /unhealthy/,
		},
		'listens in a worker thread': {
			program: `${threads} if (isMainThread) new Worker(__filename).on('error', () => {}); else { ${programs.good} }`,
			says: /a worker thread called listen\(\) on port \d+/,
		},
		'listens in a worker thread and for something else in the main one': {
			program: `${threads} if (isMainThread) { new Worker(__filename).on('error', () => {}); require('http').createServer((q, r) => r.end()).listen(0); } else { ${programs.good} }`,
			says: /a worker thread of it wants to listen on port \d+/,
			deadlineMs: 4_000,
		},
		hangs: {
			program: `${programs.good} setTimeout(() => { for (;;); }, 50);`,
			says: /did not answer|not healthy|answer/,
			deadlineMs: 3_000,
		},
	};
	for (const [what, { program, says, deadlineMs, extension }] of Object.entries(bad)) {
		test(`a release that ${what} is refused, and the old workers go on`, async () => {
			// Refused, with the reason; every old process lives; no client noticed; nothing of the new ones is left.
			await node.full();
			const before = node.pids;
			const load = startLoad({ urls: node.url, ratePerSecond: 50 });
			node.release(program, extension);
			const health = { ...node.app.health, soakMs: what.includes('soak') || what.includes('soon') ? 1_500 : 300 };
			const result = await node.replace({ health: { ...health, deadlineMs: deadlineMs ?? 15_000 } });
			const report = await load.stop();
			assert.equal(result.outcome, 'refused', result.reason ?? '');
			assert.equal(result.oldGone, true, 'no process of the refused set lives');
			assert.match(result.reason ?? '', says);
			const lines = (result.reason ?? '').split('\n').map((line) => line.trim());
			assert.equal(new Set(lines).size, lines.length, `a line stands there twice: ${result.reason}`);
			assert.deepEqual(node.pids.sort(), before.sort());
			assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
		});
	}

	test('an option that Node does not know is refused at once, with what Node says of it', async () => {
		// Node ends before anything of the worker runs: neither the deadline nor a connection is waited for.
		await node.full();
		const before = node.pids;
		const { nodeArgs } = node.app;
		try {
			const health = { ...node.app.health, deadlineMs: 20_000 };
			const result = await node.replace({ nodeArgs: ['--no-such-option'], health });
			assert.equal(result.outcome, 'refused', result.reason ?? '');
			assert.match(result.reason ?? '', /its process ended; last lines of its stderr:\n.*bad option: --no-such-option/);
			assert.deepEqual(node.pids.sort(), before.sort());
		} finally {
			node.app = { ...node.app, nodeArgs };
		}
	});

	test('a release that closes its listen and opens it again during the soak is taken', async () => {
		// The third answer is well within the soak; the next probe comes before the listen is open again.
		node.release(`let answers = 0;
			const open = () => server.listen(+process.env.PORT);
			const server = require('http').createServer((q, r) => {
				if (++answers === 3) { server.close(); setTimeout(open, 300); }
				r.end('ok');
			});
			open();`);
		const result = await node.replace({ health: { ...node.app.health, soakMs: 1_000, deadlineMs: 15_000 } });
		assert.equal(result.outcome, 'back', result.reason ?? '');
	});

	test('after refusals a mended release is taken', async () => {
		node.release(programs.good);
		const result = await node.replace({ health: { ...node.app.health, soakMs: 300, deadlineMs: 15_000 } });
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.ok(node.supervisor.rows().every((row) => row.release.endsWith('.js') && row.state === 'serving'));
	});

	test('a release that dies at its first public request is refused', async () => {
		// The canary alone may lose a request; the old workers are all there.
		const before = node.pids;
		const load = startLoad({ urls: node.url, ratePerSecond: 50 });
		node.release(
			`require('http').createServer((q, r) => { if (q.headers['user-agent'] !== 'rollcall-probe') process.exit(1); r.end('ok'); }).listen(+process.env.PORT);`,
		);
		const result = await node.replace();
		const report = await load.stop();
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.deepEqual(node.pids.sort(), before.sort());
		assert.ok(report.lost <= 2, `lost ${report.lost}: ${report.failures.join(', ')}`);
	});
});
