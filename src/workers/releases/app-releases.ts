import { messageOf } from '../../errors.js';
import type { WorkerPoolParts } from '../pool/worker-pool.js';
import type { Worker } from '../pool/worker.js';
import { startOf } from '../pool/worker-description.js';
import type { PinnedRelease, ReplacementResult, WorkerApp } from '../types.js';

interface Step {
	/** As it was to be. */
	app: WorkerApp;
	rollout: string | null;
}

/** What one app starts from, from step to step. */
export class AppReleases {
	constructor(
		private readonly app: string,
		private readonly parts: Pick<WorkerPoolParts, 'kept' | 'clock' | 'log'>,
	) {}

	/**
	 * Before a step starts its first worker; rejects if it cannot be stored. The set that it is to replace may have become whole
	 * since it was started, and is what an undo goes back to.
	 */
	async begin({ pinned }: WorkerApp, workers: readonly Worker[], wanted: number): Promise<void> {
		await this.prove(workers, wanted, null);
		await this.parts.kept.begin(this.app, pinned ?? null);
	}

	/** How a step ended is stored when it resolves: to what the app starts from now. */
	async end(
		outcome: ReplacementResult['outcome'],
		{ app, rollout }: Step,
		workers: readonly Worker[],
		wanted: number,
	): Promise<PinnedRelease | null> {
		const { kept } = this.parts;
		const serving = releaseOfAll(workers, wanted);
		// What a plain step proved may be stored a moment later: the start after a power cut finds it again.
		if (outcome === 'back') void this.prove(workers, wanted, rollout);
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
	async prove(workers: readonly Worker[], wanted: number, rollout: string | null): Promise<void> {
		const { kept, clock } = this.parts;
		const serving = releaseOfAll(workers, wanted);
		if (serving === null) return;
		const by = { rollout, provenAt: Math.round(clock.wall()) };
		await kept.prove(this.app, serving, by).catch((error: unknown) => this.complain(error));
	}

	private complain(error: unknown): void {
		this.parts.log.error({ event: 'releases_not_stored', app: this.app, reason: messageOf(error) });
	}
}

type Place = Pick<PinnedRelease, 'path' | 'cwd' | 'revision'>;

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
