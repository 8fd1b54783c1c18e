import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { approvalPath } from '../../src/workers/control.js';
import { probe } from '../../src/workers/probe.js';
import { freePort, Primary } from '../support/primary.js';

let primary: Primary;
beforeEach(() => {
	primary = new Primary();
});
afterEach(() => primary.stop());

const ask = (port: number, path = '/') =>
	fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } });

test('a held worker answers on its private socket alone, and on the public port once it is told to', async () => {
	const port = await freePort();
	const worker = await primary.start('http.cjs', { env: { PORT: String(port) } });
	const held = await worker.listening();
	assert.equal(held.state, 'held');
	assert.deepEqual(
		held.listens.map(({ port, host, live, protocol }) => ({ port, host, live, protocol })),
		[{ port, host: '127.0.0.1', live: false, protocol: 'http' }],
	);
	const socket = held.listens[0]?.probe ?? '';
	assert.deepEqual(await probe(socket, { path: '/', timeoutMs: 8000 }), { status: 200, pid: worker.pid });
	await assert.rejects(ask(port));
	const live = await worker.control.live();
	assert.equal(live.state, 'live');
	const answer = await ask(port);
	assert.equal(await answer.text(), String(worker.pid));
	assert.equal(answer.headers.get('x-rollcall-pid'), null, 'the pid is for probes alone');
	assert.equal((await worker.control.status()).served, 1);
	const address = { address: '127.0.0.1', family: 'IPv4', port };
	assert.deepEqual(await (await ask(port, '/address')).json(), { address, remote: '127.0.0.1' });
});

test('an approved worker joins by itself', async () => {
	const port = await freePort();
	writeFileSync(approvalPath(primary.directory, 'web-7'), '');
	const worker = await primary.start('http.cjs', { id: 'web-7', env: { PORT: String(port) } });
	const status = await worker.listening();
	assert.equal(status.state, 'live');
	assert.equal(await (await ask(port)).text(), String(worker.pid));
});

test('with the gate off a worker listens at once, and still drains on word', async () => {
	const port = await freePort();
	const worker = await primary.start('http.cjs', { settings: { gate: false }, env: { PORT: String(port) } });
	const status = await worker.listening();
	assert.equal(status.state, 'live');
	assert.equal(await (await ask(port)).text(), String(worker.pid));
	await worker.control.drain({ timeoutMs: 10_000, handOver: false });
	const { event, ...result } = await worker.pushed('drained');
	assert.deepEqual(result, { cutOff: 0, handedOver: 0 });
	assert.deepEqual((await worker.exited).code, 0);
	assert.equal(existsSync(status.listens[0]?.probe ?? ''), false);
});

test('a port that is taken is the answer to going live, and the worker stays held', async () => {
	const port = await freePort();
	const { createServer } = await import('node:net');
	const squatter = createServer().listen(port, '127.0.0.1');
	const worker = await primary.start('http.cjs', { env: { PORT: String(port) } });
	await worker.listening();
	await assert.rejects(worker.control.live(), { code: 'address_in_use' });
	assert.equal((await worker.control.status()).state, 'held');
	await new Promise((resolve) => squatter.close(resolve));
	assert.equal((await worker.control.live()).state, 'live');
});

test('neither the app nor its environment sees the settings, be they packed by PM2 or not', async () => {
	for (const packed of [false, true]) {
		const worker = await primary.start('http.cjs', { packed, env: { PORT: '0', KEPT: 'yes' } });
		const socket = (await worker.listening()).listens[0]?.probe ?? '';
		const http = await import('node:http');
		const text = await new Promise<string>((resolve, reject) => {
			http
				.get({ socketPath: socket, path: '/environment' }, async (response) => {
					let all = '';
					for await (const chunk of response) all += chunk;
					resolve(all);
				})
				.once('error', reject);
		});
		const { env, execArgv } = JSON.parse(text);
		assert.equal(JSON.stringify(env).includes('ROLLCALL'), false);
		assert.equal(env.KEPT, 'yes');
		assert.deepEqual(execArgv, []);
		if (packed) assert.equal(JSON.parse(env.pm2_env).KEPT, 'yes');
	}
});
