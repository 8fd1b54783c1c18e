import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import https from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type tls from 'node:tls';
import type { RolloutView } from '../../../src/rollout/types.js';
import {
	admin,
	authorizationOf,
	bob,
	type Over,
	type Reply,
	send,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';
import { RawClient } from '../../support/server/raw-client.js';

const overs: readonly Over[] = ['http', 'socket'];

describe('the pages', () => {
	let server: TestServer;
	before(async () => {
		server = await startTestServer();
	});
	after(() => server.close());
	const get = (over: Over, path: string, login: Parameters<TestServer['ask']>[1]['login'] = null): Promise<Reply> =>
		server.ask(over, { method: 'GET', path, login });

	test('livez, readyz and the OpenAPI document need nothing; metrics need credentials of any role', async () => {
		assert.equal((await get('http', '/livez')).body, '{"live":true}');
		assert.equal((await get('http', '/readyz')).body, '{"ready":true}');
		assert.equal((await get('http', '/health')).body, '{"ready":true}');
		assert.equal((await get('http', '/readyz/web')).body, '{"ready":true}');
		assert.equal((JSON.parse((await get('http', '/openapi.json')).body) as { openapi: string }).openapi, '3.1.0');
		assert.equal((await get('http', '/metrics')).status, 401);
		assert.equal((await get('http', '/metrics', { basic: ['bob', 'wrong'] })).status, 401);
		const metrics = await get('http', '/metrics', bob);
		assert.match(String(metrics.headers['content-type']), /^text\/plain/);
		assert.match(metrics.body, /^# HELP/);
		assert.equal((await get('socket', '/metrics')).status, 200);
	});

	test('readiness says why only to those who may know, and turns with availability and drain', async () => {
		const detailed = {
			ready: true,
			reasons: [],
			notes: [],
			apps: [
				{
					app: 'web',
					wanted: 2,
					healthy: 2,
					degraded: null,
					release: { path: '/srv/web.js', revision: 'v1' },
					pinned: null,
				},
			],
		};
		assert.deepEqual(JSON.parse((await get('http', '/readyz', bob)).body), detailed);
		assert.deepEqual(JSON.parse((await get('socket', '/readyz')).body), detailed);
		assert.equal((await get('http', '/readyz', { basic: ['bob', 'wrong'] })).status, 401);
		const turn = async (reason: string): Promise<void> => {
			for (const path of ['/readyz', '/health', '/readyz/web']) {
				assert.deepEqual(await get('http', path).then(({ status, body }) => [status, body]), [503, '{"ready":false}']);
				const report = JSON.parse((await get('socket', path)).body) as { reasons: string[] };
				assert.deepEqual(report.reasons, [reason]);
			}
			assert.equal((await get('http', '/livez')).status, 200);
		};
		await server.ask('socket', { json: { operation: 'set_status', id: 'availability', status: 'Unavailable' } });
		await turn('unavailable');
		await server.ask('socket', { json: { operation: 'clear_status', id: 'availability' } });
		server.facts.draining = true;
		await turn('draining');
		server.facts.draining = false;
		server.facts.started = false;
		await turn('starting');
		server.facts.started = true;
		server.apps.push({ app: 'api', wanted: 1, healthy: 0, degraded: 'api-1 failed' });
		assert.equal((await get('http', '/readyz')).status, 503);
		assert.equal((await get('http', '/readyz/web')).status, 200);
		assert.equal((await get('http', '/readyz/api')).status, 503);
		server.apps.pop();
	});

	test('the metrics listener answers /metrics and nothing else, without credentials, and no page that names it by a host of its own', async () => {
		const port = server.server.addresses.metrics?.port;
		const at = { host: '127.0.0.1', port };
		const metrics = await send(at, { method: 'GET', path: '/metrics' });
		assert.deepEqual([metrics.status, metrics.body], [200, '# HELP fake A fake.\n']);
		assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
		for (const path of ['/livez', '/readyz', '/metrics/x', '/openapi.json', '/'])
			assert.equal((await send(at, { method: 'GET', path })).status, 404, path);
		const operation = { method: 'POST', path: '/', login: admin, json: { operation: 'get_status' } };
		assert.equal((await send(at, operation)).status, 404);
		const rebound = { method: 'GET', path: '/metrics', headers: { host: 'evil.example' } };
		assert.equal((await send(at, rebound)).status, 403);
	});

	test('the health listener answers livez and readyz and nothing else, and says no more with credentials', async () => {
		const port = server.server.addresses.health?.port;
		const ask = (path: string, method = 'GET', login: Parameters<typeof send>[1]['login'] = null): Promise<Reply> =>
			send({ host: '127.0.0.1', port }, { method, path, login });
		assert.equal((await ask('/livez')).status, 200);
		assert.equal((await ask('/readyz', 'GET', admin)).body, '{"ready":true}');
		assert.equal(
			(await ask('/readyz', 'GET', { basic: ['admin', 'wrong'] })).status,
			200,
			'credentials are not looked at',
		);
		for (const path of ['/health', '/readyz/web', '/metrics', '/openapi.json', '/'])
			assert.equal((await ask(path)).status, 404, path);
		const operation = { method: 'POST', path: '/', login: admin, json: { operation: 'get_status' } };
		assert.equal((await send({ host: '127.0.0.1', port }, operation)).status, 404);
	});
});

describe('following a rollout', () => {
	const start = async (server: TestServer): Promise<RolloutView> =>
		server.fleet.startRollout({ type: 'restart', service: null, app: null, replicated: true, user: 'admin' });
	const follow = async (server: TestServer, over: Over, id: string): Promise<RawClient> => {
		const { addresses } = server.server;
		const client = await RawClient.open(
			over === 'socket' ? { path: addresses.socket } : { host: '127.0.0.1', port: addresses.http?.port ?? 0 },
		);
		const body = JSON.stringify({ operation: 'get_rollout', id });
		client.write(
			[
				'POST / HTTP/1.1',
				'Host: localhost',
				`Authorization: ${authorizationOf(bob)}`,
				'Accept: application/x-ndjson',
				'Content-Type: application/json',
				`Content-Length: ${body.length}`,
				'',
				body,
			].join('\r\n'),
		);
		return client;
	};
	const linesOf = (received: string): RolloutView[] =>
		received
			.split('\n')
			.filter((line) => line.startsWith('{'))
			.map((line) => JSON.parse(line) as RolloutView);

	for (const over of overs) {
		test(`who accepts lines gets the view, then each change, until it is at rest, over ${over}`, async (context) => {
			const server = await startTestServer({ limits: { followerBeatMs: 30 } });
			context.after(() => server.close());
			const view = await start(server);
			const client = await follow(server, over, view.id);
			await client.until('"running"');
			await client.until('\r\n1\r\n\n\r\n');
			server.fleet.change({ ...view, id: 'another', state: 'halted' });
			server.fleet.change({ ...view, state: 'paused' });
			await client.until('"paused"');
			server.fleet.change({ ...view, state: 'completed', ended_at: 5_000 });
			const { received } = await client.ended();
			assert.match(received, /content-type: application\/x-ndjson/i);
			assert.deepEqual(
				linesOf(received).map(({ id, state }) => [id === view.id, state]),
				[
					[true, 'running'],
					[true, 'paused'],
					[true, 'completed'],
				],
			);
			assert.equal(server.fleet.listenerCount('rollout'), 0);
		});
	}

	test('one that is at rest already is one line, and one that is not known is 404', async (context) => {
		const server = await startTestServer();
		context.after(() => server.close());
		const view = await start(server);
		server.fleet.change({ ...view, state: 'halted', reason: 'refused' });
		assert.equal(linesOf((await (await follow(server, 'http', view.id)).ended()).received).length, 1);
		const unknown = await follow(server, 'http', 'nope');
		await unknown.until('404');
		unknown.destroy();
		assert.equal(server.fleet.listenerCount('rollout'), 0);
	});

	test('whoever is dropped, promoted, deactivated or given a new password hears no more of what he follows', async (context) => {
		const changes: ((users: TestServer['access']['users']) => Promise<void>)[] = [
			(users) => users.alter('bob', { password: 'bob-password-2' }),
			(users) => users.alter('bob', { role: 'super_user' }),
			(users) => users.alter('bob', { active: false }),
			(users) => users.drop('bob'),
		];
		for (const followerBeatMs of [30, 3_600_000])
			for (const change of changes) {
				const server = await startTestServer({ limits: { followerBeatMs } });
				context.after(() => server.close());
				const view = await start(server);
				const client = await follow(server, 'http', view.id);
				await client.until('"running"');
				await change(server.access.users);
				// With short beats nothing needs to happen for it.
				if (followerBeatMs > 1_000) server.fleet.change({ ...view, state: 'paused' });
				const { received } = await client.ended();
				assert.deepEqual(
					linesOf(received).map(({ state }) => state),
					['running'],
				);
				assert.equal(server.fleet.listenerCount('rollout'), 0);
			}
	});

	test('a follower that goes away is forgotten, one that does not read is cut off, and one too many is refused', async (context) => {
		const server = await startTestServer({ limits: { followersMax: 2, followerBytesMax: 64 * 1024 } });
		context.after(() => server.close());
		const view = await start(server);
		const gone = await follow(server, 'socket', view.id);
		const deaf = await follow(server, 'socket', view.id);
		await Promise.all([gone.until('"running"'), deaf.until('"running"')]);
		const third = await follow(server, 'socket', view.id);
		await third.until('503');
		third.destroy();
		const forgotten = (): boolean => server.fleet.listenerCount('rollout') === 1;
		gone.destroy();
		while (!forgotten()) await new Promise((resolve) => setImmediate(resolve));
		deaf.socket.pause();
		const reason = 'x'.repeat(32_000);
		let sent = 0;
		for (; server.fleet.listenerCount('rollout') > 0 && sent < 1_000; sent++) {
			server.fleet.change({ ...view, reason });
			await new Promise((resolve) => setImmediate(resolve));
		}
		assert.ok(sent < 1_000, 'what a follower leaves unread is bounded');
		deaf.destroy();
	});

	test('closing ends those who follow', async () => {
		const server = await startTestServer({ limits: { closeMs: 50 } });
		const view = await start(server);
		const client = await follow(server, 'http', view.id);
		await client.until('"running"');
		await Promise.all([server.close(), client.ended()]);
	});
});

describe('opening and closing', () => {
	test('an address in use is named with its key, and nothing stays open or lies about', async () => {
		const holder = createTcpServer().listen(0, '127.0.0.1');
		await once(holder, 'listening');
		const { port } = holder.address() as { port: number };
		for (const key of ['http', 'health']) {
			const settings = { [key]: { host: '127.0.0.1', port } };
			await assert.rejects(startTestServer({ settings }), {
				code: 'address_in_use',
				message: new RegExp(`127\\.0\\.0\\.1:${port} \\(operations_api\\.${key}\\)`),
			});
		}
		holder.close();
	});

	test('an address that is not loopback is refused without TLS', async () => {
		await assert.rejects(startTestServer({ settings: { http: { host: '0.0.0.0', port: 0 } } }), {
			code: 'configuration',
			message: /tls/,
		});
	});

	test('closing finishes the answer under way and leaves no socket', async () => {
		const server = await startTestServer();
		let finish = (_: object): void => undefined;
		const asked = new Promise<void>((resolve) => {
			server.node.system.information = () => {
				resolve();
				return new Promise((done) => {
					finish = done;
				});
			};
		});
		const reply = server.ask('socket', { json: { operation: 'system_information' } });
		await asked;
		const closed = server.server.close();
		finish({ time: {} });
		assert.equal((await reply).body, '{"time":{}}');
		await closed;
		assert.ok(!(await readdir(server.folder)).includes('admin.sock'));
		await server.close();
	});

	test('HTTP over TLS takes 1.2 and 1.3, nothing older, and asks for credentials all the same', async (context) => {
		const { mkdtemp, rm } = await import('node:fs/promises');
		const { tmpdir } = await import('node:os');
		const folder = await mkdtemp(join(tmpdir(), 'rc-tls-'));
		context.after(() => rm(folder, { recursive: true, force: true }));
		const cert = join(folder, 'cert.pem');
		const key = join(folder, 'key.pem');
		execFileSync(
			'openssl',
			[
				'req',
				'-x509',
				'-newkey',
				'ec',
				'-pkeyopt',
				'ec_paramgen_curve:prime256v1',
				'-nodes',
				'-days',
				'2',
				'-subj',
				'/CN=localhost',
				'-keyout',
				key,
				'-out',
				cert,
			],
			{ stdio: 'ignore' },
		);
		const server = await startTestServer({ settings: { http: { host: '127.0.0.1', port: 0, tls: { cert, key } } } });
		context.after(() => server.close());
		const port = server.server.addresses.http?.port ?? 0;
		const ask = (
			minVersion: tls.SecureVersion,
			maxVersion: tls.SecureVersion,
			login: typeof admin | null,
		): Promise<number> =>
			new Promise((resolve, reject) => {
				const authorization = authorizationOf(login);
				const request = https.request(
					{
						host: '127.0.0.1',
						port,
						method: 'POST',
						rejectUnauthorized: false,
						agent: false,
						minVersion,
						maxVersion,
						// OpenSSL's own floor would refuse the old versions before our server does.
						ciphers: 'DEFAULT@SECLEVEL=0',
						headers: {
							host: 'alpha.example',
							'content-type': 'application/json',
							...(authorization === null ? {} : { authorization }),
						},
					},
					(response) => {
						response.resume();
						resolve(response.statusCode ?? 0);
					},
				);
				request.once('error', reject);
				request.end('{"operation":"get_status"}');
			});
		assert.equal(await ask('TLSv1.3', 'TLSv1.3', admin), 200);
		assert.equal(await ask('TLSv1.2', 'TLSv1.2', admin), 200);
		assert.equal(await ask('TLSv1.2', 'TLSv1.3', null), 401);
		await assert.rejects(ask('TLSv1', 'TLSv1.1', admin), /alert|version|protocol|reset/i);
		const missing = { http: { host: '127.0.0.1', port: 0, tls: { cert: join(folder, 'none'), key } } };
		await assert.rejects(startTestServer({ settings: missing }), {
			code: 'configuration',
			message: /operations_api\.http\.tls\.cert/,
		});
	});
});
