import { messageOf } from '../../errors.js';
import type { Clock } from '../clock.js';
import type { ReplacementOutcome } from '../replacement/runner.js';
import type { Worker } from '../pool/worker.js';

export type RecyclingReason = 'liveness' | 'memory';

export interface RecyclingHooks {
	/** Lets a proven successor take the worker's place; null: it is gone already. */
	replace(worker: Worker): Promise<ReplacementOutcome | null>;
	replaced(worker: Worker, reason: RecyclingReason): void;
	say(event: string, reason: string): void;
}

/** After a replacement for a worn-out worker was refused, the next try comes so much later. */
const retryMs = 30_000;

/** Unhealthy workers, which serve until a successor is proven: one attempt at a time each, repeated later after a refusal. */
export class Recycling {
	/** Until when none is made for a worker; without end while one waits or runs. */
	private readonly restsUntil = new Map<string, number>();

	constructor(
		private readonly clock: Clock,
		private readonly hooks: RecyclingHooks,
	) {}

	async replace(worker: Worker, reason: RecyclingReason, detail: string): Promise<void> {
		const { id } = worker;
		if ((this.restsUntil.get(id) ?? 0) > this.clock.now()) return;
		this.restsUntil.set(id, Number.POSITIVE_INFINITY);
		this.hooks.say('worker_worn_out', `${id}: ${reason}: ${detail}`);
		const failure = await this.tryOnce(worker, reason);
		if (failure === null) {
			this.restsUntil.delete(id);
			return;
		}
		this.restsUntil.set(id, this.clock.now() + retryMs);
		this.hooks.say('worker_not_replaced', `${id}: ${failure}`);
	}

	/** Why it was not replaced; null: it was, or is gone. */
	private async tryOnce(worker: Worker, reason: RecyclingReason): Promise<string | null> {
		try {
			const outcome = await this.hooks.replace(worker);
			if (outcome !== null && outcome.outcome !== 'back') return outcome.reason ?? outcome.outcome;
			if (outcome !== null) this.hooks.replaced(worker, reason);
			return null;
		} catch (error) {
			return messageOf(error);
		}
	}
}
