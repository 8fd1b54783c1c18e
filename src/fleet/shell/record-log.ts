import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf, RollcallError } from '../../errors.js';
import { diskRemedy } from '../../system/files/disk-remedy.js';
import { removeLeftovers, replaceFile, syncFolder } from '../../system/files/replace-file.js';
import { neededVersion, recordsVersion } from '../core/durable.js';

/**
 * An append-only file of JSON entries that are on disk before `append` resolves. One line holds what was appended while
 * one sync was under way: `<crc32, 8 hex> <length, 8 hex> [entry, …]\n`. Since the next line is written only after the
 * sync of the one before, a crash can tear the last line and no other.
 */
export interface RecordLog {
	readonly file: string;
	/** What the file held when it was opened, oldest first. */
	readonly recovered: readonly unknown[];
	/** What had to be cut when it was opened. */
	readonly damage: RecordDamage | null;
	/** Resolves once all entries are on disk; rejects with `unavailable`, and then none of them is. */
	append(entries: readonly unknown[]): Promise<void>;
	/** Replaces the whole content at once; appends that are waiting come after it. */
	rewrite(entries: readonly unknown[]): Promise<void>;
	/** Reads the file again, as a start would, without what was never on disk. */
	reread(): Promise<unknown[]>;
	size(): { entries: number; bytes: number };
	/** The latest syncs, oldest first, at most {@link syncsKept}. */
	syncs(): readonly Sync[];
	close(): Promise<void>;
}

/** One write through to the disk: when it was done, ms on `performance.now()`, and how long it took, ms. */
export interface Sync {
	at: number;
	ms: number;
}

export interface RecordDamage {
	/** Byte of the first bad line. */
	offset: number;
	lostBytes: number;
	/** Where the damaged file was kept; null if even that failed. */
	keptAs: string | null;
	/**
	 * true: whole lines follow the bad one, or nothing good is left, so it was not the tear of a crash: entries that
	 * were promised to be on disk are gone, and the node must not vote as if it remembered.
	 */
	forgotten: boolean;
}

/** Larger than any fleet's folded state by far; a file beyond it is refused rather than read into memory. */
export const fileBytesMax = 64 * 1024 * 1024;
/** Damaged files kept aside, the oldest go first. */
export const damagedFilesKept = 5;
export const syncsKept = 1024;
const pendingAppendsMax = 10_000;
const headerBytes = 18;
/** A write returns when it is on disk: one call for what would be a write and a sync, one after the other. */
const writeThrough = constants.O_RDWR | constants.O_DSYNC;

/** How the file is opened for writing; tests put a failing disk here. */
export type OpenFile = (file: string, flags: number, mode: number) => Promise<FileHandle>;

interface Content {
	bytes: number;
	entries: number;
}

interface Pending {
	entries: readonly unknown[];
	resolve(): void;
	reject(error: RollcallError): void;
}

/**
 * Opens (creates with mode 0600, its folder with 0700), cuts a torn or damaged tail, keeping the damaged file aside. Throws
 * `unavailable` (the file cannot be read, or needs a later build).
 */
export async function openRecordLog(file: string, openFile: OpenFile = open): Promise<RecordLog> {
	await mkdir(dirname(file), { recursive: true, mode: 0o700 });
	await removeLeftovers(file);
	await removeHalfKept(file);
	const { entries, goodBytes, damage } = await load(file);
	assertUnderstood(file, entries);
	const handle = await openForAppend(file, openFile);
	return new FileRecordLog(file, openFile, handle, entries, goodBytes, damage);
}

/** Throws `unavailable` when a later build wrote what this one must not pass over. */
function assertUnderstood(file: string, entries: readonly unknown[]): void {
	const needed = neededVersion(entries);
	if (needed <= recordsVersion) return;
	throw new RollcallError(
		'unavailable',
		`The record file ${file} was written by a later build: it needs version ${needed} of the records, this build knows ${recordsVersion}. Start that build again; or move the file aside, and the node asks its peers what it forgot.`,
	);
}

class FileRecordLog implements RecordLog {
	readonly recovered: readonly unknown[];
	#entryCount: number;
	#pending: Pending[] = [];
	#tail: Promise<unknown> = Promise.resolve();
	#flushQueued = false;
	/** A write or sync failed: what lies behind the good bytes is unknown and is cut before the next write. */
	#unsure = false;
	/** A replacement failed half-way: if its file bears the name already, what goes into the old one is lost. */
	#replacing: Content | null = null;
	#closed = false;
	readonly #syncs: Sync[] = [];

