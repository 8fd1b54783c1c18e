/**
 * Tells when the head of an answer is written. Node has no event for that, so its methods are wrapped, and those of one socket that
 * was upgraded: only in a worker that counts its answers, and those of all answers only where they are timed.
 */
import http = require('node:http');
import type http2 = require('node:http2');
import type net = require('node:net');
import type TrafficCounter = require('./traffic.cjs');

type Method = (this: object, ...values: unknown[]) => unknown;

/** Each method returns what it did, and throws as it did. */
function wrapEach(holder: object, names: readonly string[], onCalled: (self: object) => void): void {
	const methods = holder as Record<string, Method | undefined>;
	for (const name of names) {
		const original = methods[name];
		if (typeof original !== 'function') continue;
		const wrapped: Method = function (...values) {
			const result = Reflect.apply(original, this, values) as unknown;
			onCalled(this);
			return result;
		};
		Object.defineProperty(wrapped, 'name', { value: name, configurable: true });
		Object.defineProperty(wrapped, 'length', { value: original.length, configurable: true });
		Object.defineProperty(holder, name, { value: wrapped, configurable: true, writable: true, enumerable: true });
	}
}

class AnswerHeads {
	readonly #wrapped = new WeakSet<object>();

	constructor(private readonly traffic: TrafficCounter) {
		// What is sent without a head of the app's own begins with writeHead, too.
		wrapEach(http.ServerResponse.prototype, ['writeHead', 'writeHeader'], (response) =>
			traffic.answered(response as http.ServerResponse),
		);
	}

	/** Node does not export the class of its streams. */
	meet(stream: http2.ServerHttp2Stream): void {
		const holder = Object.getPrototypeOf(stream) as object;
		if (this.#wrapped.has(holder)) return;
		this.#wrapped.add(holder);
		wrapEach(holder, ['respond', 'respondWithFD', 'respondWithFile'], (one) =>
			this.traffic.answered(one as http2.ServerHttp2Stream),
		);
	}

	/** The app writes the answer to an upgrade on the bare socket: its first bytes have the status. */
	static ofUpgrade(socket: net.Socket, traffic: TrafficCounter): void {
		const answer = { headersSent: false, statusCode: 0 };
		traffic.began(answer);
		const { _write: write, _writev: writev } = socket;
		const isWritten = (first: unknown): void => {
			for (const name of ['_write', '_writev']) Reflect.deleteProperty(socket, name);
			answer.statusCode = statusIn(first);
			answer.headersSent = true;
			traffic.answered(answer);
		};
		socket._write = (chunk: unknown, encoding, callback) => {
			isWritten(chunk);
			write.call(socket, chunk, encoding, callback);
		};
		if (writev)
			socket._writev = (chunks, callback) => {
				isWritten((chunks[0] as { chunk: unknown } | undefined)?.chunk);
				writev.call(socket, chunks, callback);
			};
		socket.once('close', () => traffic.ended(answer));
	}
}

/** Bytes that have the status: `HTTP/1.1 503`. */
const statusCharacters = 12;

/** 0: it is no head. */
function statusIn(first: unknown): number {
	const text = Buffer.isBuffer(first) ? first.toString('latin1', 0, statusCharacters) : String(first);
	return Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
}

export = AnswerHeads;
