/**
 * get_status over HTTP with Basic credentials that were checked before, against a bare node:http server that parses and
 * answers the same JSON; each in a process of its own, in short turns, measured with autocannon in one run. The server counts
 * each operation in its metrics, as the daemon's does. Prints requests per second and how busy server and client were, and the
 * median of the rounds' ratios; exits 1 below the ratio that must hold.
 *
 * A second bare server sends its answers at the end of the loop's turn, as Rollcall does: what is between it and Rollcall is
 * what Rollcall does for an operation, and what is between the two bare ones is what sending so gains. It is shown, not judged.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { createMetrics } from '../../src/system/metrics.js';
import { admin, authorizationOf, startTestServer } from '../support/operations/operations-server.js';

const ratioMin = 0.7;
/** Many and short, so that what else the machine does falls on all alike. */
const rounds = 15;
const secondsATurn = 1;
const secondsToWarm = 4;
const connections = 32;
const body = JSON.stringify({ operation: 'get_status' });
const kinds = {
	rollcall: 'rollcall',
	bare: 'bare node:http',
	'bare-turn': 'bare, sending at the end of a turn',
} as const;
type Kind = keyof typeof kinds;

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

async function serveBare(send: (end: () => void) => void): Promise<Served> {
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
			send(() => response.end(text));
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

function serve(kind: Kind): Promise<Served> {
	switch (kind) {
		case 'rollcall':
			return serveRollcall();
		case 'bare':
			return serveBare((end) => end());
		case 'bare-turn':
			return serveBare(setImmediate);
	}
}

/** A server in a process of its own, and what its turns came to. */
interface Competitor {
	child: ChildProcess;
	port: number;
	rates: number[];
	/** How much of a core the server took, and the client meanwhile, in per cent. */
	serverBusy: number[];
	clientBusy: number[];
}

async function start(kind: Kind): Promise<Competitor> {
	const child = fork(fileURLToPath(import.meta.url), [kind], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
	const [port] = (await once(child, 'message')) as [number];
	return { child, port, rates: [], serverBusy: [], clientBusy: [] };
}

/** ms of processor time so far, of the server's process and of this one. */
async function processorMs({ child }: Competitor): Promise<{ server: number; client: number }> {
	child.send('usage');
	const [server] = (await once(child, 'message')) as [number];
	return { server, client: ownProcessorMs() };
}

function ownProcessorMs(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1_000;
}

async function load(port: number, duration: number): Promise<number> {
	const result = await autocannon({
		url: `http://127.0.0.1:${port}/`,
		method: 'POST',
		headers: { 'content-type': 'application/json', authorization: authorizationOf(admin) ?? '' },
		body,
		connections,
		duration,
	});
	if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} errors`);
	return result.requests.total;
}

async function takeTurn(competitor: Competitor): Promise<void> {
	const before = await processorMs(competitor);
	const began = performance.now();
	const requests = await load(competitor.port, secondsATurn);
	const ms = performance.now() - began;
	const after = await processorMs(competitor);
	// autocannon's own average takes its last second for whole, and a turn ends some hundredths late.
	competitor.rates.push((requests / ms) * 1_000);
	competitor.serverBusy.push(((after.server - before.server) / ms) * 100);
	competitor.clientBusy.push(((after.client - before.client) / ms) * 100);
}

const median = (numbers: readonly number[]): number =>
	[...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** Of each round, and their median. */
function ratiosOf(one: Competitor, other: Competitor): { ratio: number; ratios: string } {
	const ratios = one.rates.map((rate, round) => rate / (other.rates[round] ?? Number.NaN));
	return { ratio: median(ratios), ratios: ratios.map((ratio) => ratio.toFixed(2)).join(' ') };
}

async function compare(): Promise<void> {
	const rollcall = await start('rollcall');
	const bare = await start('bare');
	const bareTurn = await start('bare-turn');
	const all = [rollcall, bare, bareTurn];
	// All are compiled to the end before anything counts.
	for (const { port } of all) await load(port, secondsToWarm);
	for (let round = 0; round < rounds; round++) {
		// To and fro, so that none always comes after the same one.
		for (const competitor of round % 2 === 0 ? all : [...all].reverse()) await takeTurn(competitor);
	}
	for (const { child } of all) child.disconnect();
	const names = Object.values(kinds);
	for (const [at, { rates, serverBusy, clientBusy }] of all.entries()) {
		const busy = `server ${median(serverBusy).toFixed(0)} % of a core, client ${median(clientBusy).toFixed(0)} %`;
		process.stdout.write(`${names[at]}: ${median(rates).toFixed(0)} requests/s (${busy})\n`);
	}
	const { ratio, ratios } = ratiosOf(rollcall, bare);
	process.stdout.write(
		`get_status, Basic, to ${kinds.bare}: ratio ${ratio.toFixed(2)} (must be at least ${ratioMin}; rounds: ${ratios})\n` +
			`to ${kinds['bare-turn']}: ${ratiosOf(rollcall, bareTurn).ratio.toFixed(2)}\n`,
	);
	process.exitCode = ratio >= ratioMin ? 0 : 1;
}

const kind = process.argv[2] as Kind | undefined;
if (kind === undefined) await compare();
else {
	const served = await serve(kind);
	process.once('disconnect', () => void served.close());
	process.on('message', () => process.send?.(ownProcessorMs()));
	process.send?.(served.port);
}