	constructor(
		readonly file: string,
		private readonly openFile: OpenFile,
		private handle: FileHandle,
		entries: unknown[],
		private goodBytes: number,
		readonly damage: RecordDamage | null,
	) {
		this.recovered = entries;
		this.#entryCount = entries.length;
	}

	append(entries: readonly unknown[]): Promise<void> {
		if (this.#closed) return Promise.reject(this.#refusal('it is closed'));
		if (this.#pending.length >= pendingAppendsMax)
			return Promise.reject(this.#refusal('too many writes wait for the disk'));
		return new Promise((resolve, reject) => {
			this.#pending.push({ entries, resolve, reject });
			if (this.#flushQueued) return;
			this.#flushQueued = true;
			void this.#serially(() => this.#flush());
		});
	}

	rewrite(entries: readonly unknown[]): Promise<void> {
		return this.#serially(async () => {
			if (this.#closed) throw this.#refusal('it is closed');
			const line = frame(entries);
			try {
				this.#replacing = { bytes: line.length, entries: entries.length };
				await replaceFile(this.file, line);
				await this.#takeUp(this.#replacing);
			} catch (error) {
				this.#unsure = true;
				throw this.#refusal(messageOf(error), error);
			}
		});
	}

	/** From now on it is written to the new file. */
	async #takeUp(content: Content): Promise<void> {
		const previous = this.handle;
		this.handle = await openForAppend(this.file, this.openFile);
		this.#replacing = null;
		this.goodBytes = content.bytes;
		this.#entryCount = content.entries;
		this.#unsure = false;
		await previous.close();
	}

	reread(): Promise<unknown[]> {
		return this.#serially(async () => {
			try {
				await this.#settle();
			} catch (error) {
				throw this.#refusal(messageOf(error), error);
			}
			return parseRecords(await readFile(this.file)).entries;
		});
	}

	size(): { entries: number; bytes: number } {
		return { entries: this.#entryCount, bytes: this.goodBytes };
	}

	syncs(): readonly Sync[] {
		return this.#syncs;
	}

	async close(): Promise<void> {
		await this.#serially(async () => {
			if (this.#closed) return;
			this.#closed = true;
			await this.handle.close();
		});
	}

	/** One after the other: flushes, rewrites and the close never meet on the file. */
	#serially<T>(work: () => Promise<T>): Promise<T> {
		const run = this.#tail.then(work);
		this.#tail = run.catch(() => undefined);
		return run;
	}

	async #flush(): Promise<void> {
		this.#flushQueued = false;
		const batch = this.#pending;
		this.#pending = [];
		if (batch.length === 0) return;
		try {
			const entries = batch.flatMap((one) => one.entries);
			await this.#write(entries);
			this.#entryCount += entries.length;
			for (const one of batch) one.resolve();
		} catch (error) {
			this.#unsure = true;
			const refusal = this.#refusal(messageOf(error), error);
			for (const one of batch) one.reject(refusal);
		}
	}

	async #write(entries: readonly unknown[]): Promise<void> {
		if (this.#closed) throw new Error('it is closed');
		await this.#settle();
		const line = frame(entries);
		if (this.goodBytes + line.length > fileBytesMax) throw new Error(`it would grow beyond ${fileBytesMax} bytes`);
		const begun = performance.now();
		const { bytesWritten } = await this.handle.write(line, 0, line.length, this.goodBytes);
		const at = performance.now();
		if (bytesWritten !== line.length) throw new Error(`only ${bytesWritten} of ${line.length} bytes fit on the disk`);
		this.#syncs.push({ at, ms: at - begun });
		if (this.#syncs.length > syncsKept) this.#syncs.shift();
		this.goodBytes += line.length;
	}

	/** After a failure part of a line may stand there; it was refused, so it must not come back at the next start. */
	async #settle(): Promise<void> {
		if (!this.#unsure) return;
		if (this.#replacing && (await this.#isReplaced())) await this.#takeUp(this.#replacing);
		this.#replacing = null;
		await this.handle.truncate(this.goodBytes);
		await this.handle.datasync();
		this.#unsure = false;
	}

	async #isReplaced(): Promise<boolean> {
		return (await lstat(this.file)).ino !== (await this.handle.stat()).ino;
	}

	#refusal(why: string, cause?: unknown): RollcallError {
		return new RollcallError(
			'unavailable',
			`The record file ${this.file} could not be written: ${why}. Nothing was changed; ${diskRemedy(cause)}.`,
			{},
			{ cause },
		);
	}
}

function frame(entries: readonly unknown[]): Buffer {
	const payload = Buffer.from(JSON.stringify(entries));
	return Buffer.concat([Buffer.from(`${hex(crc32(payload))} ${hex(payload.length)} `), payload, Buffer.from('\n')]);
}

