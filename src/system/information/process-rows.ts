import { readlinkSync } from 'node:fs';
import { totalmem } from 'node:os';
import { basename, dirname, isAbsolute } from 'node:path';
import { readBootTime, readPageBytes, ticksPerSecond } from '../proc/kernel.js';
import { readText } from '../proc/read-text.js';

/** One row of `harperdb_processes`. Sizes are KiB, `cpu` per cent of one core since the last look (the first time: over its life). */
export interface ProcessRow {
	pid: number;
	parentPid: number;
	name: string;
	cpu: number;
	/** Per cent of the host's memory. */
	mem: number;
	priority: number;
	memVsz: number;
	memRss: number;
	nice: number;
	/** Local time, `YYYY-MM-DD HH:MM:SS`. */
	started: string;
	state: string;
	user: string;
	command: string;
	params: string;
	path: string;
}

const states: Readonly<Record<string, string>> = {
	R: 'running',
	S: 'sleeping',
	D: 'blocked',
	I: 'idle',
	T: 'stopped',
	t: 'stopped',
	Z: 'zombie',
	X: 'dead',
};

/** An argument list can be megabytes; an answer carries so many characters of it. */
const paramsCharactersMax = 1_024;

interface Sample {
	started: number;
	ticks: number;
	at: number;
}

/**
 * Rows of the given processes, straight from /proc (proc(5)): a process that is gone has no row. Only what every user may
 * read is needed, since workers run as other users than the control plane.
 */
export function createProcessRows(): (pids: readonly number[]) => ProcessRow[] {
	let samples = new Map<number, Sample>();
	return (pids) => {
		const users = readUsers();
		const next = new Map<number, Sample>();
		const rows: ProcessRow[] = [];
		for (const pid of new Set(pids)) {
			const row = readRow(pid, users, samples.get(pid), next);
			if (row) rows.push(row);
		}
		samples = next;
		return rows;
	};
}

function readRow(
	pid: number,
	users: ReadonlyMap<number, string>,
	earlier: Sample | undefined,
	samples: Map<number, Sample>,
): ProcessRow | null {
	const stat = readText(`/proc/${pid}/stat`);
	if (stat === null) return null;
	// The command name stands in parentheses and may itself hold spaces and parentheses: read after the last one.
	const nameEnd = stat.lastIndexOf(')');
	const fields = stat.slice(nameEnd + 2).split(' ');
	/** By its number in proc(5), where the state is field 3. */
	const field = (number: number): number => Number(fields[number - 3]);
	const now = Date.now();
	const ticks = field(14) + field(15);
	const startedTicks = field(22);
	const startedMs = readBootTime() + (startedTicks / ticksPerSecond) * 1_000;
	const sample = earlier?.started === startedTicks && now - earlier.at >= 100 ? earlier : null;
	const spentMs = ((ticks - (sample?.ticks ?? 0)) / ticksPerSecond) * 1_000;
	const elapsedMs = Math.max(now - (sample?.at ?? startedMs), 1_000 / ticksPerSecond);
	samples.set(pid, { started: startedTicks, ticks, at: now });
	const rssBytes = field(24) * readPageBytes();
	const uid = Number(/^Uid:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`) ?? '')?.[1] ?? Number.NaN);
	return {
		pid,
		parentPid: field(4),
		name: stat.slice(stat.indexOf('(') + 1, nameEnd),
		cpu: rounded((spentMs / elapsedMs) * 100),
		mem: rounded((rssBytes / totalmem()) * 100),
		priority: field(18),
		memVsz: Math.round(field(23) / 1_024),
		memRss: Math.round(rssBytes / 1_024),
		nice: field(19),
		started: localTime(new Date(startedMs)),
		state: states[fields[0] ?? ''] ?? 'unknown',
		user: users.get(uid) ?? (Number.isNaN(uid) ? '' : String(uid)),
		...readCommand(pid),
	};
}

function readCommand(pid: number): Pick<ProcessRow, 'command' | 'params' | 'path'> {
	const [program = '', ...params] = (readText(`/proc/${pid}/cmdline`) ?? '').replace(/\0+$/, '').split('\0');
	let executable = '';
	try {
		executable = readlinkSync(`/proc/${pid}/exe`);
	} catch {
		// Another user's process: the kernel hides the link, the command line tells what can be told.
		if (isAbsolute(program)) executable = program;
	}
	return {
		command: basename(program) || basename(executable),
		params: params.join(' ').slice(0, paramsCharactersMax),
		path: executable === '' ? '' : dirname(executable),
	};
}

function readUsers(): Map<number, string> {
	const users = new Map<number, string>();
	for (const line of (readText('/etc/passwd') ?? '').split('\n')) {
		const [name, , uid] = line.split(':');
		if (name && uid) users.set(Number(uid), name);
	}
	return users;
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

function localTime(date: Date): string {
	const two = (value: number): string => String(value).padStart(2, '0');
	const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
