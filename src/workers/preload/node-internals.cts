/**
 * What the preload uses of Node beyond its documentation, in one place. Each use asks whether the thing is there, and
 * does the plain, documented thing where it is not.
 */
import type net = require('node:net');

export interface TcpHandle {
	readStop?(): number;
	/** Kept by Node's sockets and HTTP server: the handle is being read; an HTTP parser reads it. */
	reading?: boolean;
	_consumed?: boolean;
	/** The connection's descriptor, and how much waits to be written to it. */
	readonly fd?: number;
	readonly writeQueueSize?: number;
	/** Of a listening handle: called with each connection. */
	onconnection?(...values: unknown[]): void;
	close(callback?: () => void): void;
}

export interface HttpParser {
	unconsume?(): void;
	/** Reads bytes that did not come from the connection. */
	execute?(bytes: Buffer): unknown;
	/** Says under which number each callback stands on a parser. */
	readonly constructor: Readonly<Record<string, number | undefined>>;
	[callback: number]: unknown;
}

/** Parsers of an HTTP server's connections. */
export interface ParserList {
	/** Those between two messages. */
	idle?(): HttpParser[];
}

/** A connection as Node's servers see it. */
export interface SocketInternals {
	_handle: TcpHandle | null;
	/** The HTTP parser that reads it; gone once the connection was upgraded. */
	parser?: HttpParser | null;
	_httpMessage?: unknown;
	/** Of a TLS socket: the connection below. */
	_parent?: net.Socket;
	/** The server whose connections are counted. */
	_server?: net.Server | null;
	server?: net.Server | null;
}

/** A server's counts and options as Node keeps them on the instance. */
export interface ServerInternals {
	_handle: TcpHandle | null;
	_connections: number;
	_unref?: boolean;
	allowHalfOpen?: boolean;
	pauseOnConnect?: boolean;
	noDelay?: boolean;
	keepAlive?: boolean;
	/** Seconds, though createServer takes ms. */
	keepAliveInitialDelay?: number;
	highWaterMark?: number;
	blockList?: unknown;
	/** TLS session ticket keys that cluster workers share. */
	_getServerData?(): unknown;
	_setServerData?(data: unknown): void;
}
