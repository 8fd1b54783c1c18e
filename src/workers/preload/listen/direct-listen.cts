import net = require('node:net');
import protocolOf = require('../drain/protocol.cjs');
import removeFile = require('../remove-file.cjs');
import servers = require('./native-server.cjs');
import type Connections = require('../drain/connections.cjs');
import type { ListenStatus } from '../../connection/control.js';
import type { ServerInternals } from '../node-internals.cjs';
import type { ListenRequest } from '../types.cjs';

/**
 * One listen() of an app's server that the gate does not hold: the server accepts public connections by itself. A
 * private socket beside it gives its connections to the same server. A probe there reaches this process alone, whatever
 * the public address is and whichever other process listens on it.
 */
class DirectListen {
	#probeServer: net.Server | null = null;

	constructor(
		readonly server: net.Server,
		readonly request: ListenRequest,
		private readonly place: { probePath: string; socketMode: number; connections: Connections },
	) {}

	listenPrivately(): void {
		const { probePath, socketMode, connections } = this.place;
		const { server } = this;
		const probeServer = servers.createOwnServer({
			allowHalfOpen: (server as unknown as ServerInternals).allowHalfOpen ?? false,
		});
		probeServer.on('connection', (socket) => {
			connections.admitProbe(socket);
			server.emit('connection', socket);
		});
		probeServer.on('error', () => {
			// Without it the supervisor asks at the public address.
			if (this.#probeServer === probeServer) this.#probeServer = null;
		});
		this.#probeServer = probeServer;
		removeFile(probePath);
		servers.listenPrivately(probeServer, probePath, socketMode);
		probeServer.unref();
	}

	close(): void {
		const probeServer = this.#probeServer;
		this.#probeServer = null;
		if (probeServer) servers.close(probeServer);
	}

	status(): ListenStatus {
		const bound = this.server.listening ? servers.address(this.server) : null;
		const at = typeof bound === 'object' ? bound : null;
		return {
			port: at?.port ?? this.request.port,
			host: this.request.host,
			path: typeof bound === 'string' ? bound : this.request.path,
			address: at?.address ?? null,
			repeatable: this.request.reusePort,
			probe: this.#probeServer?.listening ? this.place.probePath : null,
			direct: true,
			protocol: protocolOf(this.server),
			live: this.server.listening,
		};
	}

	removeSocket(): void {
		removeFile(this.place.probePath);
	}
}

export = DirectListen;
