import channels = require('node:diagnostics_channel');
import http = require('node:http');
import type http2 = require('node:http2');
import type net = require('node:net');
import type tls = require('node:tls');
import messages = require('./messages.cjs');
import paths = require('../paths.cjs');
import protocolOf = require('./protocol.cjs');
import type TrafficCounter = require('../control/traffic.cjs');
import AnswerHeads = require('../control/answer-heads.cjs');
import type { SocketInternals } from '../node-internals.cjs';
import type { PublicConnection } from '../types.cjs';

interface RequestStart {
	request: http.IncomingMessage;
	response: http.ServerResponse;
	socket: net.Socket;
	server: net.Server & { keepAliveTimeout?: number; timeout?: number };
}

/** Where a server knows no keep-alive time, clients are trusted to use a connection this long. */
const lingerDefaultMs = 5_000;
/** How much earlier than the server a client is asked to close an idle connection. */
const promiseMarginMs = 1_000;

/**
 * Every public connection of this worker, with its open requests. It observes from outside: through Node's
 * diagnostics channel for HTTP/1 requests, and through the events of the servers that it watches.
 */
class Connections {
	readonly open = new Map<net.Socket, PublicConnection>();
	served = 0;
	/** Told whenever something ended: a request, a stream, a connection. */
	onEnded: () => void = () => undefined;
	/** Told of each request on a public connection before the app sees it. */
	onRequest: (connection: PublicConnection, response: http.ServerResponse) => void = () => undefined;
	/** Told of each new HTTP/2 session on a public connection. */
	onSession: (connection: PublicConnection) => void = () => undefined;
	/** Told of each stream on a public HTTP/2 session before the app sees it. */
	onStream: (connection: PublicConnection, stream: http2.ServerHttp2Stream) => void = () => undefined;
	readonly #probes = new WeakSet<object>();
	readonly #watched = new WeakSet<net.Server>();
	readonly #secure = new WeakMap<object, net.Socket>();
	readonly #sessions = new WeakMap<object, PublicConnection>();
	/** The connection that a server is being told of right now: HTTP/2 sessions are born in between. */
	#arriving: net.Socket | null = null;

	/** `traffic`: counts the answers, where they are compared. `heads`: where they are timed, too. */
	constructor(
		private readonly traffic: TrafficCounter | null,
		private readonly heads: AnswerHeads | null = null,
	) {
		channels.subscribe('http.server.request.start', (message) => this.#started(message as RequestStart));
	}

	get openRequests(): number {
		let open = 0;
		for (const connection of this.open.values()) open += connection.open.length + connection.streams.size;
		return open;
	}

	/** Registers a public connection, before its server sees it. */
	admit(socket: net.Socket, server: net.Server, listenKey: string): PublicConnection {
		const protocol = protocolOf(server);
		const connection: PublicConnection = {
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
		this.open.set(socket, connection);
		socket.once('close', () => {
			if (connection.kind === 'raw') this.served++;
			this.open.delete(socket);
			this.onEnded();
		});
		return connection;
	}

	/** Marks a connection as a probe's, before a server that accepts public ones sees it. */
	admitProbe(socket: net.Socket): void {
		this.#probes.add(socket);
	}

	/** Forgets a connection that lives on elsewhere. */
	release(connection: PublicConnection): void {
		this.open.delete(connection.socket);
	}

	/**
	 * Looks on at a server's events, without being one of its listeners: the count of listeners for `upgrade`, for
	 * one, decides what Node does with such a request. `direct` servers accept public connections by themselves.
	 */
	watch(server: net.Server, direct: string | null): void {
		if (this.#watched.has(server)) return;
		this.#watched.add(server);
		const emit = server.emit;
		const connections = this;
		server.emit = function (this: net.Server, event: string | symbol, ...values: unknown[]): boolean {
			const before = connections.#arriving;
			connections.#observe(server, event, values, direct);
			try {
				return Reflect.apply(emit, this, [event, ...values]) as boolean;
			} finally {
				connections.#arriving = before;
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
		if (this.open.has(socket) || this.#secure.has(socket)) return;
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
		const connection = this.open.get(below);
		if (connection) {
			connection.secure = socket;
			// Handshakes take their time: the client's begins when it can ask.
			rest(connection);
		} else if (this.#probes.has(below)) {
			this.#probes.add(socket);
			giveAddress(socket);
		}
	}

	connectionOf(socket: object | null): PublicConnection | undefined {
		if (socket === null) return undefined;
		return this.open.get(this.#secure.get(socket) ?? (socket as net.Socket));
	}

	#upgraded(request: http.IncomingMessage, socket: net.Socket): void {
		const connection = this.connectionOf(socket);
		if (!connection) return;
		connection.upgraded = request.headers.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'other';
		if (this.traffic) AnswerHeads.ofUpgrade(socket, this.traffic);
	}

	#sessionBegan(session: http2.ServerHttp2Session): void {
		const connection = this.connectionOf(this.#arriving);
		if (connection === undefined) {
			if (this.#arriving && this.#probes.has(this.#arriving)) this.#probes.add(session);
			return;
		}
		connection.kind = 'http2';
		connection.session = session;
		this.#sessions.set(session, connection);
		this.onSession(connection);
	}

	#streamBegan(stream: http2.ServerHttp2Stream): void {
		const connection = stream.session && this.#sessions.get(stream.session);
		if (!connection) return;
		connection.used = true;
		connection.streams.add(stream);
		this.traffic?.began(stream);
		this.heads?.meet(stream);
		this.onStream(connection, stream);
		stream.once('close', () => {
			connection.streams.delete(stream);
			this.traffic?.ended(stream);
			connection.restedAt = performance.now();
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
		const connection = this.connectionOf(socket);
		if (connection === undefined) return;
		connection.lingerMs = lingerOf(server);
		connection.used = true;
		if (connection.adopted) {
			connection.adopted = false;
			socket.setTimeout(server.timeout ?? 0);
		}
		connection.open.push(response);
		this.traffic?.began(response);
		promiseLess(response, server.keepAliveTimeout ?? 0);
		response.once('close', () => this.#ended(connection, response));
		// The answer may be through before the last of the request has come.
		request.once('close', () => rest(connection));
		this.onRequest(connection, response);
	}

	#ended(connection: PublicConnection, response: http.ServerResponse): void {
		connection.open.splice(connection.open.indexOf(response), 1);
		this.traffic?.ended(response);
		rest(connection);
		this.served++;
		this.onEnded();
	}

	/** True while something is open on the connection that a client would miss. */
	isBusy(connection: PublicConnection): boolean {
		if (
			connection.open.length > 0 ||
			connection.streams.size > 0 ||
			connection.upgraded !== null ||
			connection.kind === 'raw'
		)
			return true;
		if (connection.kind !== 'http') return false;
		const between = messages.betweenMessages(connection);
		return between === null ? (connection.secure ?? connection.socket).bytesRead > connection.bytesAtRest : !between;
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

function rest(connection: PublicConnection): void {
	connection.restedAt = performance.now();
	connection.bytesAtRest = (connection.secure ?? connection.socket).bytesRead;
}

/** Apps read the client's address; a unix socket has none, and a probe is local. */
function giveAddress(socket: net.Socket): void {
	if (socket.remoteAddress !== undefined) return;
	const local = { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4', remotePort: 1 };
	for (const [name, value] of Object.entries(local)) {
		Object.defineProperty(socket, name, { value, configurable: true });
	}
}

export = Connections;
