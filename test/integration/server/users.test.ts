import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SignJWT } from 'jose';
import { openAccess } from '../../../src/server/access/access.js';
import {
	admin,
	authorizationOf,
	bob,
	cheapCost,
	type Login,
	type Over,
	type Reply,
	sam,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';

let server: TestServer;
beforeEach(async () => {
	server = await startTestServer();
});
afterEach(() => server.close());

const operate = (login: Login, json: Record<string, unknown>, over: Over = 'http'): Promise<Reply> =>
	server.ask(over, { login, json });
const ask = async (login: Login, over: Over = 'http'): Promise<string> => {
	const { status, body } = await operate(login, { operation: 'list_workers' }, over);
	return status === 200 ? '200' : `${status} ${(JSON.parse(body) as { error: string }).error}`;
};
const failed = '401 Login failed';
const inactive = '401 Cannot complete request: User is inactive';
const void_ = '401 invalid token';

interface TokenPair {
	operation_token: string;
	refresh_token: string;
}
async function tokensOf(login: Login): Promise<TokenPair> {
	const reply = await operate(login, { operation: 'create_authentication_tokens' });
	assert.equal(reply.status, 200, reply.body);
	return JSON.parse(reply.body) as TokenPair;
}

test('a user can be added, altered, listed and dropped, and every change is felt by the next request', async () => {
	const carol: Login = { basic: ['carol', 'carol-1:with-colon ü'] };
	const add = { operation: 'add_user', username: 'carol', password: 'carol-1:with-colon ü', role: 'viewer' };
	assert.equal(await ask(carol), failed);
	assert.deepEqual(JSON.parse((await operate(admin, add)).body), { message: 'carol successfully added' });
	assert.equal(await ask(carol), '200');
	assert.equal((await operate(carol, { operation: 'get_status' })).status, 403);
	await operate(admin, { operation: 'alter_user', username: 'carol', role: 'super_user' });
	assert.equal((await operate(carol, { operation: 'get_status' })).status, 200);
	await operate(admin, { operation: 'alter_user', username: 'carol', active: false });
	assert.equal(await ask(carol), inactive);
	await operate(admin, { operation: 'alter_user', username: 'carol', active: true });
	assert.equal(await ask(carol), '200');
	await operate(admin, { operation: 'alter_user', username: 'carol', password: 'carol-password-2' });
	assert.equal(await ask(carol), failed);
	assert.equal(await ask({ basic: ['carol', 'carol-password-2'] }), '200');
	await operate(admin, { operation: 'drop_user', username: 'carol' });
	assert.equal(await ask({ basic: ['carol', 'carol-password-2'] }), failed);
	assert.deepEqual(JSON.parse((await operate(admin, { operation: 'list_users' })).body), [
		{ username: 'admin', role: 'super_user', active: true },
		{ username: 'bob', role: 'viewer', active: true },
		{ username: 'sam', role: 'super_user', active: false },
	]);
});

test('a user that is there is not added again, one that is not is not found, and an alteration of nothing is refused', async () => {
	const status = async (json: Record<string, unknown>): Promise<number> => (await operate(admin, json)).status;
	assert.equal(
		await status({ operation: 'add_user', username: 'bob', password: 'bob-password-2', role: 'viewer' }),
		409,
	);
	assert.equal(await status({ operation: 'alter_user', username: 'nobody', active: true }), 404);
	assert.equal(await status({ operation: 'drop_user', username: 'nobody' }), 404);
	assert.equal(await status({ operation: 'alter_user', username: 'bob' }), 400);
	assert.equal(await ask(bob), '200', 'the refused add_user left the password as it was');
});

test('the last active super_user cannot be dropped, demoted or deactivated, not even by two at once', async () => {
	const refused = { operation: 'alter_user', username: 'admin' };
	for (const json of [
		{ ...refused, role: 'viewer' },
		{ ...refused, active: false },
		{ operation: 'drop_user', username: 'admin' },
	]) {
		const reply = await operate(admin, json);
		assert.equal(reply.status, 409);
		assert.match(reply.body, /last active super_user/);
	}
	await operate(admin, { operation: 'alter_user', username: 'sam', active: true });
	const replies = await Promise.all(
		['admin', 'sam'].map((username) => operate(null, { operation: 'drop_user', username }, 'socket')),
	);
	assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409]);
});

test('the node keeps passwords as scrypt alone, in a file that only it may read, and no answer holds one', async () => {
	await tokensOf(admin);
	for (const name of ['users.json', 'token.key']) {
		assert.equal((await stat(join(server.folder, name))).mode & 0o777, 0o600, name);
	}
	const stored = await readFile(join(server.folder, 'users.json'), 'utf8');
	assert.ok(!stored.includes('correct-horse-battery') && stored.includes('scrypt$'));
	const listed = await operate(admin, { operation: 'list_users' });
	assert.doesNotMatch(listed.body, /password|scrypt|generation/);
	assert.deepEqual((await readdir(server.folder)).sort(), ['admin.sock', 'audit.log', 'token.key', 'users.json']);
});

