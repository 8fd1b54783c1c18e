import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

let primary: Primary;
before(() => {
	primary = new Primary();
});
after(() => primary.stop());

/** Ends by what a test does, not by a time. */
const longMs = 60_000;

async function startLive(env: Record<string, string> = {}): Promise<{ worker: TestWorker; port: number }> {
	const port = await freePort();
	const worker = await primary.start('http.cjs', { env: { PORT: String(port), KEEP_ALIVE_MS: '2000', ...env } });
	await worker.listening();
	await worker.control.live();
	return { worker, port };
}

/** A connection to write to by hand, and all that came back until now. */
class Line {
	readonly socket: net.Socket;
	text = '';
	constructor(port: number) {
		this.socket = net.connect(port, '127.0.0.1');
		this.socket.setEncoding('latin1');
		this.socket.on('data', (more: string) => {
			this.text += more;
			this.socket.emit('more');
		});
	}
	/** All that came, once it matches, or ends with the text. */
	async until(pattern: RegExp | string): Promise<string> {
		const come = async (): Promise<string> => {
			while (!(typeof pattern === 'string' ? this.text.endsWith(pattern) : pattern.test(this.text)))
				await once(this.socket, 'more');
			return this.text;
		};
		return within(`${pattern} in ${JSON.stringify(this.text)}`, come());
	}
	get ended(): Promise<unknown> {
		return within('end of the connection', this.socket.readableEnded ? Promise.resolve([]) : once(this.socket, 'end'));
	}
}

/** Tells the worker to leave, and waits until it does so. */
async function beginDrain(worker: TestWorker, timeoutMs = longMs): Promise<void> {
	const status = await worker.control.drain({ timeoutMs, handOver: false });
	assert.equal(status.state, 'draining');
}

const drainedWith = async (worker: TestWorker, cutOff: number): Promise<void> => {
	assert.deepEqual(await worker.pushed('drained'), { event: 'drained', cutOff, handedOver: 0 });
	assert.equal((await within('exit', worker.exited)).code, 0);
};

test('an upload that is under way is answered, with word that the connection ends', async () => {
	const { worker, port } = await startLive();
	const line = new Line(port);
	line.socket.write('POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc');
	await worker.until(({ openRequests }) => openRequests > 0);
	await beginDrain(worker);
	line.socket.write('def');
	const answer = await line.until(/\r\n\r\n6$/);
	assert.match(answer, /^HTTP\/1.1 200[\s\S]*Connection: close\r\n/);
	await line.ended;
	await drainedWith(worker, 0);
});

test('a request whose head has come in part is answered', async () => {
	const { worker, port } = await startLive({ KEEP_ALIVE_MS: '100' });
	const line = new Line(port);
	line.socket.write('GET / HTTP/1.1\r\nHo');
	await worker.until(({ sockets }) => sockets > 0);
	await beginDrain(worker);
	// Longer than a connection at rest would be kept.
	await assert.rejects(within('no end yet', once(line.socket, 'end'), 800));
	line.socket.write('st: x\r\n\r\n');
	await line.until(new RegExp(`${worker.pid}$`));
	await drainedWith(worker, 0);
});

test('a download that is under way comes to its end', async () => {
	const { worker, port } = await startLive();
	const answer = new Promise<Buffer>((resolve, reject) => {
		const request = http.get({ port, host: '127.0.0.1', path: '/download?chunks=30' }, async (response) => {
			resolve(Buffer.concat(await response.toArray()));
		});
		request.once('error', reject);
	});
	await worker.until(({ openRequests }) => openRequests > 0);
	await beginDrain(worker);
	assert.equal((await answer).length, 30_000);
	await drainedWith(worker, 0);
});

test('a connection at rest may be used again, once, also through an app that says keep-alive itself', async () => {
	const { worker, port } = await startLive();
	const line = new Line(port);
	line.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
	assert.match(await line.until(new RegExp(`${worker.pid}$`)), /Connection: keep-alive/);
	await beginDrain(worker);
	line.text = '';
	line.socket.write('GET /proxied HTTP/1.1\r\nHost: x\r\n\r\n');
	const answer = await line.until(new RegExp(`\\r\\n${worker.pid}\\r\\n`));
	assert.match(answer, /connection: close\r\n/i);
	assert.doesNotMatch(answer, /keep-alive/i);
	await line.ended;
	await drainedWith(worker, 0);
});

test('requests sent one behind the other are all answered, and only the last answer says that the connection ends', async () => {
	const { worker, port } = await startLive();
	const line = new Line(port);
	line.socket.write('GET /wait?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2));
	await worker.until(({ openRequests }) => openRequests === 2);
	await beginDrain(worker);
	line.socket.write('GET /wait?ms=10 HTTP/1.1\r\nHost: x\r\n\r\n');
	await line.ended;
	assert.equal(line.text.match(/HTTP\/1.1 200/g)?.length, 3, line.text);
	assert.equal(line.text.match(/Connection: close/g)?.length, 1);
	assert.match(line.text, /Connection: close\r\n[\s\S]*\r\n\r\n\d+$/);
	await drainedWith(worker, 0);
});

test('a WebSocket is let be; when the time is up it gets a close frame, and is counted', async () => {
	const { worker, port } = await startLive();
	const upgrade =
		'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n';
	const [quitter, stayer] = [new Line(port), new Line(port)];
	for (const line of [quitter, stayer]) {
		line.socket.write(upgrade);
		await line.until('\x81\x02hi');
	}
	await beginDrain(worker, 1500);
	quitter.socket.end();
	await stayer.until('\x88\x02\x03\xe9');
	await stayer.ended;
	await drainedWith(worker, 1);
});

test('an event stream ends properly when the time is up, and is counted; a request that hangs is cut off', async () => {
	const { worker, port } = await startLive();
	const [events, hanging] = [new Line(port), new Line(port)];
	events.socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
	hanging.socket.write('GET /wait?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n');
	await events.until(/hello/);
	await worker.until(({ openRequests }) => openRequests === 2);
	await beginDrain(worker, 500);
	await events.until(/\r\n0\r\n\r\n$/);
	await drainedWith(worker, 2);
	assert.equal(hanging.text, '');
});

test('SIGTERM and SIGINT drain, with the time that the settings give', async () => {
	for (const signal of ['SIGTERM', 'SIGINT'] as const) {
		const port = await freePort();
		const settings = { drainTimeoutMs: 700 };
		const worker = await primary.start('http.cjs', { settings, env: { PORT: String(port) } });
		await worker.listening();
		await worker.control.live();
		const [answered, hanging] = [new Line(port), new Line(port)];
		answered.socket.write('GET /wait?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n');
		hanging.socket.write('GET /wait?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n');
		await worker.until(({ openRequests }) => openRequests === 2);
		process.kill(worker.pid, signal);
		await answered.until(new RegExp(`${worker.pid}$`));
		await drainedWith(worker, 1);
	}
});

test('a second word to leave can only shorten the time', async () => {
	const { worker, port } = await startLive();
	const line = new Line(port);
	line.socket.write('GET /wait?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n');
	await worker.until(({ openRequests }) => openRequests > 0);
	await beginDrain(worker, 300);
	await beginDrain(worker, longMs);
	await drainedWith(worker, 1);
});
