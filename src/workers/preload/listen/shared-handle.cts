import type net = require('node:net');
import nodeCluster = require('node:cluster');
import type { TcpHandle } from '../node-internals.cjs';

type Callback = (error: number, handle: TcpHandle | null) => void;
type GetServer = (server: net.Server, query: object, callback: Callback) => void;

const cluster = nodeCluster as unknown as { _getServer?: GetServer };
const handles = new WeakMap<net.Server, TcpHandle>();

/**
 * Remembers which shared handle the primary gave to a server. Node forgets it when the port turns out to be taken, and
 * then the primary gives the same useless handle to every worker that asks, even when the port is free again; from
 * Node 22 on, asking twice ends the worker by a failed assertion.
 */
function watchSharedHandles(): void {
	const getServer = cluster._getServer;
	if (typeof getServer !== 'function') return;
	cluster._getServer = (server, query, callback) =>
		getServer(server, query, (error, handle) => {
			if (handle) handles.set(server, handle);
			callback(error, handle);
		});
}

/** Gives back the handle of a server that could not listen on it. */
function giveBackSharedHandle(server: net.Server): void {
	handles.get(server)?.close();
	handles.delete(server);
}

export = { watchSharedHandles, giveBackSharedHandle };
