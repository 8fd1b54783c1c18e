import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ControlGroup, endGroup } from '../../../src/system/proc/control-group.js';
import { isAlive, readProcessStat } from '../../../src/system/proc/process.js';

interface Identity {
	pid: number;
	started: number;
}

/** A Node program that says when it is ready, and with which process ids. */
async function start(program: string): Promise<{ child: ChildProcess; pids: number[] }> {
	const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
	const [line] = (await once(child.stdout, 'data')) as [Buffer];
	return { child, pids: [child.pid ?? 0, ...line.toString().trim().split(' ').filter(Boolean).map(Number)] };
}

function groupOf(pids: number[]): ControlGroup {
	const members: Identity[] = pids.map((pid) => ({ pid, started: readProcessStat(pid)?.started ?? 0 }));
	return {
		unit: 'rollcall-workers@web.service',
		processes: () => members.filter(isAlive).map(({ pid }) => pid),
	};
}

const idle = 'setInterval(() => undefined, 1000);';
const stubborn = `process.on('SIGTERM', () => undefined);${idle}`;
/** Ends its child itself when it is told to end. */
const hostWithChild = `
const child = require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(`${idle}process.stdout.write('up')`)}]);
child.stdout.once('data', () => process.stdout.write(' ' + child.pid));
process.on('SIGTERM', () => { child.once('exit', (code, signal) => process.exit(signal === 'SIGINT' ? 0 : 1)); child.kill('SIGINT'); });`;

test('the main process ends its own children; what has outlived an earlier one is asked itself; then the group is empty', async () => {
	const host = await start(hostWithChild);
	const orphan = await start(`${idle}process.stdout.write(' ')`);
	const exited = Promise.all([once(host.child, 'exit'), once(orphan.child, 'exit')]);
	const group = groupOf([...host.pids, ...orphan.pids]);
	const ended = await endGroup(group, { mainPid: host.child.pid ?? 0, timeoutMs: 30_000, spare: [] });
	assert.deepEqual(ended, { left: orphan.pids, killed: [] });
	assert.deepEqual(group.processes(), []);
	const [[hostCode], [, orphanSignal]] = await exited;
	// 0: the host itself ended its child, nobody else did it before.
	assert.equal(hostCode, 0);
	assert.equal(orphanSignal, 'SIGTERM');
});

test('what does not end in time is killed, and what is to be spared lives', async () => {
	const deaf = await start(`${stubborn}process.stdout.write(' ')`);
	const spared = await start(`${idle}process.stdout.write(' ')`);
	const exit = once(deaf.child, 'exit');
	const group = groupOf([...deaf.pids, ...spared.pids]);
	const ended = await endGroup(group, { mainPid: null, timeoutMs: 300, spare: spared.pids });
	assert.deepEqual(ended, { left: deaf.pids, killed: deaf.pids });
	assert.equal((await exit)[1], 'SIGKILL');
	assert.deepEqual(group.processes(), spared.pids);
	spared.child.kill();
	await once(spared.child, 'exit');
});
