/** What lies in a worker host's home is its user's to exchange: it leads to nobody else's socket, file or process. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { openUntrustedSocket, untrustedPlace } from '../../../src/system/files/untrusted-file.js';
import { findOwned, readProcessStat } from '../../../src/system/proc/process.js';
import { type Clock, systemClock } from '../../../src/workers/clock.js';
import { controlSocketPath } from '../../../src/workers/connection/control.js';
import { connectWorker } from '../../../src/workers/connection/control-client.js';
import { PreloadConnection } from '../../../src/workers/connection/preload-connection.js';
import { probe } from '../../../src/workers/connection/probe.js';
import type { AppListeners } from '../../../src/workers/health/app-listeners.js';
import { isApproved, removeApproval, writeApproval } from '../../../src/workers/health/approval.js';
import { lastErrorLines } from '../../../src/workers/host/log-files.js';
import { Pm2Client } from '../../../src/workers/pm2/client.js';
import { hostHome } from '../../../src/workers/pm2/home.js';
import { PortClaims } from '../../../src/workers/pool/port-claims.js';
import type { Worker as RunningWorker } from '../../../src/workers/pool/worker.js';
import type { WorkerApp } from '../../../src/workers/types.js';
import fakeHost from '../../support/apps/fake-host.cjs';
import { plainApp } from '../../support/workers/supervised.js';

const worker = { id: 'web-1', pid: process.pid };
const owner = process.geteuid?.() ?? 0;
const status = {
	...worker,
	state: 'live',
	listens: [],
	sockets: 0,
	openRequests: 0,
	served: 0,
	faults: [],
};
const report = Object.fromEntries(
	['heapTotal', 'heapUsed', 'externalMemory', 'arrayBuffers', 'rss', 'cpuMicros', 'idle', 'active', 'utilization'].map(
		(name) => [name, 0],
	),
);
const pushed = `${JSON.stringify({ event: 'report', report: { ...report, loopDelayMaxMs: 0 }, status })}\n`;

const check = {
	path: '/',
	timeoutMs: 1_000,
	required: [],
	envPort: null,
	ports: [],
	healthPort: null,
};

let folder: string;
let home: ReturnType<typeof hostHome>;
/** The home of another user, with a worker's sockets in it. */
let other: ReturnType<typeof hostHome>;
const servers: Server[] = [];
/** All that was said to the other user's worker. */
let heard: string;
let connections: number;

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-nb-'));
	home = hostHome(folder, 'mine');
	other = hostHome(folder, 'other');
	for (const { sockets, logs } of [home, other])
		for (const path of [sockets, logs]) mkdirSync(path, { recursive: true });
	heard = '';
	connections = 0;
	await listen(controlOf(other), (line) => {
		heard += line;
		return answer(line);
	});
});
afterEach(() => {
	for (const server of servers.splice(0)) server.close();
	rmSync(folder, { recursive: true, force: true });
});

const controlOf = ({ sockets }: { sockets: string }): string => controlSocketPath(sockets, worker.id, worker.pid);

/** As a worker answers each command. */
const answer = (line: string, said: object = status): string =>
	`${JSON.stringify({ seq: (JSON.parse(line) as { seq: number }).seq, ok: true, status: said })}\n`;

async function listen(path: string, hear: (line: string) => string): Promise<void> {
	const server = createServer((socket) => {
		connections += 1;
		socket.setEncoding('utf8').on('error', () => undefined);
		socket.on('data', (text: string) => {
			for (const line of text.split('\n').filter(Boolean)) socket.write(hear(line));
		});
	});
	servers.push(server);
	server.listen(path);
	await once(server, 'listening');
}

