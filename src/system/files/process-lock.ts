import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { messageOf, RollcallError } from '../../errors.js';
import { readUntrustedFile } from './untrusted-file.js';
import { isAlive, readProcessStat } from '../proc/process.js';

/**
 * One holder at a time, held by the kernel. The lock is flock(2) on an open file description: flock(1) takes it on the
 * descriptor that it inherits, and it stays with this process when that helper has left. It ends with the process, however
 * that ends, so a lock is never stale. The file's content only says who holds it.
 */
export interface ProcessLock {
	release(): void;
}

export interface LockHolder {
	pid: number;
	/** Kernel start time in clock ticks. */
	started: number;
	/** What the holder wants others to know (for a daemon: nothing secret). */
	details: Record<string, unknown>;
}

/** More is in no lock that this program wrote. A worker host's lock lies in a folder of its own user. */
const holderBytesMax = 65_536;

/** flock(1) exits with this when another holds the lock; told apart from its own errors, which use sysexits. */
const conflictExitCode = 75;

/** Takes the lock, waiting at most `waitMs`; throws `already_running` naming the holder. */
export async function acquireLock(
	path: string,
	details: Record<string, unknown> = {},
	waitMs = 0,
): Promise<ProcessLock> {
	const descriptor = openLock(path);
	try {
		if (!(await flock(descriptor, waitMs))) {
			const holder = readHolder(path);
			const who = holder ? `process ${holder.pid}` : 'another process';
			throw new RollcallError(
				'already_running',
				`${path} is held by ${who}; only one may run on it. Stop that one first (rollcall stop --config FILE).`,
			);
		}
		const holder: LockHolder = { pid: process.pid, started: readProcessStat(process.pid)?.started ?? 0, details };
		writeHolder(descriptor, holder);
		fsyncSync(descriptor);
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
	return { release: () => closeSync(descriptor) };
}

/** A file that another user could have put there is no lock; a link is not followed. */
function openLock(path: string): number {
	let descriptor: number;
	try {
		descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
	} catch (cause) {
		throw notALock(path, messageOf(cause), cause);
	}
	if (fstatSync(descriptor).isFile()) return descriptor;
	closeSync(descriptor);
	throw notALock(path, 'it is something else');
}

const notALock = (path: string, why: string, cause?: unknown): RollcallError =>
	new RollcallError('configuration', `${path} must be a plain file of this user: ${why}. Remove it.`, {}, { cause });

/** Holder of the lock; null if it is free or there is no such file. */
export async function findHolder(path: string): Promise<LockHolder | null> {
	let descriptor: number;
	try {
		descriptor = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
	} catch {
		return null;
	}
	try {
		if (await flock(descriptor, 0)) return null;
	} finally {
		closeSync(descriptor);
	}
	const holder = readHolder(path);
	return holder && isAlive(holder) ? holder : null;
}

/**
 * Whom the file names although the lock may be free: a process that is about to take it, or has let go of it and still
 * ends. Null if that process does not live.
 */
export function findNamed(path: string): LockHolder | null {
	const named = readHolder(path);
	return named && isAlive(named) ? named : null;
}

/** Names the process that was started to take the lock, so that `stop` finds it until it has. */
export function nameHolder(path: string, pid: number, details: Record<string, unknown> = {}): void {
	const started = readProcessStat(pid)?.started;
	if (started === undefined) return;
	const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
	try {
		writeHolder(descriptor, { pid, started, details });
	} finally {
		closeSync(descriptor);
	}
}

/** One line, written before the rest of the file is cut off, so that a reader finds the old holder or the new one. */
function writeHolder(descriptor: number, holder: LockHolder): void {
	const line = Buffer.from(`${JSON.stringify(holder)}\n`);
	writeSync(descriptor, line, 0, line.length, 0);
	ftruncateSync(descriptor, line.length);
}

function readHolder(path: string): LockHolder | null {
	try {
		return JSON.parse(readUntrustedFile(path, holderBytesMax).split('\n', 1)[0] ?? '') as LockHolder;
	} catch {
		return null;
	}
}

function flock(descriptor: number, waitMs: number): Promise<boolean> {
	const wait = waitMs > 0 ? ['--timeout', String(waitMs / 1000)] : ['--nonblock'];
	return new Promise((resolve, reject) => {
		const child = spawn('flock', ['--exclusive', '--conflict-exit-code', String(conflictExitCode), ...wait, '3'], {
			stdio: ['ignore', 'ignore', 'ignore', descriptor],
			env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
		});
		child.once('error', (cause) =>
			reject(
				new RollcallError(
					'unavailable',
					'flock(1) of util-linux is needed and could not be run; install the package util-linux.',
					{},
					{ cause },
				),
			),
		);
		child.once('exit', (code) => {
			if (code === 0) resolve(true);
			else if (code === conflictExitCode) resolve(false);
			else reject(new RollcallError('internal', `flock(1) ended with ${code} on ${descriptor}.`));
		});
	});
}
