import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

interface ClusterRow {
	name: string;
	link: string;
	configuration: string | null;
}

describe('a node whose configuration file does not check when it starts', () => {
	let fleet: RealFleet;
	let alpha: RealNode;
	let beta: RealNode;
	let good: string;
	const writeFile = (text: string): void => writeFileSync(beta.configFile, text, { mode: 0o600 });
	const lastGood = (): string => readFileSync(join(beta.stateDir, 'last-good.yaml'), 'utf8');
	const healthy = async (): Promise<number> => (await beta.workers()).filter((row) => row.healthy).length;
	const rowOf = async (asked: RealNode): Promise<ClusterRow | undefined> => {
		const { json } = await asked.call<{ nodes: ClusterRow[] }>('cluster_status');
		return json.nodes.find(({ name }) => name === 'beta');
	};

	before(async () => {
		fleet = await makeFleet([{ name: 'alpha' }, { name: 'beta' }]);
		[alpha, beta] = [fleet.node('alpha'), fleet.node('beta')];
		await fleet.start();
		good = readFileSync(beta.configFile, 'utf8');
	});
	after(() => fleet.end());

	test('is refused with exit 2 as long as there is no last good one, and for a fault in a variable always', async () => {
		const first = await makeFleet([{ name: 'gamma', config: { surplus: 1 } }]);
		assert.deepEqual(await once(first.node('gamma').start(), 'exit'), [2, null]);
		assert.match(first.node('gamma').log(), /surplus: expected a key/);
		await first.end();
		await beta.stop();
		beta.env['ROLLCALL_NODE__NAME'] = 'Not A Name';
		assert.deepEqual(await once(beta.start(), 'exit'), [2, null]);
		delete beta.env['ROLLCALL_NODE__NAME'];
	});

	test('starts its apps by the last good one, after a boot with nothing running', async () => {
		assert.match(lastGood(), /^# rollcall last good configuration \{"version":1,/);
		assert.equal(statSync(join(beta.stateDir, 'last-good.yaml')).mode & 0o777, 0o600);
		writeFile(good.replace('instances: 2', 'instances: two'));
		beta.start();
		await beta.ready();
		assert.equal(await healthy(), 2);
		assert.match(beta.log(), /"level":50,.*"event":"configuration_refused".*http_workers\[0\]\.instances/);
	});

	test('says so in readyz, status and cluster_status, on its peers too', async () => {
		const { status, json } = await beta.get('/readyz');
		assert.equal(status, 200, 'its apps are well');
		const [note = ''] = json['notes'] as string[];
		assert.match(note, /does not check: .*rollcall\.yaml:\d+:\d+: http_workers\[0\]\.instances/);
		assert.match(note, /runs by the last good one, of .*takes part in no rollout/);
		assert.equal((await rowOf(beta))?.configuration, 'last_good');
		await waitFor('alpha to hear of it', async () => (await rowOf(alpha))?.configuration === 'last_good');
		const here = await rollcall(['status', '--config', beta.configFile]);
		assert.match(here.stdout, /^WRONG\n {2}! The configuration file does not check/, here.stderr);
		const there = await rollcall(['status', '--config', alpha.configFile]);
		assert.match(there.stdout, /! beta runs by its last good configuration/, there.stderr);
	});

	test('takes part in no rollout of any kind, whoever asks, and its workers stay', async () => {
		const before = (await beta.workers()).map(({ pid }) => pid);
		const requests: [string, Record<string, unknown>][] = [
			['restart_service', { service: 'http_workers', replicated: true }],
			['restart_service', { service: 'clustering', replicated: true }],
			['restart', { replicated: true }],
		];
		for (const node of [alpha, beta]) {
			for (const [operation, fields] of requests) {
				const { status, json } = await node.call(operation, fields);
				assert.equal(status, 503, `${operation} ${JSON.stringify(fields)}: ${JSON.stringify(json)}`);
				assert.match(String(json['error']), /beta: the configuration does not check: .*http_workers\[0\]\.instances/);
			}
		}
		const { json: plan } = await alpha.call('restart_service', { ...requests[0]?.[1], dry_run: true });
		assert.match(String(plan['refused']), /beta: .*http_workers\[0\]\.instances/);
		assert.deepEqual(
			(await beta.workers()).map(({ pid }) => pid),
			before,
		);
	});

	test('does the same with a file that is no YAML any more, and the commands find it', async () => {
		await beta.kill('SIGTERM');
		writeFile(`\t${good}`);
		beta.start();
		await beta.ready();
		const { code, stdout, stderr } = await rollcall(['status', '--config', beta.configFile]);
		assert.equal(code, 0, stderr);
		assert.match(stdout, /^WRONG\n {2}! The configuration file does not check/);
		const stopped = await rollcall(['stop', '--config', beta.configFile]);
		assert.match(stopped.stdout, /stopped daemon.*\n.*stopped worker host/, stopped.stderr);
		beta.start();
		await beta.ready();
		assert.equal(await healthy(), 2);
	});

	test('takes part again once the file is mended, and what it rolls out is the next last good one', async () => {
		const mended = good.replace('instances: 2', 'instances: 3');
		writeFile(mended);
		const { status, json } = await alpha.call('restart_service', { service: 'http_workers', replicated: true });
		assert.equal(status, 200, JSON.stringify(json));
		const view = await alpha.rollout(String(json['job_id']));
		assert.equal(view.state, 'completed', JSON.stringify(view));
		assert.equal(await healthy(), 3);
		assert.deepEqual((await beta.get('/readyz')).json['notes'], []);
		await waitFor('alpha to hear of it', async () => (await rowOf(alpha))?.configuration === 'file');
		assert.ok(lastGood().endsWith(`\n${mended}`), lastGood());
	});

	test('a node that runs is not rolled to a file that was emptied, or copied from another node', async () => {
		const before = (await alpha.workers()).map(({ pid }) => pid);
		const own = readFileSync(alpha.configFile, 'utf8');
		const wrong: [string, RegExp][] = [
			['', /alpha: .*expected a configuration, got an empty file/],
			[good, /alpha: .*node\.name: expected alpha, as this node runs, got beta \(put this node's own file back/],
		];
		for (const [text, fault] of wrong) {
			writeFileSync(alpha.configFile, text, { mode: 0o600 });
			for (const replicated of [true, false]) {
				const { status, json } = await alpha.call('restart_service', { service: 'http_workers', replicated });
				assert.equal(status, 503, JSON.stringify(json));
				assert.match(String(json['error']), fault);
			}
		}
		writeFileSync(alpha.configFile, own, { mode: 0o600 });
		assert.deepEqual(
			(await alpha.workers()).map(({ pid }) => pid),
			before,
		);
	});

	for (const way of ['a reload', 'a restart'] as const) {
		test(`${way} takes up a mended file, too`, async () => {
			await beta.kill('SIGTERM');
			writeFile(`${good}surplus: 1\n`);
			beta.start();
			await beta.ready();
			assert.equal((await rowOf(beta))?.configuration, 'last_good');
			writeFile(good);
			if (way === 'a reload') beta.child?.kill('SIGHUP');
			else {
				await beta.kill('SIGTERM');
				beta.start();
				await beta.ready();
			}
			await waitFor('the file to be taken up', async () => (await rowOf(beta))?.configuration === 'file');
		});
	}
});
