/**
 * When the lines of a log file were written. Programs write lines without times, so the worker host notes beside each file,
 * as it grows, by when it was how long. A line was written by the first note of a file that is longer than the line's place.
 */
import {
	appendFileSync,
	closeSync,
	type FSWatcher,
	fstatSync,
	readSync,
	rmSync,
	statSync,
	truncateSync,
	watch,
} from 'node:fs';
import { join } from 'node:path';
import { openUntrustedFile, type UntrustedPlace } from '../files/untrusted-file.js';

/** A note is two numbers of eight bytes: length of the log, ms since 1970. */
const noteBytes = 16;
/** The notes of one file are at least so far apart; so exact are the times of what was written long ago. */
export const notesApartMs = 100;
/** How much of the notes' end is read. */
const readBytesMax = 1024 * 1024;

/** `web-1-out.log.2` → `web-1-out.times.2`. */
export const timesFileOf = (logFile: string): string => logFile.replace(/\.log(\.\d+)?$/, '.times$1');

const logName = /^.+-\d+-(?:out|error)\.log$/;

/** Notes the times of every log file in a folder until it is closed. A file that cannot be written is left without. */
export class LineTimeNotes {
	readonly #watcher: FSWatcher;
	/** By name: when the last note was made, and whether the file has grown since. */
	readonly #files = new Map<string, { notedAt: number; size: number; due: NodeJS.Timeout | null }>();

	constructor(private readonly folder: string) {
		this.#watcher = watch(folder, { persistent: false }, (_event, name) => {
			if (typeof name === 'string' && logName.test(name)) this.#grown(name);
		});
		this.#watcher.on('error', () => this.close());
	}

	close(): void {
		this.#watcher.close();
		for (const { due } of this.#files.values()) if (due) clearTimeout(due);
		this.#files.clear();
	}

	#grown(name: string): void {
		const file = this.#files.get(name) ?? { notedAt: Number.NEGATIVE_INFINITY, size: -1, due: null };
		this.#files.set(name, file);
		if (file.due) return;
		const waitMs = file.notedAt + notesApartMs - performance.now();
		if (waitMs <= 0) this.#note(name);
		else
			file.due = setTimeout(() => {
				file.due = null;
				this.#note(name);
			}, waitMs).unref();
	}

	#note(name: string): void {
		const file = this.#files.get(name);
		if (!file) return;
		const log = join(this.folder, name);
		try {
			const size = statSync(log, { throwIfNoEntry: false })?.size;
			if (size === undefined) {
				this.#files.delete(name);
				return;
			}
			if (size === file.size) return;
			const times = timesFileOf(log);
			// A file that is shorter than noted was cut, or is another one.
			if ((file.size < 0 ? lastNoted(times) : file.size) > size) rmSync(times, { force: true });
			const note = Buffer.alloc(noteBytes);
			note.writeDoubleLE(size, 0);
			note.writeDoubleLE(Date.now(), 8);
			file.size = size;
			file.notedAt = performance.now();
			appendFileSync(times, note, { mode: 0o640 });
		} catch {
			// A full disk: the lines keep a later time.
		}
	}
}

/** The length in the last note; 0 if there is none. What is left of a note that was cut off is cut away. */
function lastNoted(times: string): number {
	const size = statSync(times, { throwIfNoEntry: false })?.size ?? 0;
	const whole = size - (size % noteBytes);
	if (whole !== size) truncateSync(times, whole);
	if (whole === 0) return 0;
	const descriptor = openUntrustedFile(times);
	try {
		const note = Buffer.alloc(noteBytes);
		readSync(descriptor, note, 0, noteBytes, whole - noteBytes);
		return note.readDoubleLE(0);
	} finally {
		closeSync(descriptor);
	}
}

/** Times by place in one log file. Another user wrote them, so they may be any numbers. */
export class LineTimes {
	#at = 0;

	private constructor(private readonly notes: Buffer) {}

	/** Of the file beside `logFile`; without one that can be read it knows nothing. */
	static read(logFile: string, place: UntrustedPlace): LineTimes {
		try {
			const descriptor = openUntrustedFile(timesFileOf(logFile), place);
			try {
				const size = fstatSync(descriptor).size;
				const whole = size - (size % noteBytes);
				const notes = Buffer.alloc(Math.min(whole, readBytesMax));
				const length = readSync(descriptor, notes, 0, notes.length, whole - notes.length);
				return new LineTimes(notes.subarray(0, length - (length % noteBytes)));
			} finally {
				closeSync(descriptor);
			}
		} catch {
			return new LineTimes(Buffer.alloc(0));
		}
	}

	/** By when the line that begins at this place was written; null: no note says. Places are asked for in their order. */
	of(place: number): number | null {
		while (this.#at < this.notes.length && !(this.notes.readDoubleLE(this.#at) > place)) this.#at += noteBytes;
		if (this.#at >= this.notes.length) return null;
		const time = this.notes.readDoubleLE(this.#at + 8);
		return Number.isFinite(time) && time >= 0 ? Math.round(time) : null;
	}
}
