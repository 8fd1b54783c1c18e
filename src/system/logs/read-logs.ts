import { type FSWatcher, watch } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { inUntrustedFolder } from '../files/untrusted-file.js';
import { basename } from 'node:path';
import { type FilePlace, LineReader, type LogRow, type PlacedRow } from './line-reader.js';
import { type LogFilter, type LogFolder, logFolders, logStreams, streamOf } from './log-files.js';

export interface LogQuery extends LogFilter {
	/** How many of the last lines of each stream at most. */
	lines: number;
	/** Only what was written since, ms since 1970. */
	since: number;
	/** Of the last lines in all; older ones are left out. */
	charactersMax: number;
	/** Goes on with what is written from now on. */
	follow: boolean;
	/** With `follow`: from these places on, of all streams that were there; `lines` and `since` do not count then. */
	from?: readonly FilePlace[] | null;
}

export interface LogPart {
	/** Oldest first, and none is older than those of the part before. */
	rows: LogRow[];
	/** Lines are missing before these: for their size, or since their file went away before it was read. */
	leftOut: boolean;
	/**
	 * With `follow`: where the lines end that were given out, of each stream that this part is about. The last part of what was
	 * there has all streams; before it, none are known.
	 */
	places?: FilePlace[];
}

/** A part has about so many characters, and at most so many rows. */
export const partCharactersMax = 64 * 1024;
const partRowsMax = 1_000;
/** What a row takes beside its text. */
const rowCharacters = 64;
/** Events of the kernel can be lost, and folders are made: all is looked at again this often. */
const lookAgainMs = 2_000;
const streamBytesMin = 64 * 1024;

/**
 * The lines of the workers of this host in parts, each made when the one before was taken. The first part comes at once, also
 * if there is none. Throws `not_found` and `forbidden` (worker_dir).
 */
