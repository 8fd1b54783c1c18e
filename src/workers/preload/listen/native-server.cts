import net = require('node:net');

/**
 * Node's own listen, close and address, taken before anything is patched, and the servers of the preload itself, to
 * which none of the patches apply.
 */
const { listen, close, address } = net.Server.prototype;
const own = new WeakSet<net.Server>();

type Options = Parameters<typeof net.createServer>[0];

function createOwnServer(options: Options): net.Server {
	const server = net.createServer(options);
	own.add(server);
	return server;
}

/**
 * Listens on a unix socket of this process alone, not shared through the cluster. Binding is synchronous, so the mode
 * can be set by the umask: there is no moment at which others could connect.
 */
function listenPrivately(server: net.Server, path: string, mode: number, options: object = {}): void {
	const before = process.umask(0o777 & ~mode);
	try {
		Reflect.apply(listen, server, [{ ...options, path, exclusive: true }]);
	} finally {
		process.umask(before);
	}
}

export = {
	createOwnServer,
	isOwn: (server: net.Server): boolean => own.has(server),
	listenPrivately,
	/** Node's own listen(), in a cluster worker through the primary. */
	listen: (server: net.Server, values: readonly unknown[]): net.Server => Reflect.apply(listen, server, values),
	/** Stops listening and nothing else; an HTTP server's own close() would end idle connections too. */
	close: (server: net.Server, values: readonly unknown[] = []): net.Server => Reflect.apply(close, server, values),
	address: (server: net.Server): ReturnType<typeof address> => Reflect.apply(address, server, []),
};
