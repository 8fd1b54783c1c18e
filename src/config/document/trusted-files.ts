import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { RollcallError } from '../../errors.js';

/** Nothing that is configured by hand is larger. */
export const fileBytesMax = 1024 * 1024;

/** The problem with a file; completes the message about the key that names it. */
export interface FileFault {
	expected: string;
	got: string;
	hint: string | null;
}

/** Thrown by {@link readTrustedFile}; the caller, which knows the key, makes it a fault with line and column. */
export class FileRefused extends RollcallError {
	constructor(readonly fault: FileFault) {
		super('configuration', `expected ${fault.expected}, got ${fault.got}`);
	}
}

/** Checks of a file: trusted owner and mode, optionally private. */
export type FileKind = 'open' | 'secret';

/** The text of a file of at most 1 MiB. Throws {@link FileRefused} when others could have written (or, if secret, read) it. */
export function readTrustedFile(path: string, kind: FileKind): string {
	const descriptor = openTrusted(path, kind);
	try {
		const buffer = Buffer.alloc(fileBytesMax + 1);
		let length = 0;
		for (let got = -1; got !== 0 && length < buffer.length; length += got) {
			got = readSync(descriptor, buffer, length, buffer.length - length, null);
		}
		if (length > fileBytesMax) throw refused('a file of at most 1 MiB', `more in ${path}`, null);
		return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
	} catch (error) {
		if (error instanceof TypeError) throw refused('a text in UTF-8', `other bytes in ${path}`, null);
		throw error;
	} finally {
		closeSync(descriptor);
	}
}

/** Checks without reading: who may write the file and its folder and, if secret, who may read it. */
export function checkTrustedFile(path: string, kind: FileKind): void {
	checkStats(
		path,
		kind,
		existing(path, () => statSync(path)),
	);
	checkFolders(path);
}

/** The checks are made on the open file, so that it cannot be another one when it is read. */
function openTrusted(path: string, kind: FileKind): number {
	// Without O_NONBLOCK a named pipe would hold the start up for ever.
	const descriptor = existing(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
	try {
		checkStats(path, kind, fstatSync(descriptor));
		checkFolders(path);
		return descriptor;
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
}

function checkStats(path: string, kind: FileKind, stats: Stats): void {
	if (!stats.isFile()) throw refused('a file', `${stats.isDirectory() ? 'a folder' : 'something else'}: ${path}`, null);
	checkOwner(path, stats);
	if ((stats.mode & 0o022) !== 0) {
		throw refused(
			'a file that neither group nor others can write',
			`${path} with mode ${modeText(stats)}`,
			`chmod go-w ${path}`,
		);
	}
	if (kind === 'secret' && (stats.mode & 0o004) !== 0) {
		throw refused('a secret that others cannot read', `${path} with mode ${modeText(stats)}`, `chmod o-rwx ${path}`);
	}
}

/** Both the folder of the name and, behind a link, the folder of the file: who can write there can put another file in its place. */
function checkFolders(path: string): void {
	const folders = new Set([dirname(path), dirname(existing(path, () => realpathSync(path)))]);
	for (const folder of folders) {
		const stats = existing(folder, () => statSync(folder));
		checkOwner(folder, stats);
		const sticky = (stats.mode & 0o1000) !== 0;
		if (!sticky && (stats.mode & 0o022) !== 0) {
			throw refused(
				'a folder that neither group nor others can write',
				`${folder} with mode ${modeText(stats)}`,
				`chmod go-w ${folder}`,
			);
		}
	}
}

function checkOwner(path: string, stats: Stats): void {
	const own = process.geteuid?.() ?? 0;
	if (isTrustedOwner(stats.uid, own)) return;
	throw refused(
		`root or the own user (id ${own}) as owner`,
		`${path} of the user with id ${stats.uid}`,
		`chown root ${path}`,
	);
}

/** An owner can change mode and content; root always can. */
export function isTrustedOwner(owner: number, own: number): boolean {
	return owner === 0 || owner === own;
}

function existing<Value>(path: string, look: () => Value): Value {
	try {
		return look();
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code;
		if (code === 'ENOENT' || code === 'ENOTDIR') throw refused('a file', `nothing at ${path}`, null);
		if (code === 'EACCES' || code === 'EPERM')
			throw refused('a file that this user may read', `no permission for ${path}`, null);
		throw refused('a file that can be read', `${code ?? 'an error'} at ${path}`, null);
	}
}

function refused(expected: string, got: string, hint: string | null): FileRefused {
	return new FileRefused({ expected, got, hint });
}

function modeText(stats: Stats): string {
	return (stats.mode & 0o7777).toString(8).padStart(4, '0');
}
