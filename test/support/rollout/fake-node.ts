import type { LocalNode } from '../../../src/fleet/types.js';
import type { HookRequest } from '../../../src/rollout/messages.js';
import type { HookResult, Readiness, RolloutSpec, Snapshot, StepResult } from '../../../src/rollout/types.js';
import type { ProvenWorker, WorkerIdentity } from '../../../src/workers/types.js';

export interface FakeStep {
	spec: RolloutSpec;
	attempt: number;
	recovered: boolean;
	/** ms on the test's monotonic clock. */
	begunAt: number;
	endedAt: number | null;
}

/** A node whose workers are numbers: a step takes `stepMs`, or as long as the test holds it, and can be made to go wrong. */
export class FakeNode implements LocalNode {
	workers: WorkerIdentity[];
	stepMs = 20;
	/** What the next steps come to. */
	outcome: 'back' | 'refused' | 'failed' | 'never' = 'back';
	/** Thrown by the preflight when set. */
	fault: Error | null = null;
	/** While set, a step waits for it to settle before it does anything. */
	hold: Promise<void> | null = null;
	availability: Readiness['availability'] = null;
	/** Called when a step of type restart ends this daemon. */
	dies: (() => void) | null = null;
	readonly steps: FakeStep[] = [];
	readonly preflights: { service: string | null; only: readonly string[] | null }[] = [];
	#healthy: number;
	#nextPid: number;
	#listeners: (() => void)[] = [];

	constructor(
		readonly name: string,
		readonly wanted = 2,
		firstPid = 1_000,
	) {
		this.#nextPid = firstPid;
		this.#healthy = wanted;
		this.workers = this.#newWorkers();
	}

	get healthy(): number {
		return this.#healthy;
	}
	set healthy(value: number) {
		this.#healthy = value;
		for (const listener of this.#listeners) listener();
	}

	readiness(): Readiness {
		const apps = [{ app: 'web', wanted: this.wanted, healthy: this.#healthy }];
		return { apps, availability: this.availability, draining: false };
	}
	onReadiness(listener: () => void): void {
		this.#listeners.push(listener);
	}
	async settled(): Promise<void> {}
	/** What it shows to whoever asks. */
	answer: LocalNode['answer'] = async function* ({ about }) {
		yield about === 'logs' ? { about, rows: [], leftOut: false } : { about, rows: [] };
	};
	snapshot(): { workers: WorkerIdentity[] } {
		return { workers: [...this.workers] };
	}
	async preflight(request: { service: string | null; only: readonly string[] | null }): Promise<null> {
		this.preflights.push(request);
		if (this.fault) throw this.fault;
		return null;
	}

	async execute(step: Parameters<LocalNode['execute']>[0]): Promise<StepResult> {
		const told: FakeStep = {
			spec: step.spec,
			attempt: step.attempt,
			recovered: step.recovered,
			begunAt: performance.now(),
			endedAt: null,
		};
		this.steps.push(told);
		step.onProgress(`0 of ${this.wanted} workers healthy`);
		await this.hold;
		await new Promise((resolve) => setTimeout(resolve, this.stepMs));
		const dies = step.spec.type === 'restart' && !step.recovered;
		if (dies) this.dies?.();
		if (dies || this.outcome === 'never') return new Promise(() => undefined);
		const result = this.#finish(step.before, step.refused);
		told.endedAt = performance.now();
		return result;
	}

	/** The hooks that were run, and what the next ones come to. */
	readonly hooks: HookRequest[] = [];
	hookResult: HookResult = { state: 'done', detail: 'exited with 0' };
	async runHook(request: HookRequest): Promise<HookResult> {
		this.hooks.push(request);
		return this.hookResult;
	}

	#finish(before: Snapshot, refused?: string): StepResult {
		const given = this.outcome === 'never' ? 'back' : this.outcome;
		const outcome = refused === undefined ? given : 'refused';
		const replaced = before.workers.every((old) => !this.workers.some((one) => one.pid === old.pid));
		if (outcome === 'back' && !(replaced && before.workers.length > 0)) this.workers = this.#newWorkers();
		if (outcome === 'failed') this.healthy = 0;
		const workers: ProvenWorker[] = this.workers.map((worker) => ({
			...worker,
			proven: outcome !== 'failed',
			joined: outcome !== 'failed',
		}));
		return {
			outcome,
			before,
			after: { boot: 0, links: [], configHash: null, workers },
			wanted: this.wanted,
			oldGone: true,
			cutOff: 0,
			reason: outcome === 'back' ? null : (refused ?? `the fake ${outcome}`),
		};
	}

	#newWorkers(): WorkerIdentity[] {
		return Array.from({ length: this.wanted }, () => {
			this.#nextPid += 1;
			return { id: `web-${this.#nextPid}`, pid: this.#nextPid, started: this.#nextPid * 7 };
		});
	}
}
