import { constants } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import { type ClientOptions, WebSocket, WebSocketServer, type ServerOptions } from 'ws';
import { nameInCertificate, type TlsMaterial } from '../../config/checks/certificates.js';
import { ConnectionQuota, remoteOf, type Source } from '../../system/connections/connection-quota.js';
import { certificateFault, faultOfClient, refusalIn, refuseClient } from './certificate-fault.js';
import { messageOf, RollcallError } from '../../errors.js';

/** The one file that knows ws. What it hands out is a {@link Channel}: text frames, in order, both ways. */
export interface Channel {
	/** `address:port` of the other end. */
	readonly remote: string;
	/** The one name in the other end's certificate; null without TLS. */
	readonly certifiedName: string | null;
	/** Sends one text frame; a reader that lets {@link bufferedBytesMax} pile up is cut off. */
	send(text: string): void;
	/** A WebSocket ping, answered by the other end's library. */
	ping(text: string): void;
	/** Says why, then ends it, by force if the other end does not follow. */
	close(reason: string): void;
	/** The other end has proven itself: no later connection takes the place of this one. */
	keep(): void;
	listen(listener: ChannelListener): void;
}

export interface ChannelListener {
	message(text: string): void;
	ping(text: string): void;
	pong(text: string): void;
	/** Once, whatever ended it. */
	closed(reason: string): void;
}

export interface Listener {
	/** The port that was taken, useful when 0 was asked for. */
	readonly port: number;
	renew(tls: TlsMaterial): void;
	/** Accepts no more; channels that are open stay. */
	close(): void;
}

export const messageBytesMax = 4 * 1024 * 1024;
export const bufferedBytesMax = 16 * 1024 * 1024;
export const fragmentsMax = 64;
export const handshakeMs = 5_000;
/** Connections of all strangers together: those that have not proven themselves, from no address of a peer. */
export const strangersMax = 1_024;
/** Connections of one certificate's name: a link, the one that takes its place, and some that are just ending. */
export const connectionsOfMemberMax = 16;
const closeLingerMs = 1_000;
const reasonBytesMax = 120;
/** Application close code: the reason says the rest. */
const closeCode = 4000;

/** @types/ws lacks these two; ws has them since 8.20. */
interface ReceiverLimits {
	maxFragments: number;
	maxBufferedChunks: number;
}
const limits = {
	perMessageDeflate: false,
	maxPayload: messageBytesMax,
	maxFragments: fragmentsMax,
	maxBufferedChunks: 64 * 1024,
} as const satisfies ServerOptions & ReceiverLimits;

/** Only 1.3, and no tickets: a resumed session would not show its certificate again. */
const tlsTerms = { minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET } as const;

/** Opens a connection to a peer; the certificate must name `peer`, whatever host the address has. */
export function dial(
	address: string,
	peer: string,
	{ self, tls }: { self: string; tls: TlsMaterial | null },
	opened: (channel: Channel) => void,
	failed: (reason: string) => void,
): { cancel(): void } {
	let isVerified = false;
	const options: ClientOptions & ReceiverLimits = {
		...limits,
		handshakeTimeout: handshakeMs,
		followRedirects: false,
		...(tls && {
			...tls,
			...tlsTerms,
			servername: peer,
			rejectUnauthorized: true,
			checkServerIdentity: checkNames(peer, () => {
				isVerified = true;
			}),
		}),
	};
	let settled = false;
	const fail = (reason: string): void => {
		if (settled) return;
		settled = true;
		failed(reason);
	};
	let socket: WebSocket;
	try {
		socket = new WebSocket(address, options);
	} catch (error) {
		queueMicrotask(() => fail(messageOf(error)));
		return { cancel: () => undefined };
	}
	let remote = address;
	let certifiedName: string | null = null;
	socket.once('upgrade', (response) => {
		remote = remoteOf(response.socket);
		if (response.socket instanceof TLSSocket) certifiedName = nameInCertificate(response.socket.getPeerCertificate());
	});
	socket.once('open', () => {
		if (settled) {
			socket.terminate();
			return;
		}
		settled = true;
		opened(new WebSocketChannel(socket, remote, certifiedName));
	});
	socket.once('unexpected-response', (_request, response) => {
		const said = refusalIn(response.headers) ?? `it answers ${response.statusCode ?? 'nothing'}`;
		fail(`${peer} refuses this node (${address}): ${said}`);
		socket.terminate();
	});
	socket.on('error', (error: NodeJS.ErrnoException) => {
		const code = error.code ?? '';
		const facts = {
			code,
			whose: peer,
			judge: self,
			now: Date.now(),
			validity: null,
		};
		if (tls === null) fail(messageOf(error));
		else if (isVerified && code === 'ECONNRESET')
			fail(
				`${peer} ended the connection (${address}) once it had seen the certificate of ${self}; its status says why`,
			);
		else fail(`${certificateFault(facts) ?? tlsReason(error)} (${address})`);
	});
	socket.once('close', () => fail('it closed the connection during the opening'));
	return {
		cancel: () => {
			if (settled) return;
			settled = true;
			socket.terminate();
		},
	};
}

