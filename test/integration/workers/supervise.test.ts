import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Pm2Client } from '../../../src/workers/pm2/client.js';
import { startLoad } from '../../support/workers/load.js';
import { kill, lives, programs, Supervised, until } from '../../support/workers/supervised.js';

const hostEntry = fileURLToPath(new URL('../../support/workers/worker-host.js', import.meta.url));

/** What a process and all its children that have ended took of the processor, in ms (proc(5): fields 14 to 17). */
function processorMs(pid: number): number {
	const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
	const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
	return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

/** Runs one node for the test, and takes it away whatever happens. */
async function withNode(
	program: string,
	settings: Parameters<typeof Supervised.start>[1],
	run: (node: Supervised) => Promise<void>,
): Promise<void> {
	const node = await Supervised.start(program, settings);
	try {
		await run(node);
	} finally {
		await node.end();
	}
}

describe('supervising workers', () => {
	test('a control plane that died finds the same workers, and shutdown leaves no process', async () => {
		// Workers and worker host belong to nobody's life but their own.
		await withNode(programs.good, {}, async (node) => {
			const before = node.pids;
			const host = node.hostPid;
			const load = startLoad({ urls: node.url, ratePerSecond: 50 });
			await node.restartSupervisor();
			await node.full();
			const report = await load.stop();
			assert.deepEqual(node.pids.sort(), before.sort());
			assert.equal(node.hostPid, host);
			assert.equal(report.lost, 0);
			await node.supervisor.shutdown();
			assert.deepEqual([host, ...before].filter(lives), []);
		});
	});

	test('a crashed worker comes back, counted, as the same worker; without a control plane too', async () => {
		await withNode(programs.good, {}, async (node) => {
			const [victim, other = 0] = node.pids;
			const crashed = once(node.supervisor, 'crashed');
			kill(victim, 'SIGKILL');
			await crashed;
			await node.full();
			assert.ok(node.pids.includes(other) && !node.pids.includes(victim ?? 0));
			assert.deepEqual(
				node.supervisor.rows().map(({ id, restarts }) => ({ id, restarts })),
				[
					{ id: 'web-1', restarts: 1 },
					{ id: 'web-2', restarts: 0 },
				],
			);
			const living = node.pids;
			await node.supervisor.detach();
			for (const pid of living) kill(pid, 'SIGKILL');
			// Both are approved: they join by themselves, with nobody there to tell them.
			const answers = async () => {
				const answer = await fetch(node.url).catch(() => null);
				return answer !== null && !living.includes(Number(await answer.text()));
			};
			await until(answers, 15_000, 'a restarted worker to answer');
			await node.restartSupervisor();
			await node.full();
		});
	});

	test('a crash loop ends in failed, said in the rows and in readiness, costs little, and PM2 does not go on with it', async (t) => {
		// Intensity 3: the fourth crash within the period is one too many.
		const program = `setTimeout(() => { console.error('no database'); process.exit(1); }, 50); ${programs.good}`;
		const crashLoop = { intensity: 3, periodMs: 60_000 };
		await withNode(program, { crashLoop, instances: 1 }, async (node) => {
			await until(() => node.supervisor.rows()[0]?.state === 'failed', 30_000, 'the worker to be given up');
			// All that the loop may cost within its period, the host's own start included: nothing more is started after it.
			const cost = processorMs(node.hostPid);
			const share = (100 * cost) / crashLoop.periodMs;
			t.diagnostic(
				`${cost} ms of processor time in a period of ${crashLoop.periodMs} ms: ${share.toFixed(1)} % of a core`,
			);
			assert.ok(share < 5, `${share} % of a core`);
			const [row] = node.supervisor.rows();
			assert.equal(row?.pid, null);
			assert.equal(row?.restarts, 4);
			const [readiness] = node.supervisor.readiness();
			assert.equal(readiness?.healthy, 0);
			assert.match(readiness?.degraded ?? '', /crashed more than 3 times.*; last lines of its stderr:\nno database/);
			node.release(programs.good);
			assert.equal((await node.replace()).outcome, 'back');
			assert.deepEqual(
				node.supervisor.rows().map((one) => one.state),
				['serving'],
			);
		});
	});

	const worn: Record<string, { program: string; spoil: (pid: number) => Promise<unknown>; settings?: object }> = {
		'frozen by SIGSTOP': { program: programs.good, spoil: async (pid) => kill(pid, 'SIGSTOP') },
		'blocked in a loop': {
			program: `process.on('SIGUSR2', () => { for (;;); }); ${programs.good}`,
			spoil: async (pid) => kill(pid, 'SIGUSR2'),
		},
		'answering badly': {
			program: `let bad = false; process.on('SIGUSR2', () => { bad = true; }); require('http').createServer((q, r) => { if (bad) r.statusCode = 500; r.end(String(process.pid)); }).listen(+process.env.PORT);`,
			spoil: async (pid) => kill(pid, 'SIGUSR2'),
		},
		'holding too much memory': {
			program: `let all = []; process.on('SIGUSR2', () => { for (let i = 0; i < 40; i++) all.push(Buffer.alloc(5e6, 1)); }); ${programs.good}`,
			spoil: async (pid) => kill(pid, 'SIGUSR2'),
			settings: { maxMemory: 180e6 },
		},
	};
	for (const [what, { program, spoil, settings }] of Object.entries(worn)) {
		test(`a worker ${what} is replaced, the new one before the old`, async () => {
			const health = { path: null, timeoutMs: 700, deadlineMs: 15_000, soakMs: 200, intervalMs: 200, failures: 2 };
			await withNode(program, { health, ...settings }, async (node) => {
				const [victim = 0, other = 0] = node.pids;
				const restarted = once(node.supervisor, 'restarted');
				await spoil(victim);
				const [{ reason }] = (await restarted) as [{ reason: string }];
				assert.equal(reason, what.includes('memory') ? 'memory' : 'liveness');
				assert.equal(lives(victim), false);
				assert.ok(node.pids.includes(other) && node.pids.length === 2);
				await node.full();
			});
		});
	}

	test('an app with an option that Node does not know is given up soon, with what Node says of it', async () => {
		const crashLoop = { intensity: 2, periodMs: 60_000 };
		const node = await Supervised.start(programs.good, { nodeArgs: ['--no-such-option'], crashLoop });
		try {
			await until(
				() => node.supervisor.rows().every(({ state }) => state === 'failed'),
				60_000,
				'every worker given up',
			);
			const [web] = node.supervisor.readiness();
			assert.match(web?.degraded ?? '', /crashed more than 2 times.*bad option: --no-such-option/s);
		} finally {
			await node.end();
		}
	});

	test('nothing of the control plane reaches a worker, and no secret lies in a file, a log or a list', async () => {
		process.env['CANARY_SECRET'] = 'canary-of-the-daemon';
		await withNode(programs.environment, { env: { APP_TOKEN: 'configured-token' } }, async (node) => {
			const environment = await (await fetch(node.url)).text();
			assert.equal(environment.includes('canary-of-the-daemon'), false);
			assert.equal(environment.includes('configured-token'), true);
			assert.equal(environment.includes('ROLLCALL'), false);
			for (const pid of [node.hostPid, ...node.pids]) {
				assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8').includes('canary-of-the-daemon'), false);
			}
			const client = await Pm2Client.connect(node.home);
			const lists = JSON.stringify([node.supervisor.rows(), node.supervisor.readiness(), await client.list()]);
			client.close();
			assert.equal(/canary-of-the-daemon|configured-token/.test(lists), false);
			for (const file of readdirSync(node.folder, { recursive: true, withFileTypes: true })) {
				if (!file.isFile()) continue;
				const text = readFileSync(join(file.parentPath, file.name), 'utf8');
				assert.equal(/canary-of-the-daemon|configured-token/.test(text), false, file.name);
			}
		});
		delete process.env['CANARY_SECRET'];
	});

	test('a second worker host on the same home is refused', async () => {
		await withNode(programs.good, { instances: 1 }, async (node) => {
			const second = spawn(process.execPath, [hostEntry, node.workerDir], { stdio: ['ignore', 'ignore', 'pipe'] });
			let text = '';
			second.stderr.on('data', (chunk) => {
				text += chunk;
			});
			const [code] = await once(second, 'close');
			assert.equal(code, 1);
			assert.match(text, /is held by process \d+/);
			assert.ok(lives(node.hostPid));
		});
	});

	test('a worker host that is told to end drains its workers first', async () => {
		const program = `require('http').createServer((q, r) => { r.flushHeaders(); setTimeout(() => r.end('slow'), 1500); }).listen(+process.env.PORT);`;
		const health = { path: null, timeoutMs: 5_000, deadlineMs: 15_000, soakMs: 100, intervalMs: 60_000, failures: 3 };
		await withNode(program, { instances: 1, health }, async (node) => {
			const { pids, hostPid } = node;
			await node.supervisor.detach();
			// Its headers say that the worker has the request.
			const answer = await fetch(node.url);
			kill(hostPid, 'SIGTERM');
			assert.equal(await answer.text(), 'slow');
			await until(() => ![hostPid, ...pids].some(lives), 15_000, 'host and workers to be gone');
			node.supervisor = node.create();
		});
	});
});
