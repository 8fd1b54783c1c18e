import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startLoad } from '../support/load.js';
import { kill, lives, programs, Supervised, until } from '../support/supervised.js';

test('a worker host killed by SIGKILL costs no request: the workers go on, a new host brings a new set, the old drain', async () => {
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
			await until(() => !pids.some(lives), 30_000, 'the orphans to have drained');
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
