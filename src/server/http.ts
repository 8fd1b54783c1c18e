import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ConnectionQuota } from '../connection-quota.js';
import { type FaultCode, faults, messageOf, RollcallError } from '../errors.js';
import { dispatch } from '../operations/dispatch.js';
import { openApiDocument } from '../operations/openapi.js';
import { operationsByName } from '../operations/table.js';
import type { Caller, Follow, Transport } from '../operations/types.js';
import { RefusalLog } from '../refusal-log.js';
import { addressKey } from '../source-address.js';
import { readBody } from './body.js';
import { browserCheck } from './browser.js';
import { type HttpCertificate, tlsVersionMin } from './certificate.js';
import { followAsLines, linesMediaType } from './follow.js';
import { repeatedHeader } from './headers.js';
import { parseJson } from './json.js';
import type { Limits } from './limits.js';
import { judgeReadiness } from './readiness.js';
import type { ServerOptions } from './types.js';

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

export type Listener = FastifyInstance;

type Answerer = Omit<ServerOptions, 'limits'> & { limits: Limits };

/** The listener of operations: HTTP and admin socket. */
export function createOperationsListener(server: Answerer, kind: ListenerKind): Listener {
	const identify = (request: FastifyRequest): Caller | Promise<Caller> =>
		server.logins.identify(
			request.headers.authorization,
			kind.transport,
			kind.transport === 'socket' ? 'socket' : addressKey(request.socket.remoteAddress ?? 'unknown'),
		);
	const followers = { count: 0 };
	// Fastify finds the path and tells refusals; in between an operation takes the contract's checks in their order, and none
	// of Fastify's own reading of bodies and answers. A caller who is known is named at once, without a promise.
	const quota = quotaOf(server, kind);
	const app = createListener(server, kind, quota, (request, reply, done) => {
		if (request.method !== 'POST') {
			done();
			return;
		}
		const accept = (caller: Caller): void => {
			if (caller.by !== 'nothing') quota.hold(request.raw.socket, () => isOver(reply));
			const fault = mediaTypeFault(request.headers);
			if (fault) done(fault);
			else
				readJson(request.raw, server.limits.bodyBytesMax, (refusal, body) => {
					if (!refusal) operate({ server, followers, caller, body, request, reply, done });
					// The client may send more of what nobody will read.
					else {
						reply.header('connection', 'close');
						done(refusal);
					}
				});
		};
		const caller = identify(request);
		if (caller instanceof Promise)
			caller.then(accept, (fault: Error) => done(noteRefusedCaller(server, request, fault)));
		else accept(caller);
	});

	const document = JSON.stringify(openApiDocument(server.version));
	addHealthRoutes(app, server, async (request) => (await identify(request)).by !== 'nothing');
	app.get('/openapi.json', (_request, reply) => sendText(reply, 200, document));
	app.get('/metrics', async (request, reply) => {
		const caller = await identify(request);
		if (caller.by === 'nothing') throw new RollcallError('unauthenticated', 'Must login');
		if (caller.by === 'refresh_token') throw new RollcallError('unauthenticated', 'invalid token');
		return reply.type('text/plain; version=0.0.4; charset=utf-8').send(await server.metrics());
	});

	app.post('/', () => {
		throw new RollcallError('internal', 'An operation came past its own checks.');
	});
	return app;
}

/** The plain listener for load balancers: it answers /livez and /readyz, looks at no credentials, and says no more than yes or no. */
export function createHealthListener(server: Answerer, kind: ListenerKind): Listener {
	const app = createListener(server, kind, quotaOf(server, kind), (_request, _reply, done) => done());
	// A load balancer keeps its connection; one that asks for anything else has no business here.
	app.addHook('onSend', (_request, reply, _payload, done) => {
		if (reply.statusCode >= 400 && reply.statusCode < 500) reply.header('connection', 'close');
		done();
	});
	app.get('/livez', (_request, reply) => sendText(reply, 200, '{"live":true}'));
	app.get('/readyz', (_request, reply) => {
		const ready = judgeReadiness(server.readiness(), null)?.ready === true;
		return sendText(reply, ready ? 200 : 503, JSON.stringify({ ready }));
	});
	return app;
}

