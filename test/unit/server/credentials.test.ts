import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { RollcallError } from '../../../src/errors.js';
import { openAccess } from '../../../src/server/access/access.js';
import { ApiTokenStore } from '../../../src/server/access/api-tokens.js';
import { type AccessChanges, Credentials } from '../../../src/server/access/credentials.js';
import { Passwords } from '../../../src/server/access/passwords.js';
import { TokenIssuer } from '../../../src/server/access/tokens.js';
import { UserStore } from '../../../src/server/access/users.js';

/** Counts what is hashed, and does it cheaply. */
class CountedPasswords extends Passwords {
	checks = 0;
	constructor() {
		super({ log2n: 1, r: 1, p: 1 });
	}
	override check(...given: Parameters<Passwords['check']>): Promise<boolean> {
		this.checks++;
		return super.check(...given);
	}
}

async function open(context: TestContext) {
	const folder = await mkdtemp(join(tmpdir(), 'rc-cred-'));
	context.after(() => rm(folder, { recursive: true, force: true }));
	const clock = { now: 1_000_000 };
	const passwords = new CountedPasswords();
	const changes: AccessChanges = new EventEmitter();
	const changed = () => void changes.emit('changed');
	const users = await UserStore.open(folder, { passwords, changed });
	await users.add({ username: 'carol', password: 'good-password-1', role: 'viewer', active: true });
	// Somebody has to stay.
	await users.add({ username: 'admin', password: 'good-password-0', role: 'super_user', active: true });
	const tokens = await TokenIssuer.open(folder, users, () => clock.now);
	const now = () => clock.now;
	const apiTokens = await ApiTokenStore.open(folder, { now, changed });
	const logins = new Credentials({ users, passwords, tokens, apiTokens, changes, now });
	const ask = async (pair: string) =>
		logins.identify(`Basic ${Buffer.from(pair).toString('base64')}`, 'http', '127.0.0.1');
	return { clock, passwords, users, ask, logins };
}

test('thousands of requests with the same good credentials are one hash, until five minutes are over', async (context) => {
	const { clock, passwords, ask } = await open(context);
	await Promise.all(Array.from({ length: 100 }, () => ask('carol:good-password-1')));
	for (let request = 0; request < 5_000; request++) await ask('carol:good-password-1');
	assert.equal(passwords.checks, 1);
	clock.now += 5 * 60_000;
	await ask('carol:good-password-1');
	assert.equal(passwords.checks, 2);
});

test('a change of the user is felt by the very next request, whatever is remembered', async (context) => {
	const { passwords, users, ask } = await open(context);
	await ask('carol:good-password-1');
	await users.alter('carol', { role: 'super_user' });
	assert.equal((await ask('carol:good-password-1')).role, 'super_user');
	await users.alter('carol', { password: 'good-password-2' });
	await assert.rejects(ask('carol:good-password-1'), /Login failed/);
	await ask('carol:good-password-2');
	const hashed = passwords.checks;
	await users.alter('carol', { active: false });
	await assert.rejects(ask('carol:good-password-2'), /User is inactive/);
	assert.equal(passwords.checks, hashed + 1);
	await users.drop('carol');
	await assert.rejects(ask('carol:good-password-2'), /Login failed/);
});

test('a name that nobody has is hashed like one that is known, and what failed is never remembered', async (context) => {
	const { passwords, ask } = await open(context);
	for (const pair of ['nobody:good-password-1', 'carol:wrong', 'nobody:good-password-1', 'carol:wrong']) {
		const before = passwords.checks;
		await assert.rejects(ask(pair), /Login failed/);
		assert.equal(passwords.checks, before + 1, pair);
	}
});

test('a header that spells what a login in a body is remembered by is no login', async (context) => {
	const { logins } = await open(context);
	const login = ['carol', 'good-password-1'] as const;
	await logins.login(...login, '127.0.0.1');
	assert.equal((await logins.identify(JSON.stringify(login), 'http', '127.0.0.1')).by, 'nothing');
});

test('setting the clock neither opens what is slowed down nor makes it last longer', async (context) => {
	const folder = await mkdtemp(join(tmpdir(), 'rc-cred-'));
	context.after(() => rm(folder, { recursive: true, force: true }));
	let wall = 1_700_000_000_000;
	context.mock.method(Date, 'now', () => wall);
	const admin = { username: 'admin', password: 'good-password-0' };
	const { logins } = await openAccess({ stateDir: folder, admin, cost: { log2n: 1, r: 1, p: 1 } });
	const guess = () => logins.login('admin', 'wrong', '127.0.0.1');
	for (let failure = 0; failure < 10; failure++) await assert.rejects(guess(), { code: 'unauthenticated' });
	for (wall of [1_700_000_000_000, 1_800_000_000_000, 1_000_000_000_000]) {
		await assert.rejects(guess(), (error: RollcallError) => {
			assert.equal(error.code, 'throttled');
			const seconds = Number(error.extra['retryAfterSeconds']);
			return seconds > 0 && seconds <= 60;
		});
	}
});
