import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { makeCertificate } from '../support/certificate.js';
import { type Frame, frameType, Http2Line } from '../support/http2-line.js';
import { Http2Load, type Http2LoadOptions } from '../support/http2-load.js';
import { freePort, Primary, type TestWorker, within } from '../support/primary.js';

const replacements = 5;

let primary: Primary;
beforeEach(() => {
	primary = new Primary();
});
afterEach(() => primary.stop());

/** Ends by what a test does, not by a time. */
const longMs = 60_000;

interface Served {
	port: number;
	url: string;
	start(): Promise<TestWorker>;
}

async function serve(secure: boolean, delayMs = 0): Promise<Served> {
	const port = await freePort();
	const { key, cert } = makeCertificate(primary.directory);
	const env = { PORT: String(port), DELAY_MS: String(delayMs), ...(secure ? { TLS_KEY: key, TLS_CERT: cert } : {}) };
	return {
		port,
		url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}`,
		start: async () => {
			const worker = await primary.start('http2.cjs', { env });
			await worker.listening();
			await worker.control.live();
			return worker;
		},
	};
}

async function drained(worker: TestWorker, cutOff = 0): Promise<void> {
	assert.deepEqual(await worker.pushed('drained'), { event: 'drained', cutOff, handedOver: 0 });
	assert.equal((await within('exit', worker.exited)).code, 0);
}

const loads: [string, Http2LoadOptions, number][] = [
	['20 at once, answered at once', { slots: 20 }, 0],
	['20 at once, answered after 5 ms', { slots: 20 }, 5],
	['one after the other', { slots: 1 }, 0],
	['three, 20 ms after the answer before', { slots: 3, pauseMs: 20 }, 5],
];

for (const secure of [false, true]) {
	for (const [name, options, delayMs] of loads) {
		test(`no request is lost when HTTP/2 workers are replaced ${replacements} times, ${secure ? 'over TLS' : 'in the clear'}: ${name}`, async () => {
			const { url, start } = await serve(secure, delayMs);
			let old = await start();
			const load = new Http2Load(url, options);
			await load.until(() => load.ok >= 20);
			for (let count = 0; count < replacements; count++) {
				const fresh = await start();
				await old.control.drain({ timeoutMs: 20_000, handOver: true });
				await drained(old);
				await within('answers', load.until(() => load.latest.slice(-20).every((pid) => pid === String(fresh.pid))));
				old = fresh;
			}
			const { failures, sessions } = await load.stop();
			assert.deepEqual(failures, []);
			assert.equal(sessions, replacements + 1);
		});
	}
}

const lastStreamOf = (goaway: Frame): number => goaway.payload.readUInt32BE(0);
const errorOf = (goaway: Frame): number => goaway.payload.readUInt32BE(4);

test('a stream that comes after the notice is served, and the GOAWAY a round trip later names it', async () => {
	const { port, start } = await serve(false);
	const worker = await start();
	const line = new Http2Line(port);
	line.ask(1);
	await line.frame(frameType.data, 1);
	await worker.control.drain({ timeoutMs: longMs, handOver: true });
	const notice = await line.frame(frameType.goaway);
	assert.deepEqual([lastStreamOf(notice), errorOf(notice)], [2 ** 31 - 1, 0]);
	// As if it had been sent before the notice was read: the round trip is not over.
	line.ask(3);
	assert.equal(String((await line.frame(frameType.data, 3)).payload), String(worker.pid));
	line.acknowledge(await line.frame(frameType.ping));
	const end = await line.frame(frameType.goaway);
	assert.deepEqual([lastStreamOf(end), errorOf(end)], [3, 0]);
	line.socket.end();
	await drained(worker);
});

for (const secure of [false, true]) {
	const how = secure ? 'over TLS' : 'in the clear';
	test(`a session that begins while its worker drains gets its first requests answered, ${how}`, async () => {
		const { port, url, start } = await serve(secure);
		const worker = await start();
		const socket = net.connect(port, '127.0.0.1');
		await worker.until(({ sockets }) => sockets > 0);
		await worker.control.drain({ timeoutMs: longMs, handOver: true });
		const session = http2.connect(url, {
			createConnection: () =>
				secure ? tls.connect({ socket, ALPNProtocols: ['h2'], rejectUnauthorized: false }) : socket,
		});
		const streams = [1, 2, 3].map(() => session.request({ ':path': '/' }).setEncoding('utf8'));
		const answers = await within('answers', Promise.all(streams.map((stream) => stream.toArray())));
		for (const answer of answers) assert.equal(answer.join(''), String(worker.pid));
		await drained(worker);
	});

	test(`a client that acknowledges nothing and reads nothing does not hold a worker up, ${how}`, async () => {
		const { port, start } = await serve(secure);
		const worker = await start();
		const options = { port, ALPNProtocols: ['h2'], rejectUnauthorized: false };
		const line = new Http2Line(port, secure ? tls.connect(options) : net.connect(port));
		line.ask(1);
		await line.frame(frameType.data, 1);
		line.socket.pause();
		await worker.control.drain({ timeoutMs: longMs, handOver: true });
		await drained(worker);
		line.socket.destroy();
	});

	test(`a stream that outlasts the drain is cut off and counted, ${how}`, async () => {
		const { url, start } = await serve(secure, longMs);
		const worker = await start();
		const session = http2.connect(url, { rejectUnauthorized: false });
		session.on('error', () => undefined);
		const stream = session.request({ ':path': '/' });
		stream.on('error', () => undefined);
		const ended = once(stream, 'close');
		await worker.until(({ openRequests }) => openRequests > 0);
		await worker.control.drain({ timeoutMs: 500, handOver: true });
		await drained(worker, 1);
		await within('end of the stream', ended);
	});
}
