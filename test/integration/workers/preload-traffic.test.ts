/** A worker whose answers are compared counts users' requests, the 5xx and the late answers among them, by the second in which they began; no other counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, test } from 'node:test';
import type { PreloadSettings, TrafficReport } from '../../../src/workers/connection/control.js';
import { makeCertificate } from '../../support/fleet/certificate.js';
import { freePorts } from '../../support/system/ports.js';
import { Primary, type TestWorker } from '../../support/workers/primary.js';

const reportIntervalMs = 20;
let primary: Primary;
let certificate: Record<'TLS_KEY' | 'TLS_CERT', string>;
const clients: http2.ClientHttp2Session[] = [];
before(() => {
	primary = new Primary();
	const { key, cert } = makeCertificate(primary.directory);
	certificate = { TLS_KEY: key, TLS_CERT: cert };
});
after(() => {
	for (const client of clients) client.destroy();
	return primary.stop();
});

/** A worker that has joined on ports of its own. */
async function joined(settings: Partial<PreloadSettings>): Promise<{ worker: TestWorker; ports: number[] }> {
	const ports = await freePorts(3);
	const worker = await primary.start('statuses.cjs', { env: { PORTS: ports.join(','), ...certificate }, settings });
	await worker.listening(3);
	await worker.control.live();
	return { worker, ports };
}

type Ask = (path: string) => { answered: Promise<unknown>; giveUp(): void };

const overHttp1 =
	(module: typeof http | typeof https, port: number): Ask =>
	(path) => {
		const request = module.get({ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false });
		request.on('error', () => undefined);
		const answered = once(request, 'response').then(([response]) =>
			once((response as http.IncomingMessage).resume(), 'end'),
		);
		answered.catch(() => undefined);
		return { answered, giveUp: () => request.destroy() };
	};
function overHttp2(port: number): Ask {
	const client = http2.connect(`http://127.0.0.1:${port}`);
	clients.push(client);
	return (path) => {
		const stream = client.request({ ':path': path });
		stream.on('error', () => undefined).resume();
		const answered = once(stream, 'end');
		answered.catch(() => undefined);
		return { answered, giveUp: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
	};
}

/** The next report in which this is so. */
async function reported(worker: TestWorker, isSo: (traffic: TrafficReport) => boolean): Promise<TrafficReport> {
	let found: TrafficReport | undefined;
	await worker.until(() => {
		for (const push of worker.pushes.splice(0))
			if (push.event === 'report' && push.report.traffic && isSo(push.report.traffic)) found = push.report.traffic;
		return found !== undefined;
	});
	return found as TrafficReport;
}

const openOf = ({ slices }: TrafficReport): number => slices.reduce((total, { open }) => total + open, 0);

test('users’ requests are counted over HTTP/1, HTTPS and HTTP/2, each answer by its status, once it is known', async () => {
	const { worker, ports } = await joined({ reportIntervalMs, countsTraffic: true });
	const [plain = 0, secure = 0, second = 0] = ports;
	const asks: Ask[] = [overHttp1(http, plain), overHttp1(https, secure), overHttp2(second)];
	let [requests, errors] = [0, 0];
	for (const ask of asks) {
		for (const status of [200, 302, 404, 500, 503, 599]) await ask(`/?status=${status}`).answered;
		const held = ask('/?status=500&held');
		const late = ask('/?status=503&late');
		const broken = ask('/?late');
		[requests, errors] = [requests + 9, errors + 4];
		// The status of the one with an endless body is known; those without an answer are open.
		const open = await reported(worker, (one) => openOf(one) === 2);
		assert.deepEqual([open.requests, open.errors], [requests, errors]);
		broken.giveUp();
		const release = ask('/?status=200&release');
		await Promise.all([late.answered, release.answered]);
		held.giveUp();
		[requests, errors] = [requests + 1, errors + 1];
		const closed = await reported(worker, (one) => one.requests === requests && openOf(one) === 0);
		assert.equal(closed.errors, errors);
	}
	// What the control plane asks on the private sockets is none of them.
	for (const { probe } of (await worker.control.status()).listens) {
		if (probe?.endsWith('.0.sock')) {
			const [response] = (await once(http.get({ socketPath: probe, path: '/?status=500' }), 'response')) as [
				http.IncomingMessage,
			];
			assert.equal(response.statusCode, 500);
			response.resume();
		}
	}
	const last = await reported(worker, () => true);
	assert.deepEqual([last.requests, last.errors], [requests, errors]);
});

test('an upgrade is a request, and its answer on the bare connection is judged by its status', async () => {
	const { worker, ports } = await joined({ reportIntervalMs, countsTraffic: true });
	const [plain = 0, secure = 0] = ports;
	let requests = 0;
	for (const [module, port] of [
		[http, plain],
		[https, secure],
	] as const) {
		for (const path of ['/', '/?status=400', '/?status=503', '/?status=503&ended', '/?status=500&corked']) {
			const headers = { connection: 'Upgrade', upgrade: 'websocket' };
			const request = module.get({
				host: '127.0.0.1',
				port,
				path,
				headers,
				agent: false,
				rejectUnauthorized: false,
			});
			request.on('error', () => undefined);
			const answered = await new Promise<http.IncomingMessage>((resolve, reject) => {
				request.once('response', resolve).once('upgrade', resolve).once('error', reject);
			});
			assert.equal(answered.statusCode, Number(/\d+/.exec(path)?.[0] ?? 101));
			answered.destroy();
			requests += 1;
		}
	}
	const seen = await reported(worker, (one) => one.requests === requests && openOf(one) === 0);
	assert.deepEqual([seen.errors, seen.slow], [6, undefined]);
});

test('an answer is late whose head took longer than allowed, or is not there by then, whatever its body takes', async () => {
	const slowMs = 500;
	const { worker, ports } = await joined({ reportIntervalMs: 1_000, countsTraffic: true, slowMs });
	const [plain = 0, secure = 0, second = 0] = ports;
	const asks: Ask[] = [overHttp1(http, plain), overHttp1(https, secure), overHttp2(second)];
	await Promise.all(asks.map((ask) => ask(`/?body=${slowMs + 200}`).answered));
	for (const ask of asks) await ask(`/?busy=${slowMs + 50}`).answered;
	const late = asks.map((ask) => ask('/?status=500&late'));
	const broken = asks.map((ask) => ask('/?late'));
	const isLate = ({ slow }: TrafficReport) => slow === 9;
	const seen = await reported(worker, isLate);
	assert.deepEqual([seen.requests, seen.errors, seen.slowMs], [12, 0, slowMs]);
	for (const one of broken) one.giveUp();
	await Promise.all([...late.map(({ answered }) => answered), asks[0]?.('/?release').answered]);
	const last = await reported(worker, (one) => one.requests === 13 && openOf(one) === 0);
	assert.deepEqual([last.errors, last.slow], [3, 9]);
	const sum = last.slices.reduce((total, { slow = 0 }) => total + slow, 0);
	assert.equal(sum, 9, 'by the second in which they began');
});

test('a worker that is not asked to counts nothing', async () => {
	const { worker } = await joined({ reportIntervalMs });
	assert.equal((await worker.pushed('report')).report.traffic, undefined);
});
