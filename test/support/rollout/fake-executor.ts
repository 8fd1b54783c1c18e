/** Workers and the steps that replace them, with the truth kept apart from what the step reports. */
import type { StepRequest } from '../../../src/fleet/ports.js';
import type { HookResult, RolloutSpec, Snapshot, StepResult } from '../../../src/rollout/types.js';
import type { ProvenWorker, Release, Releases } from '../../../src/workers/types.js';
import { FakeReleases } from './fake-releases.js';
import type { SimNode } from './sim-node.js';

type Running = StepRequest & { onEnd(result: StepResult): void };

/** How a step goes. The last four say `back` and lie. */
export type StepFate =
	| 'good'
	| 'slow'
	| 'refused'
	| 'failed'
	| 'hangs'
	| 'same-workers'
	| 'old-remains'
	| 'too-few'
	| 'not-joined';

/** How the command of a hook ends. `unknown`: its host was lost meanwhile. */
export type HookFate = 'good' | 'failed' | 'unknown';

interface SimWorker extends ProvenWorker {
	healthy: boolean;
	/** The revision that it was started from. */
	release: string;
}

export const releaseOf = (revision: string): Release => ({ path: `/srv/${revision}/server.js`, revision });

interface Ending {
	/** Really, whatever the step says. */
	back: boolean;
	reason: string | null;
	fate?: StepFate;
	begun?: boolean;
}

/** What really became of a step, for whoever judges. */
export interface Truth {
	rollout: string;
	attempt: number;
	spec: RolloutSpec;
	/** What the step said. */
	outcome: StepResult['outcome'];
	/** It had begun to replace workers. */
	begun: boolean;
	/** Really back by all that the service asks for. */
	back: boolean;
	/** All workers healthy, new or old, and none of the losing set left. */
	whole: boolean;
}

export class FakeExecutor {
	readonly wanted = 2;
	workers: SimWorker[] = [];
	/** What happens to the next steps here; the last one stays. */
	fates: StepFate[] = ['good'];
	stepMs = 400;
	readonly kept = new FakeReleases();
	/** Called with the revision that new workers were started from. */
	onStarted: (revision: string) => void = () => {};
	hooks: { fates: HookFate[]; ms: number } = { fates: ['good'], ms: 20 };
	/** Called with the truth at the end of every step. */
	onTruth: (truth: Truth) => void = () => {};
	/** A process that ended itself for type `restart`. */
	onExit: () => void = () => {};
	#ids = 0;
	#pids = 100;
	#run = 0;

	constructor(private readonly node: SimNode) {
		this.workers = this.#fresh(this.wanted);
		this.#prove();
	}

	/** What runs; of two that run side by side the newer one. */
	releases(): Releases {
		const release = this.workers.at(-1)?.release;
		return release === undefined ? {} : { web: releaseOf(release) };
	}

	healthy(): number {
		return Math.min(this.wanted, this.workers.filter((worker) => worker.healthy && worker.joined).length);
	}

