/** Files that are replaced as a whole: whoever reads one, after a crash too, finds the old content or the new. */
import { constants } from 'node:fs';
import { open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** Mode 0600; content and name are on disk when it resolves. */
export async function replaceFile(path: string, content: string | Buffer): Promise<void> {
	await writeFileAtomic(path, content, { mode: 0o600, fsync: true });
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

/** Takes away what a replacement that was killed has left beside the file. Whoever calls is the only one who writes it. */
export async function removeLeftovers(path: string): Promise<void> {
	const prefix = `${basename(path)}.`;
	for (const name of await readdir(dirname(path)))
		if (name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
			await rm(join(dirname(path), name), { force: true });
}
