import { lookup } from 'node:dns/promises';
import { isLoopback } from '../config/document/network.js';
import { messageOf, RollcallError } from '../errors.js';
import { assertHttpInDate, type HttpCertificate, readHttpCertificate } from '../config/checks/http-certificate.js';
import { presentFromNowOn } from './listeners/certificate.js';
import { createHealthListener, createMetricsListener, createOperationsListener } from './http.js';
import { defaultLimits, type Limits } from './limits.js';
import type { Listener, ListenerKind } from './listeners/listener.js';
import { bindSocket } from './listeners/unix-socket.js';
import type { Server, ServerOptions } from './types.js';

/** Connections that may wait to be taken. With fewer, a burst of strangers makes everyone's next try wait for a second. */
const backlog = 4_096;

/** Opens all listeners, or none: the one that cannot be opened is named with its configuration key. */
export async function createServer(options: ServerOptions): Promise<Server> {
	const limits: Limits = { ...defaultLimits, ...options.limits };
	const parts = { ...options, limits };
	const { settings } = options;
	const listeners: Listener[] = [];
	let removeSocket = async (): Promise<void> => undefined;
	const close = async (): Promise<void> => {
		await removeSocket();
		await Promise.all(listeners.map((listener) => closeListener(listener, limits.closeMs)));
	};
	try {
		let tls = settings.http?.tls ? await readHttpCertificate(settings.http.tls) : null;
		if (settings.http && !tls && !isLoopback(settings.http.host)) {
			throw new RollcallError(
				'configuration',
				`operations_api.http.tls is required: ${settings.http.host} is not a loopback address.`,
			);
		}
		/** Null: it is the one in use, or there is none. That one stays when it has expired; another has to be valid. */
		const newCertificate = async (): Promise<HttpCertificate | null> => {
			const files = settings.http?.tls;
			if (!files) return null;
			const certificate = await readHttpCertificate(files);
			if (tls?.cert.equals(certificate.cert)) return null;
			assertHttpInDate(certificate, files.cert, Date.now());
			return certificate;
		};
		const socketListener = createOperationsListener(parts, {
			transport: 'socket',
			host: null,
			rebindable: false,
			tls: null,
			connectionsMax: limits.socketConnectionsMax,
			ofOneMax: limits.socketConnectionsMax,
		});
		listeners.push(socketListener);
		if (options.socketDescriptor === undefined) {
			removeSocket = await bindSocket(settings.socket, (path) => socketListener.listen({ path, backlog }));
		} else {
			// A socket that the service manager holds: its place, mode and group are the manager's, and it stays when this process ends.
			await socketListener.listen({ fd: options.socketDescriptor });
		}
		const http = settings.http && {
			...settings.http,
			listener: createOperationsListener(parts, {
				transport: 'http',
				host: settings.http.host,
				rebindable: tls === null,
				tls,
				connectionsMax: limits.httpConnectionsMax,
				ofOneMax: limits.httpConnectionsOfOneMax,
			}),
		};
		if (http) listeners.push(http.listener);
		const plain = (host: string, rebindable: boolean): ListenerKind => ({
			transport: 'http',
			host,
			rebindable,
			tls: null,
			connectionsMax: limits.healthConnectionsMax,
			ofOneMax: limits.healthConnectionsOfOneMax,
		});
		const health = settings.health && {
			...settings.health,
			// It says no more than yes or no, and load balancers name hosts as they like.
			listener: createHealthListener(parts, plain(settings.health.host, false)),
		};
		if (health) listeners.push(health.listener);
		const metrics = settings.metrics && {
			...settings.metrics,
			listener: createMetricsListener(parts, plain(settings.metrics.host, isLoopback(settings.metrics.host))),
		};
		if (metrics) listeners.push(metrics.listener);
		return {
			addresses: {
				socket: settings.socket.path,
				http: http ? await listen(http, 'operations_api.http') : null,
				health: health ? await listen(health, 'operations_api.health') : null,
				metrics: metrics ? await listen(metrics, 'operations_api.metrics') : null,
			},
			checkCertificate: async () => void (await newCertificate()),
			async renewCertificate() {
				const certificate = await newCertificate();
				if (!http || certificate === null) return null;
				tls = certificate;
				presentFromNowOn(http.listener.server, certificate);
				return certificate.cert.toString('utf8');
			},
			close,
		};
	} catch (thrown) {
		await close();
		throw thrown;
	}
}

/** One address of `localhost`, the same whether this host prefers IPv6 or not. */
async function oneAddressOf(host: string): Promise<string> {
	return (await lookup(host, { order: 'ipv4first' })).address;
}

async function listen(
	at: { host: string; port: number; listener: Listener },
	key: string,
): Promise<{ host: string; port: number }> {
	try {
		await at.listener.listen({
			backlog,
			host: at.host === 'localhost' ? await oneAddressOf(at.host) : at.host.replace(/^\[(.*)\]$/, '$1'),
			port: at.port,
		});
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		const where = `${at.host}:${at.port} (${key})`;
		if (code === 'EADDRINUSE') {
			throw new RollcallError('address_in_use', `${where} is in use; stop what listens there or choose another port.`);
		}
		throw new RollcallError('configuration', `${where} cannot be listened on: ${messageOf(cause)}`, {}, { cause });
	}
	const address = at.listener.server.address();
	return { host: at.host, port: address !== null && typeof address === 'object' ? address.port : at.port };
}

/** Finishes open answers; after the timeout, closes the remaining connections. */
async function closeListener(listener: Listener, closeMs: number): Promise<void> {
	const late = setTimeout(() => listener.server.closeAllConnections(), closeMs);
	try {
		await listener.close();
	} finally {
		clearTimeout(late);
	}
}
