import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SavedFile } from '../../system/files/saved-file.js';
import { readUntrustedFile } from '../../system/files/untrusted-file.js';
import { z } from '../../zod.js';
import type { PinnedRelease, PinnedBy, Release } from '../types.js';

/** A release that served on this node as a whole set. */
export interface ProvenRelease extends Release {
	/** The folder that its workers were started in, links resolved. */
	cwd: string;
	/** The rollout that brought it; null: it was started with the node. */
	rollout: string | null;
	/** ms since 1970. */
	provenAt: number;
}

/** Of each app; older ones are forgotten. */
const provenMax = 3;
/** Apps that are remembered; those that proved a release longest ago are forgotten. */
const appsMax = 256;
const bytesMax = 4 * 1024 * 1024;

const text = z.string().max(4_096);
const release = { path: text.min(1), cwd: text.min(1), revision: text.nullable() };
const pin = z.object({ ...release, rollout: text, reason: text });
const kept = z.object({
	version: z.literal(1),
	proven: z.record(
		text,
		z.array(z.object({ ...release, rollout: text.nullable(), provenAt: z.number() })).max(provenMax),
	),
	pins: z.record(text, pin),
	steps: z.record(text, pin.nullable()),
});

/**
 * What the apps of this node ran when they were proven last, and on which of that a rollout put them back. What a step
 * starts is on disk before its first worker runs, and what it came to before its result is told: a node that dies in the
 * middle starts the same release again, and one that dies afterwards stays on it.
 */
export class KeptReleases {
	/** Why the file could not be read; nothing is kept then. Null when all is well. */
	readonly damage: string | null;
	private readonly proven: Map<string, readonly ProvenRelease[]>;
	private readonly pins: Map<string, PinnedRelease>;
	/** What the steps that have not ended start from; null: what the configuration says. */
	private readonly steps: Map<string, PinnedRelease | null>;
	private readonly file: SavedFile;

	constructor(path: string) {
		mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
		const { data, damage } = read(path);
		this.proven = new Map(Object.entries(data.proven));
		this.pins = new Map(Object.entries(data.pins));
		this.steps = new Map(Object.entries(data.steps));
		this.damage = damage;
		this.file = new SavedFile(path, () => this.text());
	}

	get path(): string {
		return this.file.path;
	}

	/** Where workers of the app start from; null: where the configuration says. */
	pinOf(app: string): PinnedRelease | null {
		return this.steps.get(app) ?? (this.steps.has(app) ? null : (this.pins.get(app) ?? null));
	}

	/** Why an app stays on the release at this path; null: it does not. */
	whoPinned(app: string, path: string): PinnedBy | null {
		const pinned = [this.steps.get(app), this.pins.get(app)].find((one) => one?.path === path);
		return pinned ? { rollout: pinned.rollout, reason: pinned.reason } : null;
	}

	/** By app, newest first. */
	provenOf(app: string): readonly ProvenRelease[] {
		return this.proven.get(app) ?? [];
	}

	/** The proven release that is meant; of one whose revision is not known, the newest at its path. */
	find(app: string, { path, revision }: Release): ProvenRelease | undefined {
		return this.provenOf(app).find((one) => one.path === path && (revision === null || one.revision === revision));
	}

	/** A step begins to start the app from this release; durable when it resolves. Rejects if it cannot be stored. */
	async begin(app: string, pinned: PinnedRelease | null): Promise<void> {
		if (isSamePin(this.pinOf(app), pinned)) return;
		this.steps.set(app, pinned);
		await this.file.save();
	}

	/** The step ended with the app on the release that it began; durable when it resolves. */
	async settle(app: string): Promise<void> {
		const pinned = this.steps.get(app);
		if (pinned === undefined) return;
		this.steps.delete(app);
		if (pinned === null) this.pins.delete(app);
		else this.pins.set(app, pinned);
		await this.file.save();
	}

	/** The step ended and changed nothing, so the app stays where it was put before; else on this release. Durable when it resolves. */
	async withdraw(app: string, otherwise: PinnedRelease | null = null): Promise<void> {
		const wasBegun = this.steps.delete(app);
		const isNew = otherwise !== null && !this.pins.has(app);
		if (isNew) this.pins.set(app, otherwise);
		if (wasBegun || isNew) await this.file.save();
	}

	/** The app is no longer here. */
	async drop(app: string): Promise<void> {
		const isKnown = [this.steps.delete(app), this.pins.delete(app)].includes(true);
		if (isKnown) await this.file.save();
	}

	/** All but these apps are no longer here. Never rejects: what could not be stored is stored with the next change. */
	async unpinOthers(apps: readonly string[]): Promise<void> {
		const gone = [...this.pins.keys()].filter((app) => !apps.includes(app));
		for (const app of gone) this.pins.delete(app);
		if (gone.length > 0) await this.file.save().catch(() => undefined);
	}

	/** A whole set of this release serves. */
	async prove(app: string, { path, cwd, revision }: Place, by: Omit<ProvenRelease, keyof Place>): Promise<void> {
		const known = this.provenOf(app);
		const [newest] = known;
		const fresh = { path, cwd, revision, ...by };
		if (newest && isSameRelease(newest, fresh) && (by.rollout === null || by.rollout === newest.rollout)) return;
		const others = known.filter((one) => one.path !== path || one.revision !== revision);
		// At the end of the map, where the apps stand that proved a release last.
		this.proven.delete(app);
		this.proven.set(app, [fresh, ...others].slice(0, provenMax));
		for (const oldest of this.proven.keys()) {
			if (this.proven.size <= appsMax) break;
			this.proven.delete(oldest);
		}
		await this.file.save();
	}

	private text(): string {
		const { proven, pins, steps } = this;
		const parts = Object.entries({ proven, pins, steps }).map(([name, map]) => [name, Object.fromEntries(map)]);
		return `${JSON.stringify({ version: 1, ...Object.fromEntries(parts) })}\n`;
	}
}

type Place = Pick<ProvenRelease, 'path' | 'cwd' | 'revision'>;

const isSameRelease = (one: Place, other: Place): boolean =>
	one.path === other.path && one.cwd === other.cwd && one.revision === other.revision;

function isSamePin(one: PinnedRelease | null, other: PinnedRelease | null): boolean {
	if (one === null || other === null) return one === other;
	return isSameRelease(one, other) && one.rollout === other.rollout && one.reason === other.reason;
}

type Kept = Omit<z.infer<typeof kept>, 'version'>;

function read(path: string): { data: Kept; damage: string | null } {
	const data: Kept = { proven: {}, pins: {}, steps: {} };
	let content: string;
	try {
		content = readUntrustedFile(path, bytesMax);
	} catch (error) {
		const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
		return { data, damage: missing ? null : String(error) };
	}
	try {
		return { data: kept.parse(JSON.parse(content)), damage: null };
	} catch {
		// The parser's own message would quote the file.
		return { data, damage: `${path} does not hold the releases of this node` };
	}
}
