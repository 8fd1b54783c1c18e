import { randomBytes } from 'node:crypto';
import { constants, link, lstat, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FileRefused, isTrustedOwner, readTrustedFile } from '../../config/document/trusted-files.js';
import { RollcallError } from '../../errors.js';

/** Files that hold keys: written whole or not at all, and never readable by others, not for a moment. */

export interface NewFile {
	path: string;
	text: string | Uint8Array;
	mode: number;
}

/** `private`: other users have no access; `unwritable`: other users cannot replace files in it. */
type Privacy = 'private' | 'unwritable';

/** A folder of the own user, made with mode 0700 if it is not there. Throws `invalid` with the remedy. */
export async function ensureFolder(path: string, privacy: Privacy): Promise<void> {
	const stats = await onDisk(path, async () => {
		await mkdir(path, { recursive: true, mode: 0o700 });
		return stat(path);
	});
	const own = process.geteuid?.() ?? 0;
	if (!isTrustedOwner(stats.uid, own)) {
		throw new RollcallError('invalid', `${path} belongs to user ${stats.uid}; choose a folder of your own.`);
	}
	const [forbidden, remedy] = privacy === 'private' ? [0o077, 'chmod 700'] : [0o022, 'chmod go-w'];
	if ((stats.mode & forbidden) === 0) return;
	const others = privacy === 'private' ? 'is open to others' : 'can be written by others';
	throw new RollcallError('invalid', `${path} ${others}, and a key shall stand in it. Run: ${remedy} ${path}`);
}

/** Throws `invalid` naming the first of the files that is there already. */
export async function refuseExisting(paths: readonly string[], consequence: string): Promise<void> {
	for (const path of paths) {
		const exists = await lstat(path).then(
			() => true,
			() => false,
		);
		if (exists) throw existing(path, consequence);
	}
}

/** Puts files in their place, each whole and on disk; one that is there already is refused unless it may be replaced. */
export async function place(files: readonly NewFile[], mayReplace: boolean): Promise<void> {
	for (const { path, text, mode } of files) {
		const fresh = `${path}.${randomBytes(6).toString('hex')}.new`;
		try {
			await onDisk(path, async () => {
				await write(fresh, text, mode);
				await (mayReplace ? rename(fresh, path) : linkNew(fresh, path));
			});
		} finally {
			await unlink(fresh).catch(() => undefined);
		}
	}
	for (const folder of new Set(files.map(({ path }) => dirname(path)))) await syncFolder(folder);
}

/** The text of a file that an earlier command made. Throws `invalid`; `missing` says how to come by it. */
export async function readOwnFile(path: string, kind: 'open' | 'secret', missing: string): Promise<string> {
	try {
		const text = readTrustedFile(path, kind);
		const { mode } = await stat(path);
		if (kind === 'open' || (mode & 0o077) === 0) return text;
	} catch (error) {
		if (!(error instanceof FileRefused)) throw error;
		const { got, hint } = error.fault;
		const remedy = got.startsWith('nothing') ? missing : hint;
		throw new RollcallError('invalid', `${error.message}${remedy === null ? '' : `; ${remedy}`}`);
	}
	throw new RollcallError('invalid', `${path} can be read by others. Run: chmod 600 ${path}`);
}

/** Whether a file is there and has this very text. */
export async function holds(path: string, text: string): Promise<boolean> {
	return readFile(path, 'utf8').then(
		(found) => found === text,
		() => false,
	);
}

/** Turns system errors into errors that name the path; rethrows all others. */
export async function onDisk<Value>(path: string, work: () => Promise<Value>): Promise<Value> {
	try {
		return await work();
	} catch (cause) {
		const { code, syscall } = cause as NodeJS.ErrnoException;
		if (cause instanceof RollcallError || code === undefined || syscall === undefined) throw cause;
		throw new RollcallError('unavailable', `${path} cannot be written (${code}).`, {}, { cause });
	}
}

/** Unlike a rename, a link never takes the place of a file that another command has just made. */
async function linkNew(from: string, to: string): Promise<void> {
	try {
		await link(from, to);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existing(to, 'another command has just made it');
		throw error;
	}
}

async function write(path: string, text: NewFile['text'], mode: number): Promise<void> {
	const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
	try {
		// Whatever the umask says; it can only have made it narrower so far.
		await file.chmod(mode);
		await file.writeFile(text);
		await file.sync();
	} finally {
		await file.close();
	}
}

async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

const existing = (path: string, consequence: string): RollcallError =>
	new RollcallError('invalid', `${path} is there already: ${consequence}.`);
