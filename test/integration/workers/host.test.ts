import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { kill, lives, programs, Supervised, until } from '../../support/workers/supervised.js';

test('a worker host killed by SIGKILL costs no request: the workers go on, a new host brings a new set, the old drain', async (t) => {
	const node = await Supervised.start(programs.good);
	try {
		const load = startLoad({ urls: node.url, ratePerSecond: 100 });
		await load.answered(50);
		for (let round = 1; round <= 2; round += 1) {
			const { hostPid, pids } = node;
			const began = performance.now();
			const down = once(node.supervisor, 'host');
			kill(hostPid, 'SIGKILL');
			const [{ up }] = (await down) as [{ up: boolean }];
			assert.equal(up, false);
			const noticed = performance.now() - began;
			assert.ok(noticed < 5_000, `noticed after ${noticed} ms`);
			const isNew = () =>
				node.supervisor.identities().filter((one) => one.joined && !pids.includes(one.pid)).length === 2;
			await until(isNew, 30_000, 'a full set of the new host to serve');
			const full = performance.now() - began;
			await until(() => !pids.some(lives), 30_000, 'the orphans to have drained');
			const drained = performance.now() - began;
			t.diagnostic(
				`noticed after ${noticed.toFixed(0)} ms, a new set serves after ${full.toFixed(0)} ms, orphans gone after ${drained.toFixed(0)} ms`,
			);
			await node.onlyNew(pids);
			assert.notEqual(node.hostPid, hostPid);
			await load.answered(50);
		}
		const report = await load.stop();
		assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
	} finally {
		await node.end();
	}
});

test('a worker host that dies while no control plane is there is made anew by the next one', async () => {
	const node = await Supervised.start(programs.good);
	try {
		const { hostPid, pids } = node;
		const load = startLoad({ urls: node.url, ratePerSecond: 50 });
		await node.supervisor.detach();
		kill(hostPid, 'SIGKILL');
		await until(() => !lives(hostPid), 5_000, 'the host to be gone');
		await load.answered(20);
		assert.ok(pids.every(lives));
		node.supervisor = node.create();
		await node.supervisor.start();
		await until(() => !pids.some(lives), 30_000, 'the orphans to have drained');
		await node.onlyNew(pids);
		const report = await load.stop();
		assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
	} finally {
		await node.end();
	}
});

test('where the listening sockets cannot be taken over, the new set joins as soon as the old ones have let go', async () => {
	const node = await Supervised.start(programs.good);
	try {
		const { hostPid, pids } = node;
		// What lies in the place of the meeting point keeps the new host from asking.
		mkdirSync(join(node.home, 'w', 'host.lend'));
		kill(hostPid, 'SIGKILL');
		await until(() => !pids.some(lives), 30_000, 'the orphans to have drained');
		await node.onlyNew(pids);
		assert.equal(await fetch(node.url).then((answer) => answer.status), 200);
	} finally {
		await node.end();
	}
});

test('a worker host that takes its workers along comes back by itself', async () => {
	// The app's own policy: it ends when the channel to the host closes.
	const node = await Supervised.start(`process.on('disconnect', () => process.exit(0)); ${programs.good}`);
	try {
		const { hostPid, pids } = node;
		kill(hostPid, 'SIGKILL');
		await until(() => !pids.some(lives), 10_000, 'the workers to be gone');
		await node.onlyNew(pids);
		assert.notEqual(node.hostPid, hostPid);
	} finally {
		await node.end();
	}
});

const moments: Record<string, RegExp> = {
	'as the new ones start': /0 of 2 new workers healthy/,
	'as the new ones join': /0 of 2 new workers serving/,
	'while the old ones drain': /draining/,
};
for (const [when, progress] of Object.entries(moments)) {
	test(`a worker host killed ${when} is noticed at once, and the replacement ends with the new release, without loss`, async (t) => {
		const node = await Supervised.start(programs.good);
		try {
			const { pids, hostPid } = node;
			const load = startLoad({ urls: node.url, ratePerSecond: 50 });
			await load.answered(20);
			node.release(`${programs.good}//2`);
			const said: string[] = [];
			let killedAt = Number.POSITIVE_INFINITY;
			const result = await node.replace({}, (text) => {
				if (killedAt < Number.POSITIVE_INFINITY) said.push(`${Math.round(performance.now() - killedAt)} ms: ${text}`);
				else if (progress.test(text)) {
					killedAt = performance.now();
					kill(hostPid, 'SIGKILL');
				}
			});
			t.diagnostic(said.join('\n'));
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.ok(!pids.some(lives));
			if (when !== 'while the old ones drain') assert.match(said.join('\n'), /the worker host, process \d+, has ended/);
			await until(() => node.pids.length === 2 && node.supervisor.rows().length === 2, 30_000, 'two workers alone');
			await node.full();
			await load.answered(20);
			const report = await load.stop();
			assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
			assert.ok(node.supervisor.rows().every(({ release }) => release.endsWith('release-2.js')));
		} finally {
			await node.end();
		}
	});
}

test('a worker that sends something to its host just as the host dies serves on', async () => {
	// Each message follows 20 ms in which the worker cannot notice that its host has died.
	const sends = `setInterval(() => { const until = Date.now() + 20; while (Date.now() < until); process.send({ note: 1 }); }, 5);`;
	const node = await Supervised.start(`${sends} ${programs.good}`);
	try {
		const { pids, hostPid } = node;
		await node.supervisor.detach();
		kill(hostPid, 'SIGKILL');
		await until(() => !lives(hostPid), 5_000, 'the host to be gone');
		for (let asked = 0; asked < 20; asked += 1) assert.equal((await fetch(node.url)).status, 200);
		assert.ok(pids.every(lives));
		node.supervisor = node.create();
		await node.supervisor.start();
	} finally {
		await node.end();
	}
});

test('a worker host that is frozen is named, ended and made anew, and its workers serve on meanwhile', async (t) => {
	const node = await Supervised.start(programs.good);
	try {
		const { pids, hostPid } = node;
		const load = startLoad({ urls: node.url, ratePerSecond: 50 });
		const began = performance.now();
		kill(hostPid, 'SIGSTOP');
		const complaint = () => node.supervisor.readiness()[0]?.degraded ?? '';
		await until(() => complaint().includes('blocked or stopped'), 60_000, 'the frozen host to be named');
		const named = performance.now() - began;
		assert.match(complaint(), /the worker host, process \d+, has not answered for \d+ s/);
		await until(() => !lives(hostPid), 60_000, 'the frozen host to be ended');
		await node.onlyNew(pids);
		await until(() => !pids.some(lives), 30_000, 'the orphans to have drained');
		t.diagnostic(
			`named after ${(named / 1_000).toFixed(1)} s, a new set alone after ${((performance.now() - began) / 1_000).toFixed(1)} s`,
		);
		assert.notEqual(node.hostPid, hostPid);
		const report = await load.stop();
		assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
	} finally {
		await node.end();
	}
});
