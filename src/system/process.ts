import { readFileSync } from 'node:fs';

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
export function isAlive(process: { pid: number; started: number }): boolean {
	const stat = readProcessStat(process.pid);
	return stat !== null && stat.started === process.started && stat.state !== 'Z' && stat.state !== 'X';
}