const hex = (value: number): string => value.toString(16).padStart(8, '0');

/** Reads good lines up to the first bad one. */
export function parseRecords(bytes: Buffer): { entries: unknown[]; goodBytes: number } {
	const entries: unknown[] = [];
	let offset = 0;
	for (;;) {
		const line = parseLine(bytes, offset);
		if (!line) return { entries, goodBytes: offset };
		entries.push(...line.entries);
		offset = line.end;
	}
}

function parseLine(bytes: Buffer, offset: number): { entries: unknown[]; end: number } | null {
	const header = bytes.toString('latin1', offset, offset + headerBytes);
	const match = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(header);
	if (!match) return null;
	const end = offset + headerBytes + Number.parseInt(match[2] ?? '', 16);
	if (end >= bytes.length || bytes[end] !== 0x0a) return null;
	const payload = bytes.subarray(offset + headerBytes, end);
	if (hex(crc32(payload)) !== match[1]) return null;
	try {
		const entries: unknown = JSON.parse(payload.toString('utf8'));
		return Array.isArray(entries) ? { entries, end: end + 1 } : null;
	} catch {
		return null;
	}
}

async function load(file: string): Promise<{ entries: unknown[]; goodBytes: number; damage: RecordDamage | null }> {
	const known = await lstat(file).catch((error: NodeJS.ErrnoException) => {
		if (error.code === 'ENOENT') return null;
		throw new RollcallError('unavailable', `The record file ${file} cannot be read: ${error.message}`);
	});
	if (!known) return { entries: [], goodBytes: 0, damage: null };
	if (!known.isFile() || known.size > fileBytesMax)
		throw new RollcallError(
			'unavailable',
			`The record file ${file} must be a plain file of at most ${fileBytesMax} bytes, it is ${known.isFile() ? `${known.size} bytes long` : 'something else'}. Move it aside; the node then asks its peers what it forgot.`,
		);
	const bytes = await readFile(file);
	const { entries, goodBytes } = parseRecords(bytes);
	if (goodBytes === bytes.length) return { entries, goodBytes, damage: null };
	const damage: RecordDamage = {
		offset: goodBytes,
		lostBytes: bytes.length - goodBytes,
		keptAs: await keepAside(file, bytes),
		forgotten: goodBytes === 0 || wholeLineFollows(bytes, goodBytes),
	};
	const handle = await open(file, 'r+');
	try {
		await handle.truncate(goodBytes);
		await handle.sync();
	} finally {
		await handle.close();
	}
	return { entries, goodBytes, damage };
}

/** Looks for headers anywhere: the line's own end may be what was damaged. */
function wholeLineFollows(bytes: Buffer, offset: number): boolean {
	const text = bytes.toString('latin1', offset + 1);
	for (const match of text.matchAll(/[0-9a-f]{8} [0-9a-f]{8} \[/g))
		if (parseLine(bytes, offset + 1 + match.index)) return true;
	return false;
}

/** Numbered rather than dated: the clock may be as wrong as the disk. */
async function keepAside(file: string, bytes: Buffer): Promise<string | null> {
	const folder = dirname(file);
	const prefix = `${basename(file)}.damaged-`;
	try {
		const numbers = (await readdir(folder))
			.filter((name) => name.startsWith(prefix))
			.map((name) => Number(name.slice(prefix.length)))
			.filter(Number.isInteger)
			.sort((a, b) => a - b);
		for (const number of numbers.slice(0, Math.max(0, numbers.length - damagedFilesKept + 1)))
			await rm(join(folder, `${prefix}${number}`), { force: true });
		const kept = join(folder, `${prefix}${(numbers.at(-1) ?? 0) + 1}`);
		await writeFile(`${kept}.new`, bytes, { mode: 0o600, flush: true });
		await rename(`${kept}.new`, kept);
		return kept;
	} catch {
		// The disk may be full, which is no reason not to start: the damage is still reported.
		return null;
	}
}

/** What {@link keepAside} leaves behind when it is killed. */
async function removeHalfKept(file: string): Promise<void> {
	const prefix = `${basename(file)}.damaged-`;
	for (const name of await readdir(dirname(file)))
		if (name.startsWith(prefix) && name.endsWith('.new')) await rm(join(dirname(file), name), { force: true });
}

async function openForAppend(file: string, openFile: OpenFile): Promise<FileHandle> {
	const handle = await open(file, 'a+', 0o600);
	await handle.close();
	await syncFolder(dirname(file));
	return openFile(file, writeThrough, 0o600);
}
