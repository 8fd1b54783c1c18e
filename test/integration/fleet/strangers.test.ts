/** What the listener of peers grants to whoever connects, before anything is proven: little, and not for long. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Links } from '../../../src/fleet/links/links.js';
import { fragmentsMax } from '../../../src/fleet/links/websocket.js';
import { makeLinks, testClusters } from '../../support/fleet/links.js';

describe('a stranger at the listener of peers', () => {
	let links: Links;
	let port: number;
	before(async () => {
		const cluster = (await testClusters(['alpha', 'beta'])).get('alpha');
		assert.ok(cluster);
		links = makeLinks('alpha', cluster);
		port = cluster.listen.port;
		await links.start();
	});
	after(() => links.close());

	async function open(localAddress = '127.0.0.1'): Promise<Socket> {
		const socket = connect({ port, host: '127.0.0.1', localAddress });
		socket.on('error', () => undefined);
		await once(socket, 'connect');
		return socket;
	}
	async function upgraded(): Promise<{ socket: Socket; answer: string }> {
		const socket = await open();
		socket.write(
			`GET / HTTP/1.1\r\nHost: alpha\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
				`Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`,
		);
		const [answer = Buffer.alloc(0)] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer?];
		return { socket, answer: answer.toString('latin1') };
	}
	/** ms until the other end closed. */
	async function closed(socket: Socket): Promise<number> {
		const began = performance.now();
		socket.resume();
		if (!socket.closed) await once(socket, 'close');
		return performance.now() - began;
	}

	test('gets no compression, though it asks for it', async () => {
		const { socket, answer } = await upgraded();
		assert.match(answer, /^HTTP\/1\.1 101 /);
		assert.doesNotMatch(answer, /Sec-WebSocket-Extensions/i);
		socket.destroy();
	});

	test('is cut off when it says nothing: before the upgrade, in the middle of it, and after it', async () => {
		const silent = await open();
		const halfway = await open();
		halfway.write('GET / HTTP/1.1\r\nHost: alpha\r\nUpgrade: webso');
		const { socket } = await upgraded();
		const times = await Promise.all([closed(silent), closed(halfway), closed(socket)]);
		// Five seconds by rule; what is checked is that none of them is held for as long as it likes.
		for (const ms of times) assert.ok(ms < 30_000, `${ms} ms`);
	});

	test('that opens all that its address may have keeps nobody else out', async () => {
		const held: Socket[] = [];
		// Far more than the listener has for strangers of one address.
		for (let count = 0; count < 100; count++) held.push(await open('127.0.0.2'));
		const { socket, answer } = await upgraded();
		assert.match(answer, /^HTTP\/1\.1 101 /);
		for (const one of [socket, ...held]) one.destroy();
	});

	test('is cut off for one message in too many fragments', async () => {
		const { socket } = await upgraded();
		const frame = (first: boolean): Buffer => Buffer.from([first ? 0x01 : 0x00, 0x81, 0, 0, 0, 0, 0x20]);
		for (let fragment = 0; fragment <= fragmentsMax; fragment++) socket.write(frame(fragment === 0));
		await closed(socket);
		assert.equal(links.live().length, 0);
	});

	test('is cut off for a frame without a mask, of a reserved kind, or with reserved bits', async () => {
		for (const bytes of [
			[0x81, 0x01, 0x20],
			[0x83, 0x81, 0, 0, 0, 0, 0x20],
			[0xf1, 0x81, 0, 0, 0, 0, 0x20],
		]) {
			const { socket } = await upgraded();
			socket.write(Buffer.from(bytes));
			await closed(socket);
		}
	});
});
