import channels = require('node:diagnostics_channel');
import http = require('node:http');
import type http2 = require('node:http2');
import type net = require('node:net');
import type tls = require('node:tls');
import messages = require('./messages.cjs');
import paths = require('../paths.cjs');
import protocolOf = require('./protocol.cjs');
import type { SocketInternals } from '../node-internals.cjs';
import type { Visitor } from '../types.cjs';

interface RequestStart {
	request: http.IncomingMessage;
	response: http.ServerResponse;
	socket: net.Socket;
	server: net.Server & { keepAliveTimeout?: number; timeout?: number };
}

/** Where a server knows no keep-alive time, clients are trusted to use a connection this long. */
const lingerDefaultMs = 5_000;
/** How much sooner than the server a client is told to let go of a connection at rest. */
const promiseMarginMs = 1_000;

/**
 * Knows every public connection of this worker and what is open on it. It looks on from outside: through Node's
 * diagnostics channel for HTTP/1 requests, and through the events of the servers that it watches.
 */
class Traffic {
	readonly visitors = new Map<net.Socket, Visitor>();
	served = 0;
	/** Told whenever something ended: a request, a stream, a connection. */
	onEnded: () => void = () => undefined;
	/** Told of each request on a public connection before the app sees it. */
	onRequest: (visitor: Visitor, response: http.ServerResponse) => void = () => undefined;
	/** Told of each new HTTP/2 session on a public connection. */
	onSession: (visitor: Visitor) => void = () => undefined;
	/** Told of each stream on a public HTTP/2 session before the app sees it. */
	onStream: (visitor: Visitor, stream: http2.ServerHttp2Stream) => void = () => undefined;
	readonly #probes = new WeakSet<object>();
	readonly #watched = new WeakSet<net.Server>();
	readonly #secure = new WeakMap<object, net.Socket>();
	readonly #sessions = new WeakMap<object, Visitor>();
	/** The connection that a server is being told of right now: HTTP/2 sessions are born in between. */
	#arriving: net.Socket | null = null;

	constructor() {
		channels.subscribe('http.server.request.start', (message) => this.#started(message as RequestStart));
	}

	get openRequests(): number {
		let open = 0;
		for (const visitor of this.visitors.values()) open += visitor.open.length + visitor.streams.size;
		return open;
	}

	/** Takes a public connection into account; the server is told of it afterwards. */
	admit(socket: net.Socket, server: net.Server, listenKey: string): Visitor {
		const protocol = protocolOf(server);
		const visitor: Visitor = {
			socket,
			server,
			listenKey,
			kind: protocol === 'tcp' || protocol === 'tls' ? 'raw' : 'http',
			secure: null,
			restedAt: performance.now(),
			lingerMs: lingerOf(server),
			bytesAtRest: 0,
			open: [],
			upgraded: null,
			session: null,
			streams: new Set(),
			used: false,
			adopted: false,
		};
		this.visitors.set(socket, visitor);
		socket.once('close', () => {
			if (visitor.kind === 'raw') this.served++;
			this.visitors.delete(socket);
			this.onEnded();
		});
		return visitor;
	}

	/** Takes a connection for a probe's before a server that accepts public ones is told of it. */
	admitProbe(socket: net.Socket): void {
		this.#probes.add(socket);
	}

	/** Forgets a connection that lives on elsewhere. */
	release(visitor: Visitor): void {
		this.visitors.delete(visitor.socket);
	}

	/**
	 * Looks on at a server's events, without being one of its listeners: the count of listeners for `upgrade`, for
	 * one, decides what Node does with such a request. `direct` servers accept public connections by themselves.
	 */
	watch(server: net.Server, direct: string | null): void {
		if (this.#watched.has(server)) return;
		this.#watched.add(server);
		const emit = server.emit;
		const traffic = this;
		server.emit = function (this: net.Server, event: string | symbol, ...values: unknown[]): boolean {
			const before = traffic.#arriving;
			traffic.#observe(server, event, values, direct);
			try {
				return Reflect.apply(emit, this, [event, ...values]) as boolean;
			} finally {
				traffic.#arriving = before;
			}
		} as typeof server.emit;
	}

	#observe(server: net.Server, event: string | symbol, values: unknown[], direct: string | null): void {
		switch (event) {
			case 'connection':
				this.#arrived(server, values[0] as net.Socket, direct);
				break;
			case 'secureConnection':
				this.#secured(values[0] as tls.TLSSocket);
				break;
			case 'upgrade':
			case 'connect':
				this.#upgraded(values[0] as http.IncomingMessage, values[1] as net.Socket);
				break;
			case 'session':
				this.#sessionBegan(values[0] as http2.ServerHttp2Session);
				break;
			case 'stream':
				this.#streamBegan(values[0] as http2.ServerHttp2Stream);
				break;
			case 'request':
				this.#markProbeAnswer(values[0] as http2.Http2ServerRequest, values[1] as http2.Http2ServerResponse);
				break;
			default:
		}
	}

	#arrived(server: net.Server, socket: net.Socket, direct: string | null): void {
		this.#arriving = socket;
		if (this.visitors.has(socket) || this.#secure.has(socket)) return;
		if (direct !== null && !this.#probes.has(socket)) {
			this.admit(socket, server, direct);
			return;
		}
		this.#probes.add(socket);
		giveAddress(socket);
	}

	#secured(socket: tls.TLSSocket): void {
		this.#arriving = socket;
		const below = (socket as unknown as SocketInternals)._parent;
		if (below === undefined) return;
		this.#secure.set(socket, below);
		const visitor = this.visitors.get(below);
		if (visitor) {
			visitor.secure = socket;
			// Handshakes take their time: the client's begins when it can ask.
			rest(visitor);
		} else if (this.#probes.has(below)) {
			this.#probes.add(socket);
			giveAddress(socket);
		}
	}

