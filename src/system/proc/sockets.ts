import { readdirSync, readlinkSync } from 'node:fs';
import { treeOf } from './process-tree.js';
import type { ProcessIdentity } from './process.js';
import { readText } from './read-text.js';

/** A connection that is open, and a socket that listens, as /proc/net/tcp has it (proc(5)). */
const open = '01';
const listening = '0A';

/**
 * Inodes of the server's ends of the connections to a port, by the client's port; 0 while the server has not accepted the
 * connection. Of connections on this host a client's port names one.
 */
export function serverInodes(serverPort: number): Map<number, number> {
	return new Map(rowsOf(serverPort, open).map(({ remotePort, inode }) => [remotePort, inode]));
}

/** Inodes of all sockets that listen on the port, over IPv4 and IPv6. */
export function listenerInodes(port: number): number[] {
	return rowsOf(port, listening).map(({ inode }) => inode);
}

/** Which of these sockets the process, or one below it, holds. Throws EACCES for another user's process. */
export function heldSockets(root: ProcessIdentity, inodes: readonly number[]): number[] {
	const names = new Set(treeOf(root).flatMap((pid) => descriptorsOf(pid, pid === root.pid)));
	return inodes.filter((inode) => names.has(`socket:[${inode}]`));
}

function rowsOf(localPort: number, state: string): { remotePort: number; inode: number }[] {
	const port = localPort.toString(16).toUpperCase().padStart(4, '0');
	const row = new RegExp(
		`^ *\\d+: [0-9A-F]+:${port} [0-9A-F]+:([0-9A-F]{4}) ${state} \\S+ \\S+ \\S+ +\\d+ +\\d+ (\\d+) `,
		'gm',
	);
	const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readText(file) ?? '');
	return tables.flatMap((table) =>
		[...table.matchAll(row)].map(([, remote = '', inode]) => ({
			remotePort: Number.parseInt(remote, 16),
			inode: Number(inode),
		})),
	);
}

function descriptorsOf(pid: number, isRoot: boolean): string[] {
	const folder = `/proc/${pid}/fd`;
	let names: string[];
	try {
		names = readdirSync(folder);
	} catch (error) {
		// What ended meanwhile holds nothing.
		if (isRoot && (error as NodeJS.ErrnoException).code === 'EACCES') throw error;
		return [];
	}
	return names.flatMap((name) => {
		try {
			return [readlinkSync(`${folder}/${name}`)];
		} catch {
			return [];
		}
	});
}
