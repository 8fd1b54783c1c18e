import http = require('node:http');
import net = require('node:net');
import type { ListenProtocol } from '../../connection/control.js';

const known = new WeakMap<net.Server, ListenProtocol>();

/** What a server speaks. The rarer modules are loaded only when a server could be one of theirs: loading costs start time. */
function protocolOf(server: net.Server): ListenProtocol {
	const before = known.get(server);
	if (before !== undefined) return before;
	const protocol = detect(server);
	known.set(server, protocol);
	return protocol;
}

function detect(server: net.Server): ListenProtocol {
	if (server instanceof http.Server) return 'http';
	for (let type: object | null = server; type !== null; type = Object.getPrototypeOf(type)) {
		const { name } = type.constructor;
		// Node exports neither class.
		if (name === 'Http2Server') return 'h2c';
		if (name === 'Http2SecureServer') return 'h2';
	}
	if (Object.getPrototypeOf(server) === net.Server.prototype) return 'tcp';
	const https = require('node:https') as typeof import('node:https');
	if (server instanceof https.Server) return 'https';
	const tls = require('node:tls') as typeof import('node:tls');
	return server instanceof tls.Server ? 'tls' : 'tcp';
}

export = protocolOf;
