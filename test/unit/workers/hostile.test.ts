/** A worker runs as another user and may say what it likes on the sockets that the control plane asks. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RollcallError } from '../../../src/errors.js';
import { connectWorker } from '../../../src/workers/connection/control-client.js';
import { probe } from '../../../src/workers/connection/probe.js';
import { Pm2Client } from '../../../src/workers/pm2/client.js';
import { guardReading } from '../../../src/workers/pm2/guarded-reader.js';

const status = {
	id: 'web-1',
	pid: 1,
	state: 'live',
	listens: [],
	sockets: 0,
	openRequests: 0,
	served: 0,
	faults: [],
};

test('a worker that says anything but its words on its control socket loses the connection, and nothing else', async (context) => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-hw-'));
	context.after(() => rmSync(folder, { recursive: true, force: true }));
	const said = [
		...['null', '7', '"x"', '[]', '{}', '{', '[[[', '{"seq":1}', '{"seq":1,"ok":true}', '{"seq":1,"ok":false}'],
		...['{"event":"listening"}', '{"event":"nothing"}', '{"event":"report","status":{}}', '{"__proto__":{"seq":1}}'],
		JSON.stringify({ seq: 1, ok: true, status: { ...status, listens: null } }),
		JSON.stringify({ seq: 1, ok: true, status: { ...status, faults: [{}] } }),
		JSON.stringify({
			seq: 1,
			ok: true,
			status: { ...status, state: 'constructor' },
		}),
		JSON.stringify({
			seq: 1,
			ok: true,
			status: { ...status, listens: [{ probe: 7 }] },
		}),
		JSON.stringify({ event: 'report', report: { rss: 'much' }, status }),
		'x'.repeat(300_000),
	];
	for (const [number, line] of said.entries()) {
		const path = join(folder, `${number}.sock`);
		const server = createServer((socket) => {
			socket.on('error', () => undefined);
			socket.once('data', () => socket.write(`${line}\n`));
		});
		server.listen(path);
		await once(server, 'listening');
		let lost = 0;
		const control = await connectWorker(path, {
			onClose: () => (lost += 1),
			onPush: () => assert.fail(line),
		});
		await assert.rejects(control.status(), { code: 'unreachable' }, line.slice(0, 80));
		assert.equal(lost, 1);
		server.close();
	}
});

/** As PM2 frames what it says: each argument with its length, marked as JSON or as text. */
const framed = (...words: string[]): Buffer =>
	Buffer.concat([
		Buffer.from([(1 << 4) | words.length]),
		...words.flatMap((word) => {
			const length = Buffer.alloc(4);
			length.writeUInt32BE(Buffer.byteLength(word));
			return [length, Buffer.from(word)];
		}),
	]);

/** In the place of a worker host: says its version, then to the first question, and to whoever listens, what it likes. */
async function fakeHost(home: string, answer: (id: string) => Buffer, event: Buffer | null): Promise<Server[]> {
	const hear = (socket: Socket): void => {
		let version = false;
		socket.on('error', () => undefined);
		socket.on('data', (data) => {
			const id = /s:(\d+:\d+)$/.exec(data.toString('latin1'))?.[1] ?? '';
			socket.write(version ? answer(id) : framed('j:{"args":["7.0.0"]}', `s:${id}`));
			version = true;
		});
	};
	const rpc = createServer(hear).listen(join(home, 'rpc.sock'));
	const pub = createServer((socket) => {
		socket.on('error', () => undefined);
		if (event) socket.write(event);
	}).listen(join(home, 'pub.sock'));
	await Promise.all([once(rpc, 'listening'), once(pub, 'listening')]);
	return [rpc, pub];
}

