/** A rollout that looks first, on real nodes and by the command line: one node, whose answers are shown beside the others', a hold that outlives its coordinator, then the others. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import type { ShownRollout } from '../../src/cli/output/rollout-shapes.js';
import {
	type CommandResult,
	makeFleet,
	type RealFleet,
	type RealNode,
	rollcall,
	waitFor,
	webApp,
} from '../support/fleet/nodes.js';

const zones: Readonly<Record<string, string>> = { alpha: 'east', beta: 'east', gamma: 'west' };
let fleet: RealFleet;

/** What the address of `rollout.notify` was told, and by which node. */
const told: { event: string; node: string }[] = [];
const telling = new EventEmitter();
const hook = createServer(async (request, response) => {
	let body = '';
	for await (const part of request) body += String(part);
	told.push(JSON.parse(body) as (typeof told)[number]);
	response.writeHead(204).end();
	telling.emit('one');
});
const folder = mkdtempSync(join(tmpdir(), 'rollcall-hook-'));
/** An app that fails where it is asked to. */
const asked = join(folder, 'asked.js');

before(async () => {
	writeFileSync(
		asked,
		`require('http').createServer((request, response) => {
			if (request.url === '/fail') response.statusCode = 500;
			response.end('answer');
		}).listen(+process.env.PORT);`,
	);
	const secret = join(folder, 'secret');
	writeFileSync(secret, 'a secret of more than thirty-two bytes\n', { mode: 0o600 });
	hook.listen(0, '127.0.0.1');
	await once(hook, 'listening');
	const notify = [{ url: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`, secret_file: secret }];
	const nodes = Object.entries(zones).map(([name, zone]) => ({ name, config: { node: { name, zone } } }));
	fleet = await makeFleet(nodes, { rollout: { lease: '1s', notify } });
	judge({ window: '5s', slow: '9s' });
	await fleet.start();
});
after(async () => {
	await fleet.end();
	hook.close();
	rmSync(folder, { recursive: true });
});

/** How a release is judged by its answers, from the next roll on. */
function judge(traffic: object): void {
	for (const node of fleet.nodes)
		node.amend({ http_workers: [{ ...webApp(node.ports.app, node.name), script: asked, traffic }] });
}

async function ask(node: RealNode, path: string, times: number): Promise<void> {
	for (let count = 0; count < times; count += 1) await (await fetch(`${node.appUrl}${path}`)).text();
}

const on = (node: RealNode, ...words: string[]): Promise<CommandResult> =>
	rollcall(['rollout', ...words, '--json', '--config', node.configFile]);
const documentOf = <Shape>({ stdout }: CommandResult): Shape => JSON.parse(stdout) as Shape;

const pidsOf = async (node: RealNode): Promise<string> =>
	(await node.workers())
		.map(({ pid }) => pid)
		.sort()
		.join(' ');
const allPids = async (): Promise<Map<string, string>> =>
	new Map(await Promise.all(fleet.nodes.map(async (node) => [node.name, await pidsOf(node)] as const)));

/** The nodes with other workers than then. */
async function rolledSince(then: ReadonlyMap<string, string>): Promise<string[]> {
	const now = await allPids();
	return [...now].filter(([name, pids]) => pids !== then.get(name)).map(([name]) => name);
}

test('a start with --hold-after ends with 0 once one node is back; the hold outlives the coordinator, and resume rolls the others', async () => {
	const [alpha, gamma] = [fleet.node('alpha'), fleet.node('gamma')];
	const then = await allPids();
	const started = await on(alpha, 'start', '--hold-after', '1', '--note', 'the new checkout');
	assert.equal(started.code, 0, started.stderr);
	const held = documentOf<RolloutView>(started);
	assert.deepEqual([held.state, held.held, held.hold_after, held.note], ['paused', true, 1, 'the new checkout']);
	assert.match(held.reason ?? '', /^held after 1 of 3 nodes, as hold_after asked/);
	assert.equal(held.asked_by?.from, 'socket');
	assert.deepEqual(await rolledSince(then), ['beta']);

	await Promise.all([ask(fleet.node('beta'), 'fail', 2), ask(alpha, 'fail', 1), ask(gamma, 'fine', 5)]);
	await ask(fleet.node('beta'), 'fine', 6);
	let shown: ShownRollout | undefined;
	await waitFor('the answers of all', async () => {
		shown = documentOf<ShownRollout>(await on(gamma, 'status', held.id));
		const [web] = shown.traffic ?? [];
		return web?.new.total === 8 && web.old.total === 6;
	});
	const { ms: _, ...news } = shown?.traffic?.[0]?.new ?? {};
	const { ms: __, ...olds } = shown?.traffic?.[0]?.old ?? {};
	assert.deepEqual(news, { nodes: ['beta'], total: 8, errors: 2, slow: 0 });
	assert.deepEqual(olds, { nodes: ['gamma', 'alpha'], total: 6, errors: 1, slow: 0 });
	const { stdout } = await rollcall(['status', '--config', alpha.configFile]);
	assert.match(
		stdout.replaceAll(/\s+/g, ' '),
		/traffic: web: the new release answered 5xx to 2 of 8 requests \(25\.0 %\) in [^;]+, on beta; the old one to 1 of 6 \(16\.7 %\) in [^;]+, on gamma, alpha; late were 0 \(0\.0 %\), of the old one 0 \(0\.0 %\)/,
	);

	judge({ window: '0s' });
	await alpha.kill();
	const isTakenOver = ({ coordinator, waiting_for }: RolloutView): boolean =>
		coordinator !== 'alpha' && waiting_for === 'an operator: resume_rollout or abort_rollout';
	const taken = await gamma.rollout(held.id, isTakenOver);
	assert.deepEqual([taken.state, taken.held, taken.note], ['paused', true, 'the new checkout']);
	alpha.start();
	await alpha.ready();
	assert.deepEqual(await rolledSince(then), ['beta']);

	const resumed = await on(gamma, 'resume');
	assert.equal(resumed.code, 0, resumed.stderr);
	assert.equal(documentOf<RolloutView>(resumed).state, 'completed');
	assert.deepEqual(await rolledSince(then), ['alpha', 'beta', 'gamma']);

	while (told.length < 3) await once(telling, 'one');
	assert.deepEqual(
		told.map(({ event }) => event),
		['started', 'held', 'completed'],
	);
	const [first, second, last] = told.map(({ node }) => node);
	assert.deepEqual([first, second, last === 'alpha'], ['alpha', 'alpha', false], 'whoever coordinates says it');
});

test('a zone, and nodes by name, roll alone; the others show that they were not selected', async () => {
	const beta = fleet.node('beta');
	for (const [flags, rolled] of [
		[['--zone', 'west'], ['gamma']],
		[
			['--node', 'alpha,beta'],
			['alpha', 'beta'],
		],
	] as const) {
		const then = await allPids();
		const planned = documentOf<{ order: string[] }>(await on(beta, 'plan', ...flags));
		assert.deepEqual([...planned.order].sort(), rolled);
		const result = await on(beta, 'start', ...flags);
		assert.equal(result.code, 0, result.stderr);
		const view = documentOf<RolloutView>(result);
		assert.deepEqual(view.order, planned.order);
		const others = Object.keys(zones).filter((name) => !(rolled as readonly string[]).includes(name));
		assert.deepEqual(
			view.nodes.flatMap(({ node, state, reason }) => (state === 'back' ? [] : [`${node} ${state}: ${reason}`])),
			others.map((name) => `${name} skipped: not selected`),
		);
		assert.deepEqual(await rolledSince(then), rolled);
	}
});

test('a node, a zone or a number of nodes that the fleet does not have is refused by name, and nothing begins', async () => {
	const alpha = fleet.node('alpha');
	const known = (await alpha.call<RolloutView[]>('list_rollouts')).json.length;
	for (const [flags, text] of [
		[['--node', 'beta,delta'], /'nodes' names delta, which is no member; the members are alpha, beta, gamma/],
		[['--zone', 'north'], /'zone' names north, in which no node is; the zones are east, west/],
		[['--hold-after', '4'], /'hold_after' is 4, but the rollout has 3 nodes/],
	] as const) {
		const refused = await on(alpha, 'start', ...flags);
		assert.equal(refused.code, 1, refused.stdout);
		assert.match(refused.stdout + refused.stderr, text);
		assert.match((await on(alpha, 'plan', ...flags)).stdout, text);
	}
	assert.equal((await alpha.call<RolloutView[]>('list_rollouts')).json.length, known);
});
