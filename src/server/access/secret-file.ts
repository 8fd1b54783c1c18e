import { constants, fstatSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { RollcallError } from '../../errors.js';

/** The longest file that is read; a store of users is far smaller. */
const bytesMax = 16 * 1024 * 1024;

/** The content, null if there is no such file. Refuses a link, and a file that others than the own user may read or change. */
export async function readSecretFile(path: string): Promise<Buffer | null> {
	let file: FileHandle;
	try {
		file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw refuse(path, `cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause);
	}
	try {
		const { mode, uid, size } = fstatSync(file.fd);
		const own = process.getuid?.() ?? uid;
		if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refuse(path, 'is no regular file');
		if (uid !== own && uid !== 0) throw refuse(path, `belongs to user ${uid}, not to ${own}`);
		if ((mode & 0o077) !== 0) throw refuse(path, `may be read or changed by others; run: chmod 600 ${path}`);
		if (size > bytesMax) throw refuse(path, `is larger than ${bytesMax} bytes`);
		return await file.readFile();
	} finally {
		await file.close();
	}
}

const refuse = (path: string, what: string, cause?: unknown): RollcallError =>
	new RollcallError('configuration', `${path} ${what}.`, {}, { cause });
