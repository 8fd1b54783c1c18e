import fs = require('node:fs');
import type http2 = require('node:http2');
import type { SocketInternals } from '../node-internals.cjs';
import type { PublicConnection } from '../types.cjs';

/** Longest wait for the first request of a session that had none yet: its client may be sending it. */
const firstRequestMs = 1_000;
/** Longest that answers are held back until the client is found at rest, and then until its next request. */
const holdMs = 200;
const nextRequestMs = 100;
/** With less time than this until the session is cut off, no answer is held back. */
const holdTimeoutMs = 2_000;
/** No request for this long while answers are held: the client waits for them. */
const quietMs = 30;
/** Longest wait for a place for the notice, while the client does not read what was written before, and how often to look. */
const noticeMs = 1_000;
const noticeCheckMs = 20;
/** Longest wait for what the client sent before it read the notice. */
const roundTripMs = 2_000;
/**
 * A client that has read GOAWAY closes the connection itself, and until then it stays open: closed at once, with frames
 * of the client on their way, it would be reset, and the client would lose answers that it has not read yet.
 */
const closeMs = 1_000;

/**
 * GOAWAY with no error and the highest stream identifier that there is: open no more streams, all that you have opened
 * are served (RFC 9113, 6.8).
 */
const notice = Buffer.from('0000080700' + '00000000' + '7fffffff' + '00000000', 'hex');
/** Taken before the app can patch it. */
const { writeSync } = fs;

/**
 * Ends one HTTP/2 session without a loss, as RFC 9113, 6.8 has it: a notice that the session ends, and a round trip
 * later, when all streams have come that the client opened before it read that, GOAWAY with the last stream served.
 *
 * Node cannot send such a notice: after session.goaway() it ignores every new stream, whichever identifier was given.
 * So the notice is written beside it, which works in the clear alone; TLS gets the final GOAWAY at once. And clients
 * drop the requests that they have queued but not written when they read GOAWAY. For both reasons the moment is
 * chosen: answers are held back until the client waits for them, and follow the GOAWAY.
 */
class SessionEnd {
	/** Ends of answers that the client gets after the GOAWAY; null when nothing is held. */
	#held: (() => void)[] | null = null;
	#onRequest: () => void = () => undefined;

	constructor(
		private readonly connection: PublicConnection,
		private readonly session: http2.ServerHttp2Session,
	) {}

	/** Told of each stream before the app is. */
	began(stream: http2.ServerHttp2Stream): void {
		if (this.#held !== null) this.#hold(stream);
		this.#onRequest();
	}

	/** Begins, with so much time until the session is cut off. */
	async run(timeoutMs: number): Promise<void> {
		try {
			if (timeoutMs >= holdTimeoutMs) await this.#becomeQuiet();
			if (await this.#giveNotice()) {
				this.#release();
				await this.#roundTrip(roundTripMs);
			}
			if (!this.#over) this.session.goaway();
		} finally {
			this.#release();
		}
		await this.#close();
	}

	/** Lets open streams finish. Node may wait for ever for a client that reads nothing, so a session without streams is ended. */
	async #close(): Promise<void> {
		await delay(closeMs);
		if (!this.#over) this.session.close();
		const { socket, streams } = this.connection;
		while (!socket.destroyed) {
			await delay(closeMs);
			if (streams.size > 0) continue;
			this.session.destroy();
			socket.destroy();
		}
	}

	get #over(): boolean {
		return this.session.destroyed || this.session.closed;
	}

	/**
	 * Comes back when no answer is on its way to the client, and probably no request from it: it waits for those that are
	 * held. One that waits for nothing asks when it likes, so its next request is awaited first.
	 */
	async #becomeQuiet(): Promise<void> {
		this.#held = [];
		for (const stream of this.connection.streams) this.#hold(stream);
		if (!this.connection.used) await this.#nextRequest(firstRequestMs);
		const end = performance.now() + holdMs;
		await this.#roundTrip(holdMs);
		while (performance.now() < end) {
			if (!(await this.#nextRequest(quietMs)) && this.connection.streams.size > 0) return;
		}
		// Requests that wait for no answer keep coming, or none does; just after one the next is furthest away.
		await this.#nextRequest(nextRequestMs);
	}

	#hold(stream: http2.ServerHttp2Stream): void {
		const { end } = stream;
		stream.end = ((...values: unknown[]) => {
			if (this.#held === null) return Reflect.apply(end, stream, values);
			this.#held.push(() => Reflect.apply(end, stream, values));
			return stream;
		}) as typeof stream.end;
	}

	#release(): void {
		const held = this.#held ?? [];
		this.#held = null;
		for (const end of held) end();
	}

	/** False if none came in that time. */
	async #nextRequest(timeoutMs: number): Promise<boolean> {
		let came = false;
		await within(timeoutMs, (done) => {
			this.#onRequest = () => {
				came = true;
				done();
			};
		});
		// Others may have come with it; and a process that was held up past the time has requests that it has not read.
		await turn();
		this.#onRequest = () => undefined;
		return came;
	}

	/** A client acknowledges PING after what it sent before. One that does not, in time, is not waited for. */
	async #roundTrip(timeoutMs: number): Promise<void> {
		if (this.#over) return;
		await within(timeoutMs, (done) => {
			this.session.once('close', done);
			this.session.ping((error) => {
				if (error === null) done();
			});
		});
		await turn();
	}

	/** False if it cannot be given: over TLS, and where the client does not read. */
	async #giveNotice(): Promise<boolean> {
		if (this.connection.secure !== null) return false;
		const end = performance.now() + noticeMs;
		while (!this.#over && performance.now() < end) {
			if (this.#write()) return true;
			this.#release();
			await delay(noticeCheckMs);
		}
		return false;
	}

	/**
	 * Node writes whole frames, so between its writes, when none waits to be written, is a place for another. The
	 * descriptor is written to since a stream's own write could end later, which Node would take for the session's.
	 */
	#write(): boolean {
		const handle = (this.connection.socket as unknown as SocketInternals)._handle;
		if (typeof handle?.fd !== 'number' || handle.fd < 0 || handle.writeQueueSize !== 0) return false;
		try {
			const written = writeSync(handle.fd, notice);
			// After a partial frame the rest of the connection cannot be parsed.
			if (written < notice.length) this.session.destroy();
			return true;
		} catch {
			return false;
		}
	}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

/** True if `begin` was told that it is done before the time was over. */
function within(timeoutMs: number, begin: (done: () => void) => void): Promise<boolean> {
	return new Promise((resolve) => {
		const timer = setTimeout(() => resolve(false), timeoutMs);
		begin(() => {
			clearTimeout(timer);
			resolve(true);
		});
	});
}

export = SessionEnd;
