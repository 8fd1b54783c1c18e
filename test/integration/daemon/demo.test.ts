import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isAlive, readProcessStat } from '../../../src/system/proc/process.js';
import type { WorkerRow } from '../../../src/workers/types.js';
import { runCommand } from '../../support/cli/command.js';
import { startLoad } from '../../support/workers/load.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const startScript = fileURLToPath(new URL('../../../src/demo/start.js', import.meta.url));
const patienceMs = 240_000;

/** Until the child has said so much, or has ended. */
function heard(child: ChildProcess, enough: string): Promise<string> {
	let text = '';
	return new Promise((resolve, reject) => {
		child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
			text += chunk;
			if (text.includes(enough)) resolve(text);
		});
		child.once('exit', (code) => reject(new Error(`ended with ${code}: ${text}`)));
	});
}

const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve));

/** Every process that has the demo's folder on its command line or as its own: daemons, worker hosts, workers. */
function processesOf(folder: string): { pid: number; started: number }[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.flatMap((name) => {
			try {
				const facts = `${readFileSync(`/proc/${name}/cmdline`, 'utf8')} ${readFileSync(`/proc/${name}/environ`, 'utf8')}`;
				const stat = readProcessStat(Number(name));
				return facts.includes(folder) && stat ? [{ pid: Number(name), started: stat.started }] : [];
			} catch {
				return [];
			}
		});
}

async function workersOn(socket: string): Promise<WorkerRow[]> {
	const { code, stdout, stderr } = await runCommand(['workers', '--json', '--socket', socket]);
	assert.equal(code, 0, stderr);
	return JSON.parse(stdout) as WorkerRow[];
}

test('the demo rolls by the command that it prints, loses nothing, and Ctrl-C leaves no process, socket or file', {
	timeout: patienceMs,
}, async (context) => {
	const demo = spawn(process.execPath, [startScript], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
	context.after(() => {
		if (demo.exitCode === null) demo.kill('SIGTERM');
	});
	const text = await heard(demo, 'Ctrl-C ends it all');
	const words = /^ {2}node (\S+main\.js) (rollout start .*)$/m.exec(text)?.[2]?.split(' ') ?? [];
	const socket = words.at(-1) ?? '';
	const folder = dirname(dirname(dirname(socket)));
	assert.equal(statSync(folder).mode & 0o777, 0o700);
	assert.equal(statSync(`${folder}/credentials`).mode & 0o777, 0o600);
	const sockets = ['alpha', 'beta', 'gamma'].map((name) => `${folder}/${name}/run/admin.sock`);
	assert.equal(socket, sockets[0]);

	const urls = [...text.matchAll(/app (http:\S+)/g)].map(([, url]) => url ?? '');
	assert.equal(urls.length, 3);
	const before = await Promise.all(sockets.map(workersOn));
	const load = startLoad({ urls, ratePerSecond: 60 });
	await load.answered(60);
	const roll = await runCommand([...words, '--json']);
	assert.equal(roll.code, 0, roll.stderr);
	const report = await load.stop();
	assert.equal(report.lost, 0, report.failures.join('; '));
	const after = await Promise.all(sockets.map(workersOn));
	for (const [index, rows] of after.entries()) {
		assert.equal(rows.length, 2);
		const old = before[index]?.map(({ pid }) => pid) ?? [];
		assert.ok(
			rows.every(({ pid }) => !old.includes(pid)),
			'every process is new',
		);
	}

	// One daemon is dead when it ends: its workers and its worker host have to be found without it.
	const holder = JSON.parse(readFileSync(`${folder}/beta/state/lock`, 'utf8')) as { pid: number };
	process.kill(holder.pid, 'SIGKILL');
	const processes = processesOf(folder);
	assert.ok(processes.length >= 3 * 3, `${processes.length} processes`);
	const end = ended(demo);
	demo.kill('SIGINT');
	assert.equal(await end, 0);
	assert.equal(existsSync(folder), false);
	assert.deepEqual(processes.filter(isAlive), []);
	assert.deepEqual(processesOf(folder), []);
});
