import { copyFileSync, existsSync, readdirSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { untrustedPlace, readUntrustedFile } from '../../system/files/untrusted-file.js';
import { timesFileOf } from '../../system/logs/line-times.js';
import type { HostHome } from '../pm2/home.js';
import { appOf } from '../pool/worker-id.js';

/** How much the log files of workers may grow. */
export interface LogLimits {
	/** Bytes of one file before it is turned over. */
	maxSizeBytes: number;
	/** Turned-over files kept of each file, and ended workers of each app whose files are kept. */
	keep: number;
}

/** Where PM2 lets a worker's two streams flow. */
export function workerLogPaths(logs: string, id: string): { out: string; error: string } {
	return { out: join(logs, `${id}-out.log`), error: join(logs, `${id}-error.log`) };
}

type Home = Pick<HostHome, 'path' | 'logs'>;

const tailBytesMax = 8_192;
/** So many last lines of a worker's stderr stand in a reason. */
const errorLinesMax = 20;
/** Lines of a stack trace that lie in Node and PM2, below the app, and what PM2 itself adds. */
const innerLine =
	/^\s+at .*(?:node:internal\/|node_modules\/(?:pm2|async)\/)|^You have triggered an unhandledRejection, /;

/** The last lines that a worker wrote to its stderr, oldest first, without what lies below the app in a stack; none if it wrote none or the file cannot be read. */
export async function lastErrorLines(home: Home, id: string, lines: number): Promise<string[]> {
	let text: string;
	try {
		text = readUntrustedFile(workerLogPaths(home.logs, id).error, tailBytesMax, untrustedPlace(home.path));
	} catch {
		return [];
	}
	return text
		.split('\n')
		.filter((line) => line.trim() !== '' && !innerLine.test(line))
		.slice(-lines);
}

/** The reason why a worker ended, and what it said itself about it: each line once, and none that the reason has already. */
export async function explained(reason: string, home: Home, id: string): Promise<string> {
	const all = await lastErrorLines(home, id, errorLinesMax);
	const lines = [...new Set(all)].filter((line) => !reason.includes(line.trim()));
	return lines.length === 0 ? reason : `${reason}; last lines of its stderr:\n${lines.join('\n')}`;
}

/**
 * Turns over every file that grew too large: F becomes F.1, F.1 becomes F.2, and what is older than `keep` goes. Returns
 * true when files were moved away under their writers, who then have to open them anew.
 */
export function turnOverLogs(logs: string, hostLog: string, limits: LogLimits): boolean {
	let moved = false;
	for (const file of scan(logs)) {
		if (file.turn !== 0 || file.size <= limits.maxSizeBytes) continue;
		for (const path of [file.path, timesFileOf(file.path)]) {
			shift(path, limits.keep);
			if (path === file.path || existsSync(path)) renameSync(path, `${path}.1`);
		}
		moved = true;
	}
	// The host's own log is this process's stdout: it cannot be opened anew, but, being appended to, it can be cut.
	if ((statSync(hostLog, { throwIfNoEntry: false })?.size ?? 0) > limits.maxSizeBytes) {
		shift(hostLog, limits.keep);
		copyFileSync(hostLog, `${hostLog}.1`);
		truncateSync(hostLog);
	}
	return moved;
}

/** Removes the files of ended workers, but for the newest `keep` of each app. */
export function pruneLogs(logs: string, living: ReadonlySet<string>, keep: number): void {
	const ended = new Map<string, number>();
	const files = scan(logs);
	for (const file of files) {
		if (living.has(file.worker)) continue;
		ended.set(file.worker, Math.max(ended.get(file.worker) ?? 0, file.modifiedAt));
	}
	const newestFirst = [...ended.entries()].sort((a, b) => b[1] - a[1]).map(([worker]) => worker);
	const kept = new Map<string, number>();
	for (const worker of newestFirst) {
		const count = (kept.get(appOf(worker)) ?? 0) + 1;
		kept.set(appOf(worker), count);
		if (count <= keep) continue;
		for (const file of files) {
			if (file.worker !== worker) continue;
			for (const path of [file.path, timesFileOf(file.path)]) rmSync(path, { force: true });
		}
	}
}

interface LogFile {
	path: string;
	worker: string;
	stream: 'out' | 'error';
	/** 0 is the one being written. */
	turn: number;
	size: number;
	modifiedAt: number;
}

const namePattern = /^(?<worker>.+-\d+)-(?<stream>out|error)\.log(?:\.(?<turn>\d+))?$/;

function scan(logs: string): LogFile[] {
	const files: LogFile[] = [];
	for (const name of readdirSync(logs)) {
		const parts = namePattern.exec(name)?.groups;
		const path = join(logs, name);
		const stat = statSync(path, { throwIfNoEntry: false });
		if (!parts || !stat) continue;
		files.push({
			path,
			worker: parts['worker'] ?? '',
			stream: parts['stream'] === 'error' ? 'error' : 'out',
			turn: Number(parts['turn'] ?? 0),
			size: stat.size,
			modifiedAt: stat.mtimeMs,
		});
	}
	return files;
}

function shift(path: string, keep: number): void {
	rmSync(`${path}.${keep}`, { force: true });
	for (let turn = keep - 1; turn >= 1; turn -= 1) {
		if (statSync(`${path}.${turn}`, { throwIfNoEntry: false })) renameSync(`${path}.${turn}`, `${path}.${turn + 1}`);
	}
}
