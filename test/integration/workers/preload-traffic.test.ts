/** A worker whose answers are compared counts users' requests and the 5xx among them, by the second in which they began; no other counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, test } from 'node:test';
import type { TrafficReport } from '../../../src/workers/connection/control.js';
import { makeCertificate } from '../../support/fleet/certificate.js';
import { freePorts } from '../../support/system/ports.js';
import { Primary, type TestWorker } from '../../support/workers/primary.js';

const reportIntervalMs = 20;
let primary: Primary;
let ports: number[];
let env: Record<string, string>;
let http2Client: http2.ClientHttp2Session;
before(async () => {
	primary = new Primary();
	ports = await freePorts(3);
	const { key, cert } = makeCertificate(primary.directory);
	env = { PORTS: ports.join(','), TLS_KEY: key, TLS_CERT: cert };
});
after(() => {
	http2Client.destroy();
	return primary.stop();
});

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
const overHttp2: Ask = (path) => {
	const stream = http2Client.request({ ':path': path });
	stream.on('error', () => undefined).resume();
	const answered = once(stream, 'end');
	answered.catch(() => undefined);
	return { answered, giveUp: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
};

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
	const worker = await primary.start('statuses.cjs', { env, settings: { reportIntervalMs, countsTraffic: true } });
	await worker.listening(3);
	await worker.control.live();
	const [plain = 0, secure = 0, second = 0] = ports;
	http2Client = http2.connect(`http://127.0.0.1:${second}`);
	const asks: Ask[] = [overHttp1(http, plain), overHttp1(https, secure), overHttp2];
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

test('a worker that is not asked to counts nothing', async () => {
	const worker = await primary.start('statuses.cjs', { env, settings: { reportIntervalMs } });
	assert.equal((await worker.pushed('report')).report.traffic, undefined);
});
