import { messageOf } from '../../errors.js';
import type { WorkerPoolParts } from '../pool/worker-pool.js';
import type { Worker } from '../pool/worker.js';
import { startOf } from '../pool/worker-description.js';
import type { PinnedRelease, ReplacementResult, WorkerApp, WorkerIdentity } from '../types.js';
import { isGone } from './put-back.js';

/** A set of workers to be replaced. */
export interface SetWish {
	/** As it is to be. */
	app: WorkerApp;
	before: readonly WorkerIdentity[] | null;
	deadlineMs: number;
	onProgress: (text: string) => void;
	/** Which one asks; null: none does. */
	rollout: string | null;
}

/** What one app starts from, from step to step. */
export class AppReleases {
	/** What the last whole set was started from, and the app as the configuration had it then. */
	private standing: { app: WorkerApp; place: Place } | null = null;

	constructor(
		private readonly app: string,
		private readonly parts: Pick<WorkerPoolParts, 'kept' | 'clock' | 'log'>,
	) {}

	/**
	 * Before a step starts its first worker; rejects if it cannot be stored. The set that it is to replace may have become whole
	 * since it was started, and is what an undo goes back to.
	 */
	async begin({ pinned }: WorkerApp, previous: WorkerApp, workers: readonly Worker[]): Promise<void> {
		await this.prove(previous, workers, null);
		await this.parts.kept.begin(this.app, pinned ?? null);
	}

	/** How a step ended is stored when it resolves: to what the app starts from now. */
	async end(
		outcome: ReplacementResult['outcome'],
		{ app, rollout }: Pick<SetWish, 'app' | 'rollout'>,
		workers: readonly Worker[],
		wanted: number,
	): Promise<PinnedRelease | null> {
		const { kept } = this.parts;
		const serving = releaseOfAll(workers, wanted);
		// What a plain step proved may be stored a moment later: the start after a power cut finds it again.
		if (outcome === 'back') void this.prove(app, workers, rollout);
		const stored =
			outcome !== 'back'
				? kept.withdraw(this.app, stays(outcome, app, rollout, serving))
				: wanted === 0
					? kept.drop(this.app)
					: kept.settle(this.app);
		// The step's beginning, which is on disk, leads to the same release.
		await stored.catch((error: unknown) => this.complain(error));
		return kept.pinOf(this.app);
	}

	/** Where the whole set serves and is of one release, this node can go back to that from now on. */
	async prove(app: WorkerApp, workers: readonly Worker[], rollout: string | null): Promise<void> {
		const { kept, clock } = this.parts;
		const serving = releaseOfAll(workers, app.instances);
		if (serving === null) return;
		// A set that was taken in may be of an app that the configuration had before.
		if (rollout !== null || startOf(app)?.script === serving.path) this.standing = { app, place: serving };
		const by = { rollout, provenAt: Math.round(clock.wall()) };
		await kept.prove(this.app, serving, by).catch((error: unknown) => this.complain(error));
	}

	/**
	 * The app as its workers start outside a step: from what the set before was started from, though a link leads elsewhere by
	 * now. What is gone cannot be started any more, and the configuration names what takes its place.
	 */
	outsideStep(app: WorkerApp): WorkerApp {
		const { standing } = this;
		if (app.pinned || standing === null || !isNamedAlike(standing.app, app)) return app;
		const { path, cwd } = standing.place;
		return isGone(path) || isGone(cwd) ? app : { ...app, script: path, cwd };
	}

	private complain(error: unknown): void {
		this.parts.log.error({ event: 'releases_not_stored', app: this.app, reason: messageOf(error) });
	}
}

type Place = Pick<PinnedRelease, 'path' | 'cwd' | 'revision'>;

const isNamedAlike = (one: WorkerApp, other: WorkerApp): boolean =>
	one.script === other.script && one.cwd === other.cwd && one.interpreter === other.interpreter;

/** What a set that serves as a whole runs; null where it runs several releases, or too few serve. */
function releaseOfAll(workers: readonly Worker[], wanted: number): Place | null {
	const serving = workers.filter(({ isServing }) => isServing);
	const [first] = serving;
	if (!first || serving.length < wanted) return null;
	const { release: path, cwd, revision } = first;
	const isOne = serving.every((one) => one.release === path && one.revision === revision);
	return isOne ? { path, cwd, revision } : null;
}

/**
 * Where an app stays that has refused a release: on what serves, so that the host's next start does not bring what was
 * refused. null: one that lies at the same path has taken its place on disk, or it did not come to a release.
 */
function stays(
	outcome: ReplacementResult['outcome'],
	app: WorkerApp,
	rollout: string | null,
	serving: Place | null,
): PinnedRelease | null {
	if (outcome !== 'refused' || rollout === null || serving === null) return null;
	if (startOf({ ...app, pinned: null })?.script === serving.path) return null;
	return { ...serving, rollout, reason: 'it refused what that rollout brought' };
}
