import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { messageLineShape, stopShape } from '../../../src/cli/output/json-schemas.js';
import { readProcessStat } from '../../../src/system/proc/process.js';
import { runCommand } from '../../support/cli/command.js';

const holderScript = fileURLToPath(new URL('../../support/cli/lock-holder.js', import.meta.url));
let folder: string;
let stop: string[];
let holders: ChildProcess[];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-stop-'));
	for (const name of ['state', 'workers/self', 'workers/web']) mkdirSync(join(folder, name), { recursive: true });
	const file = join(folder, 'c.yaml');
	writeFileSync(file, 'state_dir: state\nworker_dir: workers\n', { mode: 0o600 });
	stop = ['stop', '--config', file, '--json'];
	holders = [];
});
afterEach(async () => {
	for (const holder of holders) holder.kill('SIGKILL');
	rmSync(folder, { recursive: true });
});

async function hold(lock: string, manner = 'polite'): Promise<ChildProcess> {
	const child = spawn(process.execPath, [holderScript, join(folder, lock), manner], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	holders.push(child);
	await once(child.stdout, 'data');
	return child;
}

test('daemon and worker hosts are found by their locks, ended in this order, and gone when stop returns (0)', async () => {
	const daemon = await hold('state/lock');
	const own = await hold('workers/self/lock');
	const web = await hold('workers/web/lock');
	const { code, stdout, stderr } = await runCommand(stop);
	assert.equal(code, 0, stderr);
	const { stopped } = stopShape.parse(JSON.parse(stdout));
	assert.deepEqual(stopped, [
		{ what: 'daemon', user: null, pid: daemon.pid, killed: false },
		{ what: 'worker host', user: null, pid: own.pid, killed: false },
		{ what: 'worker host', user: 'web', pid: web.pid, killed: false },
	]);
});

test('worker hosts end too when the daemon is dead, and its lock is left over', async () => {
	const daemon = await hold('state/lock');
	daemon.kill('SIGKILL');
	await once(daemon, 'exit');
	const host = await hold('workers/self/lock');
	const { stdout } = await runCommand(stop);
	assert.deepEqual(
		stopShape.parse(JSON.parse(stdout)).stopped.map(({ pid }) => pid),
		[host.pid],
	);
});

test('nothing to stop is no fault (0)', async () => {
	const { code, stdout } = await runCommand(stop);
	assert.deepEqual([code, JSON.parse(stdout)], [0, { stopped: [] }]);
});

test('who does not leave in time is named (7), and killed only when asked', async () => {
	const host = await hold('workers/self/lock', 'stubborn');
	const patient = await runCommand([...stop, '--timeout', '300ms']);
	assert.equal(patient.code, 7);
	const last = messageLineShape.parse(JSON.parse(patient.stderr.trimEnd().split('\n').at(-1) ?? ''));
	assert.ok(last.event === 'error' && last.error.includes(`process ${host.pid}`));
	assert.equal(host.exitCode, null);
	const killing = await runCommand([...stop, '--timeout', '300ms', '--kill']);
	assert.equal(killing.code, 0);
	assert.equal(stopShape.parse(JSON.parse(killing.stdout)).stopped[0]?.killed, true);
});

test('a lock or a socket that names a process which is not its user’s, or the one that asks, ends nothing (5)', async (context) => {
	const signals: string[] = [];
	const note = (signal: string): void => void signals.push(signal);
	process.on('SIGTERM', note);
	context.after(() => process.removeListener('SIGTERM', note));
	// In another home, a worker who must not be told to drain.
	let said = '';
	const victim = createServer((socket) => socket.on('data', (data) => (said += String(data))).resume());
	context.after(() => victim.close());
	mkdirSync(join(folder, 'workers/web/w'));
	victim.listen(join(folder, 'victim.sock'));
	await once(victim, 'listening');
	symlinkSync(
		join(folder, 'victim.sock'),
		join(folder, `workers/web/w/web-1.${holderPid(await hold('state/other'))}.ctl`),
	);
	symlinkSync(join(folder, 'victim.sock'), join(folder, `workers/web/w/web-2.${process.pid}.ctl`));
	const before = await runCommand([...stop, '--timeout', '300ms', '--kill']);
	assert.deepEqual([before.code, JSON.parse(before.stdout)], [0, { stopped: [] }]);
	await hold('workers/web/lock');
	const forged = { pid: process.pid, started: readProcessStat(process.pid)?.started, details: {} };
	writeFileSync(join(folder, 'workers/web/lock'), JSON.stringify(forged));
	const { code, stderr } = await runCommand([...stop, '--timeout', '300ms', '--kill']);
	assert.equal(code, 5, stderr);
	assert.match(stderr, /does not belong to the owner of the folder/);
	assert.deepEqual([signals, said], [[], '']);
});

const holderPid = ({ pid }: ChildProcess): number => pid ?? 0;
