import { closeSync, fstatSync, lstatSync, readdirSync, readSync, type Stats, watch } from 'node:fs';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { messageOf, RollcallError } from '../../errors.js';
import {
	type UntrustedPlace,
	untrustedPlace,
	inUntrustedFolder,
	openUntrustedFile,
} from '../../system/files/untrusted-file.js';
import { readPlaces } from '../client/places.js';
import type { Context } from '../context.js';
import { clean, cleanLines, type Terminal, toJson } from '../output/terminal.js';

/** One log file of a worker. */
interface LogFile {
	worker: string;
	app: string;
	stream: 'out' | 'error';
	path: string;
	/** The home that it lies in: its user can put anything in the file's place. */
	place: UntrustedPlace;
	/** ms since 1970: the last line. Whatever was written last is shown last. */
	writtenAt: number;
}

/** How much of a file's end is looked at for its last lines. */
const tailBytesMax = 1024 * 1024;
const readBytesMax = 256 * 1024;
const linesMax = 100_000;
/** A longer line is shown in parts. */
const lineCharactersMax = 1024 * 1024;

/** Where the workers of one user write. */
interface LogFolder {
	path: string;
	place: UntrustedPlace;
}

/** Shows the last lines that the workers of this host wrote, and with `--follow` what comes. */
export async function logs(
	{ options, terminal, session }: Context<{ follow?: boolean; lines?: string }>,
	app: string | undefined,
): Promise<number> {
	if (options.url !== undefined) throw remoteLogs(options.url);
	const lines = Number(options.lines);
	if (!Number.isInteger(lines) || lines < 0 || lines > linesMax) {
		throw new RollcallError('usage', `--lines takes a number up to ${linesMax}, not '${options.lines}'.`);
	}
	const { workerDir } = await readPlaces(options.config ?? null, process.env);
	const folders = logFolders(workerDir);
	const files = folders
		.flatMap((folder) => logFiles(folder, app))
		.sort((one, other) => one.writtenAt - other.writtenAt);
	if (files.length === 0 && options.follow !== true) {
		const what = app === undefined ? 'No worker has' : `No worker of '${app}' has`;
		throw new RollcallError('not_found', `${what} a log file below ${workerDir}.`);
	}
	const readers = new Map<string, LogReader>();
	for (const file of files) {
		const reader = new LogReader(file, terminal, files.length > 1 || app === undefined);
		reader.tail(lines);
		readers.set(file.path, reader);
	}
	if (options.follow === true) await followFolders(folders, app, readers, terminal, session.signal);
	return 0;
}

/** The files of this host say nothing about the daemon that was named. */
function remoteLogs(url: string): RollcallError {
	const text = `rollcall logs reads the files of the host that it runs on, so it cannot show those of ${url}. Run it on that host, without --url.`;
	return new RollcallError('usage', text);
}

function logFolders(workerDir: string): LogFolder[] {
	try {
		return readdirSync(workerDir, { withFileTypes: true })
			.filter((entry) => entry.isDirectory())
			.map(({ name }) => ({ path: join(workerDir, name, 'logs'), place: untrustedPlace(join(workerDir, name)) }));
	} catch (error) {
		const text = `${workerDir} cannot be read: ${messageOf(error)}. The logs belong to the workers' user; run this as root or as that user.`;
		const code = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'not_found' : 'forbidden';
		throw new RollcallError(code, text, {}, { cause: error });
	}
}

function logFiles({ path: folder, place }: LogFolder, app: string | undefined): LogFile[] {
	let names: string[];
	try {
		names = inUntrustedFolder(folder, place, (path) => readdirSync(path));
	} catch (error) {
		// A symbolic link in place of the folder may lead to files of other users.
		if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
		throw new RollcallError('forbidden', `${folder} cannot be read: ${messageOf(error)}.`, {}, { cause: error });
	}
	return names
		.map((name) => logFile({ path: folder, place }, name))
		.filter((file) => file !== null)
		.filter((file) => isOf(file, app));
}

/** An app's name stands for all of its workers; a worker's id for itself. */
const isOf = (file: LogFile, app: string | undefined) => app === undefined || file.app === app || file.worker === app;

