import { closeSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { RollcallError } from '../../errors.js';
import { type UntrustedPlace, openUntrustedSocket, pathOfDescriptor } from '../../system/files/untrusted-file.js';
import { pidHeader } from './control.js';
import type { ListenProtocol } from './control.js';

/** A unix socket of a worker, in a place of its user, null for one's own; or a TCP address. */
export type ProbeTarget = { socketPath: string; place: UntrustedPlace | null } | { host: string; port: number };

/** The same, its place seen to. */
type Address = { socketPath: string } | { host: string; port: number };

export interface ProbeOptions {
	/** Path of the GET; null asks for nothing but a connection. */
	path: string | null;
	/** From connecting to the end of the answer, or {@link bodyBytesMax} of its body. */
	timeoutMs: number;
	/** As the worker's status names it; default `http`. */
	protocol?: ListenProtocol;
}

export interface ProbeAnswer {
	/** HTTP status; 0 where a connection was all that could be asked for. */
	status: number;
	/** Which process says that it answered; null where the protocol leaves no room for it. The socket's own path names the process too. */
	pid: number | null;
}

/** What is asked, and who hears that the head of an answer has come. */
interface Question extends ProbeOptions {
	onHead: () => void;
}

interface Get<Protocol extends ListenProtocol> extends Question {
	path: string;
	protocol: Protocol;
}

/** Most that is read of an answer's body; health pages are short, but `GET /` may be anything. */
const bodyBytesMax = 65_536;
const eventStream = 'text/event-stream';

/**
 * Asks a worker whether it is well, with any certificate taken: the socket itself says whose it is. Rejects with
 * `timeout` or `unreachable`.
 */
export async function probe(target: string | ProbeTarget, options: ProbeOptions): Promise<ProbeAnswer> {
	const name =
		typeof target === 'string' ? target : 'host' in target ? `${target.host}:${target.port}` : target.socketPath;
	const abort = new AbortController();
	const timer = setTimeout(() => abort.abort(), options.timeoutMs);
	// The time limit holds even for an event that the library does not report.
	const late = new Promise<never>((_resolve, reject) => {
		abort.signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
	});
	let began = false;
	const onHead = (): void => {
		began = true;
	};
	try {
		return await Promise.race([askAt(target, { ...options, onHead }, abort.signal), late]);
	} catch (cause) {
		if (abort.signal.aborted) {
			const what = began ? 'did not finish its answer' : 'gave no answer';
			throw new RollcallError('timeout', `${name} ${what} within ${options.timeoutMs} ms.`, {}, { cause });
		}
		throw new RollcallError('unreachable', `${name} gave no answer: ${(cause as Error).message}.`, {}, { cause });
	} finally {
		clearTimeout(timer);
		abort.abort();
	}
}

/** The worker names the address, so it must be a socket of its own user or an address of this host. */
async function askAt(target: string | ProbeTarget, options: Question, signal: AbortSignal): Promise<ProbeAnswer> {
	if (typeof target === 'string') return ask({ socketPath: target }, options, signal);
	if ('host' in target) {
		if (!isOwnAddress(target.host)) throw new Error('it is no address of this host');
		return ask(target, options, signal);
	}
	const { socketPath, place } = target;
	if (place === null) return ask({ socketPath }, options, signal);
	const descriptor = openUntrustedSocket(socketPath, place);
	try {
		return await ask({ socketPath: pathOfDescriptor(descriptor) }, options, signal);
	} finally {
		closeSync(descriptor);
	}
}

function isOwnAddress(host: string): boolean {
	if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return true;
	const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
	return addresses.some(({ address }) => address === host.replace(/%.*$/, ''));
}

function ask(where: Address, question: Question, signal: AbortSignal): Promise<ProbeAnswer> {
	const { path, protocol = 'http' } = question;
	if (path === null) return askConnection(where, protocol, signal);
	switch (protocol) {
		case 'http':
		case 'https':
			return askHttp(where, { ...question, path, protocol }, signal);
		case 'h2':
		case 'h2c':
			return askHttp2(where, { ...question, path, protocol }, signal);
		case 'tls':
		case 'tcp':
			return askConnection(where, protocol, signal);
	}
}

function askHttp(
	where: Address,
	{ path, protocol, onHead }: Get<'http' | 'https'>,
	signal: AbortSignal,
): Promise<ProbeAnswer> {
	return new Promise((resolve, reject) => {
		const options = {
			...where,
			path,
			signal,
			agent: false as const,
			headers: { host: 'localhost', connection: 'close', 'user-agent': 'rollcall-probe' },
		};
		// A server of HTTP/2 alone answers a client that names no protocol with 403.
		const secure = { ...options, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] };
		const request = protocol === 'http' ? http.get(options) : builtin('node:https').get(secure);
		request.once('error', reject);
		// An answer that changes the protocol (101) is neither a response nor an error.
		let answered = false;
		request.once('close', () => {
			if (!answered) reject(new Error('it closed the connection without an answer'));
		});
		request.once('response', (response) => {
			answered = true;
			onHead();
			const { statusCode = 0, headers } = response;
			const answer = { status: statusCode, pid: readPid(headers[pidHeader]) };
			readBody(response, headers['content-type'], () => resolve(answer));
			response.on('error', () => reject(new Error(brokenOff)));
			response.once('close', () => (response.complete ? resolve(answer) : reject(new Error(brokenOff))));
		});
	});
}

