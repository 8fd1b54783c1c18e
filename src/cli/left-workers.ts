import { readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { ControlCommand } from '../workers/control.js';

/** The control sockets in a worker host's folder: `<id>.<pid>.ctl`. Some may be left by processes that are gone. */
export function leftWorkers(folder: string): { pid: number; socket: string }[] {
	let names: string[];
	try {
		names = readdirSync(folder);
	} catch {
		return [];
	}
	return names.flatMap((name) => {
		const pid = /\.(\d+)\.ctl$/.exec(name)?.[1];
		return pid === undefined ? [] : [{ pid: Number(pid), socket: join(folder, name) }];
	});
}

/**
 * Asks a worker on its control socket to finish what is open and leave. Resolves to true when somebody answered there,
 * once the connection has ended, which is when the process has left or the drain's time is over; false if nobody did.
 */
export function drainWorker(socket: string, timeoutMs: number): Promise<boolean> {
	return new Promise((resolve) => {
		let connected = false;
		const command: ControlCommand = { seq: 1, command: 'drain', timeoutMs, handOver: false };
		const connection = createConnection(socket, () => {
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
