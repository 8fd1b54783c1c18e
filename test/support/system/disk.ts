import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const blockBytes = 4096;

/** A small disk in memory of its own at `folder`. */
export function mountDisk(folder: string, size: string, label: string): void {
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, label, folder]);
}

export function unmountDisk(folder: string): void {
	try {
		execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
	} catch {
		// It was not mounted.
	}
}

/** Makes the disk below a folder full, to the last byte. */
export function fillDisk(folder: string): void {
	const file = openSync(join(folder, 'filler'), 'w');
	const block = Buffer.alloc(blockBytes);
	try {
		for (;;) writeSync(file, block);
	} catch {
		// Full.
	} finally {
		closeSync(file);
	}
}

export function emptyDisk(folder: string): void {
	rmSync(join(folder, 'filler'), { force: true });
}
