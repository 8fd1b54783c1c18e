import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Opens a file in a folder that another user can write: a regular file and nothing else. What that user could put in its
 * place are a link to what only the reader may read, and a pipe, on which an ordinary open waits for ever. Throws as
 * open(2) does (ELOOP for a link), or EINVAL for what is no regular file. The caller closes the descriptor.
 */
export function openForeignFile(path: string): number {
	const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	if (fstatSync(descriptor).isFile()) return descriptor;
	closeSync(descriptor);
	throw Object.assign(new Error(`EINVAL: no regular file, open '${path}'`), { code: 'EINVAL', path });
}

/** At most the last `bytesMax` bytes of such a file, as text. Throws as {@link openForeignFile} does. */
export function readForeignFile(path: string, bytesMax: number): string {
	const descriptor = openForeignFile(path);
	try {
		const { size } = fstatSync(descriptor);
		const bytes = Buffer.alloc(Math.min(size, bytesMax));
		const length = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
		return bytes.toString('utf8', 0, length);
	} finally {
		closeSync(descriptor);
	}
}
