/** Files that are replaced as a whole: a reader, after a crash too, finds the old content or the new. */
import { randomInt } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Mode 0600; content and name are on disk when it resolves. When it rejects before the new name stands, the old content does. */
export async function replaceFile(path: string, content: string | Buffer): Promise<void> {
	const beside = `${path}.${randomInt(2 ** 32)}`;
	try {
		const file = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
		try {
			// Goes on until all is written: a disk that is nearly full takes a part of it and says so only when asked again.
			await file.writeFile(content);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(beside, path);
	} catch (error) {
		await rm(beside, { force: true }).catch(() => undefined);
		throw error;
	}
	await syncFolder(dirname(path));
}

/** What stands in a folder by which name is on disk when it resolves. */
export async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

/** Removes what a killed replacement left beside the file. The caller must be its only writer. */
export async function removeLeftovers(path: string): Promise<void> {
	const prefix = `${basename(path)}.`;
	for (const entry of await readdir(dirname(path), { withFileTypes: true }))
		if (entry.isFile() && entry.name.startsWith(prefix) && /^\d+$/.test(entry.name.slice(prefix.length)))
			await rm(join(dirname(path), entry.name), { force: true });
}
