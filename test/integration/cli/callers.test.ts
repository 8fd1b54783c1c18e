/** The commands that say who may ask, and how the command line shows who asks; against a real server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { type CommandResult, runCommand } from '../../support/cli/command.js';
import { namesOf, startTestServer, type TestServer } from '../../support/operations/operations-server.js';
import { startOnTerminal } from '../../support/cli/pseudo-terminal.js';

let server: TestServer;
beforeEach(async () => {
	server = await startTestServer();
});
afterEach(() => server.close());

const socket = (): string[] => ['--socket', server.server.addresses.socket];
const url = (): string[] => ['--url', `http://127.0.0.1:${server.server.addresses.http?.port}`];
const login = { basic: ['ann', 'ann-password-1'] } as const;

/** Runs a command with a text on its standard input. */
function runWithInput(words: readonly string[], input: string): Promise<CommandResult> {
	const main = fileURLToPath(new URL('../../../src/main.js', import.meta.url));
	const child = spawn(process.execPath, [main, ...words], { env: { PATH: process.env['PATH'] } });
	const heard = { stdout: '', stderr: '' };
	for (const name of ['stdout', 'stderr'] as const)
		child[name].setEncoding('utf8').on('data', (text: string) => {
			heard[name] += text;
		});
	child.stdin.on('error', () => undefined).end(input);
	return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...heard })));
}

async function mayLogIn(password: string): Promise<boolean> {
	const { status } = await server.ask('http', {
		login: { basic: ['ann', password] },
		json: { operation: 'cluster_status' },
	});
	return status === 200;
}

test('user add takes the password from standard input, and user password gives another one', async () => {
	const { username, password } = namesOf(login);
	const made = await runWithInput(
		['user', 'add', username, '--role', 'operator', '--json', ...socket()],
		`${password}\n`,
	);
	assert.equal(made.code, 0, made.stderr);
	resultShapes['user add'].parse(JSON.parse(made.stdout));
	assert.equal(server.access.users.find('ann')?.role, 'operator');
	assert.ok(await mayLogIn(password));
	assert.equal((await runWithInput(['user', 'password', 'ann', ...socket()], 'another-password\n')).code, 0);
	assert.ok(!(await mayLogIn(password)) && (await mayLogIn('another-password')));
	const short = await runWithInput(['user', 'password', 'ann', ...socket()], '1234567\n');
	assert.equal(short.code, 2);
	assert.match(short.stderr, /at least 8 characters/);
	assert.ok(await mayLogIn('another-password'));
});

test('on a terminal the password is asked for twice and never shown; Ctrl-C and two that differ change nothing', async () => {
	const words = ['user', 'add', 'ann', '--role', 'viewer', ...socket()];
	const differing = startOnTerminal(words);
	await differing.shows('Password: ');
	differing.types('ann-password-1\r');
	await differing.shows('Once more: ');
	differing.types('ann-password-2\r');
	assert.equal(await differing.ended, 2);
	assert.match(differing.screen, /differ/);
	const interrupted = startOnTerminal(words);
	await interrupted.shows('Password: ');
	interrupted.types('ann-pass\x03');
	assert.equal(await interrupted.ended, 130);
	assert.equal(server.access.users.find('ann'), undefined);
	const good = startOnTerminal(words);
	await good.shows('Password: ');
	good.types('ann-passwordX\x7f-1\r');
	await good.shows('Once more: ');
	good.types('ann-password-1\r');
	assert.equal(await good.ended, 0, good.screen);
	assert.ok(await mayLogIn('ann-password-1'));
	for (const { screen } of [differing, interrupted, good]) assert.ok(!screen.includes('ann-pass'), screen);
});

test('a password on the command line is refused before anything is sent, and what to type is said', async () => {
	const cases: [string[], RegExp][] = [
		[['add_user', 'username=ann', 'password=ann-password-1', 'role=viewer'], /rollcall user add NAME --role ROLE/],
		[['alter_user', 'username=bob', 'password=ann-password-1'], /rollcall user password NAME/],
		[['create_authentication_tokens', 'username=bob', 'password=bob-password-1'], /--fields FILE/],
	];
	for (const [words, advice] of cases) {
		const { code, stdout, stderr } = await runCommand([...words, ...socket()]);
		assert.deepEqual([code, stdout], [2, '']);
		assert.match(stderr, advice);
		assert.ok(!stderr.includes('-password-1'));
	}
	assert.equal(server.observations.length, 0);
});

