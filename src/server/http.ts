import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import { faults, RollcallError } from '../errors.js';
import { dispatch, type Outcome } from '../operations/dispatch.js';
import { openApiDocument } from '../operations/openapi.js';
import { operationsByName } from '../operations/table.js';
import type { Caller } from '../operations/types.js';
import { createPeerReader } from '../system/connections/peer-credentials.js';
import { addressKey } from '../system/connections/source-address.js';
import { SocketUsers } from './access/socket-users.js';
import { readBody } from './request/body.js';
import { followAsLines, linesMediaType, rowsAsLines } from './request/ndjson.js';
import { parseJson } from './request/strict-json.js';
import type { Limits } from './limits.js';
import {
	createListener,
	type Exchange,
	type Handler,
	type Listener,
	type ListenerKind,
	sendAnswer,
	sendText,
} from './listeners/listener.js';
import { detailsOf, judgeReadiness } from './readiness.js';
import type { ServerOptions } from './types.js';

type Answerer = Omit<ServerOptions, 'limits'> & { limits: Limits };

/** The listener of operations: HTTP and admin socket. */
export function createOperationsListener(server: Answerer, kind: ListenerKind): Listener {
	const socketUsers = new SocketUsers(server.readPeer ?? createPeerReader(), server.logger);
	const identify = (request: IncomingMessage): Caller | Promise<Caller> =>
		server.logins.identify(
			request.headers.authorization,
			kind.transport,
			kind.transport === 'socket' ? 'socket' : addressKey(request.socket.remoteAddress ?? 'unknown'),
			() => socketUsers.of(request.socket),
		);
	const readiness: Handler = async ({ request, response, rest }) => {
		const isDetailed = (await identify(request)).by !== 'nothing';
		const name = rest === '' ? null : rest;
		const facts = server.readiness();
		const report = judgeReadiness(facts, name);
		if (!report) throw new RollcallError('not_found', `App '${name}' not found`);
		const body = isDetailed ? detailsOf(report, facts) : { ready: report.ready };
		sendText(response, report.ready ? 200 : 503, JSON.stringify(body));
	};
	const document = JSON.stringify(openApiDocument(server.version));
	const routes = {
		'POST /': operationHandler(server, identify),
		'GET /livez': sayLive,
		'GET /readyz': readiness,
		'GET /readyz/*': readiness,
		'GET /health': readiness,
		'GET /openapi.json': ({ response }: Exchange) => sendText(response, 200, document),
		'GET /metrics': async ({ request, response }: Exchange) => {
			const caller = await identify(request);
			if (caller.by === 'nothing') throw new RollcallError('unauthenticated', 'Must login');
			if (caller.by === 'refresh_token') throw new RollcallError('unauthenticated', 'invalid token');
			await sendMetrics(server, response);
		},
	};
	return createListener(kind, { ...server, routes });
}

/** The plain listener for load balancers: it answers /livez and /readyz, looks at no credentials, and says no more than yes or no. */
export function createHealthListener(server: Answerer, kind: ListenerKind): Listener {
	const routes = {
		'GET /livez': sayLive,
		'GET /readyz': ({ response }: Exchange) => {
			const ready = judgeReadiness(server.readiness(), null)?.ready === true;
			sendText(response, ready ? 200 : 503, JSON.stringify({ ready }));
		},
	};
	// A load balancer keeps its connection; one that asks for anything else has no business here.
	return createListener(kind, { ...server, routes, closeRefused: true });
}

/** The plain listener for Prometheus: it answers /metrics and looks at no credentials. */
export function createMetricsListener(server: Answerer, kind: ListenerKind): Listener {
	const routes = { 'GET /metrics': ({ response }: Exchange) => sendMetrics(server, response) };
	return createListener(kind, { ...server, routes, closeRefused: true });
}

const sendMetrics = async (server: Answerer, response: Exchange['response']): Promise<void> =>
	sendText(response, 200, await server.metrics(), { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });

const sayLive = ({ response }: Exchange): void => sendText(response, 200, '{"live":true}');

/** Takes the contract's checks in their order. A caller who is known is named at once, without a promise. */
function operationHandler(server: Answerer, identify: (request: IncomingMessage) => Caller | Promise<Caller>): Handler {
	const followers = { count: 0 };
	return (exchange) => {
		const { request, response, refuse } = exchange;
		const accept = (caller: Caller): void => {
			if (caller.by !== 'nothing') exchange.hold();
			const fault = mediaTypeFault(request.headers);
			if (fault) {
				refuse(fault);
				return;
			}
			readJson(request, server.limits.bodyBytesMax, (refusal, body) => {
				if (!refusal) operate({ server, followers, caller, body, exchange });
				else {
					// The client may send more, which is not read.
					response.setHeader('connection', 'close');
					refuse(refusal);
				}
			});
		};
		const caller = identify(request);
		if (!(caller instanceof Promise)) accept(caller);
		else caller.then(accept, (fault: unknown) => refuse(noteRefusedCaller(server, request, fault)));
	};
}

