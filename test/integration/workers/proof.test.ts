import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { WorkerApp } from '../../../src/workers/types.js';
import { type LoadReport, startLoad } from '../../support/workers/load.js';
import { freePorts } from '../../support/system/ports.js';
import { createFor, kill, plainApp, Supervised, until } from '../../support/workers/supervised.js';

/** Answers 503 on every path for a while after its start, and then with its process id. */
const warmingUp = `
	const warmAt = Date.now() + 2500;
	require('http').createServer((request, response) => {
		response.statusCode = Date.now() < warmAt ? 503 : 200;
		response.end(String(process.pid));
	}).listen(+process.env.PORT);`;
const health = { path: '/healthz', timeoutMs: 2_000, deadlineMs: 60_000, soakMs: 300, intervalMs: 1_000, failures: 3 };
const unwellAnswers = ({ failures }: LoadReport): string[] => failures.filter((text) => text.includes('503'));

for (const away of [false, true]) {
	test(`a worker that crashed takes no request before it is well again${away ? ', with no control plane to ask it' : ''}`, async () => {
		// It joins in the end, and no client meets it before that.
		const node = await Supervised.start(warmingUp, { health });
		try {
			await node.full(60_000);
			const old = node.pids;
			if (away) await node.supervisor.detach();
			const answering = new Set<string>();
			const load = startLoad({ urls: node.url, ratePerSecond: 60, onAnswer: (_url, body) => answering.add(body) });
			await load.answered(20);
			kill(old[0], 'SIGKILL');
			const isBack = () => [...answering].some((pid) => !old.includes(Number(pid)));
			await until(isBack, 60_000, 'the worker to answer again');
			await load.answered(20);
			assert.deepEqual(unwellAnswers(await load.stop()), []);
		} finally {
			await node.restartSupervisor();
			await node.end();
		}
	});
}

test('a worker that loses a port which its users reach is unhealthy, and readiness says which', async () => {
	const [admin = 0] = await freePorts(1);
	const program = `
		const http = require('http');
		const main = http.createServer((q, r) => r.end('ok')).listen(+process.env.PORT);
		http.createServer((q, r) => { r.end('closed'); main.close(); main.closeIdleConnections(); }).listen(${admin});`;
	const node = await Supervised.start(program, { instances: 1, health: { ...health, path: null, failures: 2 } });
	try {
		await node.full();
		assert.deepEqual(node.supervisor.identities()[0]?.ports?.includes(node.port), true);
		await (await fetch(`http://127.0.0.1:${admin}/`)).text();
		const said = () => node.supervisor.readiness().some(({ degraded }) => degraded?.includes(`port ${node.port}`));
		await until(said, 30_000, 'readiness to name the port');
		await node.full();
		assert.equal((await fetch(node.url)).status, 200, 'its successor has it');
	} finally {
		await node.end();
	}
});

test('two apps never share a port that only they know of: the second is refused, and the first alone answers', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rp-'));
	const [port = 0, other = 0] = await freePorts(2);
	const appOn = (name: string, listensOn: number, release = 1): WorkerApp => {
		const script = join(folder, `${name}-${release}.js`);
		writeFileSync(script, `require('http').createServer((q, r) => r.end('${name}')).listen(${listensOn});`);
		const limits = { ...health, path: null, deadlineMs: 60_000 };
		return { ...plainApp, name, script, cwd: folder, instances: 1, surge: 1, health: limits };
	};
	const apps = [appOn('one', port), appOn('two', other)];
	const supervisor = createFor(apps[0] as WorkerApp, folder, apps);
	try {
		await supervisor.start();
		const pids = supervisor.identities().map(({ pid }) => pid);
		// It moves to the port of the first, as ports: allows.
		const moved = [apps[0] as WorkerApp, { ...appOn('two', port, 2), ports: [port] }];
		const answers = new Set<string>();
		const load = startLoad({
			urls: `http://127.0.0.1:${port}/`,
			ratePerSecond: 60,
			onAnswer: (_, body) => answers.add(body),
		});
		const result = await supervisor.replace({ only: ['two'], apps: moved, deadlineMs: 60_000 });
		await load.answered(30);
		const { lost } = await load.stop();
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', new RegExp(`port ${port} is app one's; give one of the two another port`));
		assert.deepEqual([...answers], ['one']);
		assert.equal(lost, 0);
		await until(() => supervisor.identities().length === 2, 30_000, 'what was refused to be gone');
		assert.deepEqual(
			supervisor.identities().map(({ pid }) => pid),
			pids,
		);
	} finally {
		await supervisor.shutdown();
		rmSync(folder, { recursive: true, force: true });
	}
});
