import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Pm2Client } from '../../../src/workers/pm2/client.js';
import { kill, lives, python, Supervised, until } from '../../support/workers/supervised.js';

const health = { path: '/', timeoutMs: 2_000, deadlineMs: 10_000, soakMs: 200, intervalMs: 200, failures: 2 };

describe('programs that are not Node', () => {
	test('each instance has a port of its own, and they are replaced one after the other, never both at once', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', health });
		try {
			const ask = async (port: number) => (await fetch(`http://127.0.0.1:${port}/`)).text();
			const before = node.pids;
			for (const port of [node.port, node.port + 1]) assert.match(await ask(port), /^one /);
			assert.equal((await ask(node.port)).includes('ROLLCALL'), false);
			const counts: number[] = [];
			node.supervisor.on('readiness', ([web]) => counts.push(web?.healthy ?? 0));
			node.release(python('two'), 'py');
			const result = await node.replace();
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.ok(Math.min(...counts) >= 1, counts.join(' '));
			assert.ok(before.every((pid) => !lives(pid)));
			for (const port of [node.port, node.port + 1]) assert.match(await ask(port), /^two /);
		} finally {
			await node.end();
		}
	});

	test('a release that cannot start is refused, and what ran before runs again', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', health });
		try {
			node.release(python('two', `raise SystemExit('no such module')`), 'py');
			const result = await node.replace();
			assert.equal(result.outcome, 'refused', result.reason ?? '');
			assert.match(result.reason ?? '', /no such module/);
			await node.full();
			for (const port of [node.port, node.port + 1]) {
				assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /^one /);
			}
		} finally {
			await node.end();
		}
	});

	test('an explicit env.PORT, which every instance gets in place of its own port, is named in the reason', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', health });
		try {
			const PORT = String(node.port);
			const result = await node.replace({ env: { PORT }, health: { ...health, deadlineMs: 2_000 } });
			assert.notEqual(result.outcome, 'back');
			assert.match(
				result.reason ?? '',
				new RegExp(`env\\.PORT gives it ${PORT} in place of ${node.port + 1}: take env`),
			);
		} finally {
			await node.end();
		}
	});

	test('a release that was written over the one before leaves nothing to go back to, and the reason says so', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', instances: 1, health });
		try {
			writeFileSync(node.link, python('two', `raise SystemExit('no such module')`));
			const result = await node.replace({ health: { ...health, deadlineMs: 2_000 } });
			assert.equal(result.outcome, 'failed', result.reason ?? '');
			assert.match(result.reason ?? '', /lay at the same path and was overwritten.*no such module/s);
			writeFileSync(node.link, python('three'));
			assert.equal((await node.replace({ health })).outcome, 'back');
		} finally {
			await node.end();
		}
	});

	test('a worker host killed while an old instance leaves: the next one goes on with the replacement', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', health });
		try {
			const { hostPid } = node;
			node.release(python('two'), 'py');
			let isKilled = false;
			const result = await node.replace({}, (text) => {
				if (isKilled || !/draining/.test(text)) return;
				isKilled = true;
				kill(hostPid, 'SIGKILL');
			});
			assert.equal(result.outcome, 'back', result.reason ?? '');
			await node.full();
			for (const port of [node.port, node.port + 1]) {
				assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /^two /);
			}
		} finally {
			await node.end();
		}
	});

	test('a crash and a freeze are noticed, and the program comes back', async () => {
		const node = await Supervised.start(python('one'), {
			interpreter: 'python3',
			instances: 1,
			health,
			drainTimeoutMs: 500,
		});
		try {
			const [first] = node.pids;
			const crashed = once(node.supervisor, 'crashed');
			kill(first, 'SIGKILL');
			await crashed;
			await node.full();
			const [second] = node.pids;
			assert.notEqual(second, first);
			kill(second, 'SIGSTOP');
			await until(() => !lives(second ?? 0), 30_000, 'the frozen program to be ended');
			await node.full();
			assert.equal(node.pids.length, 1);
		} finally {
			await node.end();
		}
	});

	test('a process that starts while another is still being removed is in the list, not taken out with it', async () => {
		const node = await Supervised.start(python('one'), { interpreter: 'python3', instances: 1, health });
		try {
			await node.supervisor.detach();
			const client = await Pm2Client.connect(node.home);
			const [old] = await client.list();
			assert.ok(old);
			await Promise.all([client.remove(old.pmId, 1_000), client.remove(old.pmId, 1_000)]);
			assert.deepEqual(await client.list(), []);
			const next = await client.start({
				name: 'web-2',
				script: old.script,
				cwd: node.folder,
				args: [],
				mode: 'fork',
				interpreter: 'python3',
				nodeArgs: [],
				env: { PATH: process.env['PATH'] ?? '', PORT: String(node.port) },
				outFile: '/dev/null',
				errorFile: '/dev/null',
				pidFile: `${node.folder}/web-2.pid`,
				killTimeoutMs: 1_000,
				endsTree: true,
				stopExitCodes: [],
			});
			assert.notEqual(next.pmId, old.pmId, 'a removal that is late finds nothing under its number');
			await client.remove(old.pmId, 1_000);
			assert.deepEqual(
				(await client.list()).map(({ name, pid }) => ({ name, pid })),
				[{ name: 'web-2', pid: next.pid }],
			);
			await client.remove(next.pmId, 1_000);
			client.close();
		} finally {
			await node.restartSupervisor();
			await node.end();
		}
	});

	test('a signal for a process that has ended reaches no other one, nor the worker host', async () => {
		// PM2 has the number 0 for it until it starts again; to the kernel that is all of the host's process group.
		const node = await Supervised.start(python('one'), { interpreter: 'python3', instances: 1, health });
		try {
			await node.supervisor.detach();
			const client = await Pm2Client.connect(node.home);
			const [serving] = await client.list();
			assert.ok(serving?.pid);
			const script = `${node.folder}/ends.py`;
			writeFileSync(script, 'raise SystemExit(1)\n');
			const ends = await client.start({
				name: 'web-9',
				script,
				cwd: node.folder,
				args: [],
				mode: 'fork',
				interpreter: 'python3',
				nodeArgs: [],
				env: { PATH: process.env['PATH'] ?? '' },
				outFile: '/dev/null',
				errorFile: '/dev/null',
				pidFile: `${node.folder}/web-9.pid`,
				killTimeoutMs: 1_000,
				endsTree: true,
				stopExitCodes: [],
			});
			const row = async () => (await client.list()).find(({ name }) => name === 'web-9');
			await until(async () => (await row())?.status !== 'online', 10_000, 'its end');
			for (let tried = 0; tried < 20; tried += 1) await client.signal(ends.pmId, ends.pid ?? 0, 'SIGTERM');
			await client.signal(serving.pmId, ends.pid ?? 0, 'SIGTERM');
			assert.equal((await client.list()).find(({ name }) => name === serving.name)?.pid, serving.pid);
			assert.ok(lives(serving.pid));
			await client.remove(ends.pmId, 1_000);
			client.close();
		} finally {
			await node.restartSupervisor();
			await node.end();
		}
	});
});
