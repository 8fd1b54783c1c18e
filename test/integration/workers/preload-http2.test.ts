import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { makeCertificate } from '../../support/fleet/certificate.js';
import { type Frame, frameType, Http2Line } from '../../support/server/http2-line.js';
import { Http2Load, type Http2LoadOptions } from '../../support/server/http2-load.js';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

const replacements = 4;
/** They wait for clients more than they work. */
const besides = { concurrency: 4 };

/** Ends by what a test does, not by a time. */
const longMs = 60_000;

interface Served {
	port: number;
	url: string;
	start(): Promise<TestWorker>;
}

async function serve(test: TestContext, secure: boolean, delayMs = 0): Promise<Served> {
	const primary = new Primary();
	test.after(() => primary.stop());
	const port = await freePort();
	const { key, cert } = makeCertificate(primary.directory);
	const env = { PORT: String(port), DELAY_MS: String(delayMs), ...(secure ? { TLS_KEY: key, TLS_CERT: cert } : {}) };
	return {
		port,
		url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}`,
		start: async () => {
			const worker = await primary.start('http2.cjs', { env });
			await worker.listening();
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
		test(`no request is lost when HTTP/2 workers are replaced ${replacements} times, ${secure ? 'over TLS' : 'in the clear'}: ${name}`, async (t) => {
			const { url, start } = await serve(t, secure, delayMs);
			const workers = await Promise.all(Array.from({ length: replacements + 1 }, start));
			await workers[0]?.control.live();
			// Over TLS there is no notice before the GOAWAY, which says what the client may ask for again.
			const load = new Http2Load(url, { ...options, repeats: secure });
			await load.until(() => load.ok >= 20);
			for (const [index, fresh] of workers.slice(1).entries()) {
				await fresh.control.live();
				await workers[index]?.control.drain({ timeoutMs: 20_000, handOver: true });
				await within(
					'answers',
					load.until(() => load.latest.slice(-20).every((pid) => pid === String(fresh.pid))),
				);
			}
			await Promise.all(workers.slice(0, -1).map((worker) => drained(worker)));
			const { failures, sessions, repeated } = await load.stop();
			if (secure) t.diagnostic(`${repeated} asked for again`);
			assert.deepEqual(failures, []);
			assert.equal(sessions, replacements + 1);
		});
	}
}

const lastStreamOf = (goaway: Frame): number => goaway.payload.readUInt32BE(0);
const errorOf = (goaway: Frame): number => goaway.payload.readUInt32BE(4);

describe('a session', besides, () => {
	test('a stream that comes after the notice is served, and the GOAWAY a round trip later names it', async (t) => {
		const { port, start } = await serve(t, false);
		const worker = await start();
		await worker.control.live();
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
		test(`a session that begins while its worker drains gets its first requests answered, ${how}`, async (t) => {
			const { port, url, start } = await serve(t, secure);
			const worker = await start();
			await worker.control.live();
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

		test(`a client that acknowledges nothing and reads nothing does not hold a worker up, ${how}`, async (t) => {
			const { port, start } = await serve(t, secure);
			const worker = await start();
			await worker.control.live();
			const options = { port, ALPNProtocols: ['h2'], rejectUnauthorized: false };
			const line = new Http2Line(port, secure ? tls.connect(options) : net.connect(port));
			line.ask(1);
			await line.frame(frameType.data, 1);
			line.socket.pause();
			await worker.control.drain({ timeoutMs: longMs, handOver: true });
			await drained(worker);
			line.socket.destroy();
		});

		test(`a stream that outlasts the drain is cut off and counted, ${how}`, async (t) => {
			const { url, start } = await serve(t, secure, longMs);
			const worker = await start();
			await worker.control.live();
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
});
