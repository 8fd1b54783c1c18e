/**
 * Hooks on real nodes behind a real HAProxy that asks no node and sends nothing twice: told by hooks it loses no request of a program
 * that ends before its successor starts; told by readiness neither; told nothing it does. Then a hook that fails, and one that hangs.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import { makeFleet, type RealFleet, rollcall, waitFor, webApp } from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';
import { lossOf, startLoad } from '../support/workers/load.js';

const names = ['alpha', 'beta', 'gamma'];
const folder = mkdtempSync(join(tmpdir(), 'rc-hk-'));
const socket = join(folder, 'haproxy.sock');
const said = join(folder, 'said');
const refusal = join(folder, 'refuse');
const urls = { told: '', asked: '', plain: '' };
let fleet: RealFleet;
let balancer: ChildProcess;

/** What an operator would write with socat: see the manual's page of hooks. */
const script = `
import { appendFileSync, existsSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
const { ROLLCALL_HOOK: hook, ROLLCALL_NODE: node, ROLLCALL_STATE: state, ROLLCALL_NOTE: note } = process.env;
appendFileSync(${JSON.stringify(said)}, [hook, node, state, note].join(' ').trim() + '\\n');
const ask = (command) => new Promise((resolve, reject) => {
	let text = '';
	const line = connect(${JSON.stringify(socket)}, () => line.write(command + '\\n'));
	line.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => resolve(text.trim())).on('error', reject);
});
const tell = async (command) => {
	const answer = await ask(command);
	if (answer === '') return;
	console.error(answer);
	process.exit(1);
};
if (hook === 'after_node') await tell('set server told/' + node + ' state ready');
if (hook === 'before_node') {
	await tell('set server told/' + (existsSync(${JSON.stringify(refusal)}) ? 'no\\tsuch' : node) + ' state drain');
	for (;;) {
		const rows = (await ask('show servers conn told')).split('\\n').map((row) => row.split(' '));
		if (rows.find(([name]) => name === 'told/' + node)?.[6] === '0') break;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
if (state === 'aborted') {
	const child = spawn('sleep', ['1000']);
	appendFileSync(${JSON.stringify(said)}, 'pids ' + process.pid + ' ' + child.pid + '\\n');
	await new Promise(() => undefined);
}
`;

before(async () => {
	const ports = await freePorts(names.length + 3);
	const health = names.map((_, index) => ports[index] ?? 0);
	const file = join(folder, 'hook.mjs');
	writeFileSync(file, script);
	const hook = { command: [process.execPath, file], timeout: '30s' };
	const hooks = {
		before_rollout: hook,
		before_node: hook,
		after_node: hook,
		after_rollout: { ...hook, timeout: '2s' },
	};
	fleet = await makeFleet(
		names.map((name) => ({ name })),
		{ rollout: { lease: '2s', lb_wait: '3s', hooks } },
	);
	for (const [index, node] of fleet.nodes.entries()) {
		const app = { ...webApp(node.ports.app, node.name), instances: 1, overlap: false };
		node.amend({ http_workers: [app], operations_api: { health: { host: '127.0.0.1', port: health[index] } } });
	}
	await fleet.start();
	const [told = 0, asked = 0, plain = 0] = ports.slice(names.length);
	for (const [name, port] of Object.entries({ told, asked, plain }))
		Object.assign(urls, { [name]: `http://127.0.0.1:${port}/` });
	const servers = (more: (index: number) => string): string =>
		fleet.nodes.map(({ name, ports: { app } }, index) => `	server ${name} 127.0.0.1:${app} ${more(index)}`).join('\n');
	const cfg = join(folder, 'haproxy.cfg');
	writeFileSync(
		cfg,
		`global
	stats socket ${socket} mode 600 level admin
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 60s
	retries 0
listen told
	bind 127.0.0.1:${told}
${servers(() => '')}
listen asked
	bind 127.0.0.1:${asked}
	option httpchk GET /readyz
	http-check expect status 200
${servers((index) => `check port ${health[index]} inter 200ms fall 2 rise 2`)}
listen plain
	bind 127.0.0.1:${plain}
${servers(() => '')}
`,
	);
	balancer = spawn('haproxy', ['-db', '-f', cfg], { stdio: 'ignore' });
	await once(balancer, 'spawn');
	for (const url of Object.values(urls))
		await waitFor('the balancer', async () => (await fetch(url).catch(() => null))?.status === 200);
});
after(async () => {
	await fleet?.end();
	if (balancer?.exitCode === null) {
		balancer.kill('SIGKILL');
		await once(balancer, 'exit');
	}
	rmSync(folder, { recursive: true });
});

