/** Strangers with all the connections that they can open keep no load balancer, operator or peer out of any listener. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { strangersMax } from '../../../src/fleet/links/websocket.js';
import { makeLinks, testClusters, until } from '../../support/fleet/links.js';
import { admin, authorizationOf, startTestServer } from '../../support/operations/operations-server.js';

/** How long a load balancer waits for an answer. */
const probeMs = 5_000;

/** A stranger whose connection was closed opens the next one so much later. */
const againMs = 100;

/** Connections that say their words and wait, each opened anew once it is closed. */
class Strangers {
	readonly #sockets = new Set<Socket>();
	#isOver = false;

	async open(port: number, localAddress: string, count: number, words = ''): Promise<void> {
		await Promise.all(Array.from({ length: count }, () => this.#openOne(port, localAddress, words)));
	}

	get size(): number {
		return this.#sockets.size;
	}

	leave(): void {
		this.#isOver = true;
		for (const socket of this.#sockets) socket.destroy();
	}

	/** Resolves when it was let in or not. */
	async #openOne(port: number, localAddress: string, words: string): Promise<void> {
		const socket = connect({ port, host: '127.0.0.1', localAddress });
		this.#sockets.add(socket);
		socket.on('error', () => undefined).resume();
		const closed = once(socket, 'close');
		void closed.then(() => {
			this.#sockets.delete(socket);
			setTimeout(() => {
				if (!this.#isOver) void this.#openOne(port, localAddress, words);
			}, againMs);
		});
		await Promise.race([once(socket, 'connect'), closed]);
		socket.write(words);
	}
}

interface Probe {
	port: number;
	localAddress: string;
	path: string;
	headers?: http.OutgoingHttpHeaders;
	body?: string;
	agent?: http.Agent | false;
}

/** The status of an answer; throws when none comes in time. */
async function ask({ body = '', agent = false, ...request }: Probe): Promise<number | undefined> {
	const signal = AbortSignal.timeout(probeMs);
	const method = body === '' ? 'GET' : 'POST';
	const asked = http.request({ host: '127.0.0.1', method, agent, signal, ...request }).end(body);
	const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
	answer.resume();
	await once(answer, 'end');
	return answer.statusCode;
}

describe('a listener of the node', async () => {
	const server = await startTestServer();
	let strangers = new Strangers();
	const health = { port: server.server.addresses.health?.port ?? 0, path: '/readyz' };
	beforeEach(() => {
		strangers = new Strangers();
	});
	afterEach(() => strangers.leave());
	after(() => server.close());

	test('answers a load balancer while one address holds 300 idle connections to the health listener', async () => {
		await strangers.open(health.port, '127.0.0.2', 300);
		assert.equal(await ask({ ...health, localAddress: '127.0.0.3' }), 200);
	});

	test('answers a load balancer while twelve addresses send headers that never end, and lets it keep its connection', async () => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const opened = new Set<number | undefined>();
		agent.on('free', (socket: Socket) => opened.add(socket.localPort));
		assert.equal(await ask({ ...health, localAddress: '127.0.0.3', agent }), 200);
		for (let host = 10; host < 22; host++) {
			await strangers.open(health.port, `127.0.0.${host}`, 70, 'GET /readyz HTTP/1.1\r\nHost: x\r\nX: ');
		}
		assert.equal(await ask({ ...health, localAddress: '127.0.0.3', agent }), 200);
		assert.equal(await ask({ ...health, localAddress: '127.0.0.4' }), 200);
		assert.equal(opened.size, 1);
		agent.destroy();
	});

	test('closes the connection of one who asks the health listener for anything else', async () => {
		const socket = connect({ port: health.port, host: '127.0.0.1' }).resume();
		socket.write('GET /users HTTP/1.1\r\nHost: x\r\n\r\n');
		await once(socket, 'close', { signal: AbortSignal.timeout(probeMs) });
	});

	test('answers an operator while strangers hold all connections of HTTP with bodies that never come', async () => {
		const bounded = await startTestServer({ limits: { httpConnectionsMax: 40, httpConnectionsOfOneMax: 20 } });
		const port = bounded.server.addresses.http?.port ?? 0;
		const words = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n';
		for (const host of ['127.0.0.2', '127.0.0.4', '127.0.0.5']) await strangers.open(port, host, 30, words);
		const headers = { 'content-type': 'application/json', authorization: authorizationOf(admin) ?? '' };
		const body = '{"operation":"get_status"}';
		assert.equal(await ask({ port, path: '/', localAddress: '127.0.0.3', headers, body }), 200);
		strangers.leave();
		await bounded.close();
	});
});

test('a peer links while strangers of many addresses hold all connections of the listener of peers', async () => {
	const clusters = await testClusters(['alpha', 'beta']);
	const cluster = clusters.get('alpha');
	const other = clusters.get('beta');
	assert.ok(cluster && other);
	// Alpha cannot dial beta: what is asked is whether beta gets in.
	const peers = [{ name: 'beta', url: 'ws://127.0.0.1:1' }];
	const alpha = makeLinks('alpha', { ...cluster, peers });
	const beta = makeLinks('beta', other);
	const strangers = new Strangers();
	try {
		await alpha.start();
		const hosts = Array.from({ length: 34 }, (_, host) => `127.0.0.${host + 2}`);
		await Promise.all(hosts.map((host) => strangers.open(alpha.port, host, 36)));
		assert.ok(strangers.size > strangersMax);
		await beta.start();
		await until(alpha, ['up'], () => alpha.live().length === 1, 'the link to beta', probeMs);
	} finally {
		strangers.leave();
		beta.close();
		alpha.close();
	}
});
