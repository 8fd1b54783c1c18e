import net = require('node:net');
import DirectListen = require('./direct-listen.cjs');
import GatedListen = require('./gated-listen.cjs');
import paths = require('../paths.cjs');
import readListenRequest = require('./listen-request.cjs');
import servers = require('./native-server.cjs');
import sharedHandle = require('./shared-handle.cjs');
import type Connections = require('../drain/connections.cjs');
import type { ListenStatus, PreloadSettings } from '../../connection/control.js';
import type { TcpHandle } from '../node-internals.cjs';
import type { ListeningSocket, ListenRequest } from '../types.cjs';

const socketModeDefault = 0o600;

/**
 * Stands between the app's servers and the public: every shared listen() is held until the word is given. It patches
 * net.Server, on which all of Node's servers are built, so that no app needs a change, in whichever module system.
 */
class Gate {
	/** Told when a server of the app listens, held or not. */
	onListening: () => void = () => undefined;
	/** Told when a listen has gone public. */
	onLive: () => void = () => undefined;
	readonly #held = new Map<net.Server, GatedListen>();
	/** Servers that listen by themselves: exclusive, reusePort, on a descriptor. */
	readonly #direct = new Map<net.Server, DirectListen>();
	#count = 0;
	#closed = false;

	/** `open`: nothing is held; each listener is public before the app's 'listening' event. */
	constructor(
		private readonly settings: PreloadSettings,
		private readonly connections: Connections,
		private open: boolean,
	) {}

	install(): void {
		const gate = this;
		sharedHandle.watchSharedHandles();
		net.Server.prototype.listen = function (this: net.Server, ...values: unknown[]): net.Server {
			return servers.isOwn(this) ? servers.listen(this, values) : gate.#listen(this, values);
		} as typeof net.Server.prototype.listen;
		net.Server.prototype.close = function (this: net.Server, ...values: unknown[]): net.Server {
			gate.#forget(this);
			return servers.close(this, values);
		} as typeof net.Server.prototype.close;
		net.Server.prototype.address = function (this: net.Server): ReturnType<typeof servers.address> {
			const listen = gate.#held.get(this);
			return listen ? listen.address() : servers.address(this);
		};
	}

	#listen(server: net.Server, values: readonly unknown[]): net.Server {
		if (this.#held.has(server)) {
			throw Object.assign(new Error('Listen method has been called more than once without closing.'), {
				code: 'ERR_SERVER_ALREADY_LISTEN',
			});
		}
		const request = readListenRequest(values);
		if (request === null || request.direct) {
			servers.listen(server, values);
			if (request !== null) this.#noteDirect(server, request);
			return server;
		}
		const listen = new GatedListen(server, request, this.#nextPlace());
		this.#held.set(server, listen);
		this.connections.watch(server, null);
		if (request.callback) server.once('listening', request.callback);
		this.#begin(listen).catch((error) => {
			if (listen.closed) return;
			this.#forget(server);
			// In a tick of its own, as Node does: thrown from in here it would be an unhandled rejection.
			process.nextTick(() => server.emit('error', error));
		});
		return server;
	}

	/**
	 * While held, the private listen comes first, or an app that turns healthy only once it listens would never get
	 * there. Where nothing is held the public one does, so that `listening` means what it says. Port 0 cannot be held:
	 * which port it is would not be known.
	 */
	async #begin(listen: GatedListen): Promise<void> {
		await listen.resolveHost();
		const atOnce = this.open || listen.request.port === 0;
		if (atOnce) await this.#open(listen);
		if (listen.closed) return;
		listen.server.prependOnceListener('listening', () => this.onListening());
		listen.listenPrivately();
		// The word may have come meanwhile.
		if (this.open) await this.#open(listen);
	}

	async #open(listen: GatedListen): Promise<void> {
		if (this.#closed || listen.live) return;
		await listen.open();
		this.onLive();
	}

	#nextPlace(): { probePath: string; socketMode: number; connections: Connections } {
		const { directory, id, socketMode = socketModeDefault } = this.settings;
		const probePath = paths.probeSocketPath(directory, id, process.pid, this.#count++);
		return { probePath, socketMode, connections: this.connections };
	}

	#noteDirect(server: net.Server, request: ListenRequest): void {
		const listen = new DirectListen(server, request, this.#nextPlace());
		this.#direct.get(server)?.close();
		this.#direct.set(server, listen);
		this.connections.watch(server, request.path ?? `direct:${request.port}`);
		server.once('close', () => {
			if (this.#direct.get(server) === listen) this.#direct.delete(server);
			listen.close();
		});
		server.prependOnceListener('listening', () => {
			if (this.#direct.get(server) !== listen) return;
			listen.listenPrivately();
			this.onListening();
		});
	}

	#forget(server: net.Server): void {
		const listen = this.#held.get(server);
		this.#held.delete(server);
		listen?.close();
	}

	/** Opens every listen to the public, and each that comes later. If one fails all are as before, and it rejects. */
	async goLive(): Promise<void> {
		if (this.#held.size === 0 && this.#direct.size === 0 && this.settings.listens !== false) {
			throw Object.assign(new Error('the app has not called listen() yet'), { code: 'ERR_SERVER_NOT_RUNNING' });
		}
		const closed = [...this.#held.values()].filter((listen) => !listen.live);
		const before = this.open;
		this.open = true;
		const ready = closed.filter((listen) => listen.server.listening);
		const results = await Promise.allSettled(ready.map((listen) => this.#open(listen)));
		const failed = results.find((result) => result.status === 'rejected');
		if (failed) {
			this.open = before;
			for (const listen of closed) listen.closePublicListener();
			throw failed.reason;
		}
	}

	/** Takes no new connection from now on; connections that are open are not touched. */
	close(): void {
		this.#closed = true;
		for (const listen of this.#held.values()) listen.closePublicListener();
		for (const server of this.#direct.keys()) servers.close(server);
	}

	get live(): boolean {
		if (this.#held.size === 0) return this.#direct.size > 0;
		// Port 0 is public before the word, which is no reason to take the others for public too.
		return this.open && [...this.#held.values()].some((listen) => listen.live);
	}

	/** Serves a connection that a sibling gave away; false if there is no such listen. */
	adopt(key: string, handle: TcpHandle, lingerMs: number | null): boolean {
		const listen = [...this.#held.values()].find((held) => held.key === key);
		if (listen === undefined) return false;
		listen.adopt(handle, lingerMs);
		return true;
	}

	/** What the public listens are called among siblings. */
	get keys(): string[] {
		return [...this.#held.values()].filter((listen) => listen.live).map((listen) => listen.key);
	}

	/** The public sockets, for a new worker host. */
	lendable(): ListeningSocket[] {
		return [...this.#held.values()].flatMap((listen) => listen.lendable() ?? []);
	}

	status(): ListenStatus[] {
		return [...this.#held.values(), ...this.#direct.values()].map((listen) => listen.status());
	}

	removeSockets(): void {
		for (const listen of [...this.#held.values(), ...this.#direct.values()]) listen.removeSocket();
	}
}

export = Gate;