test('users outlive the daemon; a damaged file or one that others may read is refused and named', async () => {
	const options = { stateDir: server.folder, admin: { username: 'other', password: 'x' }, cost: cheapCost };
	const again = await openAccess(options);
	assert.deepEqual(
		again.users.list().map(({ username }) => username),
		['admin', 'bob', 'sam'],
		'only a first start makes a user',
	);
	const file = join(server.folder, 'users.json');
	const content = await readFile(file, 'utf8');
	for (const damaged of [
		'',
		'{',
		content.slice(0, -20),
		content.replace('"viewer"', '"root"'),
		content.replaceAll('scrypt$', 'plain$'),
	]) {
		await writeFile(file, damaged);
		await assert.rejects(openAccess(options), { code: 'configuration', message: /users\.json is damaged/ });
	}
	await writeFile(file, content);
	const { chmod } = await import('node:fs/promises');
	await chmod(file, 0o640);
	await assert.rejects(openAccess(options), { code: 'configuration', message: /chmod 600/ });
});

test('half a first user is refused, naming what is missing', async () => {
	const options = { stateDir: server.folder, cost: cheapCost };
	await assert.rejects(
		openAccess({ ...options, admin: { username: 'a', password: undefined } }),
		/ROLLCALL_ADMIN_PASSWORD/,
	);
	await assert.rejects(openAccess({ ...options, admin: { username: '', password: 'b' } }), /ROLLCALL_ADMIN_USERNAME/);
});

test('without any user only the socket answers operations', async (context) => {
	const empty = await startTestServer({ users: false });
	context.after(() => empty.close());
	const json = { operation: 'list_workers' };
	assert.equal((await empty.ask('http', { json })).status, 401);
	assert.equal((await empty.ask('http', { json, login: admin })).status, 401);
	assert.equal((await empty.ask('socket', { json })).status, 200);
	assert.equal((await empty.ask('socket', { json, login: admin })).status, 401);
});

test('an inactive user is told so only with the right password', async () => {
	assert.equal(await ask(sam), inactive);
	assert.equal(await ask({ basic: ['sam', 'wrong'] }), failed);
});

test('a password is compared whole: zeros at its end make another one', async () => {
	assert.equal(await ask({ basic: ['bob', 'bob-password-1\0'] }), failed);
	assert.equal(await ask(bob), '200');
});

test('credentials of another scheme count as none given, on the socket too; malformed ones are bad', async () => {
	for (const over of ['http', 'socket'] as const) {
		for (const header of ['Digest abc', 'Negotiate', '', 'basic-x abc'])
			assert.equal(await ask({ header }, over), '401 Must login');
		for (const header of ['Basic', 'Basic ', 'Basic !!!', `Basic ${Buffer.from('admin').toString('base64')}`]) {
			assert.equal(await ask({ header }, over), failed);
		}
		assert.equal(await ask({ header: 'Bearer' }, over), void_);
		server.clock.now += 61_000;
	}
	const lower = `bAsIc ${Buffer.from('admin:correct-horse-battery').toString('base64')}`;
	assert.equal(await ask({ header: lower }), '200');
});

test('an operation token opens operations, a refresh token nothing but a new operation token', async () => {
	const tokens = await tokensOf(bob);
	assert.equal(await ask({ bearer: tokens.operation_token }), '200');
	assert.equal(
		(await operate({ bearer: tokens.operation_token }, { operation: 'get_status' })).status,
		403,
		'the role is the user’s',
	);
	assert.equal(await ask({ bearer: tokens.refresh_token }), void_);
	assert.equal(
		(await server.ask('http', { method: 'GET', path: '/metrics', login: { bearer: tokens.refresh_token } })).status,
		401,
	);
	const refresh = async (login: Login): Promise<Reply> => operate(login, { operation: 'refresh_operation_token' });
	const fresh = JSON.parse((await refresh({ bearer: tokens.refresh_token })).body) as TokenPair;
	assert.deepEqual(Object.keys(fresh), ['operation_token']);
	assert.equal(await ask({ bearer: fresh.operation_token }), '200');
	for (const login of [bob, { bearer: tokens.operation_token }]) {
		assert.deepEqual(JSON.parse((await refresh(login)).body), { error: 'invalid token' });
	}
	assert.deepEqual(JSON.parse((await refresh(null)).body), { error: 'Must login' });
});