function addHealthRoutes(
	app: FastifyInstance,
	server: Answerer,
	mayKnowMore: (request: FastifyRequest) => Promise<boolean>,
): void {
	const answer = async (request: FastifyRequest, reply: FastifyReply, name: string | null): Promise<FastifyReply> => {
		const isDetailed = await mayKnowMore(request);
		const report = judgeReadiness(server.readiness(), name);
		if (!report) throw new RollcallError('not_found', `App '${name}' not found`);
		return sendText(reply, report.ready ? 200 : 503, JSON.stringify(isDetailed ? report : { ready: report.ready }));
	};
	app.get('/livez', (_request, reply) => sendText(reply, 200, '{"live":true}'));
	app.get('/readyz', (request, reply) => answer(request, reply, null));
	app.get('/health', (request, reply) => answer(request, reply, null));
	app.get<{ Params: { app: string } }>('/readyz/:app', (request, reply) => answer(request, reply, request.params.app));
}

const isOver = ({ raw }: FastifyReply): boolean => raw.writableFinished || raw.destroyed;

/** Calls `done` once, with the body, undefined where none was sent, or with what is wrong with it. */
function readJson(
	request: IncomingMessage,
	bytesMax: number,
	done: (refusal: RollcallError | null, body?: unknown) => void,
): void {
	readBody(request, bytesMax, (fault, bytes) => {
		if (!bytes) return done(fault);
		if (bytes.length === 0 && request.headers['content-type'] === undefined) return done(null);
		const parsed = parseJson(bytes);
		if (parsed.ok) done(null, parsed.value);
		else done(new RollcallError('invalid', parsed.fault));
	});
}

interface Asked {
	server: Answerer;
	followers: { count: number };
	caller: Caller;
	body: unknown;
	request: FastifyRequest;
	reply: FastifyReply;
	/** Refuses. */
	done: (fault: Error) => void;
}

/** Answers at once what needs no waiting: most of what is asked often does not. Nothing is thrown. */
function operate({ server, followers, caller, body, request, reply, done }: Asked): void {
	const began = performance.now();
	const observe = (status: number): void => {
		const operation = nameOf(body);
		server.observe?.({ operation, status, ms: performance.now() - began });
		noteChange(server, operation, caller, status);
	};
	const answer = (value: unknown): void => {
		const text = JSON.stringify(value);
		observe(200);
		sendAnswer(reply, text);
	};
	const refuse = (thrown: unknown): void => {
		observe(thrown instanceof RollcallError ? thrown.httpStatus : faults.internal.http);
		done(thrown instanceof Error ? thrown : new Error(String(thrown)));
	};
	try {
		const wantsLines = request.headers.accept?.includes(linesMediaType) ?? false;
		const current = server.logins.asOfNow(caller);
		const outcome = dispatch(server.node, { caller: current, body, follow: wantsLines });
		if (outcome.kind === 'follow') {
			const isAllowed = (): boolean => server.logins.isAsBefore(current);
			sendLines({ server, followers, isAllowed, follow: outcome.follow, reply });
			observe(200);
		} else if (outcome.body instanceof Promise) outcome.body.then(answer).catch(refuse);
		else answer(outcome.body);
	} catch (thrown) {
		refuse(thrown);
	}
}

interface Followed extends Pick<Asked, 'server' | 'followers' | 'reply'> {
	follow: Follow;
	isAllowed(): boolean;
}

function sendLines({ server, followers, follow, isAllowed, reply }: Followed): void {
	if (followers.count >= server.limits.followersMax) {
		throw new RollcallError('unavailable', `${followers.count} callers follow already; try again later.`);
	}
	followers.count++;
	const lines = followAsLines(follow, { ...server.limits, isAllowed });
	lines.once('close', () => followers.count--);
	reply.header('connection', 'close').type(linesMediaType).send(lines);
}

