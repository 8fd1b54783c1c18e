import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { logLineShape, stopShape } from '../../src/cli/output/json-schemas.js';
import type { LockHolder } from '../../src/system/files/process-lock.js';
import { isAlive, readProcessStat } from '../../src/system/proc/process.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

const slowApp = fileURLToPath(new URL('../support/apps/slow.cjs', import.meta.url));
let fleet: RealFleet;
let node: RealNode;

beforeEach(async () => {
	fleet = await makeFleet([{ name: 'alpha' }]);
	[node] = fleet.nodes as [RealNode];
	const { app } = node.ports;
	const web = { name: 'web', script: slowApp, instances: 2, env: { PORT: String(app) }, health: { soak: '100ms' } };
	node.configure({ http_workers: [web] });
	await fleet.start();
});
afterEach(() => fleet.end());

/** The status of an answer that takes so long; `begun` resolves once the app has it. */
function ask(url: string): { begun: Promise<void>; status: Promise<number | undefined> } {
	let begin = () => {};
	const begun = new Promise<void>((resolve) => {
		begin = resolve;
	});
	const status = new Promise<number | undefined>((resolve, reject) => {
		const asked = get(url, { agent: false }, (response) => {
			begin();
			response.resume().once('end', () => resolve(response.statusCode));
			response.once('error', reject);
		});
		asked.once('error', reject);
	});
	return { begun, status };
}

const hostOf = (of: RealNode): LockHolder => JSON.parse(readFileSync(join(of.workerDir, 'self', 'lock'), 'utf8'));

test('two who stop at once cut nothing short, and stop finds a daemon that is just restarting', async () => {
	const pids = (await node.workers()).map(({ pid }) => pid ?? 0);
	const slow = ask(`${node.appUrl}?ms=1500`);
	await slow.begun;
	const words = ['stop', '--config', node.configFile];
	const both = await Promise.all([rollcall(words), rollcall(words)]);
	assert.equal(await slow.status, 200);
	for (const { code, stdout, stderr } of both) {
		assert.equal(code, 0, stderr);
		assert.doesNotMatch(stdout, /stopped worker,/, 'the host itself ended its workers');
	}
	assert.deepEqual(
		pids.filter((pid) => readProcessStat(pid) !== null),
		[],
	);

	await fleet.start();
	await node.call('restart');
	const { code, stderr } = await rollcall(words);
	assert.equal(code, 0, stderr);
	const named = JSON.parse(readFileSync(join(node.stateDir, 'lock'), 'utf8')) as LockHolder;
	assert.equal(isAlive(named), false, 'no successor is left that would start everything again');
	assert.equal((await rollcall(words)).stdout, 'nothing ran\n');
});

test('stop lets open requests finish, and when it returns daemon, worker host and workers are gone', async () => {
	const pids = (await node.workers()).map(({ pid }) => pid ?? 0);
	const processes = [hostOf(node), ...pids.map((pid) => ({ pid, started: readProcessStat(pid)?.started ?? 0 }))];
	const slow = ask(`${node.appUrl}?ms=1500`);
	await slow.begun;
	const { code, stdout, stderr } = await rollcall(['stop', '--config', node.configFile, '--json']);
	assert.equal(code, 0, stderr);
	assert.equal(await slow.status, 200);
	const { stopped } = stopShape.parse(JSON.parse(stdout));
	assert.deepEqual(
		stopped.map(({ what, killed }) => [what, killed]),
		[
			['daemon', false],
			['worker host', false],
		],
	);
	assert.deepEqual(processes.filter(isAlive), []);
	assert.equal((await rollcall(['workers', '--config', node.configFile])).code, 4);
});

test('workers that outlived both daemon and worker host are drained and ended too', async () => {
	const pids = (await node.workers()).map(({ pid }) => pid ?? 0);
	const processes = pids.map((pid) => ({ pid, started: readProcessStat(pid)?.started ?? 0 }));
	const slow = ask(`${node.appUrl}?ms=1500`);
	await slow.begun;
	await node.kill('SIGKILL');
	const host = hostOf(node);
	process.kill(host.pid, 'SIGKILL');
	await waitFor('the worker host to be gone', () => !isAlive(host));
	assert.equal(processes.filter(isAlive).length, 2);
	const { code, stdout, stderr } = await rollcall(['stop', '--config', node.configFile, '--json']);
	assert.equal(code, 0, stderr);
	assert.equal(await slow.status, 200);
	const { stopped } = stopShape.parse(JSON.parse(stdout));
	assert.deepEqual(
		stopped.map(({ what, pid, killed }) => [what, pid, killed]),
		pids.map((pid) => ['worker', pid, false]),
	);
	assert.deepEqual(processes.filter(isAlive), []);
});

test('logs shows what real workers write, each line with its worker', async () => {
	await waitFor('both workers to have written', async () => {
		const { code, stdout } = await rollcall(['logs', 'web', '--config', node.configFile, '--json']);
		assert.equal(code, 0);
		const lines = stdout
			.trimEnd()
			.split('\n')
			.filter(Boolean)
			.map((line) => logLineShape.parse(JSON.parse(line)));
		const said = lines.map((row) => ('line' in row && row.line.startsWith('listening') ? row.worker : ''));
		return said.includes('web-1') && said.includes('web-2');
	});
});
