/**
 * A thousand connections that send their headers or bodies byte by byte, opened anew when they are cut off, for half a
 * minute; other callers meanwhile ask get_status 50 times a second, each on a connection of its own and over the socket,
 * too. Prints their latencies and what the server's memory grew by; exits 1 beyond the bounds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { RequestOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { admin, authorizationOf, send, startTestServer } from '../support/operations/operations-server.js';

const slowConnections = 1_000;
const seconds = Number(process.env['SECONDS_A_RUN'] ?? 30);
const p99MsMax = 200;
const growthMiBMax = 64;

interface Ready {
	port: number;
	socketPath: string;
}

async function serve(): Promise<void> {
	const { server, close } = await startTestServer();
	process.once('disconnect', () => void close());
	process.on('message', () => {
		globalThis.gc?.();
		process.send?.(process.memoryUsage().rss);
	});
	process.send?.({ port: server.addresses.http?.port ?? 0, socketPath: server.addresses.socket } satisfies Ready);
}

/** Slow clients; half of them never finish their headers, half never their body. They tell how many were cut off. */
function crawlAll(port: number): void {
	let cut = 0;
	const crawl = (index: number): void => {
		const socket: Socket = connect(port, '127.0.0.1');
		socket.on('error', () => undefined);
		socket.on('data', () => undefined);
		const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX: ';
		socket.write(
			index % 2 ? head : `${head}x\r\nAuthorization: ${authorizationOf(admin)}\r\nContent-Length: 60000\r\n\r\n`,
		);
		const drip = setInterval(() => socket.write(' '), 500);
		socket.once('close', () => {
			clearInterval(drip);
			cut++;
			setTimeout(() => crawl(index), 10);
		});
	};
	for (let index = 0; index < slowConnections; index++) crawl(index);
	process.on('message', () => process.send?.(cut));
	process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

const self = fileURLToPath(import.meta.url);

async function tell<Answer>(child: ChildProcess): Promise<Answer> {
	const answer = once(child, 'message');
	child.send('tell');
	return ((await answer) as [Answer])[0];
}

/** Latencies in ms, sorted; every failure is one beyond all bounds. */
async function measure(targets: RequestOptions[], forMs: number): Promise<number[]> {
	const end = performance.now() + forMs;
	const asked: Promise<number>[] = [];
	for (let turn = 0; performance.now() < end; turn++) {
		const began = performance.now();
		asked.push(
			send(targets[turn % targets.length] ?? {}, { login: admin, json: { operation: 'get_status' } }).then(
				({ status }) => (status === 200 ? performance.now() - began : Number.POSITIVE_INFINITY),
				() => Number.POSITIVE_INFINITY,
			),
		);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	return (await Promise.all(asked)).sort((one, other) => one - other);
}

const p99Of = (latencies: readonly number[]): number => latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN;

async function compare(): Promise<void> {
	const server = fork(self, ['serve'], { execArgv: ['--expose-gc'] });
	const [{ port, socketPath }] = (await once(server, 'message')) as [Ready];
	const targets = [{ host: '127.0.0.1', port }, { socketPath }];
	const quiet = p99Of(await measure(targets, 10_000));
	const before = await tell<number>(server);
	const attackers = fork(self, ['crawl', String(port)]);
	const latencies = await measure(targets, seconds * 1_000);
	const growth = ((await tell<number>(server)) - before) / 1024 / 1024;
	const cut = await tell<number>(attackers);
	attackers.disconnect();
	server.disconnect();
	process.stdout.write(
		`${slowConnections} slow connections for ${seconds} s, ${cut} cut off · ${latencies.length} other requests, ` +
			`p99 ${p99Of(latencies).toFixed(0)} ms (at most ${p99MsMax}; ${quiet.toFixed(0)} ms without them) · ` +
			`memory grew ${growth.toFixed(0)} MiB (less than ${growthMiBMax})\n`,
	);
	const isGood = Number.isFinite(latencies.at(-1)) && p99Of(latencies) <= p99MsMax && growth < growthMiBMax;
	process.exitCode = isGood ? 0 : 1;
}

const [, , part, port] = process.argv;
if (part === 'serve') await serve();
else if (part === 'crawl') crawlAll(Number(port));
else await compare();
