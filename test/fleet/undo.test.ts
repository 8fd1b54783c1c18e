/** Going back on real nodes, under load: a bad release is put back by the fleet though its coordinator dies, and a good one by an operator. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RolloutPlan, RolloutView } from '../../src/rollout/types.js';
import {
	type CommandResult,
	makeFleet,
	type RealFleet,
	type RealNode,
	rollcall,
	waitFor,
	webApp,
} from '../support/fleet/nodes.js';
import { deploy, pathOf } from '../support/fleet/deploy.js';
import { lossOf, startLoad } from '../support/workers/load.js';

/** Serves once no file `hold` lies in its folder, so that a step can be caught in the middle. */
const program = `const { existsSync } = require('fs');
const listen = () => existsSync(__dirname + '/hold') ? setTimeout(listen, 20)
	: require('http').createServer((q, r) => r.end('ok')).listen(+process.env.PORT);
listen();`;
const bad = `throw new Error('no such table');`;

let fleet: RealFleet;
const [alpha, beta, gamma] = ['alpha', 'beta', 'gamma'].map((name) => () => fleet.node(name)) as [
	() => RealNode,
	() => RealNode,
	() => RealNode,
];
before(async () => {
	fleet = await makeFleet(['alpha', 'beta', 'gamma'].map((name) => ({ name })));
	const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `ws://127.0.0.1:${ports.cluster}` }));
	for (const node of fleet.nodes) {
		deploy(node, 'v1', program);
		const app = { ...webApp(node.ports.app, node.name), script: './current/server.js', cwd: node.folder, instances: 1 };
		const listen = { host: '127.0.0.1', port: node.ports.cluster };
		const cluster = { listen, secret_file: join(fleet.folder, 'secret'), peers };
		node.configure({ http_workers: [app], cluster, rollout: { lease: '1s' } });
	}
	await fleet.start();
	await waitFor('every node to be linked', async () => {
		const { json } = await alpha().call<{ nodes: { link: string; ready: boolean | null }[] }>('cluster_status');
		return json.nodes.every(({ link, ready }) => link !== 'down' && ready === true);
	});
});
after(() => fleet.end());

const on = (node: RealNode, ...words: string[]): Promise<CommandResult> =>
	rollcall(['rollout', ...words, '--config', node.configFile]);
const documentOf = <Shape>({ stdout }: CommandResult): Shape => JSON.parse(stdout) as Shape;

async function running(): Promise<Record<string, string | null | undefined>> {
	const rows = await Promise.all(fleet.nodes.map(async (node) => [node.name, (await node.workers())[0]] as const));
	return Object.fromEntries(rows.map(([name, row]) => [name, row?.revision]));
}

test('a bad release under on_failure revert, and an undo: every node on the old one, no request lost, whoever dies', async () => {
	const load = startLoad({ urls: fleet.nodes.map((node) => node.appUrl), ratePerSecond: 100 });
	await load.answered(100);
	for (const node of fleet.nodes) deploy(node, 'v2', node === gamma() ? bad : program);
	const hold = join(beta().folder, 'v1', 'hold');
	writeFileSync(hold, '');
	const { status, json } = await alpha().call('start_rollout', { on_failure: 'revert', note: 'release 2' });
	assert.equal(status, 200, JSON.stringify(json));
	const id = String(json['job_id']);
	const followed = on(gamma(), 'follow', id);

	// The coordinator has opened the undo, and beta is in the middle of going back.
	const { reverted_by: by } = await gamma().rollout(id, ({ state }) => state === 'aborted');
	const isGoingBack = ({ nodes }: RolloutView): boolean => nodes.some((one) => one.state === 'restarting');
	await gamma().rollout(String(by), isGoingBack);
	await alpha().kill();
	await gamma().rollout(String(by), ({ coordinator }) => coordinator !== 'alpha');
	rmSync(hold);

	const ended = await followed;
	assert.equal(ended.code, 6, ended.stderr);
	const last = ended.stderr.trim().split('\n').at(-1) ?? '';
	assert.match(last, /^Not rolled out\. .*gamma refused: .*no such table.*what ran before runs again on beta$/);
	alpha().start();
	await alpha().ready();
	for (const node of fleet.nodes) {
		const undone = await node.rollout(id);
		assert.match(undone.reason ?? '', new RegExp(`^gamma refused: .*; reverted by ${by}$`, 's'), node.name);
		assert.deepEqual((await node.rollout(String(by))).reverts, id, node.name);
	}
	assert.deepEqual(await running(), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
	const [worker] = await beta().workers();
	assert.deepEqual([worker?.release, worker?.pinned?.rollout], [pathOf(beta(), 'v1'), by]);

	deploy(gamma(), 'v2', program);
	const rolled = await on(alpha(), 'start', '--json');
	assert.equal(rolled.code, 0, rolled.stderr);
	assert.deepEqual(await running(), { alpha: 'v2', beta: 'v2', gamma: 'v2' });
	for (const node of fleet.nodes) deploy(node, 'v3', bad);
	const planned = documentOf<RolloutPlan>(await on(beta(), 'undo', '--dry-run', '--json'));
	assert.deepEqual(
		[planned.refused, planned.order.length, planned.release?.['gamma']?.after?.['web']?.revision],
		[null, 3, 'v1'],
	);
	const undone = await on(beta(), 'undo', '--note', 'too slow', '--json');
	assert.equal(undone.code, 0, undone.stderr);
	const undo = documentOf<RolloutView>(undone);
	assert.deepEqual([undo.state, undo.note, undo.order.at(-1)], ['completed', 'too slow', 'beta']);
	assert.deepEqual(await running(), { alpha: 'v1', beta: 'v1', gamma: 'v1' });

	rmSync(join(gamma().folder, 'v2'), { recursive: true });
	const refused = await on(alpha(), 'undo', undo.id.slice(0, 8));
	assert.equal(refused.code, 1, refused.stdout);
	assert.match(refused.stderr, /gamma: app web cannot start from .*v2\/server\.js: it is gone; nothing was changed/);
	assert.deepEqual(await running(), { alpha: 'v1', beta: 'v1', gamma: 'v1' });
	await load.answered(50);
	const report = await load.stop();
	assert.equal(report.lost, 0, `${lossOf(report)}: ${report.failures.join('; ')}`);
});