const lines = (): string[] => (existsSync(said) ? readFileSync(said, 'utf8').trim().split('\n') : []);

/** \`told/beta 127.0.0.1 …\`: the administrative state of each server, 0 ready. */
async function adminStates(): Promise<string[]> {
	const line = connect(socket, () => line.write('show servers state told\n'));
	let text = '';
	for await (const part of line.setEncoding('utf8')) text += String(part);
	return text.split('\n').flatMap((row) => {
		const [, , , name = '', , , state = ''] = row.split(' ');
		return names.includes(name) ? [`${name} ${state}`] : [];
	});
}

test('a roll behind HAProxy loses nothing where hooks or readiness take each node out, and something where neither does', async () => {
	const load = { ratePerSecond: 30, timeoutMs: 60_000 };
	const [told, asked, plain] = [urls.told, urls.asked, urls.plain].map((url) => startLoad({ ...load, urls: url }));
	assert.ok(told && asked && plain);
	await Promise.all([told, asked, plain].map((one) => one.answered(60)));
	const { json } = await fleet.node('alpha').call('start_rollout', { note: 'why not' });
	const done = await fleet.node('beta').rollout(String(json['job_id']));
	assert.equal(done.state, 'completed', done.reason ?? '');
	const [byHook, byReadiness, untold] = await Promise.all([told.stop(), asked.stop(), plain.stop()]);
	assert.equal(byHook.lost, 0, `${lossOf(byHook)} ${byHook.failures.join(', ')}`);
	assert.equal(byReadiness.lost, 0, `${lossOf(byReadiness)} ${byReadiness.failures.join(', ')}`);
	assert.ok(untold.lost > 0, lossOf(untold));
	const turn = (node: string) => [`before_node ${node} running why not`, `after_node ${node} back why not`];
	const first = 'before_rollout alpha running why not';
	assert.deepEqual(lines(), [first, ...done.order.flatMap(turn), 'after_rollout alpha completed why not']);
	assert.deepEqual(
		(await adminStates()).sort(),
		names.map((name) => `${name} 0`),
	);
	assert.equal(done.hooks?.after_rollout?.state, 'done');
});

test('a hook that fails refuses its node with its last lines, and one that hangs is killed with all that it started', async () => {
	writeFileSync(refusal, '');
	const pidsOf = async (name: string) => (await fleet.node(name).workers()).map(({ pid }) => pid);
	const then = new Map(await Promise.all(names.map(async (name) => [name, await pidsOf(name)] as const)));
	const { json } = await fleet.node('alpha').call('start_rollout', {});
	const id = String(json['job_id']);
	const halted = await fleet.node('alpha').rollout(id, ({ state }) => state === 'halted');
	const { node = '', reason } = halted.nodes.find(({ state }) => state === 'refused') ?? {};
	assert.match(reason ?? '', /^before_node on \w+ exited with 1: .*[Nn]o such server.*; no worker was touched$/);
	for (const name of names) assert.deepEqual(await pidsOf(name), then.get(name), `${name}; ${node} was refused`);
	const shown = await rollcall(['rollout', 'status', id, '--config', fleet.node('alpha').configFile]);
	assert.match(shown.stdout, /^before_node on \w+: failed, exited with 1: .*[Nn]o such server/m);

	await fleet.node('gamma').call('abort_rollout', { id });
	const aborted: RolloutView = await fleet.node('alpha').rollout(id, ({ state }) => state === 'aborted');
	assert.match(aborted.reason ?? '', /after_rollout on alpha did not end within 2000 ms$/);
	const started = lines().at(-1)?.split(' ').slice(1).map(Number) ?? [];
	assert.equal(started.length, 2);
	await waitFor('both to be gone', () => started.every((pid) => !existsSync(`/proc/${pid}`)));
});