test('a token is made, used from the environment or a file, listed and dropped; it alone stands on stdout', async () => {
	const made = await runCommand([
		'token',
		'create',
		'ci',
		'--role',
		'operator',
		'--expires-in',
		'30d',
		'--json',
		...socket(),
	]);
	assert.equal(made.code, 0, made.stderr);
	const { token } = resultShapes['token create'].parse(JSON.parse(made.stdout));
	const plain = await runCommand(['token', 'create', 'cd', '--role', 'viewer', ...socket()]);
	assert.match(plain.stdout, /^rct_[\w-]{43}\n$/);
	assert.match(plain.stderr, /cd: role viewer, until .*not shown again/);

	const file = join(server.folder, 'ci.token');
	writeFileSync(file, `${token}\n`, { mode: 0o600 });
	const open = join(server.folder, 'open.token');
	writeFileSync(open, `${token}\n`, { mode: 0o640 });
	const empty = join(server.folder, 'empty.token');
	writeFileSync(empty, '', { mode: 0o600 });
	const codeOf = async (words: string[], env: NodeJS.ProcessEnv = {}) => (await runCommand(words, env)).code;
	const workers = ['workers', ...url()];
	assert.equal(await codeOf(workers, { ROLLCALL_TOKEN: token }), 0);
	assert.equal(
		await codeOf(workers, { ROLLCALL_TOKEN: token, ROLLCALL_USERNAME: 'bob', ROLLCALL_PASSWORD: 'wrong' }),
		0,
		'a token is preferred',
	);
	assert.equal(await codeOf([...workers, '--token-file', file]), 0);
	assert.equal(await codeOf(['list_users', ...socket(), '--token-file', file]), 5, 'over the socket too it decides');
	assert.equal(await codeOf(['list_users', ...socket()], { ROLLCALL_TOKEN: token }), 0, 'it is for remote daemons');
	assert.equal(await codeOf([...workers, '--token-file', open]), 2);
	assert.equal(await codeOf([...workers, '--token-file', empty]), 2);
	assert.equal(await codeOf([...workers, '--token-file', file, '--credentials', file]), 2);
	assert.equal(await codeOf(['workers', '--url', 'http://192.0.2.1:9'], { ROLLCALL_TOKEN: token }), 2);
	assert.equal(await codeOf(workers, { ROLLCALL_TOKEN: 'a\nb' }), 2);

	const listed = await runCommand(['token', 'list', '--json', ...socket()]);
	const names = resultShapes['token list'].parse(JSON.parse(listed.stdout)).map(({ name }) => name);
	assert.deepEqual(names, ['ci', 'cd']);
	assert.match((await runCommand(['token', 'list', ...socket()])).stdout, /^TOKEN +ROLE +UNTIL/);
	assert.equal(await codeOf(['token', 'drop', 'ci', ...socket()]), 0);
	assert.equal(await codeOf(workers, { ROLLCALL_TOKEN: token }), 5);
	assert.equal(await codeOf(['token', 'drop', 'ci', ...socket()]), 1);
});

test('audit shows who changed what, the refused ones too', async () => {
	await server.ask('socket', { json: { operation: 'set_status', status: 'hello' } });
	await server.ask('http', { login: { basic: ['bob', 'bob-password-1'] }, json: { operation: 'restart' } });
	const { stdout } = await runCommand(['audit', ...socket()]);
	const { username } = userInfo();
	assert.match(stdout, new RegExp(`${username} +super_user +socket +set_status +done +status=hello`));
	assert.match(stdout, /bob +viewer +127\.0\.0\.1 +restart +refused \(403\)/);
	const asJson = await runCommand(['audit', '-n', '1', '--json', ...socket()]);
	assert.equal(resultShapes.audit.parse(JSON.parse(asJson.stdout))[0]?.operation, 'restart');
	assert.equal((await runCommand(['audit', '-n', 'many', ...socket()])).code, 2);
	assert.equal(
		(await runCommand(['audit', ...url()], { ROLLCALL_USERNAME: 'bob', ROLLCALL_PASSWORD: 'bob-password-1' })).code,
		5,
	);
});
