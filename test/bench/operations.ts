/**
 * get_status over HTTP with Basic credentials that were checked before, against a bare node:http server that parses and
 * answers the same JSON; both in processes of their own, in short turns, measured with autocannon in one run. The server counts
 * each operation in its metrics, as the daemon's does. Prints requests per second and the median of the turns' ratios; exits
 * 1 below the ratio that must hold.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { createMetrics } from '../../src/system/metrics.js';
import { admin, authorizationOf, startTestServer } from '../support/operations-server.js';

const ratioMin = 0.7;
/** Short, so that what else the machine does falls on both alike. */
const rounds = 9;
const secondsARound = 2;
const secondsToWarm = 10;
const connections = 32;
const body = JSON.stringify({ operation: 'get_status' });

interface Served {
	port: number;
	close(): Promise<void>;
}

async function serveRollcall(): Promise<Served> {
	const metrics = createMetrics('0.0.0-bench');
	const { server, node, close } = await startTestServer({
		observe: ({ operation, status, ms }) => metrics.operation(operation ?? 'unknown', status, ms / 1000),
	});
	node.statuses.set('primary', 'active');
	return { port: server.addresses.http?.port ?? 0, close };
}

async function serveBare(): Promise<Served> {
	const answer = [{ id: 'primary', status: 'active', __createdtime__: Date.now(), __updatedtime__: Date.now() }];
	const server = http.createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on('data', (chunk: Buffer) => chunks.push(chunk));
		request.once('end', () => {
			const { operation } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { operation: string };
			const text = JSON.stringify(operation === 'get_status' ? answer : {});
			response.writeHead(200, {
				'content-type': 'application/json; charset=utf-8',
				'content-length': Buffer.byteLength(text),
			});
			response.end(text);
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return {
		port: (server.address() as AddressInfo).port,
		close: async () => {
			server.close();
			server.closeAllConnections();
		},
	};
}

async function start(kind: string): Promise<{ port: number; stop: () => void }> {
	const child = fork(fileURLToPath(import.meta.url), [kind], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
	const [message] = (await once(child, 'message')) as [{ port: number }];
	return { port: message.port, stop: () => child.disconnect() };
}

async function measure(port: number, duration: number): Promise<number> {
	const result = await autocannon({
		url: `http://127.0.0.1:${port}/`,
		method: 'POST',
		headers: { 'content-type': 'application/json', authorization: authorizationOf(admin) ?? '' },
		body,
		connections,
		duration,
	});
	if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} errors`);
	return result.requests.average;
}

const median = (numbers: readonly number[]): number =>
	[...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;

async function compare(): Promise<void> {
	const [rollcall, bare] = await Promise.all([start('rollcall'), start('bare')]);
	// Both are compiled to the end before anything counts.
	await measure(bare.port, secondsToWarm);
	await measure(rollcall.port, secondsToWarm);
	const rates = { rollcall: [] as number[], bare: [] as number[] };
	const ratios: number[] = [];
	for (let round = 0; round < rounds; round++) {
		const ofBare = await measure(bare.port, secondsARound);
		const ofRollcall = await measure(rollcall.port, secondsARound);
		rates.bare.push(ofBare);
		rates.rollcall.push(ofRollcall);
		ratios.push(ofRollcall / ofBare);
	}
	rollcall.stop();
	bare.stop();
	const ratio = median(ratios);
	process.stdout.write(
		`get_status, Basic: ${Math.round(median(rates.rollcall))}/s · bare node:http: ${Math.round(median(rates.bare))}/s · ` +
			`ratio ${ratio.toFixed(2)} (must be at least ${ratioMin}; turns: ${ratios.map((one) => one.toFixed(2)).join(' ')})\n`,
	);
	process.exitCode = ratio >= ratioMin ? 0 : 1;
}

const [, , kind] = process.argv;
if (kind === undefined) await compare();
else {
	const served = kind === 'rollcall' ? await serveRollcall() : await serveBare();
	process.once('disconnect', () => void served.close());
	process.send?.({ port: served.port });
}
