/**
 * Files and sockets in folders that another user can write. That user can put anything in the place of anything: a link to
 * what only the reader may open, a pipe on which an ordinary open waits for ever, another user's socket. So a name is
 * resolved once, to a descriptor, and the opened file is judged: its type, its owner, and that no link led there.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';

/** A folder of another user, and everything below it. Its own name is not that user's to change. */
export interface UntrustedPlace {
	/** Below this folder no link is followed. */
	root: string;
	/** User id that files and sockets must belong to. */
	owner: number;
}

/** O_PATH, which Node does not name; the same on every architecture that Node runs on. */
const pathOnly = 0o10000000;
const folderFlags = pathOnly | constants.O_DIRECTORY;

/** The place of a folder that belongs to the user who may write in it. Throws ENOENT when it is not there. */
export function untrustedPlace(root: string): UntrustedPlace {
	return { root, owner: statSync(root).uid };
}

/** A path to the file that this descriptor has open, even if its name changes. Good while the descriptor is open. */
export const pathOfDescriptor = (descriptor: number): string => `/proc/self/fd/${descriptor}`;

/**
 * Calls `use` with a path of the same folder in which no link can be put any more. Throws as open(2) does: ENOTDIR where a
 * folder on the way is a link.
 */
export function inUntrustedFolder<T>(folder: string, { root }: UntrustedPlace, use: (path: string) => T): T {
	let descriptor = openSync(root, folderFlags);
	try {
		for (const name of namesBetween(root, folder)) {
			const next = openSync(`${pathOfDescriptor(descriptor)}/${name}`, folderFlags | constants.O_NOFOLLOW);
			closeSync(descriptor);
			descriptor = next;
		}
		return use(pathOfDescriptor(descriptor));
	} finally {
		closeSync(descriptor);
	}
}

/**
 * Opens a regular file and nothing else; with a `place` one of its owner's, reached without a link. Throws as open(2) does
 * (ELOOP for a link), EINVAL if it is not a regular file, EPERM if another user owns it. The caller closes the descriptor.
 */
export function openUntrustedFile(path: string, place?: UntrustedPlace): number {
	const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
	if (place === undefined) return judged(openSync(path, flags), path, isFile);
	return openIn(place, path, flags, isFile);
}

/** At most the last `bytesMax` bytes of such a file, as text. Throws as {@link openUntrustedFile} does. */
export function readUntrustedFile(path: string, bytesMax: number, place?: UntrustedPlace): string {
	const descriptor = openUntrustedFile(path, place);
	try {
		const { size } = fstatSync(descriptor);
		const bytes = Buffer.alloc(Math.min(size, bytesMax));
		const length = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
		return bytes.toString('utf8', 0, length);
	} finally {
		closeSync(descriptor);
	}
}

/**
 * Finds a socket of the owner's to connect to, by {@link pathOfDescriptor}. The owner of a socket's file is the user who
 * bound it, so it is known who listens before a word is said. Throws as {@link openUntrustedFile} does. The caller closes
 * the descriptor once it is connected.
 */
export function openUntrustedSocket(path: string, place: UntrustedPlace): number {
	return openIn(place, path, pathOnly | constants.O_NOFOLLOW, (stat) => stat.isSocket());
}

/** What an app names itself may lie anywhere: then the owner alone decides. */
function openIn(place: UntrustedPlace, path: string, flags: number, isKind: (stat: Stats) => boolean): number {
	const open = (name: string): number => judged(openSync(name, flags), path, isKind, place.owner);
	if (!path.startsWith(`${place.root}/`)) return open(path);
	return inUntrustedFolder(dirname(path), place, (folder) => open(`${folder}/${basename(path)}`));
}

const isFile = (stat: Stats): boolean => stat.isFile();

/** Closes the descriptor and throws if the file is not as expected. */
function judged(descriptor: number, path: string, isKind: (stat: Stats) => boolean, owner?: number): number {
	const stat = fstatSync(descriptor);
	if (isKind(stat) && (owner === undefined || stat.uid === owner)) return descriptor;
	closeSync(descriptor);
	const [code, text] = isKind(stat)
		? ['EPERM', `it belongs to user ${stat.uid}, not to ${owner}`]
		: ['EINVAL', 'it is something else than expected'];
	throw Object.assign(new Error(`${code}: ${text}, open '${path}'`), { code, path });
}

function namesBetween(root: string, folder: string): string[] {
	const names = relative(root, folder).split('/').filter(Boolean);
	if (names.includes('..'))
		throw Object.assign(new Error(`EINVAL: ${folder} is not below ${root}`), { code: 'EINVAL' });
	return names;
}
