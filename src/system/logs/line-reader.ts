import { closeSync, readSync } from 'node:fs';
import { cleanLine } from './clean-line.js';
import { LineTimes, notesApartMs } from './line-times.js';
import { type FoundFile, type LogStream, openFound, turnsOf } from './log-files.js';

/** A line of a worker. */
export interface LogRow {
	/** ms since 1970. */
	time: number;
	app: string;
	worker: string;
	stream: 'out' | 'error';
	/** Without control characters, but for tabs. */
	text: string;
}

/** A place in one file of a stream, whatever the file's name becomes: what stands before it was given out. */
export interface FilePlace {
	/** `web-1-out`, for `web-1-out.log`. */
	stream: string;
	/** The file's {@link FoundFile.id}. */
	file: string;
	at: number;
}

/** A line, and where it ends. */
export interface PlacedRow extends LogRow {
	end: Omit<FilePlace, 'stream'>;
}

/** A longer line is shown in parts. */
export const lineBytesMax = 64 * 1024;
const readBytesMax = 64 * 1024;
/** How much of a file's end is read at first for its last lines; then so many times as much. */
const tailBytesFirst = 64 * 1024;
const tailFactor = 8;
/** A worker may write into a file that was turned over until it has opened the new one. */
const turnedOverMs = 10_000;
/** Files may be turned over while their last lines are read. */
const triesMax = 3;

/** How far one file of a stream was read. */
interface Place {
	id: string;
	at: number;
	/** What stands behind the last line break; it ends at `at`. */
	rest: Buffer;
}

const placeIn = (id: string, at: number): Place => ({ id, at, rest: Buffer.alloc(0) });

/** Which of the last lines are wanted. */
export interface LastLines {
	/** At most so many. */
	lines: number;
	/** Written since then, ms since 1970. */
	since: number;
	/** In at most so many bytes. */
	bytesMax: number;
}

/** Reads one stream on from where it was, through files that are turned over or cut meanwhile: each line once. */
export class LineReader {
	#place: Place | null = null;
	/** The file that was turned over, while a worker may still write into it. */
	#before: { place: Place; until: number } | null = null;
	/** Since when there is more than was read, on the monotonic clock; null: all was read. */
	#grownAt: number | null = null;
	/** No line is older than the one before it. */
	#lastTime = 0;
	#hasGap = false;

	constructor(readonly stream: LogStream) {}

	/** No file of the stream is there any more. */
	get isGone(): boolean {
		return turnsOf(this.stream).length === 0;
	}

	/** Whether a file went away, since this was asked last, before all of it was read. */
	takeGap(): boolean {
		const had = this.#hasGap;
		this.#hasGap = false;
		return had;
	}

	/** The file has grown, or something else became of it. */
	changed(): void {
		this.#grownAt ??= performance.now();
	}

	/** Where the lines end that were read. */
	get place(): Omit<FilePlace, 'stream'> | null {
		const place = this.#place;
		return place && { file: place.id, at: Math.max(0, place.at - place.rest.length) };
	}

	/** Reads on from where another reader of the stream was; `places` are those of its newest files. */
	resume(places: readonly FilePlace[]): void {
		const turns = turnsOf(this.stream);
		const index = turns.findIndex(({ id }) => places.some(({ file }) => file === id));
		const atOf = (id: string | undefined) => places.find(({ file }) => file === id)?.at;
		const [newest, before] = [turns[index], turns[index + 1]];
		if (!newest) {
			// All that was read is gone, and whatever was between.
			this.#hasGap = places.length > 0;
			const oldest = turns.at(-1);
			if (oldest) this.#place = placeIn(oldest.id, 0);
			return;
		}
		this.#place = placeIn(newest.id, atOf(newest.id) ?? 0);
		const late = atOf(before?.id);
		if (before && late !== undefined)
			this.#before = { place: placeIn(before.id, late), until: performance.now() + turnedOverMs };
	}

