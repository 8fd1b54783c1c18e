import SessionEnd = require('./session-end.cjs');
import type http = require('node:http');
import type Gate = require('../listen/gate.cjs');
import type Handover = require('./connection-handoff.cjs');
import type Traffic = require('./connections.cjs');
import type { Visitor } from '../types.cjs';

/**
 * Node closes a connection at rest a second after the time it promised, and between an answer and the client's next
 * request lies the way there and back: so a drain never closes a connection that the server would still have kept.
 */
const marginMs = 1_200;
const checkMs = 50;
/** What is ended at the timeout gets this long to be written. */
const partingMs = 250;
/** A WebSocket close frame: 1001, going away. */
const closeFrame = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

interface DrainRequest {
	timeoutMs: number;
	handOver: boolean;
}

/**
 * Lets a worker run empty. New connections go to the siblings, what is open is answered, with `Connection: close`, and
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
	readonly #sessionEnds = new WeakMap<Visitor, SessionEnd>();

	constructor(
		private readonly gate: Gate,
		private readonly traffic: Traffic,
		private readonly handover: Handover,
		/** Nothing is left that anybody waits for. */
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
		this.handover.leaving();
		this.traffic.onRequest = (visitor, response) => announceClose(visitor, response);
		this.traffic.onSession = (visitor) => this.#endSession(visitor);
		this.traffic.onStream = (visitor, stream) => this.#sessionEnds.get(visitor)?.began(stream);
		this.traffic.onEnded = () => this.check();
		for (const visitor of this.traffic.visitors.values()) {
			const last = visitor.open.at(-1);
			if (last) announceClose(visitor, last);
			this.#endSession(visitor);
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
		this.handover.checkHost();
		let trusted = false;
		for (const visitor of this.traffic.visitors.values()) {
			if (this.#isTrusted(visitor, now)) trusted = true;
		}
		if (!trusted && this.handover.pending === 0) this.#finish();
	}

	#isTrusted(visitor: Visitor, now: number): boolean {
		if (this.traffic.isBusy(visitor)) return true;
		if (visitor.kind === 'http2') return !visitor.socket.destroyed;
		if (this.#handOver && this.handover.offer(visitor)) return false;
		return now - visitor.restedAt <= visitor.lingerMs + marginMs;
	}

	#endSession(visitor: Visitor): void {
		if (visitor.session === null) return;
		const end = new SessionEnd(visitor, visitor.session);
		this.#sessionEnds.set(visitor, end);
		// Whatever fails in it: the session then ends with the drain.
		end.run(this.#deadline - performance.now()).catch(() => undefined);
	}

	/** The time is up: what is still open is ended, as gently as what it is allows, and counted. */
	#end(): void {
		for (const visitor of this.traffic.visitors.values()) {
			if (this.traffic.isBusy(visitor)) this.#cutOff += Math.max(1, visitor.open.length + visitor.streams.size);
			part(visitor);
		}
		if (this.traffic.visitors.size === 0) this.#finish();
		else {
			this.#deadline = Number.POSITIVE_INFINITY;
			setTimeout(() => this.#finish(), partingMs);
		}
	}

	#finish(): void {
		if (this.#done) return;
		this.#done = true;
		if (this.#timer !== null) clearInterval(this.#timer);
		this.leave({ cutOff: this.#cutOff, handedOver: this.handover.moved });
	}
}

/**
 * `Connection: close` on the last answer of a connection, whatever the app says of it (proxies copy the word of the
 * server behind them). Of pipelined requests only the last answer may say it, or those after it would be lost.
 */
function announceClose(visitor: Visitor, response: http.ServerResponse): void {
	for (const earlier of visitor.open) {
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

function part(visitor: Visitor): void {
	const socket = visitor.secure ?? visitor.socket;
	if (visitor.upgraded === 'websocket') {
		socket.end(closeFrame);
		return;
	}
	const [stream] = visitor.open;
	// Only of an event stream an end is no lie: whatever else is cut off must not look complete.
	if (stream && visitor.open.length === 1 && isEventStream(stream)) {
		stream.end();
		return;
	}
	if (visitor.session) visitor.session.destroy();
	else socket.destroy();
}

/** Headers given to writeHead() alone are found only in the head as it was sent, which Node keeps in a private field. */
function isEventStream(response: http.ServerResponse & { _header?: string | null }): boolean {
	return response.headersSent && /^content-type: *text\/event-stream/im.test(response._header ?? '');
}

export = Drain;