/** Bad credentials are counted and, while they are looked at, logged; the name is not, since it may be a password typed too early. */
function noteRefusedCaller(server: Answerer, request: FastifyRequest, fault: Error): Error {
	if (!(fault instanceof RollcallError)) return fault;
	server.observe?.({ operation: null, status: fault.httpStatus, ms: 0 });
	if (fault.code === 'unauthenticated') {
		const address = request.socket.remoteAddress ?? 'socket';
		server.logger.warn({ event: 'login_refused', address, reason: fault.message }, 'credentials were refused');
	}
	return fault;
}

/** Who changed something, and what came of it; never the fields, which may hold passwords. */
function noteChange(server: Answerer, operation: string | null, caller: Caller, status: number): void {
	if (operation === null || !operationsByName.get(operation)?.changes) return;
	const { user, transport, address } = caller;
	server.logger.info({ event: 'operation', operation, status, user, transport, address }, operation);
}

/** Only names of the table, so that callers cannot make up labels. */
function nameOf(body: unknown): string | null {
	const name = typeof body === 'object' && body !== null && 'operation' in body ? body.operation : null;
	return typeof name === 'string' && operationsByName.has(name) ? name : null;
}

function quotaOf({ logger }: Answerer, { connectionsMax, ofOneMax }: ListenerKind): ConnectionQuota {
	const refusals = new RefusalLog('connection', performance, logger);
	return new ConnectionQuota({ connectionsMax, ofOneMax, refused: (remote, reason) => refusals.tell(remote, reason) });
}

/** @param examine looks at a request for a path that is there, before its body is read; one hook, since each costs every request */
function createListener(
	server: Answerer,
	kind: ListenerKind,
	quota: ConnectionQuota,
	examine: (request: FastifyRequest, reply: FastifyReply, done: (fault?: Error) => void) => void,
): FastifyInstance {
	const { limits, logger } = server;
	// Fastify passes these on to node:http. Without an interval of checks, requestTimeout does not stop a slow body in time.
	const http = {
		connectionsCheckingInterval: limits.checkMs,
		headersTimeout: limits.headersMs,
		requestTimeout: limits.requestMs,
		keepAliveTimeout: limits.idleMs,
		insecureHTTPParser: false,
	};
	const tls = kind.tls && { ...kind.tls, minVersion: tlsVersionMin, handshakeTimeout: limits.handshakeMs };
	const options = {
		requestTimeout: limits.requestMs,
		keepAliveTimeout: limits.idleMs,
		connectionTimeout: limits.idleMs,
		exposeHeadRoutes: false,
		forceCloseConnections: 'idle' as const,
		clientErrorHandler: answerMalformed,
		frameworkErrors: (_error: Error, _request: FastifyRequest, reply: FastifyReply) => void notFound(reply),
	};
	const app = tls
		? (fastify({ ...options, https: { ...http, ...tls } }) as unknown as FastifyInstance)
		: fastify({ ...options, http });
	quota.guard(app.server);
	// More are dropped by node:http in silence; one beyond our own bound must still be seen to be refused.
	app.server.maxHeadersCount = limits.headersMax * 2;
	const browserFault = browserCheck({ rebindable: kind.rebindable, host: kind.host });
	app.addHook('onRequest', (request, reply, done) => {
		const { rawHeaders, socket } = request.raw;
		quota.use(socket);
		const fault = browserFault(request.headers);
		const repeated = repeatedHeader(rawHeaders);
		if (rawHeaders.length > limits.headersMax * 2) {
			sendText(reply, 431, errorBody(`More than ${limits.headersMax} headers.`));
		} else if (repeated !== null) sendText(reply, 400, errorBody(`The header ${repeated} stands twice.`));
		else if (fault !== null) sendText(reply, 403, errorBody(fault));
		// Before the body is looked at: what is not there answers 404 whatever came with it.
		else if (request.is404) notFound(reply);
		else examine(request, reply, done);
	});
	app.setNotFoundHandler((_request, reply) => notFound(reply));
	app.setErrorHandler((error, request, reply) => {
		const refusal = refusalOf(error);
		if (refusal.code === 'internal') {
			logger.error({ event: 'request_failed', method: request.method, err: error }, 'a request failed');
		}
		if (refusal.code === 'unauthenticated') reply.header('www-authenticate', 'Basic realm="rollcall", charset="UTF-8"');
		if (refusal.retryAfterSeconds !== null) reply.header('retry-after', refusal.retryAfterSeconds);
		return sendText(reply, faults[refusal.code].http, JSON.stringify({ error: refusal.message, ...refusal.extra }));
	});
	return app;
}

