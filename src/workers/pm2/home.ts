import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RollcallError } from '../../errors.js';
import { findHolder, type LockHolder } from '../../system/files/process-lock.js';
import { untrustedPlace } from '../../system/files/untrusted-file.js';
import { findOwned, isOwned, type ProcessIdentity } from '../../system/proc/process.js';

/** One worker host's private folder: PM2's home, its lock, the workers' logs and their private sockets. */
export interface HostHome {
	path: string;
	lock: string;
	logs: string;
	pids: string;
	/** The workers' control and probe sockets, and their approvals. A short name, since socket paths are limited. */
	sockets: string;
	/** What the host and PM2 themselves say. */
	hostLog: string;
	/** PM2's request socket. */
	rpc: string;
}

/** Longest path of a unix socket on Linux, without its ending zero byte. */
const socketPathBytesMax = 107;
/** `/<pid up to 7 digits>.<n up to 2 digits>.sock` and two dots around it. */
const socketNameTailBytes = 18;

/** The home of one app user's host; without users (`user: null`) there is one named self. */
export function hostHome(workerDir: string, user: string | null): HostHome {
	const path = join(workerDir, user ?? 'self');
	return {
		path,
		lock: join(path, 'lock'),
		logs: join(path, 'logs'),
		pids: join(path, 'pids'),
		sockets: join(path, 'w'),
		hostLog: join(path, 'logs', 'host.log'),
		rpc: join(path, 'rpc.sock'),
	};
}

/**
 * Creates missing folders. A home that exists with the set-group-id bit keeps it: that is how the control plane's group
 * reaches the sockets of another user's host (2710: it may pass through, not look around). Else it is private, 0700.
 */
export function makeHome(home: HostHome): void {
	mkdirSync(home.path, { recursive: true, mode: 0o700 });
	const shared = isShared(home);
	if (!shared) {
		chmodSync(home.path, 0o700);
		// A folder that came from elsewhere becomes root's where root runs this: only the owner's processes and sockets count.
		if (process.geteuid?.() === 0) chownSync(home.path, 0, -1);
	}
	// In a shared home each folder takes over group and set-group-id bit by being made in there. Neither could be set
	// afterwards: this user is no member of that group, and the unit's RestrictSUIDSGID forbids the bit in any call.
	makeFolder(home.logs, shared ? 0o750 : 0o700);
	makeFolder(home.sockets, shared ? 0o770 : 0o700);
	makeFolder(home.pids, shared ? 0o710 : 0o700);
	makeFolder(join(home.path, 'modules'), shared ? 0o710 : 0o700);
	// PM2 greets and reports a first use unless this file is there, and its client would write both itself.
	writeOnce(join(home.path, 'touch'), '');
	writeOnce(join(home.path, 'module_conf.json'), JSON.stringify({ pm2: { sysmonit: 'false' } }));
}

/** Exactly this mode, for any umask. */
function makeFolder(path: string, mode: number): void {
	const before = process.umask(0);
	try {
		mkdirSync(path, { recursive: true, mode });
	} finally {
		process.umask(before);
	}
}

/** True when the home belongs to a group that the control plane is a member of. */
export function isShared(home: HostHome): boolean {
	return (statSync(home.path).mode & 0o2000) !== 0;
}

/** The user whose processes are workers of this home, as the kernel names the owner of a file or process. */
export const ownerOf = (home: Pick<HostHome, 'path'>): number => untrustedPlace(home.path).owner;

/** A process that a record names as one of this home's: null unless it belongs to the home's owner. */
export function processOf(home: Pick<HostHome, 'path'>, pid: number): ProcessIdentity | null {
	return findOwned(pid, ownerOf(home));
}

/** The host of this home as its lock names it: null where that names no process of the home's owner. */
export async function findHost(home: HostHome): Promise<LockHolder | null> {
	const holder = await findHolder(home.lock);
	return holder !== null && isOwned(holder, ownerOf(home)) ? holder : null;
}

/** Refuses a worker folder so deep that the private sockets of this app could not be bound. */
export function checkSocketPaths(home: HostHome, app: string): void {
	const idBytes = Buffer.byteLength(`${app}-99999`);
	const bytes = Buffer.byteLength(home.sockets) + idBytes + socketNameTailBytes;
	if (bytes <= socketPathBytesMax) return;
	throw new RollcallError(
		'configuration',
		`worker_dir is too long for the app ${app}: the private sockets in ${home.sockets} would need paths of ${bytes} bytes; ` +
			`at most ${socketPathBytesMax} are possible. Choose a shorter worker_dir.`,
	);
}

function writeOnce(path: string, text: string): void {
	if (!existsSync(path)) writeFileSync(path, text, { mode: 0o640 });
}
