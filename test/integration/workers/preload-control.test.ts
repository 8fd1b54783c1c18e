import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { controlSocketPath, type ControlPush, type PreloadSettings } from '../../../src/workers/connection/control.js';
import { connectWorker } from '../../../src/workers/connection/control-client.js';
import { probe } from '../../../src/workers/connection/probe.js';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

let primary: Primary;
before(() => {
	primary = new Primary();
});
after(() => primary.stop());

const start = async (settings: Partial<PreloadSettings> = {}): Promise<TestWorker> =>
	primary.start('http.cjs', { settings, env: { PORT: String(await freePort()) } });

const controlPath = ({ id, pid }: TestWorker): string => controlSocketPath(primary.directory, id, pid);

test('a worker reports its heap, event loop and processor time to whoever is connected', async () => {
	const worker = await start({ reportIntervalMs: 50 });
	const { report, status } = await worker.pushed('report');
	assert.equal(status.pid, worker.pid);
	for (const name of ['heapTotal', 'heapUsed', 'externalMemory', 'arrayBuffers', 'rss', 'cpuMicros'] as const) {
		assert.ok(report[name] > 0, `${name} is ${report[name]}`);
	}
	assert.ok(report.heapUsed <= report.heapTotal && report.heapTotal < report.rss);
	assert.ok(report.utilization >= 0 && report.utilization <= 1);
	assert.ok(report.idle >= 0 && report.active >= 0 && report.loopDelayMaxMs >= 0);
});

test('every client is told, and one that talks nonsense is let go without harm to the others', async () => {
	const worker = await start();
	await worker.listening();
	const pushes: ControlPush[] = [];
	const second = await connectWorker(controlPath(worker), { onPush: (push) => pushes.push(push) });
	for (const nonsense of ['nonsense\n', '{"seq":1,"command":"fly"}\n', '[]\n', 'null\n', 'x'.repeat(10_000)]) {
		const client = net.connect(controlPath(worker));
		client.on('error', () => undefined);
		client.write(nonsense);
		await within('let go', once(client, 'close'));
	}
	assert.equal((await second.status()).pid, worker.pid);
	await worker.control.drain({ timeoutMs: 5000, handOver: false });
	await worker.pushed('drained');
	await worker.closed;
	assert.deepEqual(pushes, [{ event: 'drained', cutOff: 0, handedOver: 0 }]);
	await assert.rejects(second.status(), { code: 'unreachable' });
	await assert.rejects(connectWorker(controlPath(worker)), { code: 'unreachable' });
});

test('a command that is for another worker is refused', async () => {
	const worker = await start();
	await worker.listening();
	const { id, pid } = worker;
	const others = [{ id: 'web-999', pid }, { id, pid: pid + 1 }, { id }, {}, null, id];
	for (const to of others) {
		const client = net.connect(controlPath(worker));
		client.on('error', () => undefined);
		client.write(`${JSON.stringify({ seq: 1, to, command: 'drain', timeoutMs: 0, handOver: false })}\n`);
		await within('let go', once(client, 'close'));
		assert.equal(client.bytesRead, 0);
	}
	assert.equal((await worker.control.status()).state, 'held');
});

test('a fault that came before a client is told to it as soon as it connects', async () => {
	const worker = await primary.start('throws-at-boot.mjs', { container: true });
	const { message } = await worker.pushed('fault');
	const told = new Promise<ControlPush>((resolve, reject) => {
		connectWorker(controlPath(worker), { onPush: resolve }).catch(reject);
	});
	const push = await within('fault told to a client that comes late', told);
	assert.deepEqual([push.event, 'message' in push && push.message], ['fault', message]);
});

test('going live is refused before the app listens, and when it is leaving', async () => {
	const early = await primary.start('throws-at-boot.mjs', { container: true });
	await early.pushed('fault');
	await assert.rejects(early.control.live(), { code: 'unavailable', message: /has not called listen/ });
	const worker = await start();
	await worker.listening();
	await worker.control.live();
	const client = net.connect((await worker.control.status()).listens[0]?.port ?? 0, '127.0.0.1');
	client.write('GET /wait?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n');
	await worker.until(({ openRequests }) => openRequests === 1);
	await worker.control.drain({ timeoutMs: 60_000, handOver: false });
	await assert.rejects(worker.control.live(), { code: 'unavailable', message: /is leaving/ });
	client.destroy();
});

test('a worker that is stopped answers neither word nor probe, and the caller learns it in time', async () => {
	const worker = await start();
	const socket = (await worker.listening()).listens[0]?.probe ?? '';
	const impatient = await connectWorker(controlPath(worker), { callTimeoutMs: 300 });
	process.kill(worker.pid, 'SIGSTOP');
	try {
		await assert.rejects(impatient.status(), { code: 'timeout' });
		await assert.rejects(probe(socket, { path: '/', timeoutMs: 300 }), { code: 'timeout' });
	} finally {
		process.kill(worker.pid, 'SIGCONT');
	}
	assert.equal((await worker.control.status()).state, 'held');
	impatient.close();
	await assert.rejects(probe(`${socket}.none`, { path: '/', timeoutMs: 5000 }), { code: 'unreachable' });
});

test('the settings decide who else may connect to the private sockets', async () => {
	for (const socketMode of [0o600, 0o660]) {
		const worker = await start({ socketMode });
		const probeSocket = (await worker.listening()).listens[0]?.probe ?? '';
		assert.equal(statSync(controlPath(worker)).mode & 0o777, socketMode);
		assert.equal(statSync(probeSocket).mode & 0o777, socketMode);
	}
});

test('a new process of a worker removes the sockets that a killed one left', async () => {
	const killed = await primary.start('http.cjs', { id: 'again-1', env: { PORT: String(await freePort()) } });
	const left = (await killed.listening()).listens[0]?.probe ?? '';
	process.kill(killed.pid, 'SIGKILL');
	await killed.exited;
	assert.ok(existsSync(left));
	await primary.start('http.cjs', { id: 'again-1', env: { PORT: String(await freePort()) } });
	assert.ok(!existsSync(left) && !existsSync(controlPath(killed)));
});
