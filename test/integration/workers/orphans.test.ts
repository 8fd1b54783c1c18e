import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { kill, lives, programs, python, Supervised, until } from '../../support/workers/supervised.js';

const health = { path: '/', timeoutMs: 2_000, deadlineMs: 10_000, soakMs: 200, intervalMs: 200, failures: 2 };
const forked = { interpreter: 'python3', health } as const;
const deaf = `import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)`;

test('programs that are not Node outlive their host, and are told to end one after the other by the next', async () => {
	const node = await Supervised.start(python('one'), forked);
	try {
		const { pids, hostPid } = node;
		const counts: number[] = [];
		const down = once(node.supervisor, 'host');
		kill(hostPid, 'SIGKILL');
		await down;
		for (const port of [node.port, node.port + 1]) assert.ok((await fetch(`http://127.0.0.1:${port}/`)).ok);
		node.supervisor.on('readiness', ([web]) => counts.push(web?.healthy ?? 0));
		await until(() => !pids.some(lives), 20_000, 'the orphans to have ended');
		await node.onlyNew(pids);
		assert.ok(Math.min(...counts) >= 1, counts.join(' '));
	} finally {
		await node.end();
	}
});

test('an orphan that heeds no SIGTERM is killed after its drain timeout, with what it has started', async () => {
	const child = `import subprocess, sys; child = subprocess.Popen(['sleep', '1000'])`;
	const node = await Supervised.start(python('one', `${deaf}\n${child}`, 'child.pid'), {
		...forked,
		instances: 1,
		drainTimeoutMs: 700,
	});
	try {
		const { pids, hostPid } = node;
		const below = Number(await (await fetch(node.url)).text());
		assert.ok(lives(below));
		kill(hostPid, 'SIGKILL');
		await until(() => !pids.some(lives), 20_000, 'the orphan to have been killed');
		assert.equal(lives(below), false);
		await node.onlyNew(pids);
	} finally {
		await node.end();
	}
});

for (const [what, program, settings] of [
	['Node workers', programs.good, {}],
	['other programs', python('one'), forked],
] as const) {
	test(`${what} whose app was taken out of the configuration while their host was dead are ended`, async () => {
		const node = await Supervised.start(program, settings);
		try {
			const { pids, hostPid } = node;
			await node.supervisor.detach();
			kill(hostPid, 'SIGKILL');
			await until(() => !lives(hostPid), 5_000, 'the host to be gone');
			assert.ok(pids.every(lives));
			await node.restartWithoutApps();
			await until(() => !pids.some(lives), 20_000, 'the workers that nobody wants to be gone');
			await until(() => node.recorded.length === 0, 5_000, 'the record to be empty');
		} finally {
			await node.end();
		}
	});
}

for (const [what, program, settings] of [
	['a Node worker', programs.good, {}],
	['another program', python('one'), forked],
] as const) {
	test(`${what} that its host had started again while nobody looked is found when that host is dead, and replaced`, async () => {
		// Nobody wrote down its process id: it is found by what it was started with.
		const node = await Supervised.start(program, { ...settings, instances: 1 });
		try {
			const [first] = node.pids;
			const { hostPid } = node;
			await node.supervisor.detach();
			kill(first, 'SIGKILL');
			const served = async () => ((await fetch(node.url).catch(() => null))?.ok ?? false) && !lives(first ?? 0);
			await until(served, 15_000, 'PM2 to have started it again');
			const second = Number((await (await fetch(node.url)).text()).replace(/^one /, '').split(' ')[0]);
			kill(hostPid, 'SIGKILL');
			await until(() => !lives(hostPid), 5_000, 'the host to be gone');
			assert.ok(lives(second));
			const load = what === 'a Node worker' ? startLoad({ urls: node.url, ratePerSecond: 50 }) : null;
			node.supervisor = node.create();
			await node.supervisor.start();
			await until(() => !lives(second), 20_000, 'the unknown orphan to have ended');
			await node.onlyNew([second]);
			const report = await load?.stop();
			assert.deepEqual(report?.failures ?? [], []);
		} finally {
			await node.end();
		}
	});
}
