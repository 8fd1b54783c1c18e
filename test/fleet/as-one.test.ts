/** The fleet is seen as one from any node: its workers, by the caller's role, and whoever does not answer by name. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, renameSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resultShapes } from '../../src/cli/output/json-schemas.js';
import { type RunningCommand, startCommand } from '../support/cli/command.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

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

type Line = { time: number; node: string; worker: string; text: string };

test('any node reads the lines of any node, or all, by their time, for who may roll and for nobody else', async () => {
	const made = async (name: string, role: string) => {
		const { stdout } = await at(alpha, 'token', 'create', name, '--role', role, '--json');
		return resultShapes['token create'].parse(JSON.parse(stdout)).token;
	};
	const url = `http://127.0.0.1:${alpha.ports.operations}`;
	const job = async (token: string, ...words: string[]) =>
		rollcall([...words, '--url', url], { ROLLCALL_TOKEN: token });
	const [operator, viewer] = [await made('ci', 'operator'), await made('eye', 'viewer')];
	for (const node of fleet.nodes) {
		const [worker] = await node.workers();
		appendFileSync(join(node.workerDir, 'self', 'logs', `${worker?.id}-out.log`), `\u001b[1mhello of ${node.name}\n`);
	}
	const { json } = await alpha.call<Line[]>('read_logs', { node: 'all', app: 'web' });
	const nodes = new Set(json.map(({ node }) => node));
	assert.deepEqual([...nodes].sort(), ['alpha', 'beta', 'gamma']);
	assert.ok(json.every(({ text }) => text.startsWith('hello of')));
	const times = json.map(({ time }) => time);
	assert.deepEqual([...times].sort(), times);
	const [own] = json.filter(({ node }) => node === 'beta');
	assert.ok(own);
	for (const [fields, expected] of [
		[{ node: 'beta', worker: own.worker }, [own.worker]],
		[{ node: 'beta', release: 'no such release' }, []],
		[{ node: 'beta', release: (await beta.workers())[0]?.release, worker: own.worker }, [own.worker]],
		[{ node: 'beta', since: new Date(Date.now() + 60_000).toISOString() }, []],
	] as const)
		assert.deepEqual(
			(await alpha.call<Line[]>('read_logs', fields)).json.map(({ worker }) => worker),
			expected,
			JSON.stringify(fields),
		);

	const remote = await job(operator, 'logs', 'web', '--node', 'all', '--json');
	assert.equal(remote.code, 0, remote.stderr);
	const lines = remote.stdout
		.trimEnd()
		.split('\n')
		.map((line) => resultShapes.logs.parse(JSON.parse(line)));
	assert.deepEqual(new Set(lines.map(({ node }) => node)), nodes);
	// Without --node these are the lines of the host that was asked, which has no files of the others.
	const ofOne = await job(operator, 'logs');
	assert.match(ofOne.stdout, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} web-\d+ \| hello of alpha\n$/);
	const refused = await job(viewer, 'logs', '--node', 'all');
	assert.deepEqual([refused.code, refused.stdout], [5, '']);
});

test('what three nodes write is followed from one of them: no line is lost or comes twice, whatever is turned over or goes away meanwhile', async () => {
	const count = 300;
	const command = startCommand(['logs', '--node', 'all', '-f', '-n', '0', '--json', '--config', alpha.configFile]);
	const folder = (node: RealNode) => join(node.workerDir, 'self', 'logs');
	const file = (node: RealNode) => join(folder(node), 'job-1-out.log');
	for (const node of fleet.nodes) writeFileSync(file(node), '');
	await Promise.all(fleet.nodes.map((node) => until(command, node, () => appendFileSync(file(node), 'begin\n'))));
	for (let number = 0; number < count; number++) {
		// Its workers write on while the daemon is away.
		if (number === 100) await beta.kill();
		if (number === 200) {
			beta.start();
			await beta.ready();
			await command.says('its lines follow from where they stopped');
		}
		for (const node of fleet.nodes) appendFileSync(file(node), `${node.name} ${number}\n`);
		if (number % 100 === 50) for (const node of fleet.nodes) turnOver(file(node));
		if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
	}
	for (const node of fleet.nodes) await command.says(`${node.name} ${count - 1}`);
	command.child.kill('SIGINT');
	const { code, stdout } = await command.result;
	assert.equal(code, 130);
	assert.match(stdout, /"node":"beta","error":"the link to it was lost: .*; it is asked again"/);
	for (const node of fleet.nodes) {
		const texts = stdout
			.trimEnd()
			.split('\n')
			.map((line) => resultShapes.logs.parse(JSON.parse(line)))
			.flatMap((row) => ('line' in row && row.node === node.name && row.line.startsWith(node.name) ? [row.line] : []));
		assert.deepEqual(
			texts,
			Array.from({ length: count }, (_, number) => `${node.name} ${number}`),
		);
	}
});

test('a node is taken out of its load balancers from another one, by a super_user alone, and both audits have it', async () => {
	const isReady = async () => (await beta.get('/readyz')).status === 200;
	const drained = await at(alpha, 'node', 'drain', 'beta', '--json');
	assert.equal(drained.code, 0, drained.stderr);
	const answer = resultShapes['node drain'].parse(JSON.parse(drained.stdout));
	assert.deepEqual(answer, { node: 'beta', availability: 'Unavailable' });
	assert.equal(await isReady(), false);
	const check = await at(beta, 'status', '--check');
	assert.match(
		check.stdout,
		/an operator has taken beta out of its load balancers\. Put it back: rollcall node ready beta /,
	);
	assert.equal(check.code, 1);
	const made = await at(alpha, 'token', 'create', 'drainer', '--role', 'operator', '--json');
	const { token } = resultShapes['token create'].parse(JSON.parse(made.stdout));
	const url = `http://127.0.0.1:${alpha.ports.operations}`;
	for (const verb of ['drain', 'ready']) {
		const refused = await rollcall(['node', verb, 'beta', '--url', url], { ROLLCALL_TOKEN: token });
		assert.deepEqual([refused.code, refused.stdout], [5, '']);
	}
	assert.equal(await isReady(), false);
	assert.equal((await at(alpha, 'node', 'ready', 'beta')).code, 0);
	assert.equal(await isReady(), true);
	assert.equal((await at(alpha, 'node', 'drain', 'delta')).code, 1);
	assert.match((await at(alpha, 'node', 'drain', 'all')).stderr, /must be the name of one node/);
	const auditOf = async (node: RealNode) =>
		resultShapes.audit
			.parse(JSON.parse((await at(node, 'audit', '--json')).stdout))
			.filter(({ operation, status }) => operation.endsWith('_node') && status === 200)
			.map(({ user, by, from, operation, role }) => [user, by, from, operation, role]);
	const user = userInfo().username;
	assert.deepEqual(
		await auditOf(alpha),
		['drain_node', 'ready_node'].map((one) => [user, 'socket', 'socket', one, 'super_user']),
	);
	assert.deepEqual(
		await auditOf(beta),
		['drain_node', 'ready_node'].map((one) => [user, 'peer', 'alpha', one, 'super_user']),
	);
});

/** As the worker host does. */
function turnOver(file: string): void {
	for (const turn of [3, 2, 1]) if (existsSync(`${file}.${turn}`)) renameSync(`${file}.${turn}`, `${file}.${turn + 1}`);
	renameSync(file, `${file}.1`);
	writeFileSync(file, '');
}

/** Writes until the first line has come: by then the node is followed. */
async function until(command: RunningCommand, node: RealNode, write: () => void): Promise<void> {
	let isHeard = false;
	void command.says(`"node":"${node.name}"`).then(() => {
		isHeard = true;
	});
	await waitFor(`${node.name} to be followed`, () => {
		if (!isHeard) write();
		return isHeard;
	});
}

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
	const stand = await alpha.call<{ node: string; ready: boolean; apps: { app: string }[] }[]>('node_status', {
		node: 'all',
	});
	assert.deepEqual(
		stand.json.map(({ node, ready, apps }) => [node, ready, apps.map(({ app }) => app)]),
		['alpha', 'beta', 'gamma'].map((node) => [node, true, ['web']]),
	);
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
