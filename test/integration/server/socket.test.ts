import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bindSocket } from '../../../src/server/listeners/unix-socket.js';

let folder: string;
let path: string;
const servers: Server[] = [];

beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-sock-'));
	path = join(folder, 'admin.sock');
});
afterEach(async () => {
	for (const server of servers.splice(0)) server.close();
	await rm(folder, { recursive: true, force: true });
});

async function listen(at: string): Promise<void> {
	// Whoever looks whether anybody listens hangs up at once.
	const server = createServer((socket) => socket.on('error', () => undefined).end('hello'));
	servers.push(server);
	server.listen(at);
	await once(server, 'listening');
}

const bind = (settings: { mode?: number; group?: string; path?: string } = {}): Promise<() => Promise<void>> =>
	bindSocket({ path, mode: 0o660, ...settings }, listen);
const modeOf = async (at: string): Promise<number> => (await lstat(at)).mode & 0o7777;

/** A socket whose process is gone. */
async function leaveStale(at: string): Promise<void> {
	const code = `require('node:net').createServer().listen(${JSON.stringify(at)}, () => process.kill(process.pid, 'SIGKILL'))`;
	try {
		execFileSync(process.execPath, ['-e', code]);
	} catch {
		// Being killed is what was wanted.
	}
	assert.ok((await lstat(at)).isSocket());
}

test('the socket has exactly its mode, whatever the umask, and its private folder is gone', async () => {
	for (const [umask, mode] of [
		[0, 0o600],
		[0o077, 0o660],
		[0o022, 0o666],
	] as const) {
		const before = process.umask(umask);
		const remove = await bind({ mode });
		process.umask(before);
		assert.equal(await modeOf(path), mode);
		assert.deepEqual(await readdir(folder), ['admin.sock']);
		await remove();
		assert.deepEqual(await readdir(folder), []);
	}
});

test('the name appears only with its final mode: until then the socket is in a folder that nobody else may enter', async () => {
	const before = process.umask(0);
	const seen: { name: string; mode: number }[] = [];
	const remove = await bindSocket({ path, mode: 0o600 }, async (at) => {
		await listen(at);
		// The widest moment: bound, and not yet given its mode.
		for (const name of await readdir(folder)) seen.push({ name, mode: await modeOf(join(folder, name)) });
	});
	process.umask(before);
	assert.equal(seen.length, 1);
	assert.equal(seen[0]?.mode, 0o700);
	assert.notEqual(seen[0]?.name, 'admin.sock');
	await remove();
});

test('no event of the folder ever shows the socket wider than its mode', async () => {
	const before = process.umask(0);
	const modes: Promise<number | null>[] = [];
	const watcher = watch(folder, (_event, name) => {
		if (name === 'admin.sock') modes.push(modeOf(path).catch(() => null));
	});
	for (let round = 0; round < 20; round++) await (await bind({ mode: 0o600 }))();
	watcher.close();
	process.umask(before);
	for (const mode of await Promise.all(modes)) assert.ok(mode === null || mode === 0o600, mode?.toString(8));
});

test('a planted file, folder, link or live socket is refused and left alone', async () => {
	const plants: [string, () => Promise<void>, () => Promise<void>][] = [
		['file', () => writeFile(path, 'precious'), async () => assert.equal(await readFile(path, 'utf8'), 'precious')],
		['folder', () => mkdir(path), async () => assert.ok((await lstat(path)).isDirectory())],
		[
			'link to a file',
			async () => {
				await writeFile(join(folder, 'target'), 'precious');
				await symlink(join(folder, 'target'), path);
			},
			async () => {
				assert.equal(await readlink(path), join(folder, 'target'));
				assert.equal(await readFile(join(folder, 'target'), 'utf8'), 'precious');
			},
		],
		[
			'link to nothing',
			() => symlink(join(folder, 'nothing'), path),
			async () => assert.equal(await readlink(path), join(folder, 'nothing')),
		],
		[
			'link to a stale socket',
			async () => {
				await leaveStale(join(folder, 'other'));
				await symlink(join(folder, 'other'), path);
			},
			async () => assert.ok((await lstat(join(folder, 'other'))).isSocket()),
		],
		['live socket', () => listen(path), async () => assert.ok((await lstat(path)).isSocket())],
	];
	for (const [name, plant, isUntouched] of plants) {
		await plant();
		const { ino } = await lstat(path);
		await assert.rejects(bind(), { code: 'address_in_use', message: /operations_api\.socket\.path/ }, name);
		assert.equal((await lstat(path)).ino, ino, name);
		await isUntouched();
		for (const server of servers.splice(0)) server.close();
		await rm(folder, { recursive: true, force: true });
		await mkdir(folder, { mode: 0o700 });
	}
});