	/** Where the whole set serves and is of one release, the node can go back to it. */
	#prove(): void {
		const whole = this.#wholeRelease();
		if (whole !== null) this.kept.prove(whole);
	}

	/** The release that all wanted workers serve; null: too few do, or they are of several. */
	#wholeRelease(): string | null {
		const { workers } = this;
		const revision = workers[0]?.release ?? null;
		const isOne = workers.every(({ release }) => release === revision);
		return isOne && this.healthy() === this.wanted && workers.length === this.wanted ? revision : null;
	}

	/** The release that a step puts this node back on; null: none. */
	#backTo({ putBack }: RolloutSpec): string | null {
		return putBack?.[this.node.name]?.['web']?.revision ?? null;
	}

	#fresh(count: number): SimWorker[] {
		const release = this.kept.next;
		return Array.from({ length: count }, () => {
			this.#ids += 1;
			// The kernel gives process ids again; only the start time tells them apart.
			this.#pids = 100 + ((this.#pids - 99) % 7);
			const started = 1000 + this.#ids;
			const well = { proven: true, joined: true, healthy: true };
			return { id: `web-${this.#ids}`, pid: this.#pids, started, release, ...well };
		});
	}

	setHealth(healthy: boolean): void {
		for (const worker of this.workers) worker.healthy = healthy;
		this.node.readinessChanged();
	}

	daemonStarted(): void {
		this.#prove();
	}

	/** What runs in the middle of a step is left as it is: old workers, new ones, or both. */
	daemonDied(): void {
		this.#run += 1;
	}

	/** The host went down with everything on it; what the next start brings up is new. */
	hostDied(): void {
		this.#run += 1;
		this.workers = this.#fresh(this.wanted);
		this.#prove();
		this.onStarted(this.kept.next);
	}

	/** `onEnd` is told what came of it, once or never. */
	run(asked: StepRequest, onProgress: (text: string) => void, onEnd: (result: StepResult) => void): void {
		const request: Running = { ...asked, onEnd };
		this.#run += 1;
		const run = this.#run;
		const fate = this.fates.length > 1 ? (this.fates.shift() ?? 'good') : (this.fates[0] ?? 'good');
		const { spec } = request;
		const ms = this.stepMs * (0.5 + this.node.random.next()) * (fate === 'slow' ? 30 : 1);
		const refused = request.refused ?? this.#whyNotBegun(request);
		if (refused === null && spec.service === 'http_workers') {
			this.#prove();
			this.kept.begin(this.#backTo(spec));
		}
		if (fate === 'hangs' && refused === null) return;
		const then = (delay: number, what: () => void): void =>
			this.node.later(delay, () => {
				if (run === this.#run) what();
			});
		if (spec.service === 'clustering') {
			this.#renewLinks(request, ms, then);
			return;
		}
		if (refused !== null) {
			then(1, () => this.#end(request, 'refused', { back: false, reason: refused, begun: false }));
			return;
		}
		const other = this.#otherCourse(request, fate);
		if (other) {
			then(ms, other);
			return;
		}
		onProgress('new workers start');
		then(ms / 2, () => this.#startNew(request));
		then(ms, () => this.#finish(request, fate));
	}

	/** A release may have gone since the files were looked at; a step that goes forward has started it already. */
	#whyNotBegun({ spec, recovered }: StepRequest): string | null {
		const revision = this.#backTo(spec);
		return recovered || revision === null ? null : this.kept.whyNot(revision);
	}

	/** Its end is told to the process that began it, if that still lives. */
	runHook(onEnd: (result: HookResult) => void): void {
		const { fates, ms } = this.hooks;
		const fate = fates.length > 1 ? (fates.shift() ?? 'good') : (fates[0] ?? 'good');
		this.node.later(ms * (0.5 + this.node.random.next()), () => {
			if (fate === 'unknown') onEnd({ state: 'unknown', detail: null });
			else if (fate === 'failed') onEnd({ state: 'failed', detail: 'exited with 1: no such server' });
			else onEnd({ state: 'done', detail: 'exited with 0' });
		});
	}

	/** What happens instead of replacing the workers one by one; null: just that. */
	#otherCourse(request: Running, fate: StepFate): (() => void) | null {
		const { spec, recovered, before } = request;
		if (spec.service === 'clustering_config') {
			return () => {
				if (fate === 'refused') {
					this.#end(request, 'refused', { back: false, reason: 'nothing was changed: its address is taken' });
					return;
				}
				this.node.applyFile();
				this.#end(request, 'back', { back: true, reason: null });
			};
		}
		if (spec.type === 'restart' && !recovered) {
			return () => {
				this.workers = [];
				this.node.readinessChanged();
				this.onExit();
			};
		}
		if (fate === 'refused') {
			return () => {
				const old = this.workers.filter((worker) => isAmong(before, worker));
				this.workers = old.length > 0 ? old : this.workers.slice(0, this.wanted);
				this.#end(request, 'refused', { back: false, reason: 'the new release answers 500' });
			};
		}
		if (fate !== 'failed') return null;
		return () => {
			this.workers = this.workers.slice(0, this.wanted - 1);
			this.node.readinessChanged();
			this.#end(request, 'failed', { back: false, reason: 'a worker was lost' });
		};
	}

	/** New before old, never a second surplus set: what a dead predecessor started is adopted. */
	#startNew(request: Running): void {
		const { before } = request;
		const surplus = this.workers.filter((worker) => !isAmong(before, worker));
		const missing = Math.max(0, this.wanted - surplus.length);
		this.workers = [...this.workers, ...this.#fresh(missing)];
		if (missing > 0) this.onStarted(this.kept.next);
	}

	#finish(request: Running, fate: StepFate): void {
		const { before } = request;
		const old = this.workers.filter((worker) => isAmong(before, worker));
		const fresh = this.workers.filter((worker) => !isAmong(before, worker));
		switch (fate) {
			case 'same-workers':
				this.workers = old.length > 0 ? old : fresh;
				break;
			case 'old-remains':
				break;
			case 'too-few':
				this.workers = fresh.slice(0, 1);
				break;
			case 'not-joined':
				this.workers = fresh.map((worker) => ({ ...worker, joined: false }));
				break;
			default:
				this.workers = fresh;
		}
		this.node.readinessChanged();
		const truly = this.workers.length === this.wanted && this.healthy() === this.wanted;
		const disjoint = !this.workers.some((worker) => isAmong(before, worker));
		const boot = this.node.snapshot().boot > before.boot || request.spec.type !== 'restart';
		this.#end(request, 'back', { back: truly && disjoint && boot, reason: null, fate });
	}

	#end(request: Running, outcome: StepResult['outcome'], { back, reason, fate = 'good', begun = true }: Ending): void {
		const { before, spec, attempt } = request;
		const { boot, links, configHash } = this.node.snapshot();
		const workers = this.workers.map(({ id, pid, started, healthy, joined }) => ({
			id: fate === 'same-workers' ? `${id}x` : id,
			pid,
			started,
			proven: healthy,
			joined,
		}));
		const oldGone = fate !== 'old-remains';
		// What is refused leaves the set before as it was, which may hold more than are wanted.
		const isAsMany = outcome === 'refused' || this.workers.length === this.wanted;
		const whole = this.healthy() === this.wanted && isAsMany;
		if (begun && spec.service !== 'clustering' && spec.service !== 'clustering_config') this.#keep(outcome, back);
		this.onTruth({ rollout: spec.id, attempt, spec, outcome, begun, back, whole });
		const result: StepResult = {
			outcome,
			before,
			after: { boot, links, configHash, workers, releases: this.releases() },
			wanted: this.wanted,
			oldGone: outcome === 'refused' ? true : oldGone,
			cutOff: 0,
			reason,
		};
		request.onEnd(result);
	}

	/** Synced before the result is told. What was refused does not come with the next start of the host, either. */
	#keep(outcome: StepResult['outcome'], back: boolean): void {
		const whole = this.#wholeRelease();
		if (back) this.#prove();
		if (back) this.kept.settle();
		else this.kept.withdraw(outcome === 'refused' && whole !== this.kept.deployed ? whole : null);
	}

	#renewLinks(request: Running, ms: number, then: (delay: number, what: () => void) => void): void {
		if (!request.recovered) this.node.resetLinks();
		const { before } = request;
		const isNew = (): boolean =>
			before.links.every((link) => {
				const id = this.node.links().get(link.node);
				return id !== undefined && id !== link.id;
			});
		const look = (left: number): void =>
			then(ms / 2, () => {
				if (isNew()) this.#end(request, 'back', { back: true, reason: null });
				else if (left === 0) this.#end(request, 'failed', { back: false, reason: 'a link is not up again' });
				else look(left - 1);
			});
		look(8);
	}
}

function isAmong(before: Snapshot, worker: { pid: number; started: number }): boolean {
	return before.workers.some((old) => old.pid === worker.pid && old.started === worker.started);
}