	/** The last lines; what is written later is read on with {@link more}. `isWhole` is false where older ones were left out for their size. */
	last(wanted: LastLines): { rows: PlacedRow[]; isWhole: boolean } {
		for (let attempt = 1; ; attempt++) {
			const found = this.#lastOf(turnsOf(this.stream), wanted);
			if (found !== null || attempt === triesMax) return found ?? { rows: [], isWhole: false };
		}
	}

	/** What stands behind the last line break, as a line: the last word of a worker that has ended, or half a line of one that goes on. */
	unfinished(): LogRow[] {
		const rest = this.#place?.rest ?? Buffer.alloc(0);
		return rest.length === 0 ? [] : [this.#row(rest, Date.now())];
	}

	/** Some of what was written since; empty: that was all for now. */
	more(): PlacedRow[] {
		for (;;) {
			const turns = turnsOf(this.stream);
			const late = this.#late(turns);
			if (late.length > 0) return late;
			const [newest] = turns;
			if (!newest) break;
			this.#place ??= placeIn(newest.id, 0);
			const place = this.#place;
			const index = turns.findIndex(({ id }) => id === place.id);
			const file = turns[index];
			if (file && file.size < place.at) Object.assign(place, placeIn(file.id, 0));
			if (file && file.size > place.at) {
				const rows = this.#readOn(file, place);
				if (rows === null) break;
				if (rows.length > 0) return rows;
			} else if (!this.#turn(turns, index, place)) break;
		}
		this.#grownAt = null;
		return [];
	}

	/** On to the file that followed, or to the oldest where the one that was read is gone. False: there is none. */
	#turn(turns: readonly FoundFile[], index: number, place: Place): boolean {
		const next = turns[(index < 0 ? turns.length : index) - 1];
		if (!next) return false;
		if (index < 0) this.#hasGap = true;
		this.#before = { place: placeIn(place.id, place.at), until: performance.now() + turnedOverMs };
		// A line may have been begun in the one and be ended in the other.
		this.#place = { ...placeIn(next.id, 0), rest: place.rest };
		return true;
	}

	#late(turns: readonly FoundFile[]): PlacedRow[] {
		if (!this.#before) return [];
		const { place, until } = this.#before;
		if (performance.now() > until) this.#before = null;
		const file = turns.find(({ id }) => id === place.id);
		return file && file.size > place.at ? (this.#readOn(file, place) ?? []) : [];
	}

	/** null: it cannot be read now. */
	#readOn(file: FoundFile, place: Place): PlacedRow[] | null {
		const bytes = bytesOf(file, this.stream, place.at, Math.min(file.size, place.at + readBytesMax));
		if (bytes === null || bytes.length === 0) return null;
		const isFresh = performance.now() - (this.#grownAt ?? Number.NEGATIVE_INFINITY) <= notesApartMs;
		const times = isFresh ? null : LineTimes.read(file.path, this.stream.place);
		const now = Date.now();
		return this.#linesOf(place, bytes, (at) => times?.of(at) ?? now);
	}

	#linesOf(place: Place, bytes: Buffer, timeOf: (at: number) => number): PlacedRow[] {
		const all = place.rest.length === 0 ? bytes : Buffer.concat([place.rest, bytes]);
		const startsAt = place.at - place.rest.length;
		const rows: PlacedRow[] = [];
		let from = 0;
		const add = (to: number, next: number): void => {
			const row = this.#row(all.subarray(from, to), timeOf(Math.max(0, startsAt + from)));
			rows.push({ ...row, end: { file: place.id, at: Math.max(0, startsAt + next) } });
			from = next;
		};
		for (let to = all.indexOf(10); to >= 0; to = all.indexOf(10, from)) {
			while (to - from > lineBytesMax) {
				add(from + lineBytesMax, from + lineBytesMax);
			}
			add(to, to + 1);
		}
		while (all.length - from > lineBytesMax) {
			add(from + lineBytesMax, from + lineBytesMax);
		}
		place.at += bytes.length;
		place.rest = Buffer.from(all.subarray(from));
		return rows;
	}

	#row(line: Buffer, time: number): LogRow {
		const { app, worker, stream } = this.stream;
		this.#lastTime = Math.max(this.#lastTime, Math.round(Math.min(time, Date.now())));
		return {
			time: this.#lastTime,
			app: cleanLine(app),
			worker: cleanLine(worker),
			stream,
			text: cleanLine(line.toString('utf8')),
		};
	}

