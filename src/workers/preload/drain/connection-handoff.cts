import type net = require('node:net');
import messages = require('./messages.cjs');
import PendingHandoffs = require('./pending-handoffs.cjs');
import protocolOf = require('./protocol.cjs');
import type { SocketInternals, TcpHandle } from '../node-internals.cjs';
import type { HostMessage, WorkerMessage } from './handoff-messages.cjs';
import type { PublicConnection } from '../types.cjs';

/** Node majors on which taking a connection out of an HTTP server, and putting it into another, is tested. */
const testedMajors = new Set([20, 22, 24, 26]);
/** The channel takes one descriptor at a time, so more than a few would only wait in it. */
const pendingMax = 64;

/** Longest wait for the host's answer to `leaving`. */
const answerMs = 1_000;

type Send = (message: WorkerMessage, handle?: TcpHandle, options?: object, callback?: () => void) => unknown;

interface Adopters {
	/** Serves a connection of a sibling; false if this worker has no listener under that key. */
	adopt(key: string, handle: TcpHandle, lingerMs: number | null): boolean;
	/** Something that the drain waited for is over. */
	onMoved(): void;
	release(connection: PublicConnection): void;
}

/**
 * Gives connections at rest to a sibling, through the host. The client notices nothing: what it sends meanwhile waits in
 * the kernel. Where that is not possible (TLS, whose state is in this process; no host, no sibling, an untested Node)
 * connections stay, and the drain waits for them as it would anyway.
 */
class ConnectionHandoff {
	moved = 0;
	readonly #send: Send | null;
	readonly #tested = testedMajors.has(Number(process.versions.node.split('.')[0]));
	readonly #pending: PendingHandoffs;
	#keys: readonly string[] = [];
	/** The host knows this worker as one that takes connections. */
	#relayed = false;
	#asked = false;

	constructor(
		private readonly app: string,
		private readonly adopters: Adopters,
	) {
		this.#pending = new PendingHandoffs(({ key, handle, lingerMs }) => this.#adopt({ key, lingerMs }, handle));
		// PM2 puts its own around it later.
		this.#send = process.send ? (process.send.bind(process) as Send) : null;
	}

	/** Connections on their way, and the host's answer to `leaving`: until that, a sibling's connection may still come here. */
	get pending(): number {
		return this.#pending.size + (process.connected && this.#asked ? 1 : 0);
	}

	/** While a descriptor is unconfirmed, Node only clears `connected` when the host dies: no `disconnect` is emitted. */
	checkHost(): void {
		if (!process.connected) this.#pending.settleAlone(() => this.adopters.onMoved());
	}

	announce(keys: string[]): void {
		this.#relayed = process.connected && this.#send !== null;
		this.#tell({ rollcall: 'joined', app: this.app, keys });
	}

	leaving(): void {
		if (this.#relayed) this.#await();
		this.#tell({ rollcall: 'leaving', app: this.app });
	}

	/** A host without a relay never answers. */
	#await(): void {
		this.#asked = true;
		const late = (): void => {
			this.#asked = false;
			this.adopters.onMoved();
		};
		setTimeout(late, answerMs).unref();
	}

	#tell(message: WorkerMessage, handle?: TcpHandle): void {
		// Without a callback a channel that has just broken becomes an `error` event of the app's process.
		if (process.connected) this.#send?.(message, handle, {}, () => undefined);
	}

	/** True if the connection is on its way to a sibling: it is no concern of this worker any more. */
	offer(connection: PublicConnection): boolean {
		if (!this.#tested || !process.connected || this.#pending.size >= pendingMax) return false;
		if (!this.#keys.includes(connection.listenKey) || protocolOf(connection.server) !== 'http') return false;
		if (messages.betweenMessages(connection) !== true) return false;
		const handle = detach(connection.socket);
		if (handle === null) return false;
		this.adopters.release(connection);
		const { listenKey: key } = connection;
		const lingerMs = connection.used ? lingerToMessage(connection.lingerMs) : null;
		const ticket = this.#pending.add({ key, handle, lingerMs });
		this.#tell({ rollcall: 'adopt', app: this.app, key, lingerMs, ticket }, handle);
		return true;
	}

	/** True if the message was one of the host's. */
	receive(message: unknown, handle: unknown): boolean {
		if (typeof message !== 'object' || message === null || !('rollcall' in message)) return false;
		const word = message as HostMessage;
		switch (word.rollcall) {
			case 'siblings':
				this.#asked = false;
				this.#keys = word.keys;
				this.adopters.onMoved();
				break;
			case 'moved':
				if (this.#pending.settle(word.ticket)) this.moved++;
				this.adopters.onMoved();
				break;
			case 'returned':
				this.#pending.settle(word.ticket);
				this.#keys = this.#keys.filter((key) => key !== word.key);
				this.#adopt(word, handle);
				this.adopters.onMoved();
				break;
			case 'adopted':
				this.#adopt(word, handle);
				break;
			default:
				word satisfies never;
		}
		return true;
	}

	#adopt({ key, lingerMs }: { key: string; lingerMs: number | null }, handle: unknown): void {
		if (!handle) return;
		const connection = handle as TcpHandle;
		if (!this.adopters.adopt(key, connection, lingerMs === 0 ? Number.POSITIVE_INFINITY : lingerMs)) connection.close();
	}
}

/** The channel speaks JSON, which has no Infinity. */
const lingerToMessage = (lingerMs: number): number => (Number.isFinite(lingerMs) ? lingerMs : 0);

/** Detaches the connection from its HTTP server, which sees it close; null if it is not idle. */
function detach(socket: net.Socket): TcpHandle | null {
	const inside = socket as unknown as SocketInternals;
	const { _handle: handle, parser } = inside;
	if (!handle || !parser || inside._httpMessage || typeof handle.readStop !== 'function') return null;
	if (typeof parser.unconsume !== 'function') return null;
	if (socket.readyState !== 'open' || socket.writableLength > 0 || socket.readableLength > 0) return null;
	handle.readStop();
	parser.unconsume();
	// If the connection comes back to this process, a new socket and a new parser read it.
	handle.reading = false;
	handle._consumed = false;
	inside._handle = null;
	socket.destroy();
	return handle;
}

export = ConnectionHandoff;
