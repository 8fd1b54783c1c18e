import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SavedFile } from '../../system/files/saved-file.js';
import { readUntrustedFile } from '../../system/files/untrusted-file.js';
import { readBootId } from '../../system/proc/kernel.js';
import { isAlive, isOwned } from '../../system/proc/process.js';
import type { HostLink } from '../host/host-connection.js';
import type { ListenSettings, ProvenListeners } from '../health/listeners.js';
import type { Orphan } from '../pm2/orphans.js';
import type { WorkerIdentity } from '../types.js';
import { appOf } from './worker-id.js';

/** What the supervisor has to remember over its own death, since nothing else knows it. */
export interface SupervisorMemory {
	/** Last number given away of each app. Ids are never used twice. */
	lastNumber: Record<string, number>;
	/** The processes that are ours. PM2 forgets them when the host dies; they live on as orphans. */
	workers: WorkerRecord[];
	/** Replacements under way, by app: the set that has to be gone at the end. */
	replacing: Record<string, WorkerIdentity[]>;
	/** By app: where its workers were last proven to listen. A new set must listen there too. */
	listeners: Record<string, ProvenListeners>;
	/** Apps that have served here. Beside workers that are to leave, any other app has to prove itself first. */
	proven: string[];
}

export interface WorkerRecord extends WorkerIdentity {
	app: string;
	user: string | null;
	/** The resolved script. */
	release: string;
	/** The folder that it was started in. Not on records of earlier versions. */
	cwd?: string;
	/** Not on records of earlier versions, nor where it is unknown. */
	revision?: string | null | undefined;
	/** Where a program without preload listens; null otherwise. */
	port: number | null;
	/** Its number among the instances. Not on records of earlier versions. */
	slot?: number;
	/** Whether it is ended by signals, having no preload to be asked. Not on records of earlier versions. */
	fork?: boolean;
	/** Its drain timeout if its app leaves the configuration. Missing in records of earlier versions. */
	drainTimeoutMs?: number;
	/** What the configuration said of its listeners when it was started. Not on records of earlier versions. */
	settings?: ListenSettings;
}

/** Far above what thousands of workers need; a longer file was not written by Rollcall. */
const bytesMax = 16 * 1024 * 1024;

/** One JSON file. */
export class SupervisorRecords {
	readonly memory: SupervisorMemory;
	/** Why the file could not be read; the supervisor then knows only what lives. Null when all is well. */
	readonly damage: string | null;
	private readonly saved: SavedFile;

	constructor(
		readonly file: string,
		/** The kernel's boot id: process identities of another boot are void. */
		private readonly boot = readBootId(),
	) {
		mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
		const { memory, damage } = read(file, boot);
		this.memory = memory;
		this.damage = damage;
		this.saved = new SavedFile(file, () => this.text());
	}

	/** A user's workers that live: those on record, and those that only their host could find. */
	living({ user, owner }: Pick<HostLink, 'user' | 'owner'>, found: readonly Orphan[]): WorkerRecord[] {
		const recorded = this.memory.workers.filter(
			(record) => record.user === user && isAlive(record) && isOwned(record, owner),
		);
		const others = found.filter(({ pid }) => !recorded.some((record) => record.pid === pid));
		return [...recorded, ...others.map((one) => ({ ...one, app: appOf(one.id), user }))];
	}

	/** Resolves when the current state is on disk. */
	save(): Promise<void> {
		return this.saved.save();
	}

	/** How many workers are on record, and the bytes of the file that says so. */
	size(): { record_count: number; table_size: number } {
		return { record_count: this.memory.workers.length, table_size: this.saved.bytes };
	}

	private text(): string {
		return `${JSON.stringify({ version: 1, boot: this.boot, ...this.memory })}\n`;
	}
}

/** The file of an earlier version has neither listeners nor proven apps. */
type Written = Omit<SupervisorMemory, 'listeners' | 'proven'> & Partial<SupervisorMemory> & { boot?: string | null };

function read(file: string, boot: string | null): { memory: SupervisorMemory; damage: string | null } {
	const empty: SupervisorMemory = { lastNumber: {}, workers: [], replacing: {}, listeners: {}, proven: [] };
	let text: string;
	try {
		// A link or a pipe that was put there while the folder was open to others would be followed, or waited on for ever.
		text = readUntrustedFile(file, bytesMax);
	} catch (error) {
		const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
		return { memory: empty, damage: missing ? null : String(error) };
	}
	try {
		const { lastNumber, workers, replacing, listeners = {}, ...rest } = JSON.parse(text) as Written;
		if (!Array.isArray(workers) || typeof lastNumber !== 'object' || typeof replacing !== 'object') {
			return { memory: empty, damage: `${file} does not hold the supervisor's memory` };
		}
		// A process id and a start time, counted from the boot, can be another process's after the next one.
		if ((rest.boot ?? boot) !== boot) return { memory: { ...empty, lastNumber, listeners }, damage: null };
		const proven = Array.isArray(rest.proven) ? rest.proven : [...new Set(workers.map(({ app }) => app))];
		return { memory: { lastNumber, workers, replacing, listeners, proven }, damage: null };
	} catch {
		// The parser's own message would quote the file.
		return { memory: empty, damage: `${file} is no JSON` };
	}
}
