import assert from 'node:assert/strict';
import { once } from 'node:events';
import { linkSync, readFileSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { WorkerStatus } from '../../../src/workers/connection/control.js';
import { probe } from '../../../src/workers/connection/probe.js';
import { makeCertificate } from '../../support/fleet/certificate.js';
import { type LoadOptions, startLoad } from '../../support/workers/load.js';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

let primary: Primary;
beforeEach(() => {
	primary = new Primary();
});
afterEach(() => primary.stop());

interface Scenario {
	env: Record<string, string>;
	load: Pick<LoadOptions, 'urls' | 'socketPath'>;
	listens?: number;
	container?: boolean;
}

/** Starts a worker of the app, proves it behind the gate, and lets it join. */
async function joinPublic(
	app: string,
	{ env, listens = 1, container = false }: Scenario,
): Promise<[TestWorker, WorkerStatus]> {
	const worker = await primary.start(app, { env, container });
	const status = await worker.listening(listens);
	for (const listen of status.listens) {
		assert.equal(listen.live, false);
		const answer = await probe(listen.probe ?? '', { path: '/', timeoutMs: 10_000, protocol: listen.protocol });
		assert.deepEqual(answer, { status: 200, pid: worker.pid });
	}
	return [worker, await worker.control.live()];
}

/** Replaces a worker by a new one under load; nothing may be lost, and the app's own private socket must have answered first. */
async function replaceUnderLoad(app: string, scenario: Scenario): Promise<WorkerStatus> {
	const [old, status] = await joinPublic(app, scenario);
	const load = startLoad({ ...scenario.load, ratePerSecond: 100 });
	await load.answered(50);
	await joinPublic(app, scenario);
	await old.control.drain({ timeoutMs: 20_000, handOver: true });
	const exit = await within('exit', old.exited, 30_000);
	await load.answered(50);
	const report = await load.stop();
	assert.equal(report.lost, 0, JSON.stringify(report));
	assert.equal(exit.code, 0);
	return status;
}

const onPort = async (): Promise<{ port: number; env: { PORT: string } }> => {
	const port = await freePort();
	return { port, env: { PORT: String(port) } };
};

for (const app of ['esm.mjs', 'express.cjs', 'fastify.mjs']) {
	for (const container of [false, true]) {
		test(`${app} is replaced without a loss${container ? " in PM2's container" : ''}`, async () => {
			const { port, env } = await onPort();
			// An app that listens on localhost may have a server for each of its addresses.
			await replaceUnderLoad(app, { env, container, load: { urls: `http://localhost:${port}/` } });
		});
	}
}

test('the client of a probe has an address, as apps that read it expect', async () => {
	for (const app of ['express.cjs', 'fastify.mjs']) {
		const worker = await primary.start(app, { env: (await onPort()).env });
		const socketPath = (await worker.listening()).listens[0]?.probe ?? '';
		const text = await new Promise<string>((resolve, reject) => {
			const request = http.get({ socketPath, path: '/ip' }, async (response) => {
				resolve((await response.toArray()).join(''));
			});
			request.once('error', reject);
		});
		assert.equal(text, '127.0.0.1');
	}
});

test('an https app is replaced without a loss, its connections waited for', async () => {
	const { port, env } = await onPort();
	const { key, cert } = makeCertificate(primary.directory);
	const scenario = { env: { ...env, TLS_KEY: key, TLS_CERT: cert }, load: { urls: `https://127.0.0.1:${port}/` } };
	const status = await replaceUnderLoad('https.cjs', scenario);
	assert.deepEqual(
		status.listens.map((listen) => listen.protocol),
		['https'],
	);
});

for (const secure of [false, true]) {
	test(`an HTTP/2 app ${secure ? 'over TLS' : 'in the clear'} is replaced without a loss, its sessions told to go`, async () => {
		const { port, env: base } = await onPort();
		const { key, cert } = makeCertificate(primary.directory);
		const env = { ...base, DELAY_MS: '20', ...(secure ? { TLS_KEY: key, TLS_CERT: cert } : {}) };
		const scenario = { env, load: { urls: '' } };
		const [old, status] = await joinPublic('http2.cjs', scenario);
		assert.equal(status.listens[0]?.protocol, secure ? 'h2' : 'h2c');
		const client = new SessionClient(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`);
		await client.ask(50);
		const [fresh] = await joinPublic('http2.cjs', scenario);
		await old.control.drain({ timeoutMs: 20_000, handOver: true });
		const gone = within('exit', old.exited);
		let pids = await client.ask(20);
		while (!pids.every((pid) => pid === String(fresh.pid))) pids = await client.ask(20);
		assert.deepEqual(await old.pushed('drained'), { event: 'drained', cutOff: 0, handedOver: 0 });
		assert.equal((await gone).code, 0);
		client.close();
	});
}

/**
 * A client as HTTP/2 wants one to be: it opens a new session when the server says that the old one ends, and asks again
 * what it was told has not been looked at (RFC 9113, 8.7). Nothing else is asked twice.
 */
class SessionClient {
	#session: http2.ClientHttp2Session | null = null;
	constructor(private readonly url: string) {}

	#open(): http2.ClientHttp2Session {
		const current = this.#session;
		if (current && !current.closed && !current.destroyed) return current;
		const session = http2.connect(this.url, { rejectUnauthorized: false });
		session.on('error', () => undefined);
		this.#session = session;
		return session;
	}

	async #askOnce(): Promise<string> {
		const stream = this.#open().request({ ':path': '/' });
		try {
			return (await stream.setEncoding('utf8').toArray()).join('');
		} catch (error) {
			const refused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM && stream.session?.closed !== false;
			assert.ok(refused, `lost: ${error}`);
			return this.#askOnce();
		}
	}

	/** Asks so often, a little apart; answers which process answered each, and rejects if one was lost. */
	async ask(count: number): Promise<string[]> {
		const answers: Promise<string>[] = [];
		for (let index = 0; index < count; index++) {
			answers.push(this.#askOnce());
			await new Promise((resolve) => setTimeout(resolve, 2));
		}
		const pids = await Promise.all(answers);
		assert.ok(
			pids.every((pid) => /^\d+$/.test(pid)),
			`an answer is missing: ${pids}`,
		);
		return pids;
	}

	close(): void {
		this.#session?.close();
	}
}

test('an app that listens on two ports is held and replaced on both', async () => {
	const [port, second] = [await freePort(), await freePort()];
	const env = { PORT: String(port), SECOND_PORT: String(second) };
	const urls = [`http://127.0.0.1:${port}/`, `http://127.0.0.1:${second}/`];
	const status = await replaceUnderLoad('two-ports.cjs', { env, listens: 2, load: { urls } });
	assert.deepEqual(
		status.listens.map((listen) => [listen.port, listen.live]),
		[
			[port, true],
			[second, true],
		],
	);
});

test('an app that listens on a unix socket is held and replaced, also where a dead one is in the way', async () => {
	const socketPath = join(primary.directory, 'app.sock');
	const left = net.createServer().listen(socketPath);
	await new Promise((resolve) => left.once('listening', resolve));
	// Closing removes the file: put one there that nobody answers any more, as a kill leaves it.
	linkSync(socketPath, `${socketPath}.left`);
	await new Promise((resolve) => left.close(resolve));
	linkSync(`${socketPath}.left`, socketPath);
	rmSync(`${socketPath}.left`);
	const load = { socketPath, urls: 'http://localhost/' };
	await replaceUnderLoad('unix-socket.cjs', { env: { SOCKET: socketPath }, load });
	assert.equal(statSync(socketPath).mode & 0o666, 0o666, 'others may connect, as the app asked for');
});

for (const word of ['SIGINT', 'shutdown'] as const) {
	test(`an app's own handler of ${word} runs after the drain, so that nothing is lost by it`, async () => {
		const { port, env: base } = await onPort();
		const diary = join(primary.directory, 'diary');
		const env = { ...base, DIARY: diary, DELAY_MS: '100' };
		const [old] = await joinPublic('own-handler.cjs', { env, load: { urls: '' } });
		const load = startLoad({ urls: `http://127.0.0.1:${port}/`, ratePerSecond: 100 });
		await load.answered(50);
		await joinPublic('own-handler.cjs', { env, load: { urls: '' } });
		if (word === 'SIGINT') process.kill(old.pid, 'SIGINT');
		else primary.tell(old.pid, 'shutdown');
		assert.equal((await within('exit', old.exited)).code, 7);
		await load.answered(50);
		const report = await load.stop();
		assert.equal(report.lost, 0, JSON.stringify(report));
		assert.equal(readFileSync(diary, 'utf8'), `${word}\nclosed well\n`);
	});
}

test('threads and child processes of an app are left alone', async () => {
	const { env, port } = await onPort();
	const [worker] = await joinPublic('children.cjs', { env, load: { urls: '' } });
	for (const kind of ['thread', 'child']) {
		const answer = await fetch(`http://127.0.0.1:${port}/${kind}`, { headers: { connection: 'close' } });
		const seen = (await answer.json()) as {
			pid: number;
			port: number;
			execArgv: string[];
			variables: string[];
			listeners: number;
		};
		assert.equal(seen.pid === worker.pid, kind === 'thread');
		assert.deepEqual(seen.variables, []);
		if (kind === 'child') assert.deepEqual(seen.execArgv, []);
		if (kind === 'child') assert.equal(seen.listeners, 0);
		assert.ok(seen.port > 0, 'it listens for real');
	}
	assert.equal((await worker.control.status()).listens.length, 1);
});

test('an app that turns healthy only once it listens gets there while it is held', async () => {
	const worker = await primary.start('late-health.cjs', { env: (await onPort()).env });
	const socket = (await worker.listening()).listens[0]?.probe ?? '';
	const healthy = async (): Promise<void> => {
		const { status, pid } = await probe(socket, { path: '/healthz', timeoutMs: 10_000 });
		assert.equal(pid, worker.pid);
		if (status !== 200) await healthy();
	};
	await within('healthy', healthy());
	assert.equal((await worker.control.status()).state, 'held');
});

test('a server that speaks no HTTP is held, proven by a connection, and its connections are let finish', async () => {
	const { port, env } = await onPort();
	const worker = await primary.start('tcp.cjs', { env });
	const [listen] = (await worker.listening()).listens;
	assert.equal(listen?.protocol, 'tcp');
	assert.equal((await probe(listen?.probe ?? '', { path: '/', protocol: 'tcp', timeoutMs: 10_000 })).status, 0);
	await worker.control.live();
	const client = net.connect(port, '127.0.0.1');
	client.write('one');
	assert.equal(String(await within('echo', once(client, 'data'))), 'one');
	await worker.control.drain({ timeoutMs: 20_000, handOver: true });
	client.write('two');
	assert.equal(String(await within('echo', once(client, 'data'))), 'two');
	client.end();
	assert.deepEqual(await worker.pushed('drained'), { event: 'drained', cutOff: 0, handedOver: 0 });
	client.destroy();
});