export async function* readLogs(workerDir: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogPart> {
	const tail = new Tail(workerDir, query);
	try {
		// The watch begins before the last lines are read: nothing is lost between the two.
		if (query.follow) tail.watch();
		const { rows, leftOut } = query.from ? tail.resume(query.from) : tail.last();
		const parts = partsOf(rows);
		for (const [index, part] of parts.entries()) {
			const isLast = index === parts.length - 1;
			const places = query.follow && isLast ? { places: tail.places() } : {};
			yield { rows: part.map(withoutPlace), leftOut: leftOut && index === 0, ...places };
		}
		while (query.follow && !signal.aborted) {
			const { rows: more, places } = tail.more();
			if (more.length > 0) yield { rows: more, leftOut: tail.takeGap(), places };
			else await tail.changed(signal);
			// Whoever takes parts as fast as they come does not keep the process from its other work.
			await turn();
		}
	} finally {
		tail.close();
	}
}

const withoutPlace = ({ time, app, worker, stream, text }: LogRow): LogRow => ({ time, app, worker, stream, text });

function partsOf(rows: readonly LogRow[]): LogRow[][] {
	const parts: LogRow[][] = [[]];
	let characters = 0;
	for (const row of rows) {
		const last = parts.at(-1) ?? [];
		if (characters >= partCharactersMax || last.length >= partRowsMax) {
			parts.push([row]);
			characters = 0;
		} else last.push(row);
		characters += row.text.length + rowCharacters;
	}
	return parts;
}

/** What one stream has ready. */
interface Ready {
	rows: PlacedRow[];
	next: number;
}

class Tail {
	readonly #readers = new Map<string, LineReader>();
	readonly #watchers = new Map<string, FSWatcher>();
	/** Those that may have more. */
	readonly #grown = new Set<LineReader>();
	readonly #ready = new Map<LineReader, Ready>();
	#lastTime = 0;
	#hasGap = false;
	#wake: (() => void) | null = null;
	#again: NodeJS.Timeout | undefined;

	constructor(
		private readonly workerDir: string,
		private readonly query: LogQuery,
	) {
		this.#lookAtFolders();
	}

	watch(): void {
		this.#watchFolders();
		this.#again = setInterval(() => this.#lookAgain(), lookAgainMs);
	}

	close(): void {
		clearInterval(this.#again);
		for (const watcher of this.#watchers.values()) watcher.close();
	}

	/** The last lines of all streams, by their time. */
	last(): { rows: LogRow[]; leftOut: boolean } {
		const { lines, since, charactersMax, follow } = this.query;
		const bytesMax = Math.max(streamBytesMin, Math.floor(charactersMax / Math.max(1, this.#readers.size)));
		let rows: LogRow[] = [];
		let leftOut = false;
		for (const reader of this.#readers.values()) {
			const found = reader.last({ lines, since, bytesMax });
			leftOut ||= !found.isWhole;
			for (const row of found.rows) rows.push(row);
			if (!follow) rows.push(...reader.unfinished().filter(({ time }) => time >= since));
		}
		rows.sort((one, other) => one.time - other.time);
		let characters = 0;
		let from = rows.length;
		while (from > 0 && characters < charactersMax) {
			from -= 1;
			characters += (rows[from]?.text.length ?? 0) + rowCharacters;
		}
		leftOut ||= from > 0;
		rows = rows.slice(from);
		this.#lastTime = rows.at(-1)?.time ?? 0;
		return { rows, leftOut };
	}

	/** Each stream that was there goes on from its place; one that is new is read from its first line. */
	resume(from: readonly FilePlace[]): { rows: LogRow[]; leftOut: boolean } {
		for (const reader of this.#readers.values()) {
			reader.resume(from.filter(({ stream }) => stream === nameOf(reader)));
			this.#grown.add(reader);
		}
		return { rows: [], leftOut: false };
	}

	/** Of all streams, as far as they were read. */
	places(): FilePlace[] {
		return [...this.#readers.values()].flatMap((reader) => {
			const { place } = reader;
			return place === null ? [] : [{ stream: nameOf(reader), ...place }];
		});
	}

	/** The next part, by time as far as all that has been written is known; empty: that was all for now. */
	more(): { rows: LogRow[]; places: FilePlace[] } {
		const part: LogRow[] = [];
		const places = new Map<string, FilePlace>();
		let characters = 0;
		while (characters < partCharactersMax && part.length < partRowsMax) {
			this.#readOn();
			let first: [LineReader, Ready] | null = null;
			for (const entry of this.#ready) if (!first || timeOf(entry[1]) < timeOf(first[1])) first = entry;
			const row = first?.[1].rows[first[1].next];
			if (!first || !row) break;
			first[1].next += 1;
			const { end, ...line } = row;
			places.set(`${nameOf(first[0])} ${end.file}`, { stream: nameOf(first[0]), ...end });
			this.#lastTime = Math.max(this.#lastTime, row.time);
			part.push({ ...line, time: this.#lastTime });
			characters += row.text.length + rowCharacters;
		}
		return { rows: part, places: [...places.values()] };
	}

	takeGap(): boolean {
		const had = this.#hasGap;
		this.#hasGap = false;
		return had;
	}

	/** Resolves once there may be more, or nobody waits any more. */
	changed(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const wake = (): void => {
				this.#wake = null;
				signal.removeEventListener('abort', wake);
				resolve();
			};
			this.#wake = wake;
			signal.addEventListener('abort', wake);
			if (signal.aborted || this.#grown.size > 0) wake();
		});
	}

	/** Each stream that may have more has a row ready, or is known to have none. */
	#readOn(): void {
		for (const [reader, { rows, next }] of this.#ready) if (next >= rows.length) this.#ready.delete(reader);
		for (const reader of this.#grown) {
			if (this.#ready.has(reader)) continue;
			const rows = reader.more();
			this.#hasGap = reader.takeGap() || this.#hasGap;
			if (rows.length > 0) this.#ready.set(reader, { rows, next: 0 });
			else this.#grown.delete(reader);
		}
	}

	#changed(reader: LineReader): void {
		reader.changed();
		this.#grown.add(reader);
		this.#wake?.();
	}

	#lookAgain(): void {
		try {
			this.#lookAtFolders();
			this.#watchFolders();
		} catch {
			// worker_dir cannot be read for now; what is known is still followed.
		}
		for (const [path, reader] of this.#readers) {
			if (reader.isGone && !this.#ready.has(reader)) this.#readers.delete(path);
			else this.#changed(reader);
		}
	}

	/** A stream that is new is read from its first line. */
	#lookAtFolders(): void {
		for (const folder of logFolders(this.workerDir))
			for (const stream of logStreams(folder, this.query))
				if (!this.#readers.has(stream.path)) this.#readers.set(stream.path, new LineReader(stream));
	}

	#watchFolders(): void {
		for (const folder of logFolders(this.workerDir)) {
			if (this.#watchers.has(folder.path)) continue;
			try {
				const watcher = inUntrustedFolder(folder.path, folder.place, (path) => watch(path));
				this.#watchers.set(folder.path, watcher);
				watcher.on('change', (_event, name) => this.#fileChanged(folder, name));
				watcher.on('error', () => {
					watcher.close();
					this.#watchers.delete(folder.path);
				});
			} catch {
				// It is not there yet, or a link in its place: looked at again later.
			}
		}
	}

	#fileChanged(folder: LogFolder, name: string | Buffer | null): void {
		const stream = typeof name === 'string' ? streamOf(folder, name, this.query) : null;
		if (!stream) return;
		const reader = this.#readers.get(stream.path) ?? new LineReader(stream);
		this.#readers.set(stream.path, reader);
		this.#changed(reader);
	}
}

const nameOf = ({ stream: { path } }: LineReader): string => basename(path, '.log');

const timeOf = ({ rows, next }: Ready): number => rows[next]?.time ?? Number.POSITIVE_INFINITY;
