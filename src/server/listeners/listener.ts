import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { ListenOptions, Socket } from 'node:net';
import { ConnectionQuota } from '../../system/connections/connection-quota.js';
import { type FaultCode, faults, RollcallError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Transport } from '../../operations/types.js';
import { RefusalLog } from '../../system/connections/refusal-log.js';
import { browserCheck } from '../request/origin-check.js';
import type { HttpCertificate } from '../../config/checks/http-certificate.js';
import { tlsVersionMin } from './certificate.js';
import { repeatedHeader } from '../request/headers.js';
import type { Limits } from '../limits.js';
import { MalformedRequests } from './malformed.js';

/** What a listener is. Both transports are built by the same lines, so that they cannot answer differently. */
export interface ListenerKind {
	transport: Transport;
	/** The configured host, null on the socket. */
	host: string | null;
	/** A web page could point its own name at this listener (DNS rebinding). */
	rebindable: boolean;
	tls: HttpCertificate | null;
	connectionsMax: number;
	/** Connections of one address, or one IPv6 /64. */
	ofOneMax: number;
}

/** One request, and how it is answered. */
export interface Exchange {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	/** The part of the path behind a route's `*`, decoded; empty without one. */
	readonly rest: string;
	/** Keeps the connection from being let go for another one until this answer is over. */
	hold(): void;
	/** Answers an error by the table of errors; anything but a RollcallError is `internal`. */
	refuse(fault: unknown): void;
}

/** What a rejected promise or a thrown error says is refused as `refuse` would. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

/** `METHOD /path`, or `METHOD /path/*` for one more part. Nothing else is there. */
export type Routes = Readonly<Record<string, Handler>>;

export interface Listener {
	readonly server: Server;
	/** An address, a path, or a descriptor that this process inherited. */
	listen(where: ListenOptions | { fd: number }): Promise<void>;
	/** Finishes the answers under way; connections at rest are closed at once. */
	close(): Promise<void>;
}

export interface ListenerOptions {
	routes: Routes;
	limits: Limits;
	logger: Logger;
	/** Statuses after which the connection is closed: unknown paths and malformed requests. */
	closeRefused?: boolean;
}

export function createListener(kind: ListenerKind, options: ListenerOptions): Listener {
	const { limits, logger } = options;
	const refusals = new RefusalLog('connection', performance, logger);
	const quota = new ConnectionQuota({ ...kind, refused: (remote, reason) => refusals.tell(remote, reason) });
	const fault = requestCheck(kind, limits);
	const malformed = new MalformedRequests((response, status, text) => sendText(response, status, errorBody(text)));
	let isClosing = false;
	const answer = (request: IncomingMessage, response: ServerResponse): void => {
		quota.use(request.socket);
		malformed.began(request, response);
		if (isClosing) response.setHeader('connection', 'close');
		const refuse = (thrown: unknown): void => answerFault(request, response, thrown, options);
		const refused = fault(request);
		if (refused !== null) {
			if (options.closeRefused) response.setHeader('connection', 'close');
			sendText(response, refused.status, errorBody(refused.text));
			return;
		}
		const route = routeOf(request, options.routes);
		if (route === null) {
			if (options.closeRefused) response.setHeader('connection', 'close');
			sendText(response, faults.not_found.http, errorBody('Not found'));
			return;
		}
		const hold = (): void => quota.hold(request.socket, () => response.writableFinished || response.destroyed);
		try {
			route.handler({ request, response, rest: route.rest, hold, refuse })?.catch(refuse);
		} catch (thrown) {
			refuse(thrown);
		}
	};
	const server = createServer(kind, limits, answer);
	quota.guard(server);
	server.on('clientError', (error, socket) => malformed.refuse(error, socket as Socket));
	return {
		server,
		listen: (where) => listen(server, where),
		async close() {
			isClosing = true;
			if (!server.listening) return;
			await new Promise<void>((resolve) => server.close(() => resolve()));
		},
	};
}

function createServer(
	{ tls }: ListenerKind,
	limits: Limits,
	answer: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
	const times = {
		// Without an interval of checks, requestTimeout does not stop a slow body in time.
		connectionsCheckingInterval: limits.checkMs,
		headersTimeout: limits.headersMs,
		requestTimeout: limits.requestMs,
		keepAliveTimeout: limits.idleMs,
		insecureHTTPParser: false,
	};
	const handshake = { minVersion: tlsVersionMin, handshakeTimeout: limits.handshakeMs };
	const server = tls ? createHttpsServer({ ...times, ...tls, ...handshake }, answer) : createHttpServer(times, answer);
	server.setTimeout(limits.idleMs);
	// node:http drops more in silence; one beyond our own bound must still be seen to be refused.
	server.maxHeadersCount = limits.headersMax * 2;
	return server;
}