/** Returns an Error to refuse, as node:tls has it; @types/ws declares another shape. */
function checkNames(peer: string, verified: () => void): NonNullable<ClientOptions['checkServerIdentity']> {
	const check = (_host: string, certificate: PeerCertificate): Error | undefined => {
		const name = nameInCertificate(certificate);
		if (name === peer) {
			verified();
			return undefined;
		}
		return new Error(`its certificate names ${name ?? 'not exactly one node'}, not ${peer}`);
	};
	return check as unknown as NonNullable<ClientOptions['checkServerIdentity']>;
}

/**
 * Listens for peers. A browser (Origin header) and anything that does not upgrade is turned away; with TLS a certificate
 * that `isMember` does not know is cut off before a byte of HTTP is read. Throws `address_in_use`.
 */
export async function listen(options: {
	host: string;
	port: number;
	tls: TlsMaterial | null;
	/** The node that listens, as its refusals name it. */
	self: string;
	/** Connections of one address, or one IPv6 /64, that have not proven themselves by a certificate. */
	ofOneMax: number;
	/** Whether a peer is at this address: it has places of its own there. */
	isKnown: (address: string) => boolean;
	isMember: (name: string) => boolean;
	accepted: (channel: Channel) => void;
	/** `claims`: the node that the refused certificate names, proven or not; null if it names none. */
	refused: (remote: string, reason: string, claims: string | null) => void;
}): Promise<Listener> {
	const timeouts = { headersTimeout: handshakeMs, requestTimeout: handshakeMs, connectionsCheckingInterval: 1_000 };
	const secure = options.tls
		? createTlsServer(
				{
					...options.tls,
					...tlsTerms,
					...timeouts,
					requestCert: true,
					// Judged below, where its address and dates can still be told.
					rejectUnauthorized: false,
					handshakeTimeout: handshakeMs,
				},
				turnAway,
			)
		: null;
	const server = secure ?? createServer(timeouts, turnAway);
	const quota = new ConnectionQuota({
		connectionsMax: strangersMax,
		ofOneMax: options.ofOneMax,
		isReserved: options.isKnown,
		refused: (remote, reason) => options.refused(remote, reason, null),
	});
	quota.guard(server);
	server.maxHeadersCount = 32;
	/** Connections over TLS whose certificate was verified and names a member; no other one is upgraded. */
	const admitted = new WeakSet<Socket>();
	const sockets = new WebSocketServer({ ...limits, noServer: true, clientTracking: false });
	secure?.on('secureConnection', (socket) => {
		const fault = faultOfClient(socket, options.self, options.isMember);
		const name = certifiedName(socket);
		if (fault === null && name !== null) {
			admitted.add(socket);
			quota.move(socket, placesOf(name));
			return;
		}
		options.refused(remoteOf(socket), fault?.reason ?? 'it left', fault?.claims ?? null);
		if (fault?.answered) refuseClient(socket, fault.reason);
		else socket.destroy();
	});
	secure?.on('tlsClientError', (error, socket) => options.refused(remoteOf(socket), tlsReason(error), null));
	server.on('clientError', (_error, socket) => socket.destroy());
	server.on('upgrade', (request, socket, head) => {
		socket.on('error', () => socket.destroy());
		// Turned away already for its certificate, which is gone with it; what it had sent is read all the same.
		if (socket.destroyed || (secure && !admitted.has(request.socket))) {
			socket.destroy();
			return;
		}
		if (request.headers.origin !== undefined) {
			options.refused(remoteOf(request.socket), 'it has an Origin header: browsers have no business here', null);
			socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
			return;
		}
		const certified = certifiedName(request.socket);
		sockets.handleUpgrade(request, socket, head, (peer) => {
			const keep = (): void => quota.hold(request.socket);
			options.accepted(new WebSocketChannel(peer, remoteOf(request.socket), certified, keep));
		});
	});
	await bind(server, options.host, options.port);
	server.on('error', (error) => options.refused('the listener', messageOf(error), null));
	return {
		port: (server.address() as AddressInfo).port,
		renew: (tls) => secure?.setSecureContext({ ...tls, ...tlsTerms }),
		// Upgraded sockets delay the server's `close` event, so it is not awaited.
		close: () => server.close(),
	};
}

