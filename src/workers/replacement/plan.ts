import { messageOf } from '../../errors.js';
import type { WorkerPool } from '../pool/worker-pool.js';
import { lbWaitOf, leaveTimeoutOf, startOf, startsBeside } from '../pool/worker-description.js';
import { bySlot, placesFor } from '../pool/places.js';
import { type ReplacementOutcome, ReplacementRunner } from './runner.js';
import type { WorkerApp, WorkerIdentity } from '../types.js';
import type { Worker } from '../pool/worker.js';

const settleRequests = 5;
const settleCapMs = 500;
/** How long processes may take to vanish after they were killed. */
export const goneTimeoutMs = 5_000;

/** What an exchange of workers is to come to. */
export interface ReplacementRequest {
	/** As the new workers are to be. */
	app: WorkerApp;
	leaving: readonly Worker[];
	/** Those that may stay: the first `wanted` of them do, proven first where they are not. */
	staying: readonly Worker[];
	wanted: number;
	/** It is a release, so its answers are compared where the app asks for that. */
	isRelease?: boolean;
	/** From now; the time of draining is not part of it. */
	deadlineMs: number;
	onProgress?: (text: string) => void;
}

/** How an exchange ended, and what its workers had to be proven on. */
export interface JudgedOutcome extends ReplacementOutcome {
	requiredPorts: readonly number[];
}

interface ExchangeHooks {
	/** A new worker is proven to the end, and looked after like any other from now on. */
	approved(worker: Worker): void;
	/** Proves a single worker that was started outside of a replacement; resolves with the decision. */
	started(worker: Worker): Promise<void>;
	say(event: string, reason: string): void;
}

/** Replaces workers of one app: makes the plan, runs it, and repairs an incomplete result. */
export class ReplacementPlan {
	private runner: ReplacementRunner | null = null;
	private ended = false;

	constructor(
		private readonly pool: WorkerPool,
		private readonly hooks: ExchangeHooks,
	) {}

	async run(request: ReplacementRequest): Promise<JudgedOutcome> {
		await this.pool.observeListeners();
		// Taken before the new ones serve: what they listen on beyond it binds the next set, not them.
		const requiredPorts = this.pool.requiredPorts(request.app);
		return { ...(await this.exchange(request)), requiredPorts };
	}

	private async exchange(request: ReplacementRequest): Promise<ReplacementOutcome> {
		const { app, leaving, wanted } = request;
		const staying = request.staying.toSorted(bySlot);
		const kept = staying.slice(0, wanted);
		// One that is put back was proven here before, and is waited for.
		const compares = request.isRelease === true && app.traffic !== undefined && !app.pinned;
		// One that serves without approval comes from a comparison that was cut off.
		const unproven = kept.filter((worker) => worker.state !== 'serving' || (compares && !worker.approved));
		const fresh = await this.pool.reserve(wanted - kept.length);
		const olds = [...leaving, ...staying.slice(wanted)].sort(bySlot);
		const previous = olds.map(({ app: before, release, cwd, slot }) => ({ app: before, release, cwd, slot }));
		for (const worker of unproven) this.pool.putInReplacement(worker, true);
		this.runner = new ReplacementRunner({
			pool: this.pool,
			app,
			plan: {
				...planFor(app, [...unproven.map((worker) => worker.id), ...fresh], olds, this.pool.parts.lbWaitMs),
				compareMs: compares ? (app.traffic?.windowMs ?? 0) : 0,
			},
			slots: placesFor(fresh, olds, kept),
			onProgress: request.onProgress ?? (() => undefined),
			onApproved: (worker) => this.hooks.approved(worker),
		});
		try {
			const outcome = await this.runner.run(request.deadlineMs);
			this.pool.learnListeners();
			if (startsBeside(app) || outcome.outcome === 'back') return outcome;
			await this.putBack(previous, wanted);
			if (previous.some(({ release }) => release === startOf(app)?.script)) return overwritten(outcome);
			return previous.length > 0 && !this.isAnyServing ? notPutBack(outcome, app.name) : outcome;
		} finally {
			this.runner = null;
		}
	}

