import http from 'node:http';
import net from 'node:net';
import { messageOf } from '../errors.js';
import { holdsSocket, listenerInodes, serverInode } from '../system/sockets.js';
import type { Clock } from './clock.js';
import type { Probe } from './link.js';
import type { WorkerApp, WorkerIdentity } from './types.js';

/** Where several processes listen on one port the kernel spreads connections, so some tries reach another one. */
const triesMax = 200;
/** One that has not accepted by then may be another's, which is blocked. */
const acceptMs = 250;
const acceptLookMs = 3;

/** Whether a process holds one of these sockets: asked of the kernel, for another user's process by way of its host. */
export type HoldsSocket = (identity: WorkerIdentity, inodes: readonly number[]) => Promise<boolean>;

/** Asks the kernel; throws EACCES for another user's process. */
export const holdsSocketHere: HoldsSocket = async (identity, inodes) => holdsSocket(identity, inodes);

interface SharedPort {
	identity: WorkerIdentity;
	port: number;
	health: WorkerApp['health'];
	clock: Clock;
	holds: HoldsSocket;
}

/**
 * Asks one process of several that share a port (SO_REUSEPORT): connects until the kernel says that it was this process
 * that accepted, and asks on that connection. So the answer is its own.
 */
export async function probeSharedPort(shared: SharedPort): Promise<Probe> {
	const { identity, port, health } = shared;
	if (!(await shared.holds(identity, listenerInodes(port)))) {
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

async function ownConnection({ identity, port, health, clock, holds }: SharedPort): Promise<net.Socket | null> {
	const until = clock.now() + health.timeoutMs;
	for (let tries = 0; tries < triesMax && clock.now() < until; tries += 1) {
		const socket = await connect(port, health.timeoutMs);
		const inode = await acceptedBy(socket, port, clock);
		if (inode !== null && (await holds(identity, [inode]))) return socket;
		socket.destroy();
	}
	return null;
}

async function acceptedBy(socket: net.Socket, port: number, clock: Clock): Promise<number | null> {
	const until = clock.now() + acceptMs;
	do {
		const inode = serverInode(port, socket.localPort ?? 0);
		if (inode === null) return null;
		if (inode > 0) return inode;
		await clock.sleep(acceptLookMs);
	} while (clock.now() < until);
	return null;
}

function connect(port: number, timeoutMs: number): Promise<net.Socket> {
	return new Promise((resolve, reject) => {
		const socket = net.connect({
			port,
			host: '127.0.0.1',
			signal: AbortSignal.timeout(timeoutMs),
		} as net.NetConnectOpts);
		socket.once('connect', () => resolve(socket));
		// Also whatever happens to it later.
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
