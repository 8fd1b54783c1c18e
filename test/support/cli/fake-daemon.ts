import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach } from 'node:test';
import type { RolloutView } from '../../../src/rollout/types.js';
import { runCommand } from './command.js';

type Fields = Record<string, unknown>;
export interface FakeAnswer {
	status?: number;
	body: unknown;
}

/** A daemon of pasteboard for tests of clients: it says over a socket what the test told it to say. */
export interface FakeDaemon {
	/** What was asked, in order. */
	asked: { operation: string; fields: Fields; headers: IncomingMessage['headers'] }[];
	operations: Record<string, (fields: Fields) => FakeAnswer | 'silence' | 'cut'>;
	/** Pages by path. */
	pages: Record<string, FakeAnswer>;
	/** The views that a followed rollout sends; after the last the stream stays open, or is cut where `cut` stands. */
	follow: (RolloutView | 'cut')[];
	/** Calls when a stream has said all it has, and waits. */
	onWaiting: () => void;
	/** Null when it listens on a socket. */
	port: number | null;
	close(): Promise<void>;
}

export async function startFakeDaemon(
	at: { path: string } | { host: string; port: number },
	tls?: { cert: string; key: string },
): Promise<FakeDaemon> {
	const { fake, listen } = createFakeDaemon(tls);
	await listen(at);
	return fake;
}

/**
 * One on a socket for all tests of a file, or of a `describe`: it is there from the first test to the last, and forgets with
 * each what it was asked and told to say. `on` types a command that asks it.
 */
export function withFakeDaemon() {
	const folder = mkdtempSync(join(tmpdir(), 'rc-fake-'));
	const socket = join(folder, 'admin.sock');
	const { fake, listen } = createFakeDaemon();
	before(() => listen({ path: socket }));
	after(async () => {
		await fake.close();
		rmSync(folder, { recursive: true });
	});
	beforeEach(() => Object.assign(fake, { asked: [], ...nothingToSay() }));
	const on = (...words: string[]) => runCommand([...words, '--socket', socket]);
	return { daemon: fake, folder, socket, on };
}

const nothingToSay = (): Pick<FakeDaemon, 'operations' | 'pages' | 'follow' | 'onWaiting'> => ({
	operations: {},
	pages: {},
	follow: [],
	onWaiting: () => undefined,
});

function createFakeDaemon(tls?: { cert: string; key: string }) {
	const server = tls ? createSecureServer(tls) : createServer();
	const fake: FakeDaemon = { asked: [], ...nothingToSay(), port: null, close: () => closeServer(server) };
	server.on('request', (request: IncomingMessage, response: ServerResponse) => void answer(fake, request, response));
	async function listen(at: { path: string } | { host: string; port: number }): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen(at, () => resolve());
		});
		const address = server.address() as AddressInfo | string | null;
		if (address !== null && typeof address === 'object') fake.port = address.port;
	}
	return { fake, listen };
}

function closeServer(server: Pick<Server, 'close' | 'closeAllConnections'>): Promise<void> {
	return new Promise((resolve) => {
		server.close(() => resolve());
		server.closeAllConnections();
	});
}

async function answer(fake: FakeDaemon, request: IncomingMessage, response: ServerResponse): Promise<void> {
	if (request.method === 'GET') {
		send(response, fake.pages[request.url ?? ''] ?? { status: 404, body: { error: 'Not Found' } });
		return;
	}
	const chunks: Buffer[] = [];
	for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
	const { operation, ...fields } = JSON.parse(Buffer.concat(chunks).toString()) as Fields & { operation: string };
	fake.asked.push({ operation, fields, headers: request.headers });
	if (operation === 'get_rollout' && request.headers.accept === 'application/x-ndjson' && fake.follow.length > 0) {
		stream(fake, response);
		return;
	}
	const made = fake.operations[operation]?.(fields) ?? {
		status: 400,
		body: { error: `Operation '${operation}' not found` },
	};
	if (made === 'cut') response.destroy();
	else if (made !== 'silence') send(response, made);
}

function stream(fake: FakeDaemon, response: ServerResponse): void {
	response.writeHead(200, { 'content-type': 'application/x-ndjson' });
	for (;;) {
		const next = fake.follow.shift();
		if (next === undefined) break;
		if (next === 'cut') {
			// What was written has to be on its way before the connection is cut.
			response.write('\n', () => response.destroy());
			return;
		}
		response.write(`${JSON.stringify(next)}\n`);
		if (['completed', 'halted', 'aborted'].includes(next.state)) {
			response.end();
			return;
		}
	}
	response.write('\n', () => fake.onWaiting());
}

function send(response: ServerResponse, { status = 200, body }: FakeAnswer): void {
	response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