	/** As `run`; and it goes forward when this process dies in the middle: the set that has to go is on record. */
	async runOnRecord(old: readonly WorkerIdentity[], request: ReplacementRequest): Promise<JudgedOutcome> {
		const { records } = this.pool.parts;
		const { replacing } = records.memory;
		const { name } = this.pool;
		// What fails before it begins leaves the wish before it, not one that the next start would carry out.
		let left = replacing[name];
		replacing[name] = [...old];
		try {
			const outcome = await this.run(request);
			left = undefined;
			return outcome;
		} finally {
			if (!this.ended) {
				if (left) replacing[name] = left;
				else delete replacing[name];
				await records.save().catch((error: unknown) => this.hooks.say('record_failed', messageOf(error)));
			}
		}
	}

	/** Cancels the running replacement and keeps old workers that do not drain yet; records stay. */
	end(reason: string): void {
		this.ended = true;
		this.runner?.callOff(reason);
	}

	/** Its host is gone, with it whatever was being started. */
	loseHost(detail: string): void {
		this.runner?.loseHost(detail);
	}

	/** Stops at once without changing any worker. */
	abandon(): void {
		this.ended = true;
		this.runner?.abandon();
	}

	private get isAnyServing(): boolean {
		return [...this.pool.workers.values()].some((worker) => worker.isServing);
	}

	/** A program that was replaced in place left before its successor failed: its place is filled by the release it had. */
	private async putBack(
		previous: readonly { app: WorkerApp; release: string; cwd: string; slot: number }[],
		wanted: number,
	): Promise<void> {
		const taken = new Set(
			[...this.pool.workers.values()].filter((one) => one.state !== 'failed').map(({ slot }) => slot),
		);
		const missing = previous.filter(({ slot }) => !taken.has(slot)).slice(0, wanted - taken.size);
		try {
			const ids = await this.pool.reserve(missing.length);
			await Promise.all(
				missing.map(async ({ app, release, cwd, slot }, index) => {
					const worker = await this.pool.start(ids[index] ?? '', { ...app, script: release, cwd, pinned: null }, slot);
					await this.hooks.started(worker);
				}),
			);
		} catch (error) {
			this.hooks.say('release_not_put_back', messageOf(error));
		}
	}
}

/** There is nothing to go back to where a release was written over the one before. */
function overwritten(outcome: ReplacementOutcome): ReplacementOutcome {
	const text = 'the release before lay at the same path and was overwritten, so what was started again is this one';
	return { ...outcome, reason: `${text}; ${outcome.reason ?? outcome.outcome}` };
}

/** The release before did not come up again either. */
function notPutBack(outcome: ReplacementOutcome, app: string): ReplacementOutcome {
	const text = `no worker of ${app} runs now, since the release before did not start again either: correct it and roll`;
	return { ...outcome, reason: `${text}; ${outcome.reason ?? outcome.outcome}` };
}

/**
 * Where workers may run side by side the new ones come before the old ones go, up to the surge. Anything else (it has its
 * port for itself, or `overlap: false`) is replaced in place, one instance at a time; with several instances one always serves.
 */
function planFor(app: WorkerApp, news: string[], olds: readonly Worker[], lbWaitMs: number) {
	const beside = startsBeside(app);
	return {
		news,
		olds: olds.map((worker) => worker.id),
		order: beside ? ('new_first' as const) : ('old_first' as const),
		surplusFirst: !app.overlap,
		worksFromStart: !app.listens,
		surge: beside ? app.surge : 1,
		soakMs: app.health.soakMs,
		proofTimeoutMs: app.health.deadlineMs + app.health.soakMs,
		settle: { requests: settleRequests, capMs: Math.min(settleCapMs, app.health.soakMs) },
		drainTimeoutMs: leaveTimeoutOf(app) + lbWaitOf(app, lbWaitMs),
		goneTimeoutMs,
	};
}
