import { readFileSync } from 'node:fs';
import { readText } from './read-text.js';

/** A process id is reused by the kernel; with the start time (clock ticks since boot) it is not. */
export interface ProcessIdentity {
	pid: number;
	started: number;
}

/** Kernel facts about a process, from /proc/PID/stat (proc(5)). */
export interface ProcessStat {
	state: string;
	parentPid: number;
	/** Start time in clock ticks since the kernel's boot, field 22. */
	started: number;
}

/** null if no such process exists. */
export function readProcessStat(pid: number): ProcessStat | null {
	let text: string;
	try {
		text = readFileSync(`/proc/${pid}/stat`, 'latin1');
	} catch {
		return null;
	}
	// The command name stands in parentheses and may itself hold spaces and parentheses: read after the last one.
	const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
	const [state, parentPid] = fields;
	return { state: state ?? '?', parentPid: Number(parentPid), started: Number(fields[19]) };
}

/** True while the very process lives; a zombie is not alive, and a reused process id has another start time. */
export function isAlive(process: ProcessIdentity): boolean {
	const stat = readProcessStat(process.pid);
	return stat !== null && stat.started === process.started && stat.state !== 'Z' && stat.state !== 'X';
}

/** The parent first. */
export function ancestorsOf(pid: number): number[] {
	const found: number[] = [];
	for (let next = readProcessStat(pid)?.parentPid; next && !found.includes(next); ) {
		found.push(next);
		next = readProcessStat(next)?.parentPid;
	}
	return found;
}

/**
 * The process of a number that came from elsewhere, if the kernel says that it belongs to this user. Null for any other,
 * and for this process and its ancestors: a record that names these is forged.
 */
export function findOwned(pid: number, owner: number): ProcessIdentity | null {
	if (!Number.isSafeInteger(pid) || pid <= 1 || pid === process.pid) return null;
	const started = readProcessStat(pid)?.started;
	if (started === undefined || !belongsTo(pid, owner) || ancestorsOf(process.pid).includes(pid)) return null;
	// The number could have been used again between the two looks.
	return readProcessStat(pid)?.started === started ? { pid, started } : null;
}

/** The same where the start time is known too. */
export function isOwned({ pid, started }: ProcessIdentity, owner: number): boolean {
	return findOwned(pid, owner)?.started === started;
}

/** Signals the process if it is this user's; false if it is not, or is gone. */
export function signalOwned(identity: ProcessIdentity, owner: number, signal: NodeJS.Signals): boolean {
	if (!isOwned(identity, owner)) return false;
	process.kill(identity.pid, signal);
	return true;
}

/** By the real, effective, saved and file system user id; and it is a process, not one of its threads. */
function belongsTo(pid: number, owner: number): boolean {
	const status = readText(`/proc/${pid}/status`) ?? '';
	const users = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? [];
	const isProcess = Number(/^Tgid:\s+(\d+)$/m.exec(status)?.[1]) === pid;
	return isProcess && users.length === 4 && users.every((user) => user === owner);
}
