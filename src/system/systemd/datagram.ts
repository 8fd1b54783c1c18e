import { closeSync, writeSync } from 'node:fs';
import { loadLibrary } from '../c-library.js';

/**
 * A connected unix datagram socket, which Node itself has not: systemd's notify and journal sockets are such. It is an
 * ordinary descriptor once it is open, so that sending is one write(2) and never blocks the event loop.
 */
export interface Datagram {
	/** full: the receiver is behind, try later. lost: there is no receiver, or the message is too large. */
	send(message: string | Buffer): 'sent' | 'full' | 'lost';
	close(): void;
}

/** Longest path of a unix socket address, terminator included (unix(7)). */
const pathBytesMax = 108;
const unixFamily = 1;
const datagramType = 2;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;

/**
 * Opens a datagram socket connected to `path` (a leading `@` means the abstract name space) by calling the C library
 * through koffi. null when koffi is not installed, no C library is known under its names, or there is no receiver at `path`.
 */
export function openDatagram(path: string): Datagram | null {
	const address = Buffer.from(path.replace(/^@/, '\0'));
	if (address.length === 0 || address.length >= pathBytesMax) return null;
	const library = loadLibrary();
	if (!library) return null;
	const socket = library.func('int socket(int domain, int type, int protocol)');
	const connect = library.func('int connect(int socket, uint8_t *address, uint32_t length)');
	const descriptor = socket(unixFamily, datagramType | nonBlocking | closeOnExec, 0);
	if (descriptor < 0) return null;
	const family = Buffer.from(Uint16Array.of(unixFamily).buffer);
	const name = Buffer.concat([family, address, ...(path.startsWith('@') ? [] : [Buffer.alloc(1)])]);
	if (connect(descriptor, name, name.length) !== 0) {
		closeSync(descriptor);
		return null;
	}
	return datagramOn(descriptor);
}

/** A descriptor of a connected datagram socket that this process inherited, for hosts without koffi. */
export function datagramOn(descriptor: number): Datagram {
	return {
		send(message) {
			try {
				writeSync(descriptor, Buffer.from(message));
				return 'sent';
			} catch (error) {
				const code = (error as NodeJS.ErrnoException).code;
				return code === 'EAGAIN' || code === 'ENOBUFS' ? 'full' : 'lost';
			}
		},
		close: () => closeSync(descriptor),
	};
}

/** Whether this process can open one; without, systemd/notify-exec opens them for the program that it starts. */
export const canOpenDatagrams = (): boolean => loadLibrary() !== null;
