import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
	admin,
	authorizationOf,
	type Login,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';
import { RawClient } from '../../support/server/raw-client.js';

let server: TestServer;
beforeEach(async () => {
	server = await startTestServer();
});
afterEach(() => server.close());

const password = 'carol-password-1';
const carol: Login = { basic: ['carol', password] };

async function operate(login: Login, json: Record<string, unknown>): Promise<{ status: number; body: string }> {
	return server.ask('http', { login, json });
}

/** Sends headers, lets something happen once they were read, then sends the body; answers status and error. */
async function withLateBody(login: Login, json: object, meanwhile: () => Promise<unknown>): Promise<string> {
	const { host = '', port = 0 } = server.server.addresses.http ?? {};
	const client = await RawClient.open({ host, port });
	const body = JSON.stringify(json);
	client.write(
		`POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorizationOf(login)}\r\nConnection: close\r\n` +
			`Content-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
	);
	await client.until('100 Continue');
	await meanwhile();
	client.write(body);
	const { received } = await client.ended();
	const [, status] = /\r\n\r\nHTTP\/1\.1 (\d+)/.exec(received) ?? [];
	const { error } = JSON.parse(received.slice(received.indexOf('{'))) as { error?: string };
	return error === undefined ? `${status}` : `${status} ${error}`;
}

test('who is dropped, demoted, deactivated or given a new password while a body is on its way does nothing with it', async () => {
	const add = { operation: 'add_user', username: 'mallory', password: 'mallory-password', role: 'super_user' };
	const create = { operation: 'create_authentication_tokens' };
	const refresh = { operation: 'refresh_operation_token' };
	const demoted = '403 This operation is not authorized due to role restrictions and/or invalid database items';
	const alter = (change: object) => ({ operation: 'alter_user', username: 'carol', ...change });
	const drop = { operation: 'drop_user', username: 'carol' };
	const cases: ['basic' | 'operation_token' | 'refresh_token', object, Record<string, unknown>, string][] = [
		['basic', add, drop, '401 Login failed'],
		['basic', add, alter({ role: 'viewer' }), demoted],
		['basic', add, alter({ active: false }), '401 Login failed'],
		['basic', create, alter({ password: 'another-1' }), '401 Login failed'],
		['operation_token', add, alter({ password: 'another-2' }), '401 invalid token'],
		['operation_token', add, alter({ role: 'viewer' }), demoted],
		['refresh_token', refresh, alter({ password: 'another-3' }), '401 invalid token'],
	];
	for (const [by, asked, change, expected] of cases) {
		await operate(admin, drop);
		assert.equal((await operate(admin, { ...add, username: 'carol', password })).status, 200);
		// Remembered from here on, so that its headers are judged as soon as they are there.
		const tokens = JSON.parse((await operate(carol, create)).body) as Record<string, string>;
		const login = by === 'basic' ? carol : { bearer: tokens[by] ?? '' };
		const answer = await withLateBody(login, asked, async () =>
			assert.equal((await operate(admin, change)).status, 200),
		);
		assert.equal(answer, expected, `${by}: ${JSON.stringify(change)}`);
		assert.equal(server.access.users.find('mallory'), undefined);
	}
});

test('tokens are made for whom the credentials were checked, not for what took its place meanwhile', async () => {
	const { users, tokens } = server.access;
	const before = users.find('bob');
	assert.ok(before);
	const made = [tokens.operation(before), tokens.refresh(before)];
	assert.equal((await Promise.all(made)).length, 2);
	await users.alter('bob', { password: 'bob-password-2' });
	for (const kind of ['operation', 'refresh'] as const)
		await assert.rejects(tokens[kind](before), { code: 'unauthenticated' });
});
