/** The file by which a worker that PM2 restarts may join without the control plane: what was proven, and what it has to prove again. */
import { closeSync, fchmodSync, openSync, rmSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { untrustedPlace, inUntrustedFolder, readUntrustedFile } from '../../system/files/untrusted-file.js';
import { approvalPath } from '../connection/control.js';
import type { HealthCheck } from './health-check.js';
import type { HostHome } from '../pm2/home.js';

type Home = Pick<HostHome, 'path' | 'sockets'>;

const approvalBytesMax = 65_536;

export interface Approval {
	release: string;
	/** Counted from its start; an unhealthy worker reports it then, and checks itself less often afterwards. */
	deadlineMs: number;
	check: HealthCheck;
}

export function isApproved(home: Home, id: string): boolean {
	try {
		return at(home, id, (path) => readUntrustedFile(path, approvalBytesMax)) !== '';
	} catch {
		return false;
	}
}

/**
 * The folder may belong to another user, whose app could have put a link in the file's place, or in that of the folder:
 * what is there is taken away, and the file is made anew or not at all. The worker reads it as others do; the folder keeps
 * everyone else out.
 */
export function writeApproval(home: Home, id: string, approval: Approval): void {
	removeApproval(home, id);
	const descriptor = at(home, id, (path) => openSync(path, 'wx', 0o644));
	try {
		fchmodSync(descriptor, 0o644);
		writeSync(descriptor, `${JSON.stringify(approval)}\n`);
	} finally {
		closeSync(descriptor);
	}
}

export function removeApproval(home: Home, id: string): void {
	try {
		at(home, id, (path) => rmSync(path, { force: true }));
	} catch {
		// Another user's app has put a folder there. Without approval its worker waits for the control plane: its own loss.
	}
}

/** Calls `use` with a path of the file in the very folder of the home. */
function at<T>({ path, sockets }: Home, id: string, use: (path: string) => T): T {
	return inUntrustedFolder(sockets, untrustedPlace(path), (folder) =>
		use(`${folder}/${basename(approvalPath(sockets, id))}`),
	);
}
