/**
 * The files that workers write: `<worker_dir>/<user>/logs/<app>-<number>-out.log` and `-error.log`, turned over to `.1`, `.2`
 * and so on. Everything below a user's folder is that user's to change.
 */
import { fstatSync, closeSync, lstatSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf, RollcallError } from '../../errors.js';
import { inUntrustedFolder, openUntrustedFile, type UntrustedPlace, untrustedPlace } from '../files/untrusted-file.js';

/** Where the workers of one user write. */
export interface LogFolder {
	path: string;
	place: UntrustedPlace;
}

/** One stream of one worker: the file that is being written, and behind it those that were turned over. */
export interface LogStream {
	worker: string;
	app: string;
	stream: 'out' | 'error';
	path: string;
	place: UntrustedPlace;
}

/** Which streams are meant; what is left out means all. */
export interface LogFilter {
	app?: string | undefined;
	worker?: string | undefined;
	/** By worker id. */
	isMeant?: ((worker: string) => boolean) | undefined;
}

/** The folders of all users. Throws `forbidden` or `not_found` where `worker_dir` cannot be read. */
export function logFolders(workerDir: string): LogFolder[] {
	try {
		return readdirSync(workerDir, { withFileTypes: true })
			.filter((entry) => entry.isDirectory())
			.map(({ name }) => ({ path: join(workerDir, name, 'logs'), place: untrustedPlace(join(workerDir, name)) }));
	} catch (error) {
		const text = `${workerDir} cannot be read: ${messageOf(error)}. The logs belong to the workers' user; run this as root or as that user.`;
		const code = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'not_found' : 'forbidden';
		throw new RollcallError(code, text, {}, { cause: error });
	}
}

/** The streams in a folder. Throws `forbidden` where it cannot be read; a link in its place has none. */
export function logStreams(folder: LogFolder, filter: LogFilter): LogStream[] {
	let names: string[];
	try {
		names = inUntrustedFolder(folder.path, folder.place, (path) => readdirSync(path));
	} catch (error) {
		// A symbolic link in place of the folder may lead to files of other users.
		if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
		throw new RollcallError('forbidden', `${folder.path} cannot be read: ${messageOf(error)}.`, {}, { cause: error });
	}
	const streams = names.filter((name) => name.endsWith('.log')).map((name) => streamOf(folder, name, filter));
	return streams.filter((stream) => stream !== null);
}

const namePattern = /^((.+)-\d+)-(out|error)\.log(?:\.\d{1,9})?$/;

/** The stream that a file of this name belongs to, also one that was turned over; null for any other file. */
export function streamOf(folder: LogFolder, name: string, filter: LogFilter): LogStream | null {
	const [, worker, app, stream] = namePattern.exec(name) ?? [];
	if (worker === undefined || app === undefined) return null;
	if (filter.app !== undefined && filter.app !== app && filter.app !== worker) return null;
	if (filter.worker !== undefined && filter.worker !== worker) return null;
	if (filter.isMeant && !filter.isMeant(worker)) return null;
	const path = join(folder.path, `${worker}-${stream}.log`);
	return { worker, app, stream: stream === 'error' ? 'error' : 'out', path, place: folder.place };
}

/** A file as it was found: which one it is, whatever its name becomes, and how large. */
export interface FoundFile {
	path: string;
	/** Of this file alone: inode numbers are used again. */
	id: string;
	size: number;
	/** ms since 1970. */
	writtenAt: number;
}

/** Most files of one stream that are looked at, the one being written included. */
const turnsMax = 100;

/** The files of a stream that are there, the one being written first. */
export function turnsOf({ path, place }: LogStream): FoundFile[] {
	const found: FoundFile[] = [];
	for (let turn = 0; turn < turnsMax; turn++) {
		const file = look(turn === 0 ? path : `${path}.${turn}`, place);
		if (file) found.push(file);
		// While files are turned over, the first name is free for a moment.
		else if (turn > 0) break;
	}
	return found;
}

function look(path: string, place: UntrustedPlace): FoundFile | null {
	try {
		return inUntrustedFolder(dirname(path), place, (folder) => {
			const stat = lstatSync(join(folder, basename(path)));
			if (!stat.isFile()) return null;
			return { path, id: `${stat.ino} ${stat.birthtimeMs}`, size: stat.size, writtenAt: stat.mtimeMs };
		});
	} catch {
		return null;
	}
}

/** Opens a file that was found; null when it is gone, or something else stands in its place. The caller closes the descriptor. */
export function openFound({ path, id }: FoundFile, { place }: LogStream): number | null {
	try {
		const descriptor = openUntrustedFile(path, place);
		const { ino, birthtimeMs } = fstatSync(descriptor);
		if (`${ino} ${birthtimeMs}` === id) return descriptor;
		closeSync(descriptor);
	} catch {
		// Gone meanwhile.
	}
	return null;
}
