/** The file by which a worker that PM2 restarts may join by itself, the control plane being down or not. Its text is the release. */
import { closeSync, fchmodSync, openSync, rmSync, writeSync } from 'node:fs';
import { readForeignFile } from '../system/foreign-file.js';

const approvalBytesMax = 8_192;

export function isApproved(path: string): boolean {
	try {
		return readForeignFile(path, approvalBytesMax) !== '';
	} catch {
		return false;
	}
}

/**
 * The folder may belong to another user, whose app could have put a link in the file's place: what is there is taken away,
 * and the file is made anew or not at all. The worker reads it as others do; the folder keeps everyone else out.
 */
export function writeApproval(path: string, release: string): void {
	removeApproval(path);
	const descriptor = openSync(path, 'wx', 0o644);
	try {
		fchmodSync(descriptor, 0o644);
		writeSync(descriptor, `${release}\n`);
	} finally {
		closeSync(descriptor);
	}
}

export function removeApproval(path: string): void {
	try {
		rmSync(path, { force: true });
	} catch {
		// Another user's app has put a folder there. Without approval its worker waits for the control plane: its own loss.
	}
}