/** `<app>-<number>-out.log`, `<app>-<number>-error.log`. */
function logFile({ path: folder, place }: LogFolder, name: string): LogFile | null {
	const [, worker, app, stream] = /^((.+)-\d+)-(out|error)\.log$/.exec(name) ?? [];
	if (worker === undefined || app === undefined) return null;
	const path = join(folder, name);
	const stat = lstatSync(path, { throwIfNoEntry: false });
	if (!stat?.isFile()) return null;
	return { worker, app, stream: stream === 'error' ? 'error' : 'out', path, place, writtenAt: stat.mtimeMs };
}

/** Reads one file on from where it was; a file that was cut or put aside is read from its beginning. */
class LogReader {
	#position = 0;
	#inode = 0;
	#rest = '';
	/** A character may lie across two reads. */
	#decoder = new StringDecoder('utf8');

	constructor(
		private readonly file: LogFile,
		private readonly terminal: Terminal,
		private readonly named: boolean,
	) {}

	/** Shows the last lines. */
	tail(lines: number): void {
		this.#withFile((descriptor, { size, ino }) => {
			this.#inode = ino;
			const from = Math.max(0, size - tailBytesMax);
			const found = this.#read(descriptor, from, size).split('\n');
			// What stands after the last line break is not a line yet.
			this.#rest = found.pop() ?? '';
			if (from > 0) found.shift();
			for (const line of found.slice(found.length - Math.min(lines, found.length))) this.#show(line);
			this.#position = size;
		});
	}

	/** Shows what was written since. */
	more(): void {
		this.#withFile((descriptor, { size, ino }) => {
			if (ino !== this.#inode || size < this.#position) {
				this.#position = 0;
				this.#rest = '';
				this.#decoder = new StringDecoder('utf8');
				this.#inode = ino;
			}
			while (this.#position < size) {
				const to = Math.min(size, this.#position + readBytesMax);
				const lines = (this.#rest + this.#read(descriptor, this.#position, to)).split('\n');
				if ((lines.at(-1)?.length ?? 0) > lineCharactersMax) lines.push('');
				this.#rest = lines.pop() ?? '';
				this.#position = to;
				for (const line of lines) this.#show(line);
			}
		});
	}

	/** Does nothing when the file is gone, or something else stands in its place. */
	#withFile(use: (descriptor: number, stat: Stats) => void): void {
		let descriptor: number;
		try {
			descriptor = openUntrustedFile(this.file.path, this.file.place);
		} catch {
			return;
		}
		try {
			use(descriptor, fstatSync(descriptor));
		} finally {
			closeSync(descriptor);
		}
	}

	#read(descriptor: number, from: number, to: number): string {
		const buffer = Buffer.alloc(to - from);
		const length = readSync(descriptor, buffer, 0, buffer.length, from);
		return this.#decoder.write(buffer.subarray(0, length));
	}

	#show(line: string): void {
		const { worker, app, stream } = this.file;
		const mark = stream === 'error' ? '!' : '|';
		const text = this.named ? `${clean(worker)} ${mark} ${cleanLines(line)}` : cleanLines(line);
		this.terminal.out.write(this.terminal.json ? `${toJson({ app, worker, stream, line })}\n` : `${text}\n`);
	}
}

/** Goes on until the signal; workers that are new are followed from their first line. */
function followFolders(
	folders: readonly LogFolder[],
	app: string | undefined,
	readers: Map<string, LogReader>,
	terminal: Terminal,
	signal: AbortSignal,
): Promise<void> {
	return new Promise((_, reject) => {
		signal.addEventListener('abort', () => reject(signal.reason), { once: true });
		const look = (file: LogFile) => {
			const reader = readers.get(file.path) ?? new LogReader(file, terminal, true);
			readers.set(file.path, reader);
			reader.more();
		};
		for (const folder of folders) {
			const watcher = inUntrustedFolder(folder.path, folder.place, (path) => watch(path, { signal }));
			watcher.on('change', (_event, name) => {
				const file = typeof name === 'string' ? logFile(folder, name) : null;
				if (file !== null && isOf(file, app)) look(file);
			});
			// What was written between the last lines and the watch raises no event.
			for (const file of logFiles(folder, app)) look(file);
			watcher.on('error', (error) => {
				if (!signal.aborted) reject(error);
			});
		}
	});
}
