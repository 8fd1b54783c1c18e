/** The fleet is seen as one from any node: its workers, by the caller's role, and whoever does not answer by name. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { resultShapes } from '../../src/cli/output/json-schemas.js';
import { makeFleet, type RealFleet, type RealNode, rollcall } from '../support/fleet/nodes.js';

let fleet: RealFleet;
let alpha: RealNode;
let beta: RealNode;
before(async () => {
	fleet = await makeFleet([{ name: 'alpha' }, { name: 'beta' }, { name: 'gamma' }]);
	[alpha, beta] = fleet.nodes as [RealNode, RealNode];
	await fleet.start();
});
after(() => fleet.end());

const at = (node: RealNode, ...words: string[]) => rollcall([...words, '--config', node.configFile]);

test('any node shows the workers of any node, or all; one that is dead or stands still is named', async () => {
	const workersAt = async (node: RealNode, whose: string, exit = 0) => {
		const { code, stdout, stderr } = await at(node, 'workers', '--node', whose, '--json');
		assert.equal(code, exit, stderr);
		return resultShapes.workers.parse(JSON.parse(stdout));
	};
	const pids = async (node: RealNode) => (await node.workers()).map(({ pid }) => pid);
	const nodesOf = (rows: Awaited<ReturnType<typeof workersAt>>) =>
		rows.map((row) => `${row.node}${'error' in row ? ` ${row.error}` : ''}`);
	for (const node of fleet.nodes) {
		assert.deepEqual(nodesOf(await workersAt(node, 'all')), ['alpha', 'alpha', 'beta', 'beta', 'gamma', 'gamma']);
		const ofBeta = await workersAt(node, 'beta');
		assert.deepEqual(
			ofBeta.map((row) => ('pid' in row ? row.pid : null)),
			await pids(beta),
		);
	}
	const own = (await workersAt(alpha, 'alpha')).map(({ node, ...row }) => ({ node, keys: Object.keys(row).sort() }));
	const keys = Object.keys((await alpha.workers())[0] ?? {}).sort();
	assert.deepEqual(own, [
		{ node: 'alpha', keys },
		{ node: 'alpha', keys },
	]);
	const unknown = await at(alpha, 'workers', '--node', 'delta');
	assert.equal(unknown.code, 1);
	assert.match(unknown.stderr, /Node 'delta' is no member; the members are alpha, beta, gamma/);

	beta.child?.kill('SIGSTOP');
	await fleet.node('gamma').kill();
	const some = await workersAt(alpha, 'all', 1);
	const [, , ofBeta = '', ofGamma = ''] = nodesOf(some);
	assert.match(ofBeta, /^beta (it does not answer within 1000 ms|the link to it was lost|there is no link to it)/);
	assert.match(ofGamma, /^gamma (there is no link to it|the link to it was lost)/);
	const { stdout } = await at(alpha, 'workers', '--node', 'all');
	assert.match(stdout, /^NODE +APP[\s\S]*alpha[\s\S]*\nbeta does not answer: .*\ngamma does not answer: /);
	beta.child?.kill('SIGCONT');
	fleet.node('gamma').start();
	await fleet.node('gamma').ready();
});
