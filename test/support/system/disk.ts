import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const blockBytes = 4096;
const imageBytes = 128 * 1024 * 1024;

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

/** A disk as hosts have it at `folder`, ext4 in a file: at an error it turns read-only, and has to be checked and mounted anew. */
export function mountImage(folder: string, image: string): void {
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	writeFileSync(image, '', { mode: 0o600 });
	truncateSync(image, imageBytes);
	execFileSync('mkfs.ext4', ['-q', '-m', '0', '-F', image]);
	mountAnew(folder, image);
}

/** What the kernel does at an error of the disk: from here on every write fails with EROFS, files that are open included. */
export function turnReadOnly(folder: string): void {
	execFileSync('mount', ['-o', 'remount,abort', folder], { stdio: 'ignore' });
}

/** As an operator repairs it; throws while a process has a file open there. */
export function repairImage(folder: string, image: string): void {
	execFileSync('umount', [folder]);
	try {
		execFileSync('fsck.ext4', ['-p', image], { stdio: 'ignore' });
	} catch (error) {
		if ((error as { status?: number }).status !== fsckCorrected) throw error;
	}
	mountAnew(folder, image);
}

const fsckCorrected = 1;

const mountAnew = (folder: string, image: string): void =>
	void execFileSync('mount', ['-o', 'loop,errors=remount-ro', image, folder]);
