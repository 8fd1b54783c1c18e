import { once } from 'node:events';
import http2 from 'node:http2';

export interface Http2LoadOptions {
	/** So many requests are open at once, each followed by the next. */
	slots: number;
	/** Between an answer and the next request. */
	pauseMs?: number;
	/** Asks again for what a GOAWAY says was not served, as HTTP/2 lets every client do (RFC 9113, 8.7). */
	repeats?: boolean;
}

export interface Http2LoadReport {
	ok: number;
	sessions: number;
	/** Asked for again, since a GOAWAY named an earlier stream as the last one. */
	repeated: number;
	failures: string[];
}

/**
 * A client of one HTTP/2 session that takes a new one when Node says that the old one ends. Unless it is told to repeat, it
 * asks for nothing twice: what the server did not answer is lost.
 */
export class Http2Load {
	ok = 0;
	readonly failures: string[] = [];
	/** What the latest answers said. */
	latest: string[] = [];
	#sessions = 0;
	#repeated = 0;
	/** The last stream that each session's GOAWAY named. */
	readonly #lastStreams = new WeakMap<http2.Http2Session, number>();
	#session: http2.ClientHttp2Session | null = null;
	#stopping = false;
	readonly #repeats: boolean;
	readonly #slots: Promise<void>[];
	readonly #watchers = new Set<() => void>();

	constructor(
		private readonly url: string,
		{ slots, pauseMs = 0, repeats = false }: Http2LoadOptions,
	) {
		this.#repeats = repeats;
		this.#slots = Array.from({ length: slots }, () => this.#askOn(pauseMs));
	}

	async #askOn(pauseMs: number): Promise<void> {
		while (!this.#stopping) {
			await this.#ask();
			if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
		}
	}

	#current(): http2.ClientHttp2Session {
		const current = this.#session;
		if (current && !current.closed && !current.destroyed) return current;
		const session = http2.connect(this.url, { rejectUnauthorized: false });
		// Its streams tell.
		session.on('error', () => undefined);
		session.on('goaway', (_code, lastStream) => this.#lastStreams.set(session, lastStream));
		this.#sessions++;
		this.#session = session;
		return session;
	}

	async #ask(): Promise<void> {
		const session = this.#current();
		const stream = session.request({ ':path': '/' });
		try {
			// Reads from the start. An answer can come whole with its headers; a reader that begins after an await finds
			// its stream over (Node 24, where several answers came in one piece: ERR_STREAM_PREMATURE_CLOSE, body and end there).
			const [[headers], parts] = await Promise.all([
				once(stream, 'response') as Promise<[http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader]>,
				stream.setEncoding('utf8').toArray(),
			]);
			const text = parts.join('');
			if (headers[':status'] !== 200 || !/^\d+$/.test(text)) throw new Error(`${headers[':status']} ${text}`);
			this.ok++;
			this.latest = [...this.latest.slice(-49), text];
		} catch (error) {
			const last = this.#lastStreams.get(session);
			const unserved = last !== undefined && (stream.id === undefined || stream.id > last);
			if (unserved && this.#repeats) {
				this.#repeated++;
				return this.#ask();
			}
			this.failures.push(`${error} (code ${stream.rstCode})`);
		}
		for (const watcher of this.#watchers) watcher();
	}

	/** Resolves once this holds, looked at after each answer. */
	until(holds: () => boolean): Promise<void> {
		return new Promise((resolve) => {
			const look = (): void => {
				if (!holds() && this.failures.length === 0) return;
				this.#watchers.delete(look);
				resolve();
			};
			this.#watchers.add(look);
			look();
		});
	}

	/** Asks for nothing more, and waits for what is open. */
	async stop(): Promise<Http2LoadReport> {
		this.#stopping = true;
		await Promise.all(this.#slots);
		this.#session?.close();
		return {
			ok: this.ok,
			sessions: this.#sessions,
			repeated: this.#repeated,
			failures: this.failures,
		};
	}
}
