import { messageOf } from '../../errors.js';
import type { WorkerPoolParts } from '../pool/worker-pool.js';
import type { Worker } from '../pool/worker.js';
import type { PinnedRelease, WorkerApp } from '../types.js';

/** What one app starts from, from step to step. */
export class AppReleases {
	constructor(
		private readonly app: string,
		private readonly parts: Pick<WorkerPoolParts, 'kept' | 'clock' | 'log'>,
	) {}

	/** Before a step starts its first worker; rejects if it cannot be stored. */
	begin({ pinned }: WorkerApp): Promise<void> {
		return this.parts.kept.begin(this.app, pinned ?? null);
	}

	/** How the step ended is stored when it resolves: to what the app starts from now. `wanted` 0: it is no longer here. */
	async end(
		isBack: boolean,
		workers: readonly Worker[],
		wanted: number,
		rollout: string | null,
	): Promise<PinnedRelease | null> {
		const { kept } = this.parts;
		// What a step of plain settings proved may be stored a moment later: the start after a power cut finds it again.
		if (isBack) void this.prove(workers, wanted, rollout);
		const stored = !isBack ? kept.withdraw(this.app) : wanted === 0 ? kept.drop(this.app) : kept.settle(this.app);
		// The step's beginning, which is on disk, leads to the same release.
		await stored.catch((error: unknown) => this.complain(error));
		return kept.pinOf(this.app);
	}

	/** Where the whole set serves and is of one release, this node can go back to that from now on. */
	async prove(workers: readonly Worker[], wanted: number, rollout: string | null): Promise<void> {
		const { kept, clock } = this.parts;
		const serving = workers.filter(({ isServing }) => isServing);
		const [first] = serving;
		if (!first || serving.length < wanted) return;
		const { release: path, cwd, revision } = first;
		if (serving.some((one) => one.release !== path || one.revision !== revision)) return;
		const at = { rollout, provenAt: Math.round(clock.wall()) };
		await kept.prove(this.app, { path, cwd, revision }, at).catch((error: unknown) => this.complain(error));
	}

	private complain(error: unknown): void {
		this.parts.log.error({ event: 'releases_not_stored', app: this.app, reason: messageOf(error) });
	}
}