	visitorOf(socket: object | null): Visitor | undefined {
		if (socket === null) return undefined;
		return this.visitors.get(this.#secure.get(socket) ?? (socket as net.Socket));
	}

	#upgraded(request: http.IncomingMessage, socket: net.Socket): void {
		const visitor = this.visitorOf(socket);
		if (visitor) visitor.upgraded = request.headers.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'other';
	}

	#sessionBegan(session: http2.ServerHttp2Session): void {
		const visitor = this.visitorOf(this.#arriving);
		if (visitor === undefined) {
			if (this.#arriving && this.#probes.has(this.#arriving)) this.#probes.add(session);
			return;
		}
		visitor.kind = 'http2';
		visitor.session = session;
		this.#sessions.set(session, visitor);
		this.onSession(visitor);
	}

	#streamBegan(stream: http2.ServerHttp2Stream): void {
		const visitor = stream.session && this.#sessions.get(stream.session);
		if (!visitor) return;
		visitor.used = true;
		visitor.streams.add(stream);
		this.onStream(visitor, stream);
		stream.once('close', () => {
			visitor.streams.delete(stream);
			visitor.restedAt = performance.now();
			this.served++;
			this.onEnded();
		});
	}

	#markProbeAnswer(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void {
		const session = request.stream?.session;
		if (session && this.#probes.has(session)) response.setHeader(paths.pidHeader, String(process.pid));
	}

	#started({ request, response, socket, server }: RequestStart): void {
		if (this.#probes.has(socket)) {
			response.setHeader(paths.pidHeader, String(process.pid));
			return;
		}
		const visitor = this.visitorOf(socket);
		if (visitor === undefined) return;
		visitor.lingerMs = lingerOf(server);
		visitor.used = true;
		if (visitor.adopted) {
			visitor.adopted = false;
			socket.setTimeout(server.timeout ?? 0);
		}
		visitor.open.push(response);
		promiseLess(response, server.keepAliveTimeout ?? 0);
		response.once('close', () => this.#ended(visitor, response));
		// The answer may be through before the last of the request has come.
		request.once('close', () => rest(visitor));
		this.onRequest(visitor, response);
	}

	#ended(visitor: Visitor, response: http.ServerResponse): void {
		visitor.open.splice(visitor.open.indexOf(response), 1);
		rest(visitor);
		this.served++;
		this.onEnded();
	}

	/** True while something is open on the connection that a client would miss. */
	isBusy(visitor: Visitor): boolean {
		if (visitor.open.length > 0 || visitor.streams.size > 0 || visitor.upgraded !== null || visitor.kind === 'raw')
			return true;
		if (visitor.kind !== 'http') return false;
		const between = messages.betweenMessages(visitor);
		return between === null ? (visitor.secure ?? visitor.socket).bytesRead > visitor.bytesAtRest : !between;
	}
}

/** How long a server keeps a connection at rest. Without a keep-alive time its general timeout holds; 0 means for ever. */
function lingerOf(server: RequestStart['server']): number {
	const { keepAliveTimeout = lingerDefaultMs, timeout = 0 } = server;
	return keepAliveTimeout || timeout || Number.POSITIVE_INFINITY;
}

/**
 * Says in `Keep-Alive: timeout=` a second less than the connection is really kept. A client that heeds it lets go first,
 * so that neither the server's own timeout nor a drain ever meets a request that is on its way (RFC 9112, 9.3 leaves that
 * race open). Node writes the header from this private field; where a Node has none, setting it does nothing.
 */
function promiseLess(response: http.ServerResponse & { _keepAliveTimeout?: number }, keepAliveMs: number): void {
	if (keepAliveMs >= 2 * promiseMarginMs) response._keepAliveTimeout = keepAliveMs - promiseMarginMs;
}

function rest(visitor: Visitor): void {
	visitor.restedAt = performance.now();
	visitor.bytesAtRest = (visitor.secure ?? visitor.socket).bytesRead;
}

/** Apps read the client's address; a unix socket has none, and a probe is local. */
function giveAddress(socket: net.Socket): void {
	if (socket.remoteAddress !== undefined) return;
	const local = { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4', remotePort: 1 };
	for (const [name, value] of Object.entries(local)) {
		Object.defineProperty(socket, name, { value, configurable: true });
	}
}

export = Traffic;
