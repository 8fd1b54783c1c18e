import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { install, TestAuthority, type TestCertificate } from '../support/fleet/authority.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

const names = ['alpha', 'beta'];

describe('two real nodes that know each other by certificates', () => {
	let fleet: RealFleet;
	let authority: TestAuthority;
	let alpha: RealNode;
	let beta: RealNode;

	const folderOf = (node: RealNode): string => join(node.folder, 'tls');
	const linkFrom = async (node: RealNode): Promise<Record<string, unknown>> => {
		const { json } = await node.call<{ replication: Record<string, unknown>[] }>('system_information', {
			attributes: ['replication'],
		});
		assert.equal(json.replication.length, 1);
		return json.replication[0] ?? {};
	};
	/** `restart_service clustering_config` of one node, to its end. */
	const takeUp = async (node: RealNode, replicated = false) => {
		const { status, json } = await node.call('restart_service', { service: 'clustering_config', replicated });
		return status === 200
			? { status, view: await node.rollout(String(json['job_id'])) }
			: { status, error: json['error'] };
	};
	const notesOf = async (node: RealNode): Promise<string[]> => (await node.get('/readyz')).json['notes'] as string[];

	before(async () => {
		fleet = await makeFleet(names.map((name) => ({ name })));
		[alpha, beta] = [fleet.node('alpha'), fleet.node('beta')];
		authority = await TestAuthority.make(fleet.folder);
		const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `wss://127.0.0.1:${ports.cluster}` }));
		for (const node of fleet.nodes) {
			// One of the two is to be renewed soon.
			const tls = install(await authority.issue(node.name, node === alpha ? 20 : 200), folderOf(node));
			node.configure({ cluster: { listen: { host: '127.0.0.1', port: node.ports.cluster }, tls, peers } });
		}
		await fleet.start();
		await waitFor('the link', async () => (await linkFrom(alpha))['connected'] === true);
	});
	after(() => fleet.end());

	test('a roll over TLS replaces every worker', async () => {
		const before = await Promise.all(fleet.nodes.map((node) => node.workers()));
		const { status, json } = await beta.call('restart_service', { service: 'http_workers', replicated: true });
		assert.equal(status, 200, JSON.stringify(json));
		const view = await beta.rollout(String(json['job_id']));
		assert.equal(view.state, 'completed', JSON.stringify(view));
		const old = new Set(before.flat().map(({ pid }) => pid));
		for (const row of (await Promise.all(fleet.nodes.map((node) => node.workers()))).flat())
			assert.ok(!old.has(row.pid), `${row.id} is a new process`);
	});

	test('the metrics of a node say how its workers, its certificates and the rollout stand', async () => {
		const workers = await beta.workers();
		const request = get({ socketPath: beta.socketPath, path: '/metrics' });
		const [response] = (await once(request, 'response')) as [IncomingMessage];
		const series = new Map(
			(await text(response)).split('\n').flatMap((line) => {
				const [, name = '', value] = /^(rollcall_\S+) (\S+)$/.exec(line) ?? [];
				return name === '' ? [] : [[name, Number(value)] as const];
			}),
		);
		assert.equal(series.get('rollcall_wanted_workers{app="web"}'), workers.length);
		assert.equal(series.get('rollcall_healthy_workers{app="web"}'), workers.length);
		assert.equal(series.get('rollcall_rollout_state{state="completed"}'), 1);
		assert.equal(series.get('rollcall_rollout_nodes{state="back"}'), 2);
		const daysLeft = (key: string) =>
			((series.get(`rollcall_certificate_expiry_timestamp_seconds{key="${key}"}`) ?? 0) - Date.now() / 1000) / 86_400;
		assert.equal(Math.round(daysLeft('cluster.tls.cert')), 200);
		assert.ok(daysLeft('cluster.tls.ca') > 200);
		for (const { id, memory } of workers) {
			if (memory === null) continue;
			const bytes = series.get(`rollcall_worker_resident_memory_bytes{app="web",worker="${id}"}`) ?? 0;
			assert.ok(bytes > 1024 * 1024, `${id}: ${bytes}`);
		}
	});

	test('a certificate with 20 days left is said in readyz, status and log, and a node with 200 days says nothing', async () => {
		const [note, ...others] = await notesOf(alpha);
		assert.deepEqual(others, []);
		assert.match(
			note ?? '',
			/cluster\.tls\.cert .* expires in 19 days, on .*restart_service service=clustering_config/,
		);
		assert.deepEqual(await notesOf(beta), []);
		const { code, stdout } = await rollcall(['status', '--config', alpha.configFile]);
		assert.equal(code, 0);
		assert.ok(stdout.includes(note ?? 'nothing'), stdout);
		const line = alpha
			.log()
			.split('\n')
			.find((text) => text.includes('"certificate_expires"'));
		assert.equal((JSON.parse(line ?? '{}') as { key?: string }).key, 'cluster.tls.cert');
	});

	test('a new certificate is taken up by clustering_config: for new connections, without a new link or process', async () => {
		const before = [await linkFrom(alpha), await alpha.workers(), alpha.child?.pid];
		const renewed = await authority.issue('alpha', 200);
		install(renewed, folderOf(alpha));
		const { view } = await takeUp(alpha, true);
		assert.equal(view?.state, 'completed', JSON.stringify(view));
		assert.equal(await presentedBy(alpha), fingerprintOf(renewed));
		assert.deepEqual(await notesOf(alpha), []);
		const [link, workers, pid] = [await linkFrom(alpha), await alpha.workers(), alpha.child?.pid];
		const { since, reconnects } = before[0] as Record<string, unknown>;
		assert.deepEqual([link['since'], link['reconnects']], [since, reconnects]);
		assert.deepEqual(
			workers.map((row) => row.pid),
			(before[1] as typeof workers).map((row) => row.pid),
		);
		assert.equal(pid, before[2]);
		// Links made from now on use it, too.
		const again = await alpha.call('restart_service', { service: 'clustering', replicated: true });
		assert.equal((await alpha.rollout(String(again.json['job_id']))).state, 'completed');
	});

	test('files that do not fit change nothing: the reason is told, and the certificate in use stays', async () => {
		const inUse = await presentedBy(alpha);
		const { ca } = (await authority.issue('alpha')).material;
		const foreign = await (await TestAuthority.make(fleet.folder)).issue('alpha');
		const misfits: [TestCertificate, RegExp][] = [
			[await authority.issue('beta'), /cluster\.tls\.cert: expected a certificate of alpha/],
			[{ ...foreign, material: { ...foreign.material, ca } }, /cluster\.tls\.cert: .* one of another authority/],
			[
				await authority.issue('alpha', -1),
				/cluster\.tls\.cert: expected a certificate that is valid now .* expired on/,
			],
		];
		for (const [misfit, pattern] of misfits) {
			install(misfit, folderOf(alpha));
			const { status, view, error } = await takeUp(alpha);
			assert.match(view ? (view.nodes[0]?.reason ?? view.reason ?? '') : String(error), pattern, `${status}`);
			assert.notEqual(view?.state, 'completed');
			assert.equal(await presentedBy(alpha), inUse);
		}
		assert.equal((await linkFrom(alpha))['connected'], true);
	});

	test('a daemon does not start with files that could prove nothing, and validate says the same', async () => {
		install(await authority.issue('beta'), folderOf(alpha));
		const pattern = /cluster\.tls\.cert: expected a certificate of alpha, as node\.name has it, got one of beta/;
		const validated = await rollcall(['validate', '--config', alpha.configFile]);
		assert.equal(validated.code, 2);
		assert.match(validated.stderr, pattern);
		await alpha.kill();
		const child = alpha.start();
		const [code] = (await once(child, 'exit')) as [number | null];
		assert.equal(code, 2);
		assert.match(alpha.log().slice(-1_000), pattern);
	});

	/** The fingerprint of what the listener shows to a node of the fleet. */
	async function presentedBy(node: RealNode): Promise<string> {
		const peer = (await authority.issue(node === alpha ? 'beta' : 'alpha')).material;
		const options = { host: '127.0.0.1', port: node.ports.cluster, ...peer, checkServerIdentity: () => undefined };
		const socket = connect(options);
		try {
			await once(socket, 'secureConnect');
			return socket.getPeerX509Certificate()?.fingerprint256 ?? 'none';
		} finally {
			socket.on('error', () => undefined).destroy();
		}
	}
});

const fingerprintOf = ({ material }: TestCertificate): string => new X509Certificate(material.cert).fingerprint256;