	/** null: a file was turned over meanwhile. */
	#lastOf(turns: readonly FoundFile[], { lines, since, bytesMax }: LastLines): ReturnType<LineReader['last']> | null {
		const older: { file: FoundFile; from: number }[] = [];
		let found = 0;
		let bytesLeft = bytesMax;
		let isWhole = true;
		for (const file of turns) {
			if (file.writtenAt < since || (older.length > 0 && found >= lines)) break;
			const tail = this.#tail(file, { lines: lines - found, since, bytesMax: bytesLeft });
			if (tail === null) return null;
			found += tail.lines;
			bytesLeft -= file.size - tail.from;
			isWhole &&= tail.isWhole;
			older.unshift({ file, from: tail.from });
		}
		return { rows: this.#take(older, turns, lines, since), isWhole };
	}

	#take(
		files: readonly { file: FoundFile; from: number }[],
		turns: readonly FoundFile[],
		lines: number,
		since: number,
	): PlacedRow[] {
		this.#lastTime = 0;
		const rows: PlacedRow[] = [];
		const [newest] = turns;
		if (newest) this.#place = placeIn(newest.id, newest.size);
		for (const { file, from } of files) {
			const place = placeIn(file.id, from);
			const bytes = bytesOf(file, this.stream, from, file.size) ?? Buffer.alloc(0);
			const times = LineTimes.read(file.path, this.stream.place);
			for (const row of this.#linesOf(place, bytes, (at) => times.of(at) ?? file.writtenAt)) rows.push(row);
			if (file === newest) this.#place = place;
			else if (place.rest.length > 0)
				rows.push({ ...this.#row(place.rest, file.writtenAt), end: { file: file.id, at: place.at } });
		}
		const meant = rows.filter(({ time }) => time >= since);
		return meant.slice(Math.max(0, meant.length - lines));
	}

	/** Where the last lines of a file begin; null: it is another one by now. */
	#tail(
		file: FoundFile,
		{ lines, since, bytesMax }: LastLines,
	): { from: number; lines: number; isWhole: boolean } | null {
		for (let size = tailBytesFirst; ; size *= tailFactor) {
			const start = Math.max(0, file.size - Math.min(size, bytesMax));
			const bytes = bytesOf(file, this.stream, start, file.size);
			if (bytes === null) return null;
			// The first line may have begun before.
			const from = start === 0 ? 0 : bytes.indexOf(10) + 1;
			const found = countLines(bytes, from);
			const isOldEnough = (LineTimes.read(file.path, this.stream.place).of(start) ?? file.writtenAt) < since;
			const isEnough = start === 0 || found >= lines || isOldEnough;
			if (isEnough || size >= bytesMax) return { from: start + from, lines: found, isWhole: isEnough };
		}
	}
}

function countLines(bytes: Buffer, from: number): number {
	let count = 0;
	for (let at = bytes.indexOf(10, from); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
	return count;
}

/** null: it is gone, or cannot be read. */
function bytesOf(file: FoundFile, stream: LogStream, from: number, to: number): Buffer | null {
	const descriptor = openFound(file, stream);
	if (descriptor === null) return null;
	try {
		const buffer = Buffer.alloc(to - from);
		return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, from));
	} finally {
		closeSync(descriptor);
	}
}