test('tokens are given for a name and password, or for Basic credentials, and to nobody else', async () => {
	const create = async (login: Login, fields: object, over: Over = 'http'): Promise<string> => {
		const { status, body } = await operate(login, { operation: 'create_authentication_tokens', ...fields }, over);
		return status === 200 ? '200' : `${status} ${(JSON.parse(body) as { error: string }).error}`;
	};
	const fields = { username: 'bob', password: 'bob-password-1' };
	assert.equal(await create(null, fields), '200');
	assert.equal(await create(null, fields, 'socket'), '200');
	assert.equal(await create(null, {}), "400 'username' is required. 'password' is required");
	assert.equal(await create(null, {}, 'socket'), "400 'username' is required. 'password' is required");
	assert.equal(await create(bob, { username: 'bob' }), "400 'password' is required");
	assert.equal(await create(null, { ...fields, password: 'wrong' }), failed);
	assert.equal(await create(bob, { username: 'admin', password: 'wrong' }), failed, 'what is in the body decides');
	assert.equal(
		await create({ bearer: (await tokensOf(bob)).operation_token }, {}),
		"400 'username' is required. 'password' is required",
	);
	assert.equal(await create(null, { username: 'sam', password: 'sam-password-1' }), inactive);
});

test('a token ends after its time: an operation token after a day, a refresh token after thirty', async () => {
	const tokens = await tokensOf(bob);
	const day = 24 * 3600 * 1000;
	server.clock.now += day - 10_000;
	assert.equal(await ask({ bearer: tokens.operation_token }), '200');
	server.clock.now += 20_000;
	assert.equal(await ask({ bearer: tokens.operation_token }), void_);
	const refresh = { operation: 'refresh_operation_token' };
	server.clock.now += 29 * day - 20_000;
	assert.equal((await operate({ bearer: tokens.refresh_token }, refresh)).status, 200);
	server.clock.now += 20_000;
	assert.equal((await operate({ bearer: tokens.refresh_token }, refresh)).status, 401);
});

test('tokens are void when their user is dropped, deactivated or gets a new password, for good', async () => {
	const changes: Record<string, unknown>[][] = [
		[{ operation: 'alter_user', username: 'bob', password: 'bob-password-1' }],
		[
			{ operation: 'alter_user', username: 'bob', active: false },
			{ operation: 'alter_user', username: 'bob', active: true },
		],
		[
			{ operation: 'drop_user', username: 'bob' },
			{ operation: 'add_user', username: 'bob', password: 'bob-password-1', role: 'viewer' },
		],
	];
	for (const change of changes) {
		const tokens = await tokensOf(bob);
		assert.equal(await ask({ bearer: tokens.operation_token }), '200');
		for (const json of change) {
			assert.equal((await operate(admin, json)).status, 200);
			assert.equal(await ask({ bearer: tokens.operation_token }), void_);
		}
		assert.equal(
			(await operate({ bearer: tokens.refresh_token }, { operation: 'refresh_operation_token' })).status,
			401,
		);
		assert.equal(await ask(bob), '200');
		server.clock.now += 61_000;
	}
});

test('a forged token is refused: another key, no signature, another algorithm, other claims', async () => {
	const { operation_token: good } = await tokensOf(bob);
	const [header = '', payload = '', signature = ''] = good.split('.');
	const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Record<string, unknown>;
	const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
	const otherKey = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32));
	const forged = [
		otherKey,
		`${encode({ alg: 'none' })}.${payload}.`,
		`${encode({ alg: 'HS512' })}.${payload}.${signature}`,
		`${header}.${encode({ ...claims, sub: 'admin' })}.${signature}`,
		`${header}.${payload}.${signature.slice(0, -2)}`,
		`${good}.x`,
		'a'.repeat(5_000),
	];
	for (const bearer of forged) assert.equal(await ask({ bearer }), void_, bearer);
});

test('ten failures of an account are 401, the eleventh and everything after it 429, until a minute has gone', async () => {
	// Other addresses are not to be had on loopback; the socket counts as another one.
	const wrong: Login = { basic: ['bob', 'wrong'] };
	for (let failure = 0; failure < 10; failure++)
		assert.equal(await ask(wrong, failure % 2 ? 'http' : 'socket'), failed);
	assert.match(await ask(wrong), /^429 Too many failed logins; try again in \d+ s\.$/);
	const reply = await operate(bob, { operation: 'list_workers' });
	assert.equal(reply.status, 429, 'the right password is no way to find out');
	assert.ok(Number(reply.headers['retry-after']) >= 1 && Number(reply.headers['retry-after']) <= 60);
	assert.equal(await ask(admin), '200', 'another account goes on');
	server.clock.now += 60_001;
	assert.equal(await ask(bob), '200');
});

test('ten failures are not too many: the right password still opens', async () => {
	for (let failure = 0; failure < 10; failure++) await ask({ basic: ['bob', `wrong-${failure}`] });
	assert.equal(await ask(bob), '200');
});