/** What a user can put in the place of its own worker's control socket. */
const plants: Record<string, () => void> = {
	'a link to another worker’s socket': () => symlinkSync(controlOf(other), controlOf(home)),
	'a link in the place of the folder': () => {
		renameSync(home.sockets, `${home.sockets}.before`);
		symlinkSync(other.sockets, home.sockets);
	},
	'a pipe': () => execFileSync('mkfifo', [controlOf(home)]),
	'a file': () => writeFileSync(controlOf(home), ''),
	'a folder': () => mkdirSync(controlOf(home)),
};

for (const [what, plant] of Object.entries(plants)) {
	test(`${what} in the place of a control socket is not connected to, and nothing is said`, async () => {
		plant();
		const expected = { place: untrustedPlace(home.path), worker };
		await assert.rejects(connectWorker(controlOf(home), { expected }), {
			code: 'unreachable',
		});
		assert.deepEqual([connections, heard], [0, '']);
	});
}

test('a socket that another user has bound is not connected to', () => {
	const another = { root: other.path, owner: owner + 1 };
	assert.throws(() => openUntrustedSocket(controlOf(other), another), {
		code: 'EPERM',
	});
	assert.throws(() => openUntrustedSocket(`${home.sockets}/../../other/w/web-1.sock`, untrustedPlace(home.path)), {
		code: 'EINVAL',
	});
});

test('each command names its worker, and what answers for another one loses the connection', async () => {
	const said: unknown[] = [];
	await listen(controlOf(home), (line) => {
		said.push((JSON.parse(line) as { to: unknown }).to);
		return answer(line, said.length === 1 ? status : { ...status, pid: worker.pid + 1 });
	});
	const expected = { place: untrustedPlace(home.path), worker };
	const control = await connectWorker(controlOf(home), { expected });
	assert.equal((await control.status()).pid, worker.pid);
	await assert.rejects(control.drain({ timeoutMs: 1, handOver: false }), {
		code: 'unreachable',
	});
	assert.deepEqual(said, [worker, worker]);
});

test('a worker that floods its control socket is read no further, and connected to again later and later', async (context) => {
	const floods = 4;
	let lines = 0;
	const flood = createServer((socket) => {
		connections += 1;
		socket.on('error', () => undefined);
		// As fast as it is taken, until nobody takes it any more.
		const write = (): void => {
			while (!socket.destroyed && socket.write(pushed));
		};
		socket.on('drain', write);
		write();
	}).listen(controlOf(home));
	context.after(() => flood.close());
	await once(flood, 'listening');
	const sleeps: number[] = [];
	let now = 0;
	const clock: Clock = {
		now: () => now,
		wall: () => now,
		after: () => () => undefined,
		sleep: (ms) => {
			sleeps.push(ms);
			now += ms;
			return new Promise((resolve) => setImmediate(resolve));
		},
	};
	const identity = {
		...worker,
		started: readProcessStat(process.pid)?.started ?? 0,
	};
	const link = await PreloadConnection.open(home, identity, clock);
	assert.ok(link);
	link.on('report', () => (lines += 1));
	while (connections < floods) await new Promise((resolve) => setTimeout(resolve, 10));
	const { detail } = await link.probe(check);
	link.close();
	assert.ok(lines <= floods * 5_000, `${lines} lines were taken of ${floods} floods`);
	assert.deepEqual(
		sleeps.filter((ms) => ms >= 1_000),
		[1_000, 2_000, 4_000],
	);
	assert.match(detail, /said more than \d+ characters a second/);
});

test('a socket that a worker names as its own is asked only where it belongs to the worker’s user', async () => {
	const named = join(home.sockets, 'web-1.7.0.sock');
	symlinkSync(controlOf(other), named);
	const listens = [
		{
			port: 1,
			host: null,
			path: null,
			probe: named,
			direct: false,
			protocol: 'http',
			live: true,
		},
	];
	await listen(controlOf(home), (line) => answer(line, { ...status, listens }));
	const identity = {
		...worker,
		started: readProcessStat(process.pid)?.started ?? 0,
	};
	const link = await PreloadConnection.open(home, identity, systemClock);
	assert.match((await link?.probe(check))?.detail ?? '', /EINVAL/);
	link?.close();
	assert.deepEqual([connections, heard], [1, '']);
});

