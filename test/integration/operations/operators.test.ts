import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { operations } from '../../../src/operations/table.js';
import { type AuditRecord, roles } from '../../../src/operations/types.js';
import {
	admin,
	authorizationOf,
	bob,
	type Login,
	namesOf,
	type Over,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';
import { RawClient } from '../../support/server/raw-client.js';

const overs: readonly Over[] = ['http', 'socket'];
const restart = { type: 'restart', service: null, app: null, replicated: true, user: 'admin' } as const;
/** Of each field what would make most of its operation. */
const wishes = {
	password: 'oscar-password-1',
	role: 'super_user',
	active: true,
	name: 'ci',
	expires_in: '366d',
	service: 'http_workers',
	status: 'x',
	node: 'alpha',
	local: true,
	replicated: true,
};
const dayMs = 24 * 3_600_000;

let server: TestServer;
let log: string[];
beforeEach(async () => {
	log = [];
	server = await startTestServer({ log: (line) => log.push(line) });
});
afterEach(() => server.close());

async function operate(login: Login, json: Record<string, unknown>, over: Over = 'http') {
	const { status, body } = await server.ask(over, { login, json });
	return { status, body: JSON.parse(body) as Record<string, unknown> & { error?: string } };
}

async function createToken(fields: Record<string, unknown>): Promise<{ bearer: string; expiresAt: number }> {
	const { status, body } = await operate(admin, { operation: 'create_token', ...fields });
	assert.equal(status, 200, JSON.stringify(body));
	return { bearer: String(body['token']), expiresAt: Number(body['expires_at']) };
}

const audit = async (): Promise<AuditRecord[]> =>
	(await operate(admin, { operation: 'read_audit', lines: 1_000 })).body as unknown as AuditRecord[];

describe('the role operator', () => {
	const oscar: Login = { basic: ['oscar', 'oscar-password-1'] };
	beforeEach(() => server.access.users.add({ ...namesOf(oscar), role: 'operator', active: true }));

	test('nothing that a token of role operator can do makes it more', async () => {
		const { id } = await server.fleet.startRollout(restart);
		const pair = (await operate(oscar, { operation: 'create_authentication_tokens' })).body;
		const { bearer } = await createToken({ name: 'ci', role: 'operator' });
		const tokens = [pair['operation_token'], pair['refresh_token'], bearer].map((one) => ({ bearer: String(one) }));
		const state = () =>
			JSON.stringify([server.access.users.list(), server.access.apiTokens.list(), server.node.statuses.list()]);
		const before = state();
		const gained: string[] = [];
		const tries = operations.flatMap((row) =>
			[oscar, ...tokens].flatMap((login) =>
				overs.flatMap((over) => ['oscar', 'admin', 'token:ci'].map((username) => ({ row, login, over, username }))),
			),
		);
		for (const { row, login, over, username } of tries) {
			const wanted: Record<string, unknown> = { ...wishes, id, username };
			const own = Object.keys(row.fields).filter((name) => Object.hasOwn(wanted, name));
			const json = { operation: row.name, ...Object.fromEntries(own.map((name) => [name, wanted[name]])) };
			const { status, body } = await operate(login, json, over);
			if (row.access === 'super_user') assert.match(String(status), /^40[13]$/, row.name);
			assert.equal(state(), before, JSON.stringify(json));
			for (const name of ['operation_token', 'refresh_token', 'token'])
				if (typeof body[name] === 'string') gained.push(body[name]);
			// Failed logins must not be what refuses the next one.
			server.clock.now += 10_000;
		}
		assert.ok(gained.length > 0, 'a user with a password gets tokens of its own');
		for (const token of new Set(gained)) {
			const { status } = await operate({ bearer: token }, { operation: 'list_users' });
			assert.ok(status === 401 || status === 403, 'what was gained may no more than its owner');
		}
	});

	test('starts and steers rollouts, and may what a viewer may', async () => {
		const { bearer } = await createToken({ name: 'ci', role: 'operator' });
		const ci: Login = { bearer };
		const { body } = await operate(ci, { operation: 'start_rollout', app: 'web', max_unavailable: 2 });
		const id = body['job_id'];
		assert.deepEqual(server.fleet.requests, [
			{
				type: 'restart_service',
				service: 'http_workers',
				app: 'web',
				replicated: true,
				user: 'token:ci',
				from: '127.0.0.1',
				maxUnavailable: 2,
			},
		]);
		for (const [operation, state] of [
			['pause_rollout', 'paused'],
			['resume_rollout', 'running'],
			['abort_rollout', 'aborted'],
		] as const)
			assert.equal((await operate(ci, { operation, id })).body['state'], state);
		for (const operation of ['list_workers', 'cluster_status', 'list_rollouts'])
			assert.equal((await operate(ci, { operation })).status, 200);
		const last = (await audit()).slice(-4);
		assert.deepEqual(
			last.map((record) => [record.user, record.role, record.by, record.operation, record.status, record.rollout]),
			['start_rollout', 'pause_rollout', 'resume_rollout', 'abort_rollout'].map((operation) => [
				'token:ci',
				'operator',
				'api_token',
				operation,
				200,
				id,
			]),
		);
	});
});

describe('API tokens', () => {
	test('are made, listed and dropped; of the token itself the node keeps a hash alone, in a file that only it may read', async () => {
		for (const role of roles) {
			const { bearer, expiresAt } = await createToken({ name: role, role, expires_in: '1h' });
			assert.match(bearer, /^rct_[\w-]{43}$/);
			assert.equal(expiresAt, server.clock.now + 3_600_000);
			const file = join(server.folder, 'tokens.json');
			const text = await readFile(file, 'utf8');
			assert.ok(!text.includes(bearer) && !text.includes(bearer.slice(4)));
			assert.equal((await stat(file)).mode & 0o777, 0o600);
			const list = (await operate(admin, { operation: 'list_tokens' })).body as unknown as Record<string, unknown>[];
			assert.deepEqual(list, [
				{ name: role, role, created_by: 'admin', created_at: server.clock.now, expires_at: expiresAt },
			]);
			const asks = async () => (await operate({ bearer }, { operation: 'cluster_status' })).status;
			assert.equal(await asks(), 200);
			const again = await operate(admin, { operation: 'create_token', name: role, role });
			assert.equal(again.status, 409);
			assert.equal((await operate(admin, { operation: 'drop_token', name: role })).status, 200);
			assert.equal(await asks(), 401);
			assert.equal((await operate(admin, { operation: 'drop_token', name: role })).status, 404);
			const next = await createToken({ name: role, role });
			assert.equal(next.expiresAt, server.clock.now + 90 * dayMs);
			assert.equal(await asks(), 401, 'a token of the same name is another one');
			await operate(admin, { operation: 'drop_token', name: role });
		}
		for (const text of log) assert.ok(!text.includes('rct_'), text);
	});

	test('end when their time is over, and their name is free then', async () => {
		const { bearer } = await createToken({ name: 'ci', role: 'operator', expires_in: '1h' });
		const asks = async () => (await operate({ bearer }, { operation: 'cluster_status' })).status;
		server.clock.now += 3_599_999;
		assert.equal(await asks(), 200);
		server.clock.now += 1;
		assert.equal(await asks(), 401);
		const { bearer: next } = await createToken({ name: 'ci', role: 'viewer' });
		assert.equal(await asks(), 401);
		assert.equal((await operate({ bearer: next }, { operation: 'cluster_status' })).status, 200);
	});

	test('what is no token of this node is refused and counted as a failed login', async () => {
		const { bearer } = await createToken({ name: 'ci', role: 'operator' });
		const wrong = [`${bearer}x`, bearer.slice(0, -1), `rct_${'A'.repeat(43)}`, 'rct_', bearer.toUpperCase()];
		for (const text of wrong) {
			const { status, body } = await operate({ bearer: text }, { operation: 'cluster_status' });
			assert.deepEqual([status, body.error], [401, 'invalid token']);
		}
		for (let failure = wrong.length; failure < 10; failure++)
			await operate({ bearer: 'rct_x' }, { operation: 'cluster_status' });
		assert.equal((await operate({ bearer: 'rct_x' }, { operation: 'cluster_status' })).status, 429);
		assert.equal((await operate({ bearer }, { operation: 'cluster_status' })).status, 200, 'a good one goes on');
	});

	test('faults of their fields are told', async () => {
		const cases: [Record<string, unknown>, string][] = [
			[{}, "'name' is required. 'role' is required"],
			[{ name: 'ci', role: 'root' }, "'role' must be one of [super_user, operator, viewer]"],
			[
				{ name: 'ci', role: 'viewer', expires_in: 'soon' },
				"'expires_in' must be a duration such as 30s, 5m, 1h or 90d",
			],
			[{ name: 'ci', role: 'viewer', expires_in: '367d' }, "'expires_in' must be at most 366d"],
			[{ name: 'ci', role: 'viewer', expires_in: 5 }, "'expires_in' must be a string"],
		];
		for (const [fields, error] of cases) {
			const { status, body } = await operate(admin, { operation: 'create_token', ...fields });
			assert.deepEqual([status, body.error], [400, error]);
		}
		for (const name of ['a:b', 'a b', '../x', '', 'x'.repeat(65), '-x'])
			assert.equal((await operate(admin, { operation: 'create_token', name, role: 'viewer' })).status, 400, name);
	});
});

test('a follower whose token or password is dropped, altered or deactivated is cut off at once, with no beat and no change', {
	timeout: 60_000,
}, async (context) => {
	const changes: [Login | null, (one: TestServer) => Promise<void>][] = [
		[null, ({ access }) => access.apiTokens.drop('ci')],
		[bob, ({ access }) => access.users.drop('bob')],
		[bob, ({ access }) => access.users.alter('bob', { active: false })],
		[bob, ({ access }) => access.users.alter('bob', { role: 'operator' })],
		[bob, ({ access }) => access.users.alter('bob', { password: 'bob-password-2' })],
	];
	for (const [login, change] of changes) {
		const one = await startTestServer({ limits: { followerBeatMs: 3_600_000 } });
		context.after(() => one.close());
		const { token } = await one.access.apiTokens.create({ name: 'ci', role: 'viewer', lifetimeMs: dayMs, by: 'admin' });
		const view = await one.fleet.startRollout(restart);
		const { host = '', port = 0 } = one.server.addresses.http ?? {};
		const client = await RawClient.open({ host, port });
		const body = JSON.stringify({ operation: 'get_rollout', id: view.id });
		client.write(
			`POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorizationOf(login ?? { bearer: token })}\r\n` +
				`Accept: application/x-ndjson\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
		);
		await client.until('"running"');
		// Another user's change is nobody else's matter.
		await one.access.users.alter('admin', { active: true });
		assert.equal(one.fleet.listenerCount('rollout'), 1);
		await change(one);
		await client.ended();
		assert.equal(one.fleet.listenerCount('rollout'), 0);
	}
});

describe('who asks over the admin socket', () => {
	const json = { operation: 'restart_service', service: 'clustering' };

	test('is named by the kernel, in rollouts, log and audit', async () => {
		const { uid, username } = userInfo();
		assert.equal((await operate(null, json, 'socket')).status, 200);
		assert.equal(server.fleet.requests[0]?.user, username);
		const line = log
			.map((text) => JSON.parse(text) as Record<string, unknown>)
			.find(({ event }) => event === 'operation');
		assert.deepEqual(
			[line?.['user'], line?.['uid'], line?.['by'], line?.['from']],
			[username, uid, 'socket', 'socket'],
		);
		const [record] = await audit();
		assert.deepEqual([record?.user, record?.uid, record?.role], [username, uid, 'super_user']);
	});

	test('has no name where the kernel does not say, which is logged once; no name is guessed', async (context) => {
		const lines: string[] = [];
		const one = await startTestServer({ log: (line) => lines.push(line), readPeer: () => 'koffi is not installed' });
		context.after(() => one.close());
		for (let request = 0; request < 3; request++) await one.ask('socket', { json });
		assert.deepEqual(
			one.fleet.requests.map(({ user }) => user),
			['socket', 'socket', 'socket'],
		);
		const events = lines.map((text) => JSON.parse(text) as Record<string, unknown>);
		assert.equal(events.filter(({ event }) => event === 'socket_user_unknown').length, 1);
		assert.deepEqual(
			events.filter(({ event }) => event === 'operation').map(({ user, uid }) => [user, uid]),
			Array.from({ length: 3 }, () => ['socket', null]),
		);
	});

	test('is told as a number where the host has no name for it', async (context) => {
		const one = await startTestServer({ readPeer: () => ({ pid: 1, uid: 3_999_999_999 }) });
		context.after(() => one.close());
		await one.ask('socket', { json });
		assert.equal(one.fleet.requests[0]?.user, 'uid 3999999999');
	});

	test('is the user of the credentials when there are some', async () => {
		await operate(admin, json, 'socket');
		const [record] = await audit();
		assert.deepEqual([record?.user, record?.uid, record?.by], ['admin', null, 'basic']);
	});
});

describe('the audit file', () => {
	test('has who, from where, what and what came of it of every change and every refused one, and no secret', async () => {
		await operate(admin, { operation: 'add_user', username: 'eve', password: 'canary-password-1', role: 'viewer' });
		await operate(admin, { operation: 'alter_user', username: 'eve', password: 'canary-password-2', canary: 1 });
		await operate(bob, { operation: 'set_status', status: 'canary-of-bob' });
		await operate(null, { operation: 'set_status', status: 'x' });
		await operate(admin, { operation: 'drop_user', username: 'nobody-there' });
		await operate(admin, { operation: 'list_users' });
		const records = await audit();
		assert.deepEqual(
			records.map(({ user, operation, status, fields }) => [user, operation, status, fields]),
			[
				['admin', 'add_user', 200, { username: 'eve', password: '[redacted]', role: 'viewer' }],
				['admin', 'alter_user', 400, null],
				['bob', 'set_status', 403, null],
				[null, 'set_status', 401, null],
				['admin', 'drop_user', 404, { username: 'nobody-there' }],
			],
		);
		for (const record of records) assert.equal(record.from, '127.0.0.1');
		assert.equal(records.at(-1)?.error, "User 'nobody-there' not found");
		const file = join(server.folder, 'audit.log');
		assert.equal((await stat(file)).mode & 0o777, 0o600);
		assert.ok(!(await readFile(file, 'utf8')).includes('canary'));
	});

	test('is not filled by one who is refused, or who makes tokens, without end', async () => {
		await operate(admin, { operation: 'set_status', status: 'first' });
		for (let request = 0; request < 60; request++) {
			await operate(bob, { operation: 'set_status', status: 'x' });
			await operate(bob, { operation: 'create_authentication_tokens' });
		}
		await operate(admin, { operation: 'set_status', status: 'last' });
		const records = await audit();
		assert.equal(records.filter(({ user }) => user === 'bob').length, 30);
		assert.equal(records[0]?.fields?.['status'], 'first');
		assert.equal(records.at(-1)?.fields?.['status'], 'last');
		assert.equal(records.at(-1)?.left_out, 90);
		const lines = log.filter((text) => text.includes('"user":"bob"') && text.includes('"event":"operation"'));
		assert.equal(lines.length, 120, 'the log has them all');
	});
});

test('a new password has at least eight characters', async () => {
	const error = "'password' length must be at least 8 characters long";
	const user = { username: 'eve', role: 'viewer' };
	for (const [fields, fault] of [
		[{ operation: 'add_user', ...user, password: '1234567' }, error],
		[{ operation: 'alter_user', username: 'bob', password: '1234567' }, error],
		[{ operation: 'add_user', ...user, password: '' }, "'password' is not allowed to be empty"],
	] as const)
		assert.deepEqual((await operate(admin, fields)).body, { error: fault });
	assert.equal((await operate(admin, { operation: 'add_user', ...user, password: '12345678' })).status, 200);
});
