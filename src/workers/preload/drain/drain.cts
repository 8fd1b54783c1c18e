import SessionEnd = require('./session-end.cjs');
import type http = require('node:http');
import type Gate = require('../listen/gate.cjs');
import type ConnectionHandoff = require('./connection-handoff.cjs');
import type Connections = require('./connections.cjs');
import type { PublicConnection } from '../types.cjs';

/**
 * Node closes a connection at rest a second after the time it promised, and between an answer and the client's next
 * request lies the way there and back: so a drain never closes a connection that the server would still have kept.
 */
const marginMs = 1_200;
const checkMs = 50;
/** Time to write the last bytes of connections that the timeout ends. */
const partingMs = 250;
/** A WebSocket close frame: 1001, going away. */
const closeFrame = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

interface DrainRequest {
	timeoutMs: number;
	handOver: boolean;
}

/**
 * Lets a worker run empty. New connections go to the siblings, open requests are answered, with `Connection: close`, and
 * a connection at rest is kept for as long as its client may still trust it: a server that closes it earlier does so,
 * sooner or later, in the very moment a request is on its way.
 */
class Drain {
	#began: number | null = null;
	#deadline = Number.POSITIVE_INFINITY;
	#handOver = false;
	#checking: NodeJS.Immediate | null = null;
	#timer: NodeJS.Timeout | null = null;
	#done = false;
	#cutOff = 0;
	readonly #sessionEnds = new WeakMap<PublicConnection, SessionEnd>();

	constructor(
		private readonly gate: Gate,
		private readonly connections: Connections,
		private readonly handoff: ConnectionHandoff,
		/** Called once no client waits for anything. */
		private readonly leave: (result: { cutOff: number; handedOver: number }) => void,
	) {}

	get draining(): boolean {
		return this.#began !== null;
	}

	/** Asked again, it only gets shorter. */
	start({ timeoutMs, handOver }: DrainRequest): void {
		const now = performance.now();
		this.#deadline = Math.min(this.#deadline, now + timeoutMs);
		this.#handOver ||= handOver;
		if (this.#began !== null) return;
		this.#began = now;
		this.gate.close();
		this.handoff.leaving();
		this.connections.onRequest = (connection, response) => announceClose(connection, response);
		this.connections.onSession = (connection) => this.#endSession(connection);
		this.connections.onStream = (connection, stream) => this.#sessionEnds.get(connection)?.began(stream);
		this.connections.onEnded = () => this.check();
		for (const connection of this.connections.open.values()) {
			const last = connection.open.at(-1);
			if (last) announceClose(connection, last);
			this.#endSession(connection);
		}
		this.#timer = setInterval(() => this.check(), checkMs);
		this.check();
	}

	/**
	 * Looks, soon, whether it is over; once for all that ends in the same turn of the event loop, and after that turn has
	 * read what came in: when the process was held up, requests may be waiting on connections whose time seems over.
	 */
	check(): void {
		if (this.#began === null) return;
		this.#checking ??= setImmediate(() => {
			this.#checking = null;
			this.#check();
		});
	}

	#check(): void {
		if (this.#done || this.#began === null) return;
		const now = performance.now();
		if (now >= this.#deadline) {
			this.#end();
			return;
		}
		this.handoff.checkHost();
		let trusted = false;
		for (const connection of this.connections.open.values()) {
			if (this.#isTrusted(connection, now)) trusted = true;
		}
		if (!trusted && this.handoff.pending === 0) this.#finish();
	}

	#isTrusted(connection: PublicConnection, now: number): boolean {
		if (this.connections.isBusy(connection)) return true;
		if (connection.kind === 'http2') return !connection.socket.destroyed;
		if (this.#handOver && this.handoff.offer(connection)) return false;
		return now - connection.restedAt <= connection.lingerMs + marginMs;
	}

	#endSession(connection: PublicConnection): void {
		if (connection.session === null) return;
		const end = new SessionEnd(connection, connection.session);
		this.#sessionEnds.set(connection, end);
		// If this fails, the session ends with the drain.
		end.run(this.#deadline - performance.now()).catch(() => undefined);
	}

	/** The time is up: ends and counts the open connections, each as gently as its protocol allows. */
	#end(): void {
		for (const connection of this.connections.open.values()) {
			if (this.connections.isBusy(connection))
				this.#cutOff += Math.max(1, connection.open.length + connection.streams.size);
			part(connection);
		}
		if (this.connections.open.size === 0) this.#finish();
		else {
			this.#deadline = Number.POSITIVE_INFINITY;
			setTimeout(() => this.#finish(), partingMs);
		}
	}

	#finish(): void {
		if (this.#done) return;
		this.#done = true;
		if (this.#timer !== null) clearInterval(this.#timer);
		this.leave({ cutOff: this.#cutOff, handedOver: this.handoff.moved });
	}
}

/**
 * `Connection: close` on the last answer of a connection, even if the app sets another value (proxies copy the header of the
 * server behind them). Of pipelined requests only the last answer may say it, or those after it would be lost.
 */
function announceClose(connection: PublicConnection, response: http.ServerResponse): void {
	for (const earlier of connection.open) {
		if (earlier === response || earlier.headersSent || !wrapped.has(earlier)) continue;
		wrapped.get(earlier)?.();
	}
	if (response.headersSent || wrapped.has(response)) return;
	const { setHeader } = response;
	const appended = response.appendHeader;
	const isConnection = (name: unknown): boolean => typeof name === 'string' && name.toLowerCase() === 'connection';
	response.setHeader('Connection', 'close');
	response.setHeader = function (name, value) {
		return isConnection(name) ? this : Reflect.apply(setHeader, this, [name, value]);
	};
	response.appendHeader = function (name, value) {
		return isConnection(name) ? this : Reflect.apply(appended, this, [name, value]);
	};
	wrapped.set(response, () => {
		wrapped.delete(response);
		response.setHeader = setHeader;
		response.appendHeader = appended;
		response.removeHeader('Connection');
	});
}

/** How to take the announcement back. */
const wrapped = new WeakMap<http.ServerResponse, () => void>();

function part(connection: PublicConnection): void {
	const socket = connection.secure ?? connection.socket;
	if (connection.upgraded === 'websocket') {
		socket.end(closeFrame);
		return;
	}
	const [stream] = connection.open;
	// Only of an event stream an end is no lie: whatever else is cut off must not look complete.
	if (stream && connection.open.length === 1 && isEventStream(stream)) {
		stream.end();
		return;
	}
	if (connection.session) connection.session.destroy();
	else socket.destroy();
}

/** Headers given to writeHead() alone are found only in the head as it was sent, which Node keeps in a private field. */
function isEventStream(response: http.ServerResponse & { _header?: string | null }): boolean {
	return response.headersSent && /^content-type: *text\/event-stream/im.test(response._header ?? '');
}

export = Drain;