test('a file that is planted after the look is refused and left alone, too', async () => {
	const late = bindSocket({ path, mode: 0o660 }, async (at) => {
		await listen(at);
		await writeFile(path, 'precious');
	});
	await assert.rejects(late, { code: 'address_in_use' });
	assert.equal(await readFile(path, 'utf8'), 'precious');
	assert.deepEqual(await readdir(folder), ['admin.sock']);
});

test('a stale socket is replaced', async () => {
	await leaveStale(path);
	const remove = await bind();
	assert.equal(await modeOf(path), 0o660);
	await remove();
	assert.deepEqual(await readdir(folder), []);
});

test('at the end the socket is removed only if it is still the own one', async () => {
	const remove = await bind();
	await rm(path);
	await writeFile(path, 'another');
	await remove();
	assert.equal(await readFile(path, 'utf8'), 'another');
});

test('a missing folder is made, and one that others may change is refused', async () => {
	const inner = join(folder, 'run', 'rollcall');
	const remove = await bind({ path: join(inner, 'admin.sock') });
	assert.equal(await modeOf(inner), 0o755);
	await remove();
	await chmod(inner, 0o777);
	await assert.rejects(bind({ path: join(inner, 'admin.sock') }), {
		code: 'configuration',
		message: /may be changed by others/,
	});
	assert.deepEqual(await readdir(inner), []);
	await chmod(inner, 0o1777);
	await (await bind({ path: join(inner, 'admin.sock') }))();
});

test('a path of 107 bytes works, one of 108 is refused', async () => {
	const pad = (bytes: number): string => join(folder, `${'s'.repeat(bytes - folder.length - 1)}`);
	const remove = await bind({ path: pad(107) });
	await remove();
	await assert.rejects(bind({ path: pad(108) }), { code: 'configuration' });
});

test('the group is given by name or number, and one that does not exist is named', async () => {
	const gid = process.getgid?.() ?? 0;
	const groups = await readFile('/etc/group', 'utf8');
	const own = groups
		.split('\n')
		.find((line) => line.split(':')[2] === String(gid))
		?.split(':')[0];
	for (const group of [String(gid), ...(own === undefined ? [] : [own])]) {
		const remove = await bind({ group });
		assert.equal((await lstat(path)).gid, gid);
		await remove();
	}
	for (const group of ['no-such-group', '--help', 'a b']) {
		await assert.rejects(bind({ group }), { code: 'configuration', message: /socket\.group/ });
		assert.deepEqual(await readdir(folder), []);
	}
});

test('of many who start at once on one path exactly one gets it', async () => {
	const script = fileURLToPath(new URL('../../support/server/bind-once.js', import.meta.url));
	const { spawn } = await import('node:child_process');
	const children = Array.from({ length: 4 }, () =>
		spawn(process.execPath, [script, path], { stdio: ['pipe', 'pipe', 'ignore'] }),
	);
	const words = await Promise.all(children.map(async (child) => String((await once(child.stdout, 'data'))[0]).trim()));
	assert.deepEqual(words.sort(), ['address_in_use', 'address_in_use', 'address_in_use', 'bound']);
	await Promise.all(
		children.map(async (child) => {
			const exit = once(child, 'exit');
			child.stdin.end();
			await exit;
		}),
	);
});