/** Calls `done` once: with the body, with undefined if none was sent, or with the error. */
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
	exchange: Exchange;
}

/** Answers synchronously if the operation does, as most frequent ones do. Never throws. */
function operate({ server, followers, caller, body, exchange }: Asked): void {
	const began = performance.now();
	const observe = (status: number, answer: unknown = null, thrown: unknown = null): void => {
		const operation = nameOf(body);
		server.observe?.({ operation, status, ms: performance.now() - began });
		if (operation === null || !operationsByName.get(operation)?.changes) return;
		server.audit.record({ operation, caller, request: body as Record<string, unknown>, answer, thrown, status });
	};
	const answer = (value: unknown): void => {
		const text = JSON.stringify(value);
		observe(200, value);
		sendAnswer(exchange.response, text);
	};
	const refuse = (thrown: unknown): void => {
		observe(thrown instanceof RollcallError ? thrown.httpStatus : faults.internal.http, null, thrown);
		exchange.refuse(thrown);
	};
	try {
		const wantsLines = exchange.request.headers.accept?.includes(linesMediaType) ?? false;
		const current = server.logins.asOfNow(caller);
		const outcome = dispatch(server.node, { caller: current, body, follow: wantsLines });
		if (outcome.kind !== 'answer') {
			const isAllowed = (): boolean => server.logins.isAsBefore(current);
			sendLines({ server, followers, isAllowed, outcome, exchange });
			observe(200);
		} else if (outcome.body instanceof Promise) outcome.body.then(answer).catch(refuse);
		else answer(outcome.body);
	} catch (thrown) {
		refuse(thrown);
	}
}

interface Followed extends Pick<Asked, 'server' | 'followers' | 'exchange'> {
	outcome: Exclude<Outcome, { kind: 'answer' }>;
	isAllowed(): boolean;
}

function sendLines({ server, followers, outcome, isAllowed, exchange }: Followed): void {
	if (followers.count >= server.limits.followersMax) {
		throw new RollcallError('unavailable', `${followers.count} callers follow already; try again later.`);
	}
	followers.count++;
	const onAccessChange = (listener: () => void) => server.logins.onChange(listener);
	const terms = { ...server.limits, isAllowed, onAccessChange };
	const lines = outcome.kind === 'follow' ? followAsLines(outcome.follow, terms) : rowsAsLines(outcome, terms);
	lines.once('close', () => followers.count--);
	exchange.response.writeHead(200, { connection: 'close', 'content-type': linesMediaType });
	// A follower that is cut off, or that went away, is no fault; its end shows at the other end.
	pipeline(lines, exchange.response, () => undefined);
}

/** Bad credentials are counted and, while they are looked at, logged; the name is not, since it may be a password typed too early. */
function noteRefusedCaller(server: Answerer, request: IncomingMessage, fault: unknown): unknown {
	if (!(fault instanceof RollcallError)) return fault;
	server.observe?.({ operation: null, status: fault.httpStatus, ms: 0 });
	if (fault.code === 'unauthenticated') {
		const address = request.socket.remoteAddress ?? 'socket';
		server.logger.warn({ event: 'login_refused', address, reason: fault.message }, 'credentials were refused');
	}
	return fault;
}

/** Only names of the table, so that callers cannot make up labels. */
function nameOf(body: unknown): string | null {
	const name = typeof body === 'object' && body !== null && 'operation' in body ? body.operation : null;
	return typeof name === 'string' && operationsByName.has(name) ? name : null;
}

const jsonMediaType = /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

/** JSON in UTF-8. A missing body needs no media type: the check of `operation` refuses it. */
function mediaTypeFault(headers: IncomingMessage['headers']): RollcallError | null {
	const type = headers['content-type'];
	const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
	if (type === undefined) return hasBody ? new RollcallError('media_type', 'Unsupported Media Type: none') : null;
	if (!jsonMediaType.test(type)) return new RollcallError('media_type', `Unsupported Media Type: ${type}`);
	const encoding = headers['content-encoding'];
	if (encoding === undefined || encoding.toLowerCase() === 'identity') return null;
	return new RollcallError('media_type', `Unsupported Media Type: ${type} with content-encoding ${encoding}`);
}
