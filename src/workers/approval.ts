/** The file by which a worker that PM2 restarts may join without the control plane: what was proven, and what it has to prove again. */
import { closeSync, fchmodSync, openSync, rmSync, writeSync } from 'node:fs';
import { readForeignFile } from '../system/foreign-file.js';
import type { HealthCheck } from './health-check.js';

const approvalBytesMax = 65_536;

export interface Approval {
	release: string;
	/** From its start; a worker that is not well by then says so, and goes on asking itself more rarely. */
	deadlineMs: number;
	check: HealthCheck;
}

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
export function writeApproval(path: string, approval: Approval): void {
	removeApproval(path);
	const descriptor = openSync(path, 'wx', 0o644);
	try {
		fchmodSync(descriptor, 0o644);
		writeSync(descriptor, `${JSON.stringify(approval)}\n`);
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
