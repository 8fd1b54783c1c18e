import { closeSync, constants, fstatSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { readUntrustedFile } from './untrusted-file.js';

export interface Rotation {
	/** A file that would grow beyond this is put aside first. */
	bytesMax: number;
	/** How many are kept aside, as `path.1` (the newest) to `path.N`. */
	keep: number;
}

/**
 * Lines in a file of mode 0600 that is put aside when it is full: at most `bytesMax` × (`keep` + 1) bytes in all. What cannot
 * be written is thrown, so that the caller says so; a line that a full disk cut never runs into the next one.
 */
export class RotatedFile {
	#descriptor: number | null = null;
	#inode = 0;
	#size = 0;
	/** The last line has no end: the disk was full, or the process ended. */
	#isTorn = false;

	constructor(
		readonly path: string,
		private readonly rotation: Rotation,
	) {}

	append(line: string): void {
		const bytes = Buffer.from(`${line}\n`);
		this.#open();
		if (this.#size > 0 && this.#size + bytes.length > this.rotation.bytesMax) this.#rotate();
		const descriptor = this.#open();
		try {
			if (this.#isTorn) this.#write(descriptor, Buffer.from('\n'));
			this.#isTorn = true;
			this.#write(descriptor, bytes);
			this.#isTorn = false;
		} catch (error) {
			// Opened anew next time: the file may have been moved to another disk, or removed to make room.
			this.close();
			throw error;
		}
	}

	/** The last lines of all files, oldest first, at most `limit`. Files that are missing hold none. */
	last(limit: number): string[] {
		const found: string[] = [];
		for (let index = 0; index <= this.rotation.keep && found.length < limit; index++) {
			const lines = this.#read(index === 0 ? this.path : `${this.path}.${index}`);
			found.unshift(...lines.slice(-(limit - found.length)));
		}
		return found;
	}

	#read(path: string): string[] {
		try {
			return readUntrustedFile(path, this.rotation.bytesMax).split('\n').filter(Boolean);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
			throw error;
		}
	}

	close(): void {
		if (this.#descriptor !== null) closeSync(this.#descriptor);
		this.#descriptor = null;
	}

	#open(): number {
		// Somebody may have moved or removed it meanwhile.
		if (this.#descriptor !== null && statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode)
			return this.#descriptor;
		this.close();
		const flags =
			constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
		const descriptor = openSync(this.path, flags, 0o600);
		const stat = fstatSync(descriptor);
		const own = process.getuid?.() ?? stat.uid;
		if (!stat.isFile() || stat.uid !== own || (stat.mode & 0o077) !== 0) {
			closeSync(descriptor);
			throw new Error(`${this.path} must be a plain file of this user with mode 0600; remove it`);
		}
		this.#size = stat.size;
		this.#inode = stat.ino;
		const end = Buffer.alloc(1);
		this.#isTorn = stat.size > 0 && readSync(descriptor, end, 0, 1, stat.size - 1) === 1 && end[0] !== newline;
		this.#descriptor = descriptor;
		return descriptor;
	}

	#rotate(): void {
		this.close();
		for (let index = this.rotation.keep; index >= 1; index--) {
			try {
				renameSync(index === 1 ? this.path : `${this.path}.${index - 1}`, `${this.path}.${index}`);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
			}
		}
	}

	/** A disk that is nearly full takes a part, and says so only when asked again. */
	#write(descriptor: number, bytes: Buffer): void {
		for (let written = 0; written < bytes.length; ) {
			const count = writeSync(descriptor, bytes, written);
			written += count;
			this.#size += count;
		}
	}
}

const newline = 0x0a;
