/**
 * Asks Node's own HTTP parsers whether a connection is between two messages. Bytes cannot tell: an answer may come before
 * the body of its request, and one read may hold a request and a half.
 */
import type net = require('node:net');
import type { HttpParser, ParserList, SocketInternals } from '../node-internals.cjs';
import type { PublicConnection } from '../types.cjs';

/** Node keeps the parsers of a server's connections under a symbol of this name. */
const listName = 'http.server.connections';
const unseenRequest = Buffer.from('GET / HTTP/1.1\r\n\r\n');
const callbackNames = ['kOnMessageBegin', 'kOnHeaders', 'kOnHeadersComplete', 'kOnBody', 'kOnMessageComplete'] as const;

/** Idle parsers of each server. Valid until the present callback ends, since no connection is read before that. */
const idleNow = new Map<net.Server, ReadonlySet<HttpParser> | null>();

/** True between two messages and before the first one, false inside a message; null where Node does not tell. */
function betweenMessages({ server, socket, secure }: PublicConnection): boolean | null {
	const reading = secure ?? socket;
	const { parser } = reading as unknown as SocketInternals;
	const idle = parser ? idleParsersOf(server) : null;
	if (!parser || idle === null) return null;
	// Node counts a connection as active until its first request is complete.
	return reading.bytesRead === 0 || idle.has(parser);
}

function idleParsersOf(server: net.Server): ReadonlySet<HttpParser> | null {
	const known = idleNow.get(server);
	if (known !== undefined) return known;
	if (idleNow.size === 0) queueMicrotask(() => idleNow.clear());
	const symbol = Object.getOwnPropertySymbols(server).find(({ description }) => description === listName);
	const list = symbol && (server as unknown as Record<symbol, ParserList | undefined>)[symbol];
	const idle = typeof list?.idle === 'function' ? new Set(list.idle()) : null;
	idleNow.set(server, idle);
	return idle;
}

/**
 * Puts the parser of an adopted connection between two messages, where the connection is: for Node it would be a new one
 * whose first request is due within `headersTimeout`. The parser reads one request without telling the server.
 */
function markAsBetweenMessages(socket: net.Socket): void {
	const { parser } = socket as unknown as SocketInternals;
	if (typeof parser?.execute !== 'function') return;
	const { constructor: type } = parser;
	const keys = callbackNames.map((name) => type[name]).filter((key) => key !== undefined);
	const callbacks = keys.map((key) => parser[key]);
	for (const key of keys) parser[key] = null;
	parser.execute(unseenRequest);
	for (const [index, key] of keys.entries()) parser[key] = callbacks[index];
}

export = { betweenMessages, markAsBetweenMessages };
