import { readdirSync, readlinkSync } from 'node:fs';
import { type ProcessIdentity, treeOf } from './marked-processes.js';
import { readText } from './read-text.js';

/** A connection that is open, and a socket that listens, as /proc/net/tcp has it (proc(5)). */
const open = '01';
const listening = '0A';

/**
 * Inode of the server's end of a connection on this host, told by both its ports; 0 while nobody has accepted it, null
 * when there is no such connection.
 */
export function serverInode(serverPort: number, clientPort: number): number | null {
	return inodesOf(serverPort, `[0-9A-F]+:${hex(clientPort)} ${open}`)[0] ?? null;
}

/** Inodes of all sockets that listen on the port, over IPv4 and IPv6. */
export function listenerInodes(port: number): number[] {
	return inodesOf(port, `\\S+ ${listening}`);
}

/** Whether the process, or one below it, holds one of these sockets. Throws EACCES for another user's process. */
export function holdsSocket(root: ProcessIdentity, inodes: readonly number[]): boolean {
	const names = new Set(inodes.map((inode) => `socket:[${inode}]`));
	return treeOf(root).some((pid) => descriptorsOf(pid, pid === root.pid).some((name) => names.has(name)));
}

function inodesOf(localPort: number, rest: string): number[] {
	const row = new RegExp(`^ *\\d+: [0-9A-F]+:${hex(localPort)} ${rest} \\S+ \\S+ \\S+ +\\d+ +\\d+ (\\d+) `, 'gm');
	const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readText(file) ?? '');
	return tables.flatMap((table) => [...table.matchAll(row)].map(([, inode]) => Number(inode)));
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

const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
