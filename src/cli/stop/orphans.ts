import { closeSync, readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import {
	type UntrustedPlace,
	inUntrustedFolder,
	openUntrustedSocket,
	pathOfDescriptor,
} from '../../system/files/untrusted-file.js';
import { findOwned, type ProcessIdentity } from '../../system/proc/process.js';
import type { ControlCommand } from '../../workers/connection/control.js';

/** A worker whose host is gone. */
export interface OrphanWorker extends ProcessIdentity {
	id: string;
	socket: string;
}

/**
 * The living workers whose control sockets lie in the home of a worker host: `<id>.<pid>.ctl`. The names are its user's to
 * choose, so only processes of that user count.
 */
export function orphanWorkers(place: UntrustedPlace): OrphanWorker[] {
	const folder = join(place.root, 'w');
	let names: string[];
	try {
		names = inUntrustedFolder(folder, place, (path) => readdirSync(path));
	} catch {
		return [];
	}
	return names.flatMap((name) => {
		const [, id, pid] = /^(.+)\.(\d+)\.ctl$/.exec(name) ?? [];
		const identity = findOwned(Number(pid), place.owner);
		return id === undefined || identity === null ? [] : [{ ...identity, id, socket: join(folder, name) }];
	});
}

/**
 * Asks a worker on its control socket to finish what is open and leave. Resolves to true if it answered,
 * once the connection has ended, which is when the process has left or the drain's time is over; else to false.
 */
export async function drainWorker(worker: OrphanWorker, place: UntrustedPlace, timeoutMs: number): Promise<boolean> {
	let descriptor: number;
	try {
		descriptor = openUntrustedSocket(worker.socket, place);
	} catch {
		return false;
	}
	try {
		return await drainAt(pathOfDescriptor(descriptor), worker, timeoutMs);
	} finally {
		closeSync(descriptor);
	}
}

function drainAt(path: string, { id, pid }: OrphanWorker, timeoutMs: number): Promise<boolean> {
	return new Promise((resolve) => {
		let connected = false;
		const command: ControlCommand = { seq: 1, to: { id, pid }, command: 'drain', timeoutMs, handOver: false };
		const connection = createConnection(path, () => {
			connected = true;
			connection.write(`${JSON.stringify(command)}\n`);
		});
		const timer = setTimeout(() => connection.destroy(), timeoutMs + 1000);
		connection.resume();
		connection.on('error', () => undefined);
		connection.once('close', () => {
			clearTimeout(timer);
			resolve(connected);
		});
	});
}
