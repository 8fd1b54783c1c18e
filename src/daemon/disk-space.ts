import { statfs, utimes } from 'node:fs/promises';
import type { Config } from '../config/schema.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { isReadOnly, readOnlyRemedy } from '../system/files/disk-remedy.js';

/** Free space below which the operator is warned; records and logs need less within hours. */
export const spareBytes = 64 * 1024 * 1024;
/** Files that can still be made. */
export const spareFiles = 256;
const lookEveryMs = 30_000;

/** A folder that this node writes to. */
export interface Folder {
	/** The configuration key that names it. */
	key: string;
	path: string;
	/** What happens without space, as the rest of a sentence. */
	consequence: string;
	/** This process writes there itself; the worker hosts, in their units, write to the other one. */
	isOwn: boolean;
}

/** Where a full file system would stop this node. */
export function writtenFolders({ state_dir, worker_dir }: Pick<Config, 'state_dir' | 'worker_dir'>): Folder[] {
	return [
		{
			key: 'state_dir',
			path: state_dir,
			consequence: 'this node can store no rollout and takes part in none',
			isOwn: true,
		},
		{
			key: 'worker_dir',
			path: worker_dir,
			consequence: 'the logs of the workers are lost and none may start',
			isOwn: false,
		},
	];
}

export interface Space {
	freeBytes: number;
	/** null where the file system counts none. */
	freeFiles: number | null;
}

/** One sentence about a folder with little space; null if it has enough. */
export function spaceNote({ key, path, consequence }: Folder, { freeBytes, freeFiles }: Space): string | null {
	const lacksFiles = freeFiles !== null && freeFiles < spareFiles;
	if (freeBytes >= spareBytes && !lacksFiles) return null;
	const left = lacksFiles ? `room for ${freeFiles} more files` : `${Math.floor(freeBytes / 1024 ** 2)} MiB free`;
	return `The file system of ${path} (${key}) has only ${left}: make space there; without it ${consequence}.`;
}

/** Checks the folders every half minute, to warn before a full disk makes requests fail. */
export class DiskSpace {
	readonly #notes = new Map<string, string>();
	#isLooking = false;
	readonly #timer: NodeJS.Timeout;

	constructor(
		private readonly folders: readonly Folder[],
		private readonly logger: Pick<Logger, 'warn' | 'info'>,
		private readonly spaceOf: (folder: Folder) => Promise<Space> = spaceBelow,
	) {
		this.#timer = setInterval(() => void this.look(), lookEveryMs).unref();
	}

	notes(): string[] {
		return [...this.#notes.values()];
	}

	/** One look at a time: a file system that hangs must not pile them up. */
	async look(): Promise<void> {
		if (this.#isLooking) return;
		this.#isLooking = true;
		for (const folder of this.folders) await this.#lookAt(folder);
		this.#isLooking = false;
	}

	close(): void {
		clearInterval(this.#timer);
	}

	/** The log hears of a change alone. */
	async #lookAt(folder: Folder): Promise<void> {
		const { key, path, consequence } = folder;
		let note: string | null;
		try {
			note = spaceNote(folder, await this.spaceOf(folder));
		} catch (error) {
			// The worker host makes its folder at its own start.
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
			note = isReadOnly(error)
				? `The file system of ${path} (${key}) is read-only: ${readOnlyRemedy}. Until then ${consequence}.`
				: `The file system of ${path} (${key}) does not answer: ${messageOf(error)}.`;
		}
		const wasTold = this.#notes.has(key);
		if (note !== null) this.#notes.set(key, note);
		else if (this.#notes.delete(key)) this.logger.info({ event: 'disk_has_space', key, path });
		if (note !== null && !wasTold) this.logger.warn({ event: 'disk_nearly_full', key, path }, note);
	}
}

async function spaceBelow({ path, isOwn }: Folder): Promise<Space> {
	if (isOwn) await touch(path);
	const { bavail, bsize, files, ffree } = await statfs(path);
	return { freeBytes: bavail * bsize, freeFiles: files === 0 ? null : ffree };
}

/** Neither statfs nor access tell of a file system that an error made read-only; changing the folder's time does, also on a full one. */
async function touch(path: string): Promise<void> {
	const now = new Date();
	try {
		await utimes(path, now, now);
	} catch (error) {
		if (isReadOnly(error)) throw error;
	}
}
