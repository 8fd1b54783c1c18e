import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

/** Processes whose command line names this folder: what a start that was refused must not leave behind. */
function processesOf(folder: string): number[] {
	return readdirSync('/proc').flatMap((name) => {
		if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
		try {
			return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(folder) ? [Number(name)] : [];
		} catch {
			return [];
		}
	});
}

describe('what cannot be done is refused with a clear error, and nothing is half-started', () => {
	let fleet: RealFleet;
	let node: RealNode;
	before(async () => {
		fleet = await makeFleet([{ name: 'alpha' }]);
		node = fleet.node('alpha');
	});
	after(() => fleet.end());

	test('a port that is taken: exit 1, named with its key, no process left and no boot counted', async () => {
		const server = createServer().listen(node.ports.operations, '127.0.0.1');
		await once(server, 'listening');
		const { code, stderr } = await rollcall(['daemon', '--config', node.configFile]);
		server.close();
		assert.equal(code, 1);
		assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${node.ports.operations} \\(operations_api\\.http\\) is in use`));
		assert.deepEqual(processesOf(node.folder), []);
		assert.ok(!existsSync(node.socketPath), 'the admin socket is gone again');
		assert.equal(readFileSync(join(node.stateDir, 'records.log'), 'utf8'), '');
	});

	test('a configuration with a mistake: exit 2, with file, line, column and what was expected', async () => {
		const good = readFileSync(node.configFile, 'utf8');
		writeFileSync(node.configFile, good.replace('instances: 2', 'instances: two'), { mode: 0o600 });
		for (const command of ['daemon', 'worker-host', 'validate']) {
			const { code, stderr } = await rollcall([command, '--config', node.configFile]);
			assert.equal(code, 2, command);
			assert.match(stderr, /rollcall\.yaml:\d+:\d+: http_workers\[0\]\.instances: expected .* got "two"/, command);
		}
		writeFileSync(node.configFile, good, { mode: 0o600 });
		assert.deepEqual(processesOf(node.folder), []);
	});

	test('a second daemon and a second worker host on the same folders: exit 1, naming who holds them', async () => {
		node.start();
		await node.ready();
		for (const command of ['daemon', 'worker-host']) {
			const { code, stderr } = await rollcall([command, '--config', node.configFile]);
			assert.equal(code, 1, command);
			assert.match(stderr, /lock is held by process \d+/, command);
		}
		assert.equal((await node.get('/readyz')).status, 200);
	});

	test('a fault in the file answers 503 with node and key, and restarts nothing', async () => {
		const good = readFileSync(node.configFile, 'utf8');
		const before = (await node.workers()).map((row) => row.pid);
		writeFileSync(node.configFile, good.replace('instances: 2', 'instances: two'), { mode: 0o600 });
		const { status, json } = await node.call('restart_service', { service: 'http_workers' });
		const { json: plan } = await node.call('restart_service', { service: 'http_workers', dry_run: true });
		writeFileSync(node.configFile, good, { mode: 0o600 });
		assert.equal(status, 503);
		assert.match(String(json['error']), /alpha: .*http_workers\[0\]\.instances/);
		assert.match(String(plan['refused']), /alpha: .*http_workers\[0\]\.instances/, 'a dry run says so, too');
		assert.deepEqual(
			(await node.workers()).map((row) => row.pid),
			before,
		);
	});

	test('a change of http_workers says what comes and goes, and an app that the file no longer has goes by its name', async () => {
		const good = readFileSync(node.configFile, 'utf8');
		const write = (text: string) => writeFileSync(node.configFile, text, { mode: 0o600 });
		const changed = good.replace('name: web', 'name: site');
		assert.notEqual(changed, good);
		write(changed);
		const changes = { added: ['site'], removed: ['web'] };
		const { json: plan } = await node.call('restart_service', { service: 'http_workers', dry_run: true });
		assert.deepEqual([plan['refused'], plan['apps']], [null, { alpha: changes }]);
		const { stdout } = await rollcall(['rollout', 'plan', '--socket', node.socketPath]);
		assert.match(stdout, /alpha adds site, removes web once all else is back/);
		const { stdout: validated } = await rollcall(['validate', '--config', node.configFile]);
		assert.match(validated, /a roll of http_workers adds site, removes web once all else is back/);
		const json = JSON.parse((await rollcall(['validate', '--json', '--config', node.configFile])).stdout) as object;
		assert.deepEqual((json as { changes: object }).changes, changes);
		const roll = (app: string) =>
			rollcall(['restart_service', 'service=http_workers', `app=${app}`, '--socket', node.socketPath]);
		const names = async () => [...new Set((await node.workers()).map((row) => row.app))];
		assert.equal((await roll('site')).code, 0);
		assert.deepEqual((await names()).sort(), ['site', 'web']);
		assert.equal((await roll('web')).code, 0);
		assert.deepEqual(await names(), ['site']);
		const { status, json: refused } = await node.call('restart_service', { service: 'http_workers', app: 'web' });
		assert.equal(status, 503);
		assert.match(String(refused['error']), /alpha: http_workers has no app 'web', and none runs here; it has: site/);
		write(good);
		assert.equal((await rollcall(['restart_service', 'service=http_workers', '--socket', node.socketPath])).code, 0);
		assert.deepEqual(await names(), ['web']);
	});

	test('every durable store has its row in table_size', async () => {
		const { json } = await node.call<{ table_size: { table: string; record_count: number; table_size: number }[] }>(
			'system_information',
			{ attributes: ['table_size'] },
		);
		assert.deepEqual(
			json.table_size.map(({ table }) => table),
			['rollout_records', 'users', 'api_tokens', 'workers'],
		);
		for (const row of json.table_size) {
			// No token was made here.
			assert.ok(row.record_count > 0 || row.table === 'api_tokens', JSON.stringify(row));
			assert.ok(row.table_size > 0, JSON.stringify(row));
		}
	});

	test('without a cluster both services of it have nothing to do and complete, replicated too', async () => {
		for (const service of ['clustering', 'clustering_config']) {
			for (const replicated of [false, true]) {
				const { status, json } = await node.call('restart_service', { service, replicated });
				assert.equal(status, 200, JSON.stringify(json));
				const view = await node.rollout(String(json['job_id']));
				assert.deepEqual([view.state, view.reason], ['completed', null], `${service} ${replicated}`);
				const { json: jobs } = await node.call<{ status: string; result?: { replicated: { node: string }[] } }[]>(
					'get_job',
					{ id: view.id },
				);
				const nodes = jobs[0]?.result?.replicated.map((row) => row.node);
				assert.deepEqual([jobs[0]?.status, nodes], ['COMPLETE', replicated ? ['alpha'] : undefined]);
			}
		}
	});

	test('a rollout or node that is not there is named, by every operation that takes one', async () => {
		for (const name of ['get_rollout', 'undo_rollout', 'pause_rollout', 'resume_rollout', 'abort_rollout']) {
			const { status, json } = await node.call(name, { id: 'nope' });
			assert.deepEqual([status, json], [404, { error: "Rollout 'nope' not found" }], name);
		}
		const { status, json } = await node.call('admit_node', { node: 'nobody' });
		assert.equal(status, 404, JSON.stringify(json));
		assert.match(String(json['error']), /nobody/);
	});

	test('restart of this node: the boot grows, every worker is new, its statuses are gone, and the job completes', async () => {
		assert.equal((await node.call('set_status', { status: 'before the restart' })).status, 200);
		const before = (await node.workers()).map((row) => row.pid);
		const boot = (await node.call('cluster_status')).json['boot'];
		const { status, json } = await node.call('restart');
		assert.equal(status, 200);
		assert.deepEqual(json, { message: 'Restarting HarperDB. This may take up to 60 seconds.' });
		await waitFor('a greater boot', async () => {
			const answer = await node.call('cluster_status').catch(() => null);
			return answer?.status === 200 && Number(answer.json['boot']) === Number(boot) + 1;
		});
		await waitFor('readiness', async () => (await node.get('/readyz').catch(() => null))?.status === 200);
		const after = await node.workers();
		assert.equal(after.length, 2);
		for (const row of after) assert.ok(!before.includes(row.pid));
		const { json: rollouts } = await node.call<{ type: string; state: string }[]>('list_rollouts');
		assert.deepEqual([rollouts[0]?.type, rollouts[0]?.state], ['restart', 'completed']);
		assert.deepEqual((await node.call('get_status')).json, []);
	});

	test('stop finds the worker host although the daemon is dead, and leaves no process', async () => {
		const holder = JSON.parse(readFileSync(join(node.stateDir, 'lock'), 'utf8')) as { pid: number };
		process.kill(holder.pid, 'SIGKILL');
		await waitFor('the daemon to be gone', () => !processesOf(node.folder).includes(holder.pid));
		const { code, stdout } = await rollcall(['stop', '--config', node.configFile]);
		assert.equal(code, 0);
		assert.match(stdout, /stopped worker host/);
		assert.deepEqual(processesOf(node.folder), []);
	});
});
