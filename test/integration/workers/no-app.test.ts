import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { kill, lives, programs, Supervised, until } from '../../support/workers/supervised.js';

test('a node that started without apps ends what is not wanted, and takes up the first app it is given', async () => {
	// The file is the wanted state: an app that is added later gets its workers by a replacement, host and all.
	const node = await Supervised.start(programs.good);
	try {
		const before = node.pids;
		const host = node.hostPid;
		await node.restartWithoutApps();
		await until(() => !before.some(lives), 20_000, 'the workers that nobody wants to be gone');
		await node.supervisor.detach();
		kill(host, 'SIGTERM');
		await until(() => !lives(host), 20_000, 'the host to be gone');

		await node.restartWithoutApps();
		assert.deepEqual(node.supervisor.hosts(), []);
		const result = await node.replace();
		assert.equal(result.reason, null);
		assert.equal(result.outcome, 'back');
		assert.equal(result.after.length, 2);
		assert.equal((await fetch(node.url)).status, 200);
	} finally {
		await node.end();
	}
});

test('a replacement that is asked for while the worker host is away waits for the next host', async () => {
	// A host that died is back within moments: that is no reason to refuse a release.
	const node = await Supervised.start(programs.good);
	try {
		const host = node.hostPid;
		const lost = once(node.supervisor, 'host');
		kill(host, 'SIGKILL');
		await lost;
		const result = await node.replace();
		assert.equal(result.reason, null);
		assert.equal(result.outcome, 'back');
		assert.notEqual(node.hostPid, host);
	} finally {
		await node.end();
	}
});

test('a worker finds its own arguments alone', async () => {
	// A program that parses its command line must not meet that of the worker host.
	const echo = `require('http').createServer((q, r) => r.end(JSON.stringify(process.argv.slice(2)))).listen(+process.env.PORT);`;
	const node = await Supervised.start(echo, { instances: 1, args: ['a b', '--x'] });
	try {
		assert.deepEqual(await (await fetch(node.url)).json(), ['a b', '--x']);
	} finally {
		await node.end();
	}
});
