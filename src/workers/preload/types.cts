/** Shapes that the preload's files share. */
import type http = require('node:http');
import type http2 = require('node:http2');
import type net = require('node:net');
import type tls = require('node:tls');

/** What an app asked for with `server.listen(...)`, in any of the forms that Node takes. */
export interface ListenRequest {
	/** null: a unix socket. */
	port: number | null;
	host: string | null;
	path: string | null;
	/** A descriptor, a handle, an exclusive or a reusePort listen: never shared in a cluster, so the gate leaves it alone. */
	direct: boolean;
	/** Other processes may listen at the same place, and the kernel spreads connections over them. */
	reusePort: boolean;
	callback: (() => void) | null;
	options: {
		backlog?: number;
		ipv6Only?: boolean;
		readableAll?: boolean;
		writableAll?: boolean;
		signal?: AbortSignal;
	};
}

/** A public listening socket, to be handed to a new worker host. */
export interface ListeningSocket {
	/** Node's handle of it. */
	handle: unknown;
	/** null for a unix socket. */
	port: number | null;
	address: string | null;
	path: string | null;
}

/** A public connection of this worker. Times are those of performance.now(). */
export interface PublicConnection {
	readonly socket: net.Socket;
	readonly server: net.Server;
	/** Which listen it came by, as siblings name it too. */
	readonly listenKey: string;
	/** raw: the protocol is unknown, so the connection counts as busy until it ends. */
	kind: 'http' | 'http2' | 'raw';
	secure: tls.TLSSocket | null;
	/** Last moment something was answered, or it came. */
	restedAt: number;
	/** How long after that the client may still use it; Infinity where the server never closes it. */
	lingerMs: number;
	/** Bytes read when it came to rest. More means that a request is coming in, where Node's parsers cannot be asked. */
	bytesAtRest: number;
	/** Answers that are not through yet, in the order of their requests. */
	readonly open: http.ServerResponse[];
	upgraded: 'websocket' | 'other' | null;
	session: http2.ServerHttp2Session | null;
	readonly streams: Set<http2.ServerHttp2Stream>;
	/** A request has come on it, here or at a sibling. */
	used: boolean;
	/** Taken over from a sibling, with the time that it may rest set from there. */
	adopted: boolean;
}
