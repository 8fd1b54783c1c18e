import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { approvalPath } from '../../../src/workers/connection/control.js';
import { probe } from '../../../src/workers/connection/probe.js';
import { freePort, Primary, within } from '../../support/workers/primary.js';

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
	const squatter = net.createServer().listen(port, '127.0.0.1');
	const worker = await primary.start('http.cjs', { env: { PORT: String(port) } });
	await worker.listening();
	await assert.rejects(worker.control.live(), { code: 'address_in_use' });
	assert.equal((await worker.control.status()).state, 'held');
	await new Promise((resolve) => squatter.close(resolve));
	assert.equal((await worker.control.live()).state, 'live');
});

for (const container of [false, true]) {
	test(`neither the app nor its environment sees the settings (in PM2's container: ${container})`, async () => {
		const port = await freePort();
		const env = { PORT: String(port), KEPT: 'yes' };
		const worker = await primary.start('http.cjs', { container, env });
		await worker.listening();
		await worker.control.live();
		const seen = (await (await ask(port, '/environment')).json()) as {
			env: Record<string, string>;
			execArgv: string[];
		};
		assert.equal(JSON.stringify(seen.env).includes('ROLLCALL'), false);
		assert.equal(seen.env['KEPT'], 'yes');
		assert.deepEqual(seen.execArgv, []);
	});
}

test('an ES module that throws while it is loaded is told of, also where the process lives on', async () => {
	const zombie = await primary.start('throws-at-boot.mjs', { container: true });
	assert.match((await zombie.pushed('fault')).message, /^unhandled rejection: Error: this release is broken/);
	assert.match((await zombie.control.status()).faults[0] ?? '', /this release is broken/);
	const mortal = await primary.startUnwatched('throws-at-boot.mjs');
	assert.equal((await mortal.exited).code, 1, 'Node ends a process for an unhandled rejection, as it does without us');
});

test('a worker whose host is killed goes on serving, and drains on word', async () => {
	const port = await freePort();
	const worker = await primary.start('http.cjs', { env: { PORT: String(port) } });
	await worker.listening();
	await worker.control.live();
	primary.process.kill('SIGKILL');
	await new Promise((resolve) => primary.process.once('exit', resolve));
	assert.equal(await (await ask(port)).text(), String(worker.pid));
	await worker.control.drain({ timeoutMs: 10_000, handOver: true });
	await worker.pushed('drained');
	await within('control connection closes', worker.closed);
	await assert.rejects(ask(port));
});

test('a server that closes and listens again stays public, on the same port', async () => {
	const port = await freePort();
	const worker = await primary.start('relisten.cjs', { env: { PORT: String(port) } });
	const first = (await worker.listening()).listens[0]?.probe;
	await worker.control.live();
	assert.equal((await ask(port, '/again')).status, 200);
	await worker.until(({ listens }) => listens.length === 1 && ![first, null].includes(listens[0]?.probe));
	assert.equal(await (await ask(port)).text(), String(worker.pid));
	const status = await worker.control.status();
	assert.deepEqual(
		status.listens.map((listen) => listen.live),
		[true],
	);
});

test('a worker that takes no more connections still answers its probe', async () => {
	const port = await freePort();
	const worker = await primary.start('http.cjs', { env: { PORT: String(port), CONNECTIONS_MAX: '1' } });
	const socket = (await worker.listening()).listens[0]?.probe ?? '';
	await worker.control.live();
	const client = net.connect(port, '127.0.0.1');
	await worker.until(({ sockets }) => sockets === 1);
	await assert.rejects(ask(port));
	assert.deepEqual(await probe(socket, { path: '/', timeoutMs: 10_000 }), { status: 200, pid: worker.pid });
	client.destroy();
	await worker.until(({ sockets }) => sockets === 0);
	assert.equal((await ask(port)).status, 200);
});