/** A member's connections are recognised by certificate, from any address. */
const placesOf = (member: string): Source => ({
	name: `member ${member}`,
	connectionsMax: connectionsOfMemberMax,
	reserved: true,
});

/** null without TLS, and once the socket is closed. */
const certifiedName = (socket: Socket): string | null =>
	socket instanceof TLSSocket && !socket.destroyed ? nameInCertificate(socket.getPeerCertificate()) : null;

/**
 * Why a handshake came to nothing. OpenSSL's errors carry the reason alone, too: the whole text names addresses in memory
 * and lines of its source.
 */
function tlsReason(error: Error & { reason?: unknown }): string {
	return typeof error.reason === 'string' ? `TLS: ${error.reason}` : messageOf(error);
}

function turnAway(_request: IncomingMessage, response: ServerResponse): void {
	response.writeHead(426, { connection: 'close', 'content-length': 0 }).end();
}

/** Throws as {@link listen} would, and leaves nothing bound. */
export async function assertFree({ host, port }: { host: string; port: number }): Promise<void> {
	const server = createServer();
	await bind(server, host, port);
	await new Promise((closed) => server.close(closed));
}

function bind(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once('error', (error: NodeJS.ErrnoException) => {
			const taken = error.code === 'EADDRINUSE';
			const what = taken
				? 'is taken by another process. Stop that process or set another cluster.listen.port.'
				: `cannot be listened on (${messageOf(error)}). Set cluster.listen to an address of this host.`;
			const text = `The address ${host}:${port} of cluster.listen ${what}`;
			reject(new RollcallError(taken ? 'address_in_use' : 'configuration', text, {}, { cause: error }));
		});
		server.listen({ host, port, exclusive: true }, () => {
			server.removeAllListeners('error');
			resolve();
		});
	});
}

class WebSocketChannel implements Channel {
	#reason: string | null = null;
	#listener: ChannelListener | null = null;

	constructor(
		private readonly socket: WebSocket,
		readonly remote: string,
		readonly certifiedName: string | null,
		/** Only what was accepted has a place to keep. */
		readonly keep: () => void = () => undefined,
	) {}

	/** Must be called at once, in the turn that handed the channel out: frames are not kept for later. */
	listen(listener: ChannelListener): void {
		const socket = this.socket;
		this.#listener = listener;
		socket.on('message', (data: Buffer, isBinary) => {
			if (isBinary) this.close('binary frames are not spoken here');
			else if (this.#reason === null) listener.message(data.toString('utf8'));
		});
		socket.on('ping', (data) => listener.ping(data.toString('utf8')));
		socket.on('pong', (data) => listener.pong(data.toString('utf8')));
		socket.on('error', (error) => {
			this.#reason ??= messageOf(error);
		});
		socket.once('close', (code, reason) => {
			const theirs = reason.toString('utf8') || (code === 1006 ? 'the connection broke' : `closed with code ${code}`);
			this.#end(this.#reason ?? theirs);
		});
	}

	send(text: string): void {
		if (this.socket.readyState !== WebSocket.OPEN) return;
		this.socket.send(text, ignoreError);
		if (this.socket.bufferedAmount <= bufferedBytesMax) return;
		this.#reason ??= `it reads too slowly: ${this.socket.bufferedAmount} bytes wait`;
		this.socket.terminate();
	}

	ping(text: string): void {
		if (this.socket.readyState === WebSocket.OPEN) this.socket.ping(text, undefined, ignoreError);
	}

	close(reason: string): void {
		if (this.#reason !== null) return;
		this.#reason = reason;
		this.socket.close(
			closeCode,
			Buffer.from(reason)
				.subarray(0, reasonBytesMax)
				.toString('utf8')
				.replace(/\uFFFD+$/, ''),
		);
		const force = setTimeout(() => this.socket.terminate(), closeLingerMs);
		this.socket.once('close', () => clearTimeout(force));
		// The closing side is done now; the other end may take longer.
		this.#end(reason);
	}

	#end(reason: string): void {
		const listener = this.#listener;
		this.#listener = null;
		listener?.closed(reason);
	}
}

/** A failed send shows as the channel's end; its callback only keeps ws from throwing. */
function ignoreError(): void {}