interface Refusal {
	code: FaultCode;
	message: string;
	extra: Readonly<Record<string, unknown>>;
	retryAfterSeconds: number | null;
}

function refusalOf(error: unknown): Refusal {
	if (error instanceof RollcallError) {
		const { retryAfterSeconds, ...extra } = error.extra as { retryAfterSeconds?: number };
		const message = error.code === 'internal' ? 'Internal error; the log says more.' : error.message;
		return { code: error.code, message, extra, retryAfterSeconds: retryAfterSeconds ?? null };
	}
	const status = (error as { statusCode?: unknown }).statusCode;
	const plain = (code: FaultCode, message: string): Refusal => ({ code, message, extra: {}, retryAfterSeconds: null });
	if (typeof status === 'number' && status < 500) return plain('invalid', messageOf(error));
	// What went wrong inside is for the log; a caller learns nothing of paths or stacks.
	return plain('internal', 'Internal error; the log says more.');
}

const jsonMediaType = /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

/** JSON in UTF-8, sent as it is. No body needs no type: the check of `operation` refuses it. */
function mediaTypeFault(headers: FastifyRequest['headers']): RollcallError | null {
	const type = headers['content-type'];
	const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
	if (type === undefined) return hasBody ? new RollcallError('media_type', 'Unsupported Media Type: none') : null;
	if (!jsonMediaType.test(type)) return new RollcallError('media_type', `Unsupported Media Type: ${type}`);
	const encoding = headers['content-encoding'];
	if (encoding === undefined || encoding.toLowerCase() === 'identity') return null;
	return new RollcallError('media_type', `Unsupported Media Type: ${type} with content-encoding ${encoding}`);
}

const errorBody = (error: string): string => JSON.stringify({ error });

const notFound = (reply: FastifyReply): FastifyReply => sendText(reply, 404, errorBody('Not found'));

const answerHeaders = {
	'content-type': 'application/json; charset=utf-8',
	'cache-control': 'no-store',
	'x-content-type-options': 'nosniff',
};
/** As node:http takes them without looking at each: name, value, name, value. */
const answerHeadersInRow = Object.entries(answerHeaders).flat();

function sendText(reply: FastifyReply, status: number, body: string): FastifyReply {
	return reply.code(status).headers(answerHeaders).send(body);
}

/**
 * A 200 in JSON, past Fastify's own search for types, serializers and hooks, of which this answer has none.
 *
 * It goes out when the loop has read what there is to read. The answers to many who ask at once then follow each other closely and
 * their reader is woken for all of them; woken for each by itself, that costs the system more than the operation took.
 */
function sendAnswer(reply: FastifyReply, body: string): void {
	reply.hijack();
	const length = Buffer.byteLength(body);
	reply.raw.writeHead(200, [...answerHeadersInRow, 'content-length', length]);
	setImmediate(() => reply.raw.end(body));
}

/** What node:http could not even read. */
function answerMalformed(error: Error & { code?: string }, socket: Socket): void {
	// Who failed at TLS, or has gone, can be told nothing: what is written would wait for a handshake that never ends.
	const isHttp = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' || error.code?.startsWith('HPE_');
	if (!isHttp || !socket.writable) {
		socket.destroy();
		return;
	}
	const [line, text] =
		error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
			? ['408 Request Timeout', 'The request took too long to arrive.']
			: error.code === 'HPE_HEADER_OVERFLOW'
				? ['431 Request Header Fields Too Large', 'The headers are too large.']
				: ['400 Bad Request', 'The request is not valid HTTP.'];
	const body = errorBody(text);
	socket.end(
		`HTTP/1.1 ${line}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
			`Connection: close\r\n\r\n${body}`,
	);
}
