import dns = require('node:dns');
import fs = require('node:fs');
import net = require('node:net');
import PublicListener = require('./public-listener.cjs');
import messages = require('../drain/messages.cjs');
import protocolOf = require('../drain/protocol.cjs');
import removeFile = require('../remove-file.cjs');
import servers = require('./native-server.cjs');
import type Connections = require('../drain/connections.cjs');
import type { ListenStatus } from '../../connection/control.js';
import type { ServerInternals, TcpHandle } from '../node-internals.cjs';
import type { ListeningSocket, ListenRequest } from '../types.cjs';

interface Place {
	probePath: string;
	socketMode: number;
	connections: Connections;
}

/** Node keeps a connection this much longer than it tells the client. */
const keepAliveBufferMs = 1_000;

/**
 * One listen() of an app's server. The server itself listens on a private unix socket, so that it is truly listening
 * and can be asked there; a PublicListener beside it listens in public.
 */
class GatedListen {
	readonly key: string;
	#publicListener: PublicListener | null = null;
	#address: string | null = null;
	#closed = false;
	#opening: Promise<void> | null = null;

	constructor(
		readonly server: net.Server,
		readonly request: ListenRequest,
		private readonly place: Place,
	) {
		this.key = request.path ?? `${request.host ?? ''}:${request.port}`;
	}

	get closed(): boolean {
		return this.#closed;
	}

	get live(): boolean {
		return this.#publicListener?.listening ?? false;
	}

	/** Finds the address of a host name, as Node does before it listens. */
	async resolveHost(): Promise<void> {
		const { host } = this.request;
		if (host === null || net.isIP(host) !== 0) {
			this.#address = host;
			return;
		}
		const found = await dns.promises.lookup(host, { all: true });
		const usable = found.find(({ address }) => !/^fe[89ab]/i.test(address)) ?? found[0];
		this.#address = usable?.address ?? host;
	}

	/** From here on `listening` is emitted, callbacks run, and probes are answered. */
	listenPrivately(): void {
		const { probePath, socketMode } = this.place;
		removeFile(probePath);
		const { backlog, signal } = this.request.options;
		servers.listenPrivately(this.server, probePath, socketMode, {
			...(backlog === undefined ? {} : { backlog }),
			...(signal === undefined ? {} : { signal }),
		});
		letProbesIn(this.server);
	}

	/** Accepts public connections from now on; rejects with the error, after which it is as before. */
	open(): Promise<void> {
		this.#opening ??= this.#open().finally(() => {
			this.#opening = null;
		});
		return this.#opening;
	}

	async #open(): Promise<void> {
		if (this.#closed || this.live) return;
		const publicListener = new PublicListener(this.server, this.request, this.place.connections, this.key);
		this.#publicListener = publicListener;
		try {
			await publicListener.open(this.#address);
		} catch (error) {
			if (this.#publicListener === publicListener) this.#publicListener = null;
			throw error;
		}
	}

	/** Serves a connection that was accepted elsewhere and is at rest. */
	adopt(handle: TcpHandle, lingerMs: number | null): void {
		const { server } = this;
		const seen = server as unknown as ServerInternals;
		const socket = new net.Socket({
			handle,
			allowHalfOpen: seen.allowHalfOpen,
			readable: true,
			writable: true,
		} as net.SocketConstructorOpts);
		seen._connections++;
		Object.assign(socket, { server, _server: server });
		const connection = this.place.connections.admit(socket, server, this.key);
		server.emit('connection', socket);
		// The server itself knows how long it waits for the first request of one that is unused.
		if (lingerMs === null) return;
		messages.markAsBetweenMessages(socket);
		connection.used = true;
		connection.adopted = true;
		connection.lingerMs = lingerMs;
		// The server sets this only after an answer of its own; without it the connection could stay for ever.
		if (lingerMs !== Number.POSITIVE_INFINITY) socket.setTimeout(lingerMs + keepAliveBufferMs);
	}

	/** The public socket, for a new worker host. */
	lendable(): ListeningSocket | null {
		return this.#publicListener?.lendable() ?? null;
	}

	/** Takes no new connection; open connections and the private socket stay. */
	closePublicListener(): void {
		this.#publicListener?.close();
	}

	close(): void {
		this.#closed = true;
		this.closePublicListener();
	}

	/** The address that the app sees: the public one, also while the gate holds it. */
	address(): net.AddressInfo | string | null {
		const { path, port } = this.request;
		if (!(this.server as unknown as ServerInternals)._handle) return null;
		if (path !== null) return path;
		if (this.#publicListener?.listening) return this.#publicListener.address();
		const address = this.#boundAddress();
		return { address, family: net.isIPv4(address) ? 'IPv4' : 'IPv6', port: port ?? 0 };
	}

	/** The address that a given host name stands for, or the one that Node takes without a host. */
	#boundAddress(): string {
		return this.#address ?? unspecifiedAddress();
	}

	status(): ListenStatus {
		const { host, path, port } = this.request;
		const address = this.#publicListener?.listening ? this.#publicListener.address() : null;
		return {
			port: typeof address === 'object' && address !== null ? address.port : port,
			host,
			path,
			address: path === null ? this.#boundAddress() : null,
			repeatable: port !== 0,
			probe: this.server.listening ? this.place.probePath : null,
			direct: false,
			protocol: protocolOf(this.server),
			live: this.live,
		};
	}

	removeSocket(): void {
		removeFile(this.place.probePath);
	}
}

/** A server that is full is not ill: probes do not count against `maxConnections`. */
function letProbesIn(server: net.Server): void {
	const handle = (server as unknown as ServerInternals)._handle;
	const accept = handle?.onconnection;
	if (!handle || typeof accept !== 'function') return;
	handle.onconnection = function (...values): void {
		const limit = server.maxConnections;
		if (limit === undefined) {
			Reflect.apply(accept, this, values);
			return;
		}
		server.maxConnections = Number.POSITIVE_INFINITY;
		try {
			Reflect.apply(accept, this, values);
		} finally {
			server.maxConnections = limit;
		}
	};
}

/** Where no host is given Node listens on all IPv6 addresses, which takes IPv4 too, or on all of IPv4 where there is no IPv6. */
const unspecifiedAddress = (): string => (fs.existsSync('/proc/net/if_inet6') ? '::' : '0.0.0.0');

export = GatedListen;
