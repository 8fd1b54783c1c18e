import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { operations } from '../../src/operations/table.js';
import { makeCertificate } from '../support/fleet/certificate.js';
import { isOver, makeFleet, type RealFleet, type RealNode, rollcall, waitFor, webApp } from '../support/fleet/nodes.js';

/** Another one in each run: processes that a killed run left behind still have theirs in their environment. */
const mark = randomBytes(4).toString('hex');

/** Each secret that an operator has, in a spelling that is found wherever it turns up. */
const planted = {
	adminPassword: `canary-admin-password-${mark}`,
	addedPassword: `canary-added-password-${mark}`,
	alteredPassword: `canary-altered-password-${mark}`,
	wrongPassword: `canary-wrong-password-${mark}`,
	passwordInField: `canary-password-in-a-field-${mark}`,
	bearer: `canary.bearer.token-${mark}`,
	passwordInUrl: `canary-password-in-url-${mark}`,
	appEnv: `canary-app-env-${mark}`,
	appEnvFile: `canary-app-env-file-${mark}`,
};

/** What may hold secrets: what the operator wrote, readable by nobody else. */
const secretFiles = ['rollcall.yaml', 'web.env', 'secret', 'key.pem'];

describe('two real nodes with a canary for every secret there is', () => {
	let fleet: RealFleet;
	let alpha: RealNode;
	const canaries = new Map<string, string>(Object.entries(planted));
	/** Everything that anybody was told, by where. */
	const told: [where: string, text: string][] = [];
	const arguments_ = new Set<string>();
	let sampling: NodeJS.Timeout;

	const processes = (): string[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name));
	const read = (path: string): string => {
		try {
			return readFileSync(path, 'latin1');
		} catch {
			return '';
		}
	};
	const ask = (path: string, headers: Record<string, string>, body?: object): Promise<string> =>
		new Promise((resolve, reject) => {
			const at = { host: '127.0.0.1', port: alpha.ports.operations, servername: 'localhost', agent: false };
			const ca = certificateOf(alpha);
			const request = https.request(
				{ ...at, ca, path, method: body ? 'POST' : 'GET', headers: { ...headers, 'content-type': 'application/json' } },
				(response) => {
					let text = `${response.statusCode} ${JSON.stringify(response.headers)} `;
					response.setEncoding('utf8').on('data', (part: string) => {
						text += part;
					});
					response.once('end', () => resolve(text));
				},
			);
			request.once('error', reject);
			request.end(body && JSON.stringify(body));
		});
	const certificateOf = (node: RealNode): string => readFileSync(join(node.folder, 'tls', 'cert.pem'), 'utf8');
	const basic = (username: string, password: string) => ({
		authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
	});
	const hear = async (where: string, heard: Promise<unknown>): Promise<string> => {
		const text = await heard.then((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
		told.push([where, text]);
		return text;
	};

	before(async () => {
		sampling = setInterval(() => {
			for (const pid of processes()) arguments_.add(read(`/proc/${pid}/cmdline`));
		}, 50);
		const env = { ROLLCALL_ADMIN_PASSWORD: planted.adminPassword };
		fleet = await makeFleet(['alpha', 'beta'].map((name) => ({ name, env })));
		const secret = readFileSync(join(fleet.folder, 'secret'), 'utf8').trim();
		canaries.set('clusterSecret', secret);
		const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `ws://127.0.0.1:${ports.cluster}` }));
		for (const node of fleet.nodes) {
			mkdirSync(join(node.folder, 'tls'));
			const { cert, key } = makeCertificate(join(node.folder, 'tls'));
			canaries.set(`privateKey ${node.name}`, readFileSync(key, 'utf8').split('\n')[1] ?? '');
			const envFile = join(node.folder, 'web.env');
			writeFileSync(envFile, `FROM_FILE=${planted.appEnvFile}\n`, { mode: 0o600 });
			const web = webApp(node.ports.app, node.name);
			node.configure({
				operations_api: {
					socket: { path: node.socketPath, mode: '0600' },
					http: { host: '127.0.0.1', port: node.ports.operations, tls: { cert, key } },
				},
				http_workers: [{ ...web, env: { ...(web['env'] as object), FROM_YAML: planted.appEnv }, env_file: envFile }],
				cluster: {
					listen: { host: '127.0.0.1', port: node.ports.cluster },
					secret_file: join(fleet.folder, 'secret'),
					peers,
				},
			});
		}
		await fleet.start();
		alpha = fleet.node('alpha');
	});
	after(async () => {
		clearInterval(sampling);
		await fleet.end();
	});

	test('secrets are used in every way there is', async () => {
		const admin = basic('admin', planted.adminPassword);
		const user = { username: 'carol', role: 'viewer', active: true };
		await hear('add_user', alpha.call('add_user', { ...user, password: planted.addedPassword }));
		await hear('alter_user', alpha.call('alter_user', { username: 'carol', password: planted.alteredPassword }));
		await hear('a wrong password', ask('/', basic('admin', planted.wrongPassword), { operation: 'get_status' }));
		await hear('a wrong token', ask('/', { authorization: `Bearer ${planted.bearer}` }, { operation: 'get_status' }));
		await hear('a secret in a URL', ask(`/readyz/x?password=${planted.passwordInUrl}`, admin));
		const misplaced = { password: planted.passwordInField, id: [planted.passwordInField] };
		for (const { name } of operations) {
			await hear(`${name} with a wrong field`, alpha.call(name, { ...misplaced, service: 'nonsense', id: {} }));
		}
		const tokens = await ask(
			'/',
			{},
			{
				operation: 'create_authentication_tokens',
				username: 'carol',
				password: planted.alteredPassword,
			},
		);
		const issued = JSON.parse(tokens.slice(tokens.lastIndexOf('{'))) as Record<string, string>;
		for (const [name, token] of Object.entries(issued)) {
			canaries.set(name, token);
			const operation = name === 'refresh_token' ? 'refresh_operation_token' : 'list_rollouts';
			const answer = await ask('/', { authorization: `Bearer ${token}` }, { operation });
			assert.match(answer, /^200 /);
			if (operation === 'list_rollouts') told.push([operation, answer]);
		}
		await hear('metrics', ask('/metrics', admin));
		const words = [
			'--url',
			`https://localhost:${alpha.ports.operations}`,
			'--ca',
			join(alpha.folder, 'tls', 'cert.pem'),
		];
		await hear(
			'a command with a password',
			rollcall(['list_users', ...words], {
				ROLLCALL_USERNAME: 'admin',
				ROLLCALL_PASSWORD: planted.adminPassword,
			}),
		);
	});

	test('workers are replaced everywhere, and one that dies comes back', async () => {
		const { json } = await alpha.call('restart_service', { service: 'http_workers', replicated: true });
		const view = await alpha.rollout(String(json['job_id']), isOver);
		assert.equal(view.state, 'completed', JSON.stringify(view));
		const [worker] = await alpha.workers();
		process.kill(worker?.pid ?? Number.NaN, 'SIGKILL');
		await waitFor('another worker', async () =>
			(await alpha.workers()).every(({ pid, state }) => pid !== worker?.pid && state === 'serving'),
		);
		await hear('the rollout', Promise.resolve(view));
		await hear('the job', alpha.call('get_job', { id: view.id }));
	});

	test('no list, view, metric, page or command of any node shows one', async () => {
		for (const node of fleet.nodes) {
			for (const name of [
				'system_information',
				'list_workers',
				'list_users',
				'list_rollouts',
				'cluster_status',
				'get_status',
			]) {
				await hear(`${name} of ${node.name}`, node.call(name));
			}
			for (const path of ['/readyz', '/openapi.json']) await hear(path, node.get(path));
			const commands = ['status', 'status --json', 'workers', 'logs', 'validate', 'rollout history'];
			const run = (line: string) => rollcall([...line.split(' '), '--config', node.configFile]);
			await Promise.all(commands.map((line) => hear(`rollcall ${line}`, run(line))));
		}
		for (const [where, text] of told) assertNone(where, text);
	});

	test('no argument of any process held one, and environments only those that they are meant to have', async () => {
		for (const words of arguments_) assertNone('an argument', words.replaceAll('\0', ' '));
		const daemons = new Set(fleet.nodes.map(({ child }) => String(child?.pid)));
		const workers = new Set<string>();
		for (const node of fleet.nodes) for (const { pid } of await node.workers()) workers.add(String(pid));
		const isMeant = (name: string, pid: string): boolean =>
			name === 'adminPassword' ? daemons.has(pid) : name.startsWith('appEnv') && workers.has(pid);
		for (const pid of processes()) {
			const environment = read(`/proc/${pid}/environ`);
			const found = [...canaries].filter(([name, canary]) => environment.includes(canary) && !isMeant(name, pid));
			assert.deepEqual(found, [], `in the environment of ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
		}
		assert.equal(workers.size, 4);
	});

	test('no file holds one but those that the operator wrote and the node’s own copy of its configuration, and nobody else can read what is secret', async () => {
		let searched = 0;
		for (const entry of readdirSync(fleet.folder, { recursive: true, withFileTypes: true })) {
			if (!entry.isFile()) continue;
			const path = join(entry.parentPath, entry.name);
			const text = read(path);
			searched += 1;
			if (secretFiles.includes(basename(path))) continue;
			// What is in the configuration itself, and nothing that it names by path.
			if (entry.name === 'last-good.yaml')
				assert.ok(read(join(dirname(entry.parentPath), 'rollcall.yaml')) === text.replace(/^.*\n/, ''), path);
			else assertNone(path, text);
			const isSecret = ['users.json', 'token.key', 'records.log', 'last-good.yaml'].includes(entry.name);
			if (isSecret) assert.equal(statSync(path).mode & 0o077, 0, path);
		}
		assert.ok(searched > 20, `${searched} files`);
		assert.match(alpha.log(), /login_refused/);
	});

	test('a renewed certificate of HTTP is taken up by clustering_config and by SIGHUP, and what is open goes on', async () => {
		const trusted = [certificateOf(alpha)];
		const open = async () => {
			const at = { host: '127.0.0.1', port: alpha.ports.operations, servername: 'localhost', ca: trusted };
			const socket = connect(at);
			await once(socket, 'secureConnect');
			return socket;
		};
		const serial = async () => {
			const socket = await open();
			const { serialNumber } = socket.getPeerCertificate();
			socket.destroy();
			return serialNumber;
		};
		const takeUps: (() => Promise<unknown>)[] = [
			async () => {
				const { json } = await alpha.call('restart_service', { service: 'clustering_config' });
				assert.equal((await alpha.rollout(String(json['job_id']))).state, 'completed');
			},
			async () => alpha.child?.kill('SIGHUP'),
		];
		const kept = await open();
		for (const takeUp of takeUps) {
			const before = await serial();
			makeCertificate(join(alpha.folder, 'tls'));
			trusted.push(certificateOf(alpha));
			assert.equal(await serial(), before, 'nothing is taken up unasked');
			await takeUp();
			await waitFor('the new certificate', async () => (await serial()) !== before);
			kept.write('GET /livez HTTP/1.1\r\nHost: alpha\r\n\r\n');
			assert.match(String((await once(kept, 'data'))[0]), /^HTTP\/1.1 200 /);
		}
		kept.destroy();
	});

	function assertNone(where: string, text: string): void {
		for (const [name, canary] of canaries) {
			assert.ok(!text.includes(canary), `${name} stands in ${where}`);
			const encoded = Buffer.from(`admin:${canary}`).toString('base64');
			assert.ok(!text.includes(encoded), `${name}, encoded, stands in ${where}`);
		}
	}
});