test('failures that come all at once are counted one by one', async () => {
	const results = await Promise.all(Array.from({ length: 20 }, () => ask({ basic: ['bob', 'wrong'] })));
	assert.equal(results.filter((result) => result === failed).length, 10);
	assert.equal(results.filter((result) => result.startsWith('429')).length, 10);
});

test('an address that fails on many accounts is slowed, also where it has got in before; its good tokens still open', async () => {
	const tokens = await tokensOf(bob);
	assert.equal(await ask(bob), '200');
	for (let failure = 0; failure < 10; failure++) assert.equal(await ask({ basic: [`nobody-${failure}`, 'x'] }), failed);
	assert.match(await ask({ bearer: 'a.b.c' }), /^429/);
	assert.match(await ask(bob), /^429/);
	assert.equal(await ask({ bearer: tokens.operation_token }), '200');
	assert.equal(await ask(bob, 'socket'), '200', 'the socket is another address');
});

test('who got in before from an address still does while the account is being guessed from another', async () => {
	assert.equal(await ask(bob, 'socket'), '200');
	for (let failure = 0; failure < 11; failure++) await ask({ basic: ['bob', 'wrong'] });
	assert.match(await ask(bob), /^429/);
	assert.equal(await ask(bob, 'socket'), '200');
});

test('a remembered password opens from its own address alone: from another one it is no way around the throttle', async () => {
	const { logins } = server.access;
	const authorization = authorizationOf(bob) ?? '';
	const identify = async (address: string): Promise<string> =>
		(await logins.identify(authorization, 'http', address)).by;
	assert.equal(await identify('192.0.2.1'), 'basic');
	for (let failure = 0; failure < 11; failure++) await ask({ basic: ['bob', 'wrong'] });
	assert.equal(await identify('192.0.2.1'), 'basic');
	await assert.rejects(identify('192.0.2.2'), { code: 'throttled' });
});

test('an attack that goes on does not shut the account for good', async () => {
	let opened = 0;
	for (let second = 0; second < 150; second++) {
		server.clock.now += 1_000;
		// Remembered credentials are another matter: these are new each time, for a user without a memory.
		if ((await ask(sam)) === inactive) opened++;
		await ask({ basic: ['sam', `guess-${second}`] });
	}
	assert.ok(opened > 10, `the right password was looked at ${opened} times in two and a half minutes`);
});

test('who changed what, and that credentials were refused, is logged; no secret is, nor stands in any answer or file', async (context) => {
	const log: string[] = [];
	const noted = await startTestServer({ log: (line) => log.push(line) });
	context.after(() => noted.close());
	const secrets = ['canary-password-1', 'canary-wrong-2', 'canary-typed-early-3', 'correct-horse-battery'];
	const answers: string[] = [];
	const say = async (login: Login, json: Record<string, unknown>): Promise<string> => {
		const { body } = await noted.ask('http', { login, json });
		answers.push(body);
		return body;
	};
	await say(admin, { operation: 'add_user', username: 'eve', password: 'canary-password-1', role: 'viewer' });
	await say({ basic: ['eve', 'canary-wrong-2'] }, { operation: 'get_status' });
	await say({ basic: ['canary-typed-early-3', 'x'] }, { operation: 'get_status' });
	await say(admin, {
		operation: 'alter_user',
		username: 'eve',
		password: 'canary-password-1',
		canary: 'canary-password-1',
	});
	await say(admin, { operation: 'get_status' });
	const tokens = JSON.parse(
		(await noted.ask('http', { login: admin, json: { operation: 'create_authentication_tokens' } })).body,
	) as TokenPair;
	await say({ bearer: tokens.operation_token }, { operation: 'list_users' });
	await say({ bearer: tokens.refresh_token }, { operation: 'refresh_operation_token' });
	const files = await Promise.all(
		['users.json', 'token.key'].map((name) => readFile(join(noted.folder, name), 'latin1')),
	);
	answers.pop();
	for (const secret of [...secrets, tokens.operation_token, tokens.refresh_token]) {
		for (const text of [...log, ...answers, ...files]) assert.ok(!text.includes(secret), `${secret} in ${text}`);
	}
	const events = log
		.map((line) => JSON.parse(line) as Record<string, unknown>)
		.map((line) => [line['event'], line['operation'] ?? line['reason'], line['user'], line['status']]);
	assert.deepEqual(events, [
		['operation', 'add_user', 'admin', 200],
		['login_refused', 'Login failed', undefined, undefined],
		['login_refused', 'Login failed', undefined, undefined],
		['operation', 'alter_user', 'admin', 400],
		['operation', 'create_authentication_tokens', 'admin', 200],
	]);
});
