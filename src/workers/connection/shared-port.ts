import http from 'node:http';
import net from 'node:net';
import { messageOf } from '../../errors.js';
import { heldSockets, listenerInodes, serverInodes } from '../../system/proc/sockets.js';
import type { Clock } from '../clock.js';
import type { Probe } from './worker-connection.js';
import type { WorkerApp, WorkerIdentity } from '../types.js';

/** Where several processes listen on one port the kernel spreads connections: so many are tried at once, so many times. */
const triesAtOnce = 8;
const roundsMax = 25;
/** One that is not accepted by then may be with another process, which is blocked. */
const acceptMs = 250;
const acceptLookMs = 5;

/** Which of these sockets a process holds: asked of the kernel, for another user's process by way of its host. */
export type HeldSockets = (identity: WorkerIdentity, inodes: readonly number[]) => Promise<number[]>;

/** Asks the kernel, which tells of another user's process to that user alone: then `host`, which runs as that user, is asked. */
export const askHeldSockets =
	(host: () => { heldSockets: HeldSockets }): HeldSockets =>
	async (identity, inodes) => {
		try {
			return heldSockets(identity, inodes);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
			return host().heldSockets(identity, inodes);
		}
	};

interface SharedPort {
	identity: WorkerIdentity;
	port: number;
	health: WorkerApp['health'];
	clock: Clock;
	held: HeldSockets;
}

/**
 * Asks one process of several that share a port (SO_REUSEPORT): connects until the kernel says that it was this process
 * that accepted, and asks on that connection. So the answer is its own.
 */
export async function probeSharedPort(shared: SharedPort): Promise<Probe> {
	const { identity, port, health } = shared;
	if ((await shared.held(identity, listenerInodes(port))).length === 0) {
		return { healthy: false, detail: `it does not listen on port ${port}` };
	}
	try {
		const socket = await ownConnection(shared);
		if (socket === null) {
			return { healthy: false, detail: `it took no connection on port ${port} within ${health.timeoutMs} ms` };
		}
		if (health.path === null) {
			socket.destroy();
			return { healthy: true, detail: `it takes connections on port ${port}` };
		}
		return await askOn(socket, shared, health.path);
	} catch (error) {
		return { healthy: false, detail: `port ${port}: ${messageOf(error)}` };
	}
}

async function ownConnection({ identity, port, health, clock, held }: SharedPort): Promise<net.Socket | null> {
	const until = clock.now() + health.timeoutMs;
	for (let round = 0; round < roundsMax && clock.now() < until; round += 1) {
		const sockets = await Promise.all(Array.from({ length: triesAtOnce }, () => connect(port, health.timeoutMs)));
		const inodes = await acceptedInodes(sockets, port, clock);
		const own = new Set(await held(identity, [...inodes.values()]));
		const found = sockets.find((socket) => own.has(inodes.get(socket) ?? 0));
		for (const socket of sockets) if (socket !== found) socket.destroy();
		if (found) return found;
	}
	return null;
}

/** Of those that were accepted in time. The kernel tells only the process that accepts; its table is read until `acceptMs` have passed. */
async function acceptedInodes(
	sockets: readonly net.Socket[],
	port: number,
	clock: Clock,
): Promise<Map<net.Socket, number>> {
	const until = clock.now() + acceptMs;
	for (;;) {
		const inodes = serverInodes(port);
		const accepted = sockets.flatMap((socket) => {
			const inode = inodes.get(socket.localPort ?? 0);
			return inode ? [[socket, inode] as const] : [];
		});
		if (accepted.length === sockets.length || clock.now() >= until) return new Map(accepted);
		await clock.sleep(acceptLookMs);
	}
}

function connect(port: number, timeoutMs: number): Promise<net.Socket> {
	return new Promise((resolve, reject) => {
		const socket = net.connect({ port, host: '127.0.0.1', timeout: timeoutMs });
		socket.once('timeout', () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)));
		socket.once('connect', () => {
			// The answer has a time of its own.
			socket.setTimeout(0);
			resolve(socket);
		});
		// Later errors too.
		socket.on('error', reject);
	});
}

function askOn(socket: net.Socket, { port, health }: SharedPort, path: string): Promise<Probe> {
	return new Promise((resolve) => {
		const signal = AbortSignal.timeout(health.timeoutMs);
		const headers = { host: 'localhost', connection: 'close', 'user-agent': 'rollcall-probe' };
		const request = http.get({ path, headers, signal, createConnection: () => socket }, (response) => {
			const status = response.statusCode ?? 0;
			response.resume();
			resolve({ healthy: status >= 200 && status < 300, detail: `GET ${path} on port ${port} answered ${status}` });
		});
		request.once('error', (error) => {
			const detail = signal.aborted ? `no answer within ${health.timeoutMs} ms` : error.message;
			resolve({ healthy: false, detail: `GET ${path} on port ${port}: ${detail}` });
		});
	});
}