test('a program in the place of a worker host that says anything but what PM2 says ends its connection, and nothing else', async (context) => {
	const answers: ((id: string) => Buffer)[] = [
		(id) => framed('j:{', `s:${id}`),
		(id) => framed('j:null', `s:${id}`),
		(id) => framed('j:7', `s:${id}`),
		(id) => framed('j:{}', `s:${id}`),
		(id) => framed('j:{"args":[null,[null]]}', `s:${id}`),
		() => framed('s:constructor', 's:__proto__'),
		() => framed('s:x', 's:constructor'),
		() => Buffer.from([0x1f, 0, 0, 0, 0, 0]),
	];
	const events = [framed('s:process:event', 'j:null'), framed('s:process:event', 'j:{'), framed('j:{}', 'j:7')];
	const tries = [
		...answers.map((answer) => ({ answer, event: null })),
		...events.map((event) => ({ answer: framed, event })),
	];
	for (const { answer, event } of tries) {
		const home = mkdtempSync(join(tmpdir(), 'rc-hw-'));
		context.after(() => rmSync(home, { recursive: true, force: true }));
		const servers = await fakeHost(home, answer, event);
		const client = await Pm2Client.connect(home);
		await client.list(500).catch(() => undefined);
		client.close();
		for (const server of servers) server.close();
	}
});

test('a program in the place of a worker host that floods its sockets is read at a bounded pace, and waits', async () => {
	let heard = 0;
	const hear = (): void => {
		heard += 1;
	};
	const socket = { onmessage: () => hear };
	const connection = Object.assign(new EventEmitter(), {
		paused: false,
		destroyed: false,
	});
	const resumed = once(connection, 'resumed');
	Object.assign(connection, {
		isPaused: () => connection.paused,
		pause: () => (connection.paused = true),
		resume: () => {
			connection.paused = false;
			connection.emit('resumed');
		},
		destroy: () => (connection.destroyed = true),
	});
	guardReading(socket, { atOnce: 1_000_000, perSecond: 10_000_000 });
	const read = (socket.onmessage as unknown as (from: object) => (message: Buffer) => void)(connection);
	const messages = 100_000;
	for (let sent = 0; sent < messages && !connection.paused; sent += 1) {
		connection.emit('data', Buffer.alloc(1));
		read(Buffer.alloc(1));
	}
	assert.ok(heard < 1_000 && connection.paused && !connection.destroyed, `${heard} messages were heard`);
	// The timer that lets it go on keeps no process alive.
	const alive = setInterval(() => undefined, 1_000);
	await resumed;
	clearInterval(alive);
	connection.emit('data', Buffer.alloc(40 * 1024 * 1024));
	assert.ok(connection.destroyed, 'a message longer than any list ends the connection');
});

test('whatever a worker answers to a probe, the probe ends within its time', async (context) => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-hw-'));
	context.after(() => rmSync(folder, { recursive: true, force: true }));
	const answers: [string, string | number][] = [
		['HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nx', 'unreachable'],
		['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab', 'unreachable'],
		['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab', 200],
		['HTTP/1.0 200 OK\r\n\r\nab', 200],
		['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n', 'unreachable'],
		['HTTP/1.1 100 Continue\r\n\r\n', 'unreachable'],
		['noise\r\n\r\n', 'unreachable'],
		['', 'unreachable'],
	];
	for (const [number, [answer, expected]] of answers.entries()) {
		const path = join(folder, `${number}.sock`);
		const server = createServer((socket) => {
			socket.on('error', () => undefined);
			socket.once('data', () => socket.end(answer));
		}).listen(path);
		await once(server, 'listening');
		const seen = await probe(path, { path: '/', timeoutMs: 20_000 }).then(
			({ status: code }) => code,
			(error: RollcallError) => error.code,
		);
		assert.equal(seen, expected, answer);
		server.close();
	}
	// Silence, in each protocol.
	const path = join(folder, 'silent.sock');
	const silent = createServer((socket) => socket.on('error', () => undefined).resume()).listen(path);
	await once(silent, 'listening');
	for (const protocol of ['http', 'https', 'h2', 'h2c', 'tls'] as const)
		await assert.rejects(probe(path, { path: '/', timeoutMs: 50, protocol }), { code: 'timeout' }, protocol);
	silent.close();
});