test('an address that a worker names as its own is asked only where it is one of this host', async () => {
	// Of a network for documentation (RFC 5737): nobody has it, and whoever asks there waits for ever.
	const target = { host: '203.0.113.1', port: 80 };
	await assert.rejects(probe(target, { path: '/', timeoutMs: 60_000 }), {
		code: 'unreachable',
		message: /no address of/,
	});
});

test('a link in the place of PM2’s sockets leads to no other worker host', async (context) => {
	const host = await fakeHost(other.path, () => ({}));
	context.after(() => host.close());
	for (const name of ['rpc.sock', 'pub.sock']) symlinkSync(join(other.path, name), join(home.path, name));
	await assert.rejects(Pm2Client.connect(home.path), { code: 'EINVAL' });
	assert.deepEqual(host.calls, []);
});

test('with a link in the place of the sockets’ folder no approval is written, taken away or believed there', () => {
	const approval = { release: '/x', deadlineMs: 1, check };
	writeApproval(other, 'web-1', approval);
	plants['a link in the place of the folder']?.();
	assert.equal(isApproved(home, 'web-1'), false);
	assert.throws(() => writeApproval(home, 'web-2', approval), {
		code: 'ENOTDIR',
	});
	removeApproval(home, 'web-1');
	assert.deepEqual(readdirSync(other.sockets).sort(), ['web-1.ok', `web-1.${process.pid}.ctl`].sort());
});

test('with a link in the place of the logs no line of another user’s worker is told', async () => {
	writeFileSync(join(other.logs, 'web-1-error.log'), 'theirs\n');
	rmSync(home.logs, { recursive: true });
	symlinkSync(other.logs, home.logs);
	assert.deepEqual(await lastErrorLines(home, 'web-1', 5), []);
	assert.deepEqual(await lastErrorLines(other, 'web-1', 5), ['theirs']);
});

test('a port that another user’s worker says it has keeps no app from it; one of the same user does', async () => {
	const app = (name: string, user: string) => ({ ...plainApp, name, user });
	const listener = { port: 8080, address: '127.0.0.1', path: null, http: true };
	const workerOf = (of: WorkerApp) =>
		({
			app: of,
			lifecycle: { phase: 'serving' },
			news: { listeners: [listener] },
		}) as unknown as RunningWorker;
	const [liar, sibling, victim] = [app('liar', 'mine'), app('sibling', 'other'), app('victim', 'other')];
	for (const [claimant, ok] of [
		[liar, true],
		[sibling, false],
	] as const) {
		const claims = new PortClaims([liar, sibling, victim]);
		const listeners = { required: () => [] } as unknown as AppListeners;
		claims.add({
			name: claimant.name,
			listeners,
			workers: new Map([['x-1', workerOf(claimant)]]),
		});
		assert.equal(claims.clash(victim, [listener]) === null, ok, claimant.name);
	}
});

test('a number is a process of a user only where the kernel says so: never this one, one above it, a thread or no number', async (context) => {
	const child = spawn('sleep', ['60']);
	context.after(() => child.kill());
	await once(child, 'spawn');
	const pid = child.pid ?? 0;
	assert.equal(findOwned(pid, owner)?.pid, pid);
	assert.equal(findOwned(pid, owner + 1), null);
	const thread = new Worker('setInterval(() => undefined, 1000)', {
		eval: true,
	});
	context.after(() => thread.terminate());
	const threads = readdirSync('/proc/self/task').map(Number);
	assert.ok(threads.length > 1);
	const others = [process.pid, process.ppid, 1, 0, -1, -pid, 1.5, Number.NaN, 2 ** 53, ...threads];
	for (const one of others) assert.equal(findOwned(one, owner), null, String(one));
});
