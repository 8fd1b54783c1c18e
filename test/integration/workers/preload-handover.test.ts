import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

const connections = 200;
/** Longer than any test may take: without a handover the drain would wait for it. */
const env = { KEEP_ALIVE_MS: '120000' };
const agents: http.Agent[] = [];
const primaries: Primary[] = [];
const begin = (options?: ConstructorParameters<typeof Primary>[0]): Primary => {
	const primary = new Primary(options);
	primaries.push(primary);
	return primary;
};
after(async () => {
	for (const agent of agents) agent.destroy();
	await Promise.all(primaries.map((primary) => primary.stop()));
});

async function startLive(primary: Primary, port: number): Promise<TestWorker> {
	const worker = await primary.start('http.cjs', { env: { ...env, PORT: String(port) } });
	await worker.listening();
	await worker.control.live();
	return worker;
}

/** Asks once on every connection at the same time, so that each of the agent's connections is used; answers the pids. */
function askAll(agent: http.Agent, port: number, reused: boolean): Promise<string[]> {
	const one = () =>
		new Promise<string>((resolve, reject) => {
			const request = http.get({ port, host: '127.0.0.1', agent, path: '/wait?ms=300' }, async (response) => {
				let text = '';
				for await (const chunk of response) text += chunk;
				assert.equal(request.reusedSocket, reused);
				resolve(text);
			});
			request.once('error', reject);
		});
	return Promise.all(Array.from({ length: connections }, one));
}

function keepAliveAgent(): http.Agent {
	const agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
	agents.push(agent);
	return agent;
}

for (const policy of ['none', 'rr'] as const) {
	test(`idle connections go on at a sibling, which answers the next request on them (scheduling ${policy})`, async () => {
		const primary = begin({ policy });
		const port = await freePort();
		const old = await startLive(primary, port);
		const agent = keepAliveAgent();
		assert.deepEqual(new Set(await askAll(agent, port, false)), new Set([String(old.pid)]));
		const sibling = await startLive(primary, port);
		await old.control.drain({ timeoutMs: 60_000, handOver: true });
		const drained = await old.pushed('drained');
		assert.equal((await within('exit', old.exited)).code, 0);
		assert.deepEqual(drained, { event: 'drained', cutOff: 0, handedOver: connections });
		assert.equal((await sibling.control.status()).sockets, connections);
		assert.deepEqual(new Set(await askAll(agent, port, true)), new Set([String(sibling.pid)]));
	});
}

test('a connection whose first request is late is waited for after the handover as before', async () => {
	// Clients open connections ahead, and on a crowded network the first request comes seconds after its connection.
	const primary = begin();
	const port = await freePort();
	const restMs = 100;
	const start = async (): Promise<TestWorker> => {
		const worker = await primary.start('http.cjs', { env: { PORT: String(port), KEEP_ALIVE_MS: String(restMs) } });
		await worker.listening();
		await worker.control.live();
		return worker;
	};
	const old = await start();
	const socket = net.connect(port, '127.0.0.1');
	await once(socket, 'connect');
	await old.until((status) => status.sockets === 1);
	const sibling = await start();
	await old.control.drain({ timeoutMs: 60_000, handOver: true });
	await within('exit', old.exited);
	// Longer than a used connection may rest, Node's own second on top included.
	await delay(restMs + 2_000);
	socket.write('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
	const parts = await within('answer', socket.setEncoding('latin1').toArray());
	assert.match(parts.join(''), new RegExp(`^HTTP/1.1 200 [^]*\\b${sibling.pid}\\b`));
});

test('without a sibling of the same app idle connections are kept until the time is up', async () => {
	const primary = begin();
	const port = await freePort();
	const old = await startLive(primary, port);
	const other = await primary.start('http.cjs', { id: 'other-1', env: { ...env, PORT: String(port) } });
	await other.listening();
	await other.control.live();
	await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text());
	const drains = [old, other].map(async (worker) => {
		await worker.control.drain({ timeoutMs: 1500, handOver: true });
		return worker.pushed('drained');
	});
	for (const drained of await Promise.all(drains))
		assert.deepEqual(drained, { event: 'drained', cutOff: 0, handedOver: 0 });
});

test('without a relay in the host nothing is given away', async () => {
	const primary = begin({ relay: 'off' });
	const port = await freePort();
	const old = await startLive(primary, port);
	const agent = keepAliveAgent();
	await askAll(agent, port, false);
	await startLive(primary, port);
	await old.control.drain({ timeoutMs: 1500, handOver: true });
	assert.deepEqual(await old.pushed('drained'), { event: 'drained', cutOff: 0, handedOver: 0 });
});

test('connections that are on their way to a sibling as the host dies are served on by the worker that offered them', async () => {
	const primary = begin({ relay: 'stuck' });
	const port = await freePort();
	const old = await startLive(primary, port);
	const agent = keepAliveAgent();
	await askAll(agent, port, false);
	await old.control.drain({ timeoutMs: 60_000, handOver: true });
	while (primary.kept === 0) await once(primary.process, 'message');
	await primary.killHost();
	assert.deepEqual(new Set(await askAll(agent, port, true)), new Set([String(old.pid)]));
	await within('the drain to end', old.closed);
});
