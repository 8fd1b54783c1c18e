import fs = require('node:fs');
import net = require('node:net');
import removeFile = require('../remove-file.cjs');
import servers = require('./native-server.cjs');
import sharedHandle = require('./shared-handle.cjs');
import type Connections = require('../drain/connections.cjs');
import type { ServerInternals } from '../node-internals.cjs';
import type { ListeningSocket, ListenRequest } from '../types.cjs';

/** A primary that does not answer within this time is gone or stuck. */
const answerMs = 5_000;
const staleCheckMs = 1_000;

/**
 * The public side of an app's server: a plain server that does the shared listen and gives each connection to the app's
 * own server as if that had accepted it. It can be closed alone, without a harm to any connection.
 */
class PublicListener {
	readonly #server: net.Server;
	/** Ends a listen() that is under way. */
	#abandon: () => void = () => undefined;

	constructor(
		private readonly app: net.Server,
		private readonly request: ListenRequest,
		connections: Connections,
		listenKey: string,
	) {
		const seen = app as unknown as ServerInternals;
		this.#server = servers.createOwnServer({
			allowHalfOpen: seen.allowHalfOpen,
			pauseOnConnect: seen.pauseOnConnect,
			noDelay: seen.noDelay,
			keepAlive: seen.keepAlive,
			keepAliveInitialDelay: (seen.keepAliveInitialDelay ?? 0) * 1000,
			highWaterMark: seen.highWaterMark,
			blockList: seen.blockList,
		} as Parameters<typeof net.createServer>[0]);
		this.#shareCounts(seen);
		this.#server.on('connection', (socket) => {
			Object.assign(socket, { server: app, _server: app });
			connections.admit(socket, app, listenKey);
			app.emit('connection', socket);
		});
		this.#server.on('drop', (data) => app.emit('drop', data));
	}

	/** The app's server counts and limits the connections, and shares its TLS ticket keys with its siblings. */
	#shareCounts(seen: ServerInternals): void {
		const { app } = this;
		Object.defineProperties(this.#server, {
			_connections: {
				get: () => seen._connections,
				set: (count: number) => {
					seen._connections = count;
				},
			},
			maxConnections: { get: () => app.maxConnections, set: () => undefined },
			...(seen._getServerData && {
				_getServerData: { value: () => seen._getServerData?.() },
				_setServerData: { value: (data: unknown) => seen._setServerData?.(data) },
			}),
		});
	}

	get listening(): boolean {
		return this.#server.listening;
	}

	address(): net.AddressInfo | string | null {
		return servers.address(this.#server);
	}

	/** Resolves when public connections are accepted; rejects with Node's error. */
	async open(host: string | null): Promise<void> {
		const { path } = this.request;
		if (path !== null) await removeStaleSocket(path);
		await this.#listen(host);
		if (path !== null) this.#openToOthers(path);
		// From now on an error is one of accepting.
		this.#server.on('error', (error) => this.app.emit('error', error));
		if ((this.app as unknown as ServerInternals)._unref) this.#server.unref();
	}

	/** In a cluster where workers accept by themselves, Node leaves out the mode that the app asked for. */
	#openToOthers(path: string): void {
		const { readableAll, writableAll } = this.request.options;
		if (!readableAll && !writableAll) return;
		const { mode } = fs.statSync(path);
		fs.chmodSync(path, (mode & 0o777) | (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0));
	}

	#listen(host: string | null): Promise<void> {
		const { port, path, options } = this.request;
		const where = path === null ? { port, ...(host === null ? {} : { host }) } : { path };
		const { signal: _, ...rest } = options;
		return new Promise((resolve, reject) => {
			const settle = (error: Error | null): void => {
				clearTimeout(timer);
				this.#abandon = () => undefined;
				this.#server.removeListener('listening', succeeded);
				this.#server.removeListener('error', settle);
				if (error === null) {
					resolve();
					return;
				}
				if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') sharedHandle.giveBackSharedHandle(this.#server);
				reject(error);
			};
			const succeeded = (): void => settle(null);
			const giveUp = (text: string, code: string): void => {
				servers.close(this.#server);
				settle(Object.assign(new Error(text), { code }));
			};
			this.#abandon = () => giveUp('the server was closed', 'ERR_SERVER_NOT_RUNNING');
			const timer = setTimeout(() => giveUp('the worker host did not answer', 'ETIMEDOUT'), answerMs);
			this.#server.once('listening', succeeded);
			this.#server.once('error', settle);
			servers.listen(this.#server, [{ ...rest, ...where }]);
		});
	}

	/** The socket itself; null while it does not listen. */
	lendable(): ListeningSocket | null {
		const handle = (this.#server as unknown as ServerInternals)._handle;
		const address = this.address();
		if (!this.listening || handle === null || address === null) return null;
		if (typeof address === 'string') return { handle, port: null, address: null, path: address };
		return { handle, port: address.port, address: address.address, path: null };
	}

	close(): void {
		this.#abandon();
		servers.close(this.#server);
	}
}

/**
 * A unix socket without a listener is left from a host that was killed, and blocks the path. It is
 * asked before listening: Node 20 would not find the siblings' listen any more after one that failed.
 */
async function removeStaleSocket(path: string): Promise<void> {
	const found = fs.statSync(path, { throwIfNoEntry: false });
	if (!found?.isSocket()) return;
	const refused = await new Promise<boolean>((resolve) => {
		const socket = net.connect(path);
		socket.setTimeout(staleCheckMs, () => socket.destroy());
		socket.once('connect', () => socket.destroy());
		socket.once('error', (failure: NodeJS.ErrnoException) => resolve(failure.code === 'ECONNREFUSED'));
		socket.once('close', () => resolve(false));
	});
	// A sibling may have put its own there meanwhile.
	if (refused && fs.statSync(path, { throwIfNoEntry: false })?.ino === found.ino) removeFile(path);
}

export = PublicListener;
