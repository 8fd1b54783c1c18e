import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { install, TestAuthority, type TestCertificate } from '../support/fleet/authority.js';
import {
	type Answer,
	askInTime,
	makeFleet,
	type RealFleet,
	type RealNode,
	rollcall,
	waitFor,
	webApp,
} from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';

const names = ['alpha', 'beta', 'gamma'];
const tooSlow =
	/did not check its file in time|answers were too slow|answers too slowly|has just been linked|is not heard|not linked/;

interface Row {
	name: string;
	link: string;
	reason: string | null;
}

describe('routine work on a fleet with certificates', () => {
	let fleet: RealFleet;
	let authority: TestAuthority;
	let alpha: RealNode;
	let gamma: RealNode;
	const kept = new Map<string, TestCertificate>();

	const put = (node: RealNode, certificate: TestCertificate) => install(certificate, join(node.folder, 'tls'));
	const configure = (node: RealNode, members: string[], apps = [webApp(node.ports.app, node.name)]): void => {
		const tls = ['ca', 'cert', 'key'].map((file) => [file, join(node.folder, 'tls', `${file}.pem`)]);
		const peers = fleet.nodes
			.filter(({ name }) => members.includes(name))
			.map(({ name, ports }) => ({ name, url: `wss://127.0.0.1:${ports.cluster}` }));
		const listen = { host: '127.0.0.1', port: node.ports.cluster };
		const http = { host: '127.0.0.1', port: node.ports.operations, tls: httpFiles(node) };
		const operations_api = { socket: { path: node.socketPath, mode: '0600' }, http };
		node.configure({
			operations_api,
			http_workers: apps,
			cluster: { listen, tls: Object.fromEntries(tls) as object, peers },
		});
	};
	const httpFiles = (node: RealNode) => ({
		cert: join(node.folder, 'tls', 'http.pem'),
		key: join(node.folder, 'tls', 'http-key.pem'),
	});
	const putHttp = (node: RealNode, { material }: TestCertificate): void => {
		writeFileSync(httpFiles(node).cert, material.cert);
		writeFileSync(httpFiles(node).key, material.key, { mode: 0o600 });
	};
	const certificateOf = (node: RealNode): TestCertificate => kept.get(node.name) as TestCertificate;
	const rows = async (node: RealNode): Promise<Row[]> =>
		(await node.call<{ nodes: Row[] }>('cluster_status')).json.nodes;
	const linked = async (node: RealNode): Promise<boolean> => (await rows(node)).every(({ link }) => link !== 'down');
	const ask = (fields: Record<string, unknown>): Promise<Answer> => askInTime(alpha, fields, tooSlow);
	/** A change of `cluster:` on all nodes, to its end: its reason, or the text that refused it. */
	const changeAll = async (): Promise<string> => {
		const { status, json } = await ask({ service: 'clustering_config' });
		if (status !== 200) return String(json['error']);
		const view = await alpha.rollout(String(json['job_id']));
		return `${view.state}: ${view.reason ?? ''}`;
	};
	/** What changes when something was changed: links, and what the nodes say of their files. */
	const links = async () => Promise.all(fleet.nodes.map(async (node) => (await rows(node)).map(({ link }) => link)));

	before(async () => {
		fleet = await makeFleet(names.map((name) => ({ name })));
		[alpha, gamma] = [fleet.node('alpha'), fleet.node('gamma')];
		authority = await TestAuthority.make(fleet.folder);
		for (const node of fleet.nodes) {
			kept.set(node.name, await authority.issue(node.name));
			put(node, certificateOf(node));
			putHttp(node, certificateOf(node));
			configure(node, names);
		}
		await fleet.start();
		await waitFor('the links', async () => (await Promise.all(fleet.nodes.map(linked))).every(Boolean));
	});
	after(() => fleet.end());

	test('a file of any node that would stop a change half-way refuses it before, with node, file and remedy', async () => {
		const other = await TestAuthority.make(fleet.folder);
		const material = certificateOf(gamma).material;
		const foreign = (await other.issue('gamma')).material;
		const both = `${material.ca}\n${foreign.ca}`;
		const good = readFileSync(gamma.configFile, 'utf8');
		const cases: [string, () => unknown, RegExp][] = [
			[
				'an expired certificate',
				async () => put(gamma, await authority.issue('gamma', -1)),
				/gamma: cluster\.tls\.cert: .* expired on .*; put a new one into .*cert\.pem: rollcall ca issue gamma/,
			],
			[
				'a certificate of another node',
				async () => put(gamma, await authority.issue('beta')),
				/gamma: cluster\.tls\.cert: .* got one of beta; put a certificate of this node and its key into .*cert\.pem and .*key\.pem: rollcall ca issue gamma/,
			],
			[
				'an expired certificate of HTTP',
				async () => putHttp(gamma, await authority.issue('gamma', -1)),
				/gamma: operations_api\.http\.tls\.cert: .* got one that expired on .*; put a new one into .*http\.pem/,
			],
			[
				'an authority that does not accept the others',
				() => put(gamma, { ...certificateOf(gamma), material: { ...foreign } }),
				/gamma: .*ca\.pem does not accept the certificate that alpha presents now|gamma: the new certificate .*cert\.pem is of an authority that alpha does not accept yet/,
			],
			[
				'a certificate of an authority that the others do not know yet',
				() => put(gamma, { ...certificateOf(gamma), material: { ...foreign, ca: both } }),
				/gamma: the new certificate .*cert\.pem is of an authority that alpha does not accept yet; put the old and the new/,
			],
			[
				'another name',
				() => writeFileSync(gamma.configFile, good.replace(/name: gamma/, 'name: delta')),
				/gamma: .*node\.name: expected gamma, as this node runs, got delta[\s\S]*take gamma out of cluster\.peers/,
			],
			[
				'other members',
				() => writeFileSync(gamma.configFile, good.replace(/ {4}- name: beta\n.*\n/, '')),
				/the file of gamma names other members than the file of alpha: it lacks beta; make cluster\.peers the same/,
			],
		];
		const before = await links();
		for (const [what, spoil, expected] of cases) {
			await spoil();
			try {
				assert.match(await changeAll(), expected, what);
				assert.deepEqual(await links(), before, what);
			} finally {
				put(gamma, certificateOf(gamma));
				putHttp(gamma, certificateOf(gamma));
				writeFileSync(gamma.configFile, good, { mode: 0o600 });
			}
		}
		assert.match(await changeAll(), /^completed/);
	});

	test('an app whose script one node lacks refuses a roll before any node is touched', async () => {
		const good = readFileSync(gamma.configFile, 'utf8');
		writeFileSync(gamma.configFile, good.replace(/script: .*/, 'script: /nowhere/server.js'), { mode: 0o600 });
		const pids = async () =>
			(await Promise.all(fleet.nodes.map((node) => node.workers()))).flat().map(({ pid }) => pid);
		const before = await pids();
		const { status, json } = await ask({ service: 'http_workers' });
		writeFileSync(gamma.configFile, good, { mode: 0o600 });
		assert.equal(status, 503);
		assert.match(
			String(json['error']),
			/gamma: app web: its script \/nowhere\/server\.js is not there.*nothing was changed/,
		);
		assert.deepEqual(await pids(), before);
	});

	test('an expired certificate is a fault in validate, and each end of the link that is missing says why', async () => {
		put(gamma, await authority.issue('gamma', -1));
		const { code, stderr } = await rollcall(['validate', '--config', gamma.configFile]);
		assert.equal(code, 2);
		assert.match(stderr, /expired on .*; put a new one into .*cert\.pem: rollcall ca issue gamma/);
		put(gamma, certificateOf(gamma));
		putHttp(gamma, await authority.issue('gamma', -1));
		const ofHttp = await rollcall(['validate', '--config', gamma.configFile]);
		assert.equal(ofHttp.code, 2);
		assert.match(ofHttp.stderr, /operations_api\.http\.tls\.cert: .* got one that expired on .*http\.pem/);
		putHttp(gamma, certificateOf(gamma));
		put(gamma, await authority.issue('gamma', -1));
		await gamma.kill();
		gamma.start();
		await waitFor(
			'gamma to answer',
			async () => (await gamma.call('cluster_status').catch(() => null))?.status === 200,
		);
		const reason = async (node: RealNode, peer: string) =>
			(await rows(node)).find(({ name }) => name === peer)?.reason ?? '';
		const expired = /the certificate of gamma(, or of its authority,)? has expired/;
		const here = /^alpha refuses this node \(wss:.*\): the certificate of gamma has expired, on /;
		await waitFor('both reasons', async () => {
			return expired.test(await reason(alpha, 'gamma')) && here.test(await reason(gamma, 'alpha'));
		});
		const { stdout } = await rollcall(['status', '--json', '--config', gamma.configFile]);
		const { wrong } = JSON.parse(stdout) as { wrong: string[] };
		assert.ok(
			wrong.some((line) => /^no link to alpha, .*alpha refuses this node/.test(line)),
			stdout,
		);
		put(gamma, certificateOf(gamma));
		assert.equal((await gamma.call('restart_service', { service: 'clustering_config' })).status, 200);
		await waitFor('the links', async () => (await Promise.all(fleet.nodes.map(linked))).every(Boolean));
	});

	test('an app that some nodes have is rolled there, the others are passed over and said, and a plan ends as the roll would', async () => {
		const ports = await freePorts(3);
		const third = { ...webApp(ports[2] ?? 0, 'beta'), name: 'third', instances: 1 };
		for (const [index, node] of fleet.nodes.entries()) {
			const web = webApp(node.ports.app, node.name);
			const api = { ...webApp(ports[index] ?? 0, node.name), name: 'api', instances: 1 };
			configure(node, names, node === gamma ? [web] : node === alpha ? [web, api] : [web, api, third]);
		}
		const roll = async (fields: object = {}) => {
			const { json } = await ask({ service: 'http_workers', ...fields });
			return alpha.rollout(String(json['job_id']));
		};
		assert.equal((await roll()).state, 'completed');
		const before = (await gamma.workers()).map(({ pid }) => pid);
		const plan = async (...fields: string[]) => {
			let result = await rollcall(['rollout', 'plan', ...fields, '--config', alpha.configFile]);
			await waitFor('a plan in time', async () => {
				if (!tooSlow.test(result.stdout)) return true;
				result = await rollcall(['rollout', 'plan', ...fields, '--config', alpha.configFile]);
				return false;
			});
			return result;
		};
		const planned = await plan('app=api');
		assert.equal(planned.code, 0, planned.stderr);
		assert.match(planned.stdout, /passed over, without the app: gamma/);
		assert.match(
			planned.stdout,
			/note: the apps are not the same on all nodes \(alpha: api, web; beta: api, third, web; gamma: web\)/,
		);
		assert.doesNotMatch(planned.stdout, /\d\. .*gamma/);
		const { state, nodes } = await roll({ app: 'api' });
		assert.equal(state, 'completed');
		const told = Object.fromEntries(nodes.map((row) => [row.node, [row.state, row.reason]]));
		assert.deepEqual(told, {
			alpha: ['back', null],
			beta: ['back', null],
			gamma: ['skipped', 'has no app api'],
		});
		assert.deepEqual(
			(await gamma.workers()).map(({ pid }) => pid),
			before,
		);
		const beta = fleet.node('beta');
		const pidsOf = async (app: string) => (await beta.workers()).filter((row) => row.app === app).map(({ pid }) => pid);
		const [apiBefore, thirdBefore] = [await pidsOf('api'), await pidsOf('third')];
		const some = await alpha.call('start_rollout', { app: ['web', 'api', 'web'], note: 'both' });
		const both = await alpha.rollout(String(some.json['job_id']));
		assert.deepEqual([both.state, both.app, both.apps], ['completed', null, ['api', 'web']]);
		assert.deepEqual(
			both.nodes.map((row) => row.state),
			['back', 'back', 'back'],
			'gamma has one of them',
		);
		assert.notDeepEqual(await pidsOf('api'), apiBefore);
		assert.deepEqual(await pidsOf('third'), thirdBefore);
		const unknown = await alpha.call('start_rollout', { app: ['web', 'nowhere'] });
		assert.equal(unknown.status, 503);
		assert.match(String(unknown.json['error']), /no app 'nowhere' on any node; the apps are: api, third, web/);
		const nowhere = await plan('app=nowhere');
		assert.deepEqual([nowhere.code, /alpha: http_workers has no app 'nowhere'/.test(nowhere.stdout)], [1, true]);
		const { json } = await ask({ service: 'http_workers' });
		const id = String(json['job_id']);
		await alpha.call('pause_rollout', { id });
		assert.equal((await plan()).code, 8);
		await alpha.call('resume_rollout', { id });
		assert.equal((await alpha.rollout(id)).state, 'completed');
	});

	test('a reload during a rollout is kept, said by readyz, and done when that has ended', async () => {
		const { json } = await ask({ service: 'http_workers' });
		const id = String(json['job_id']);
		assert.equal((await alpha.call('pause_rollout', { id })).status, 200);
		const notes = async () => (await gamma.get('/readyz')).json['notes'] as string[];
		gamma.child?.kill('SIGHUP');
		await waitFor('the note', async () =>
			(await notes()).some((note) => /reload \(SIGHUP\) waits .*is paused/.test(note)),
		);
		assert.equal((await alpha.call('resume_rollout', { id })).status, 200);
		assert.equal((await alpha.rollout(id)).state, 'completed');
		await waitFor('the reload', async () => {
			const [newest] = (await gamma.call<{ user: string; state: string }[]>('list_rollouts', { limit: 1 })).json;
			return newest?.user === 'SIGHUP' && newest.state === 'completed';
		});
		assert.deepEqual(await notes(), []);
	});

	test('a node that was taken out says that it has left, and rolls by itself', async () => {
		for (const node of fleet.nodes) configure(node, ['alpha', 'beta']);
		assert.match(await changeAll(), /^completed/);
		const said =
			/^gamma has left the fleet \(rollout .*\); stop it, or add it to cluster\.peers of every node and send/;
		await waitFor('gamma to know', async () => {
			const { stdout } = await rollcall(['status', '--json', '--config', gamma.configFile]);
			return (JSON.parse(stdout) as { wrong: string[] }).wrong.some((line) => said.test(line));
		});
		const { status, json } = await gamma.call('restart_service', { service: 'http_workers' });
		assert.equal(status, 200, JSON.stringify(json));
		assert.equal((await gamma.rollout(String(json['job_id']))).state, 'completed');
		assert.equal(await linked(alpha), true);
	});
});
