/** The program in a worker host's place may name what it likes: the supervisor believes it of its own user's processes and apps alone. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger } from '../../../src/log.js';
import { isAlive, readProcessStat } from '../../../src/system/proc/process.js';
import { controlSocketPath } from '../../../src/workers/connection/control.js';
import { createSupervisor } from '../../../src/workers/supervisor.js';
import type { Supervisor, WorkerApp } from '../../../src/workers/types.js';
import fakeHost from '../../support/apps/fake-host.cjs';
import { plainApp, until } from '../../support/workers/supervised.js';

let folder: string;
let workerDir: string;
const children: ChildProcess[] = [];

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-nb-'));
	workerDir = join(folder, 'w');
	for (const user of ['mine', 'other']) {
		for (const name of ['w', 'logs']) mkdirSync(join(workerDir, user, name), { recursive: true });
	}
});
after(() => {
	for (const child of children) child.kill('SIGKILL');
	rmSync(folder, { recursive: true, force: true });
});

async function sleeper(): Promise<{ pid: number; started: number; exit: Promise<unknown[]> }> {
	const child = spawn('sleep', ['600']);
	children.push(child);
	await once(child, 'spawn');
	const pid = child.pid ?? 0;
	return { pid, started: startOf(pid), exit: once(child, 'exit') };
}

const startOf = (pid: number): number => readProcessStat(pid)?.started ?? 0;

/** A program of a user, with no preload and no port: that it lives is all that is asked of it. */
const appOf = (user: string): WorkerApp => ({
	...plainApp,
	name: user,
	script: '/bin/sleep',
	cwd: folder,
	interpreter: 'none',
	user,
	instances: 1,
});

const rowOf = (supervisor: Supervisor, id: string) => supervisor.rows().find((row) => row.id === id);

test('a worker host speaks for the processes of its user and the apps of its user alone', async (context) => {
	const [mineServing, own, theirs, made] = [await sleeper(), await sleeper(), await sleeper(), await sleeper()];
	const online = { pm2_env: { status: 'online' } };
	let heard = '';
	const victim = createServer((socket) => {
		socket.on('data', (data) => {
			heard += String(data);
		});
	}).listen(controlSocketPath(join(workerDir, 'other', 'w'), 'other-1', theirs.pid));
	await once(victim, 'listening');
	const orphan = (id: string, { pid, started }: { pid: number; started: number }) => {
		return { id, pid, started, release: '/x', fork: false, port: null };
	};
	const orphans = [
		orphan('gone-1', { pid: process.pid, started: startOf(process.pid) }),
		orphan('gone-2', { pid: process.ppid, started: startOf(process.ppid) }),
		orphan('../../other/w/other-1', theirs),
		orphan('left-1', own),
	];
	const rows = [
		{ name: 'mine-1', pm_id: 0, pid: mineServing.pid, ...online },
		{ name: 'gone-3', pm_id: 3, pid: process.pid, ...online },
		{ name: '../../other/w/other-1', pm_id: 7, pid: theirs.pid, ...online },
		// What the other user's host calls its own worker, with another process.
		{ name: 'other-1', pm_id: 0, pid: made.pid, ...online },
	];
	const other = await fakeHost(join(workerDir, 'other'), ({ method }) =>
		method === 'getMonitorData' ? [{ name: 'other-1', pm_id: 0, pid: theirs.pid, ...online }] : {},
	);
	const mine = await fakeHost(join(workerDir, 'mine'), ({ method, argument }) => {
		if (method === 'getMonitorData') return rows;
		return method === 'getReport' && (argument as { orphans?: unknown }).orphans === true ? { orphans } : {};
	});
	const supervisor = createSupervisor({
		apps: [appOf('mine'), appOf('other')],
		workerDir,
		stateDir: join(folder, 's'),
		mode: 'systemd',
		logLimits: { maxSizeBytes: 64 * 1_024, keep: 3 },
		logger: createLogger('silent'),
	});
	context.after(async () => {
		await supervisor.detach();
		for (const server of [mine, other, victim]) server.close();
	});
	await supervisor.start();
	await until(() => rowOf(supervisor, 'other-1')?.state === 'serving', 30_000, 'the other worker');
	const looks = () => mine.calls.filter(({ method }) => method === 'getMonitorData').length;
	const before = looks();
	mine.tell('process:event', { event: 'online', process: rows.at(-1) });
	await until(() => looks() > before + 1, 30_000, 'looks at what the host holds now');
	// The one that is its own is ended: the others have had their turn by then.
	assert.deepEqual(await own.exit, [null, 'SIGTERM']);
	assert.equal(rowOf(supervisor, 'other-1')?.pid, theirs.pid);
	assert.equal(rowOf(supervisor, 'mine-1')?.pid, mineServing.pid);
	assert.ok(supervisor.identities().every(({ pid }) => pid !== process.pid && pid !== process.ppid));
	assert.deepEqual(
		supervisor.rows().filter(({ id }) => id.includes('/')),
		[],
	);
	assert.ok(isAlive(theirs) && isAlive(made));
	assert.equal(heard, '');
});