function listen(server: Server, where: ListenOptions | { fd: number }): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once('error', reject);
		server.listen(where, () => {
			server.off('error', reject);
			resolve();
		});
	});
}

/** Checks that hold for every request, before its path and body. Returns the error, or null. */
function requestCheck(
	kind: ListenerKind,
	limits: Limits,
): (request: IncomingMessage) => { status: number; text: string } | null {
	const browserFault = browserCheck({ rebindable: kind.rebindable, host: kind.host });
	return ({ headers, rawHeaders }) => {
		if (rawHeaders.length > limits.headersMax * 2)
			return { status: 431, text: `More than ${limits.headersMax} headers.` };
		const repeated = repeatedHeader(rawHeaders);
		if (repeated !== null) return { status: 400, text: `The header ${repeated} stands twice.` };
		const text = browserFault(headers);
		return text === null ? null : { status: 403, text };
	};
}

function routeOf(request: IncomingMessage, routes: Routes): { handler: Handler; rest: string } | null {
	const path = pathOf(request.url ?? '');
	// Load balancers like to ask so; node:http leaves the body out (RFC 9110, 9.3.2).
	const method = request.method === 'HEAD' ? 'GET' : request.method;
	const exact = Object.hasOwn(routes, `${method} ${path}`) ? routes[`${method} ${path}`] : undefined;
	if (exact) return { handler: exact, rest: '' };
	const slash = path.lastIndexOf('/');
	const pattern = `${method} ${path.slice(0, slash)}/*`;
	const handler = slash > 0 && Object.hasOwn(routes, pattern) ? routes[pattern] : undefined;
	const rest = decode(path.slice(slash + 1));
	return handler && rest ? { handler, rest } : null;
}

/** The path alone; a proxy may send the whole address (RFC 9112, 3.2.2). */
function pathOf(url: string): string {
	const path = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*/i, '');
	const end = path.search(/[?#]/);
	return end < 0 ? path : path.slice(0, end);
}

function decode(part: string): string | null {
	try {
		return decodeURIComponent(part);
	} catch {
		return null;
	}
}

function answerFault(
	request: IncomingMessage,
	response: ServerResponse,
	thrown: unknown,
	{ logger, closeRefused }: ListenerOptions,
): void {
	const refusal = refusalOf(thrown);
	if (refusal.code === 'internal') {
		logger.error({ event: 'request_failed', method: request.method, err: thrown }, 'a request failed');
	}
	// It was malformed, and told so, before it was judged.
	if (response.writableEnded) return;
	if (response.headersSent || response.destroyed) {
		response.destroy();
		return;
	}
	if (refusal.code === 'unauthenticated')
		response.setHeader('www-authenticate', 'Basic realm="rollcall", charset="UTF-8"');
	if (refusal.retryAfterSeconds !== null) response.setHeader('retry-after', refusal.retryAfterSeconds);
	if (closeRefused) response.setHeader('connection', 'close');
	sendText(response, faults[refusal.code].http, JSON.stringify({ error: refusal.message, ...refusal.extra }));
}

interface Refusal {
	code: FaultCode;
	message: string;
	extra: Readonly<Record<string, unknown>>;
	retryAfterSeconds: number | null;
}

function refusalOf(thrown: unknown): Refusal {
	// What went wrong inside is for the log; a caller learns nothing of paths or stacks.
	const inside = { code: 'internal' as const, message: 'Internal error; the log says more.' };
	if (!(thrown instanceof RollcallError)) return { ...inside, extra: {}, retryAfterSeconds: null };
	const { retryAfterSeconds, ...extra } = thrown.extra as { retryAfterSeconds?: number };
	const said = thrown.code === 'internal' ? inside : { code: thrown.code, message: thrown.message };
	return { ...said, extra, retryAfterSeconds: retryAfterSeconds ?? null };
}

const errorBody = (error: string): string => JSON.stringify({ error });

const answerHeaders = {
	'content-type': 'application/json; charset=utf-8',
	'cache-control': 'no-store',
	'x-content-type-options': 'nosniff',
};

/** Answers at once; `headers` are beside those of every answer, or in their place. */
export function sendText(
	response: ServerResponse,
	status: number,
	body: string,
	headers: Readonly<Record<string, string>> = {},
): void {
	response.writeHead(status, { ...answerHeaders, ...headers, 'content-length': Buffer.byteLength(body) });
	response.end(body);
}

/** As node:http takes them without looking at each: name, value, name, value. */
const answerHeadersInRow = Object.entries(answerHeaders).flat();

/**
 * A 200 in JSON that goes out when the loop has read what there is to read. The answers to many who ask at once then follow
 * each other closely and their reader is woken for all of them; woken for each, it costs the system more than the operation.
 */
export function sendAnswer(response: ServerResponse, body: string): void {
	response.writeHead(200, [...answerHeadersInRow, 'content-length', Buffer.byteLength(body)]);
	setImmediate(() => response.end(body));
}