function askHttp2(
	where: Address,
	{ path, protocol, onHead }: Get<'h2' | 'h2c'>,
	signal: AbortSignal,
): Promise<ProbeAnswer> {
	return new Promise((resolve, reject) => {
		const authority = protocol === 'h2' ? 'https://localhost' : 'http://localhost';
		const session = builtin('node:http2').connect(authority, {
			createConnection: () => openConnection(where, protocol),
		});
		const fail = (error: Error): void => {
			session.destroy();
			reject(error);
		};
		session.on('error', fail);
		signal.addEventListener('abort', () => fail(new Error('aborted')), { once: true });
		const stream = session.request({ ':path': path, 'user-agent': 'rollcall-probe' });
		stream.on('error', fail);
		stream.once('response', (headers) => {
			onHead();
			const answer = { status: Number(headers[':status']), pid: readPid(headers[pidHeader]) };
			readBody(stream, headers['content-type'], () => resolve(answer));
			stream.once('end', () => resolve(answer));
		});
		stream.once('close', () => {
			session.close();
			reject(new Error(brokenOff));
		});
		stream.end();
	});
}

const brokenOff = 'its answer broke off';

/** Calls `done` where no more of the body is waited for; an answer that is over before tells that itself. */
function readBody(body: NodeJS.ReadableStream, type: string | undefined, done: () => void): void {
	// Such an answer never ends.
	if (type?.toLowerCase().startsWith(eventStream)) done();
	let bytes = 0;
	body.on('data', (chunk: Buffer) => {
		bytes += chunk.length;
		if (bytes > bodyBytesMax) done();
	});
}

function askConnection(where: Address, protocol: ListenProtocol, signal: AbortSignal): Promise<ProbeAnswer> {
	return new Promise((resolve, reject) => {
		const socket = openConnection(where, protocol);
		const close = (): void => {
			socket.destroy();
			reject(new Error('no connection'));
		};
		signal.addEventListener('abort', close, { once: true });
		socket.once('error', reject);
		socket.once(isPlain(protocol) ? 'connect' : 'secureConnect', () => {
			resolve({ status: 0, pid: null });
		});
		socket.once('close', close);
	});
}

function openConnection(where: Address, protocol: ListenProtocol): net.Socket {
	const address = 'socketPath' in where ? { path: where.socketPath } : where;
	if (isPlain(protocol)) return net.connect(address);
	const alpn = protocol === 'h2' ? { ALPNProtocols: ['h2', 'http/1.1'] } : {};
	return builtin('node:tls').connect({ ...address, ...alpn, rejectUnauthorized: false });
}

const isPlain = (protocol: ListenProtocol): boolean => protocol === 'http' || protocol === 'h2c' || protocol === 'tcp';

/** Loaded on first use: a worker that checks itself after a crash rarely needs them, and they take longer than the check. */
function builtin(name: 'node:http2'): typeof import('node:http2');
function builtin(name: 'node:https'): typeof import('node:https');
function builtin(name: 'node:tls'): typeof import('node:tls');
function builtin(name: string): unknown {
	return process.getBuiltinModule(name);
}

function readPid(value: string | string[] | undefined): number | null {
	const pid = Number(value);
	return Number.isInteger(pid) && pid > 0 ? pid : null;
}
