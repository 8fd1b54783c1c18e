/**
 * Replacing a set of workers, as one pure step function. Nothing of a clock, a process or a socket here: the shell
 * reports what happened (events, each with its time in ms) and does what is asked (effects).
 *
 * New before old, batch by batch (a batch has at most `surge` workers):
 *   start → prove, behind the gate → one joins and serves for a moment (the canary) → the others of the batch join and
 *   serve for a moment → (both sets serve, and their answers are compared) → as many old ones drain, side by side → the
 *   next batch. Answers are compared once, with the first batch, while all old workers still serve.
 * Whatever fails before the old ones drain ends the batch and keeps every old worker that still serves. Those of the batch
 * that have joined drain, since clients have connections to them. A healthy worker that misses one probe is asked once
 * more: some apps close a listen and open it again.
 * `old_first` is for programs that may not run side by side: the old ones of the batch leave before the new ones start.
 */
import { batchCount, newsOf, oldsOf } from './batches.js';
import type {
	Leaver,
	Newcomer,
	ReplacementEffect,
	ReplacementEvent,
	ReplacementPlan,
	ReplacementState,
	ReplacementStep,
	Stage,
} from './model.js';

const mayServe = new Set<string | undefined>(['joining', 'settling', 'settled']);
const isDraining = (worker: Newcomer | undefined): boolean => worker?.phase === 'ending' && worker.served;

export function planReplacement(plan: ReplacementPlan): ReplacementState {
	return {
		plan,
		batch: -1,
		stage: { stage: 'planned' },
		news: new Map(plan.news.map((id) => [id, { phase: 'starting' } as const])),
		olds: new Map(plan.olds.map((id) => [id, { phase: 'serving' } as const])),
		missed: new Set(),
		cutOff: 0,
		compared: null,
	};
}

/** The one transition. Events about workers that are of no concern any more change nothing. */
export function stepReplacement(before: ReplacementState, event: ReplacementEvent): ReplacementStep {
	if (before.stage.stage === 'finished') return { state: before, effects: [] };
	const draft = new Draft(before, event.at);
	switch (event.event) {
		case 'begun':
			draft.nextBatch();
			break;
		case 'process_started':
			draft.started(event.id);
			break;
		case 'probed':
			draft.probed(event.id, event.healthy, event.detail);
			break;
		case 'joined':
			draft.joined(event.id);
			break;
		case 'served':
			draft.served(event.id, event.requests);
			break;
		case 'compared':
			draft.hasCompared(event.seen, event.isWorse);
			break;
		case 'fell':
			draft.fell(event.id, event.detail);
			break;
		case 'gone':
			draft.gone(event.id, event.cutOff);
			break;
		case 'time_passed':
			break;
		case 'called_off':
			draft.calledOff(event.detail);
			break;
	}
	draft.advance();
	return draft.result();
}

/** Whether a probe says something about the worker: it has to be healthy, but it does not count as a part of the set yet. */
const isJudged = (worker: Newcomer): worker is Newcomer & { phase: 'proving' | 'proven' | 'settling' } =>
	worker.phase === 'proving' || worker.phase === 'proven' || worker.phase === 'settling';

/** One step being made: the state's parts, changed in place here and nowhere else, and the effects so far. */
class Draft {
	private readonly plan: ReplacementPlan;
	private readonly news: Map<string, Newcomer>;
	private readonly olds: Map<string, Leaver>;
	private readonly missed: Set<string>;
	private readonly effects: ReplacementEffect[] = [];
	private batch: number;
	private stage: Stage;
	private cutOff: number;
	private compared: string | null;

	constructor(
		state: ReplacementState,
		private readonly at: number,
	) {
		this.plan = state.plan;
		this.news = new Map(state.news);
		this.olds = new Map(state.olds);
		this.missed = new Set(state.missed);
		this.batch = state.batch;
		this.stage = state.stage;
		this.cutOff = state.cutOff;
		this.compared = state.compared;
	}

	result(): ReplacementStep {
		const { plan, batch, stage, news, olds, missed, cutOff, compared } = this;
		return { state: { plan, batch, stage, news, olds, missed, cutOff, compared }, effects: this.effects };
	}

	/** Starts the next batch, or finishes. */
	nextBatch(): void {
		this.batch += 1;
		if (this.batch >= batchCount(this.plan)) this.finish('back', null);
		else if (this.plan.order === 'old_first') this.drainOlds();
		else this.startNews();
	}

	started(id: string): void {
		if (this.news.get(id)?.phase !== 'starting') return;
		this.news.set(id, { phase: 'proving', since: this.at, healthySince: null, detail: 'it does not answer yet' });
	}

	probed(id: string, healthy: boolean, detail: string): void {
		const worker = this.news.get(id);
		// No one else looks after those that wait for the comparison's end.
		const waits = worker?.phase === 'settled' && this.stage.stage === 'comparing';
		if (!worker || this.stage.stage === 'ending' || !(waits || isJudged(worker))) return;
		const wasHealthy = worker.phase !== 'proving' || worker.healthySince !== null;
		if (!healthy && this.missed.has(id)) {
			this.fell(id, `it turned unhealthy${worker.phase === 'proving' ? ' during the soak' : ''}: ${detail}`);
			return;
		}
		if (healthy) this.missed.delete(id);
		else if (wasHealthy) this.missed.add(id);
		if (worker.phase !== 'proving') return;
		// A soak that was broken begins anew.
		const healthySince = healthy ? (worker.healthySince ?? this.at) : null;
		const isProven = healthySince !== null && this.at - healthySince >= this.plan.soakMs;
		this.news.set(id, isProven ? { phase: 'proven' } : { ...worker, healthySince, detail });
	}

	joined(id: string): void {
		if (this.news.get(id)?.phase === 'joining') this.news.set(id, { phase: 'settling', since: this.at, served: 0 });
	}

	served(id: string, requests: number): void {
		const worker = this.news.get(id);
		if (worker?.phase === 'settling') this.news.set(id, { ...worker, served: requests });
	}

	hasCompared(seen: string, isWorse: boolean): void {
		if (this.stage.stage !== 'comparing') return;
		this.compared = seen;
		if (isWorse) this.endBatch(seen, null);
	}

	fell(id: string, detail: string): void {
		const worker = this.news.get(id);
		if (!worker || worker.phase === 'ended' || !newsOf(this.plan, this.batch).includes(id)) return;
		// Once the old ones drain, the new set is the set: a crash now is the supervisor's daily work, no refusal.
		if (this.stage.stage === 'draining' || this.stage.stage === 'ending') return;
		this.endBatch(`worker ${id}: ${detail}`, id);
	}

	/** Told twice of one that drained and was ended: each asks for its end. */
	gone(id: string, cutOff: number): void {
		if (this.olds.get(id)?.phase === 'gone' || this.news.get(id)?.phase === 'ended') return;
		this.cutOff += cutOff;
		if (this.olds.has(id)) this.olds.set(id, { phase: 'gone' });
		if (this.news.get(id)?.phase === 'ending') this.news.set(id, { phase: 'ended' });
	}

	calledOff(detail: string): void {
		const { stage } = this.stage;
		const mayEnd = stage === 'proving' || stage === 'canary' || stage === 'joining' || stage === 'comparing';
		if (mayEnd) this.endBatch(detail, null);
	}

	/** The transitions that need no further event, passed deadlines included. */
	advance(): void {
		switch (this.stage.stage) {
			case 'proving':
				this.advanceProving();
				return;
			case 'canary':
				this.settle();
				if (!this.hasMissed() && newsOf(this.plan, this.batch).some((id) => this.news.get(id)?.phase === 'settled'))
					this.joinRest();
				return;
			case 'joining':
				this.settle();
				if (newsOf(this.plan, this.batch).every((id) => this.news.get(id)?.phase === 'settled')) this.joinedAll();
				return;
			case 'comparing':
				if (this.at - this.stage.since >= this.plan.compareMs && !this.hasMissed()) this.acceptCompared();
				return;
			case 'draining':
				this.advanceDraining(this.stage);
				return;
			case 'ending':
				this.advanceEnding(this.stage);
				return;
			case 'planned':
			case 'finished':
				return;
		}
	}

	private advanceProving(): void {
		const batch = newsOf(this.plan, this.batch);
		if (!this.hasMissed() && batch.every((id) => this.news.get(id)?.phase === 'proven')) {
			this.stage = { stage: 'canary' };
			for (const id of batch.slice(0, 1)) this.join(id);
			if (batch.length === 0) this.joinedAll();
			return;
		}
		for (const id of batch) {
			const worker = this.news.get(id);
			if (worker?.phase !== 'proving' || this.at - worker.since < this.plan.proofTimeoutMs) continue;
			this.endBatch(`worker ${id}: not healthy within ${this.plan.proofTimeoutMs} ms: ${worker.detail}`, id);
			return;
		}
	}

	private advanceDraining(stage: { since: number; forced: boolean }): void {
		const left = oldsOf(this.plan, this.batch).filter((id) => this.olds.get(id)?.phase !== 'gone');
		if (left.length === 0) {
			if (this.plan.order === 'old_first') this.startNews();
			else this.nextBatch();
			return;
		}
		const waited = this.at - stage.since;
		if (waited >= this.plan.drainTimeoutMs && !stage.forced) {
			this.stage = { stage: 'draining', since: stage.since, forced: true };
			for (const id of left) this.effects.push({ effect: 'end', id });
		} else if (waited >= this.plan.drainTimeoutMs + this.plan.goneTimeoutMs) {
			this.finish('failed', `old workers could not be ended: ${left.join(', ')}`);
		}
	}

	private advanceEnding(stage: Stage & { stage: 'ending' }): void {
		const left = newsOf(this.plan, this.batch).filter((id) => this.news.get(id)?.phase === 'ending');
		const waited = this.at - stage.since;
		if (left.length === 0) {
			this.finish(this.plan.order === 'new_first' ? 'refused' : 'failed', stage.reason, stage.culprit);
			return;
		}
		const draining = left.filter((id) => isDraining(this.news.get(id)));
		if (draining.length > 0 && !stage.forced) {
			if (waited < this.plan.drainTimeoutMs) return;
			this.stage = { ...stage, since: this.at, forced: true };
			for (const id of draining) this.effects.push({ effect: 'end', id });
		} else if (waited >= this.plan.goneTimeoutMs) {
			const reason = `${stage.reason}; refused workers could not be ended: ${left.join(', ')}`;
			this.finish('failed', reason, stage.culprit);
		}
	}

	private settle(): void {
		for (const id of newsOf(this.plan, this.batch)) {
			const worker = this.news.get(id);
			if (worker?.phase !== 'settling' || this.missed.has(id)) continue;
			const { requests, capMs } = this.plan.settle;
			if (worker.served < requests && this.at - worker.since < capMs) continue;
			this.news.set(id, { phase: 'settled' });
			if (!this.isToCompare) this.effects.push({ effect: 'approve', id });
		}
	}

	/** Until their answers are compared, the first new workers are approved of by no one, so that none joins again without proof. */
	private get isToCompare(): boolean {
		return this.batch === 0 && this.plan.compareMs > 0 && this.plan.olds.length > 0 && this.plan.order === 'new_first';
	}

	private acceptCompared(): void {
		for (const id of newsOf(this.plan, this.batch)) this.effects.push({ effect: 'approve', id });
		this.drainOlds();
	}

	/** What follows waits until a worker that missed a probe was asked once more. */
	private hasMissed(): boolean {
		return newsOf(this.plan, this.batch).some((id) => this.missed.has(id));
	}

	private joinRest(): void {
		this.stage = { stage: 'joining' };
		for (const id of newsOf(this.plan, this.batch)) if (this.news.get(id)?.phase === 'proven') this.join(id);
		if (newsOf(this.plan, this.batch).every((id) => this.news.get(id)?.phase === 'settled')) this.joinedAll();
	}

	private joinedAll(): void {
		if (this.plan.order === 'old_first') this.nextBatch();
		else if (this.isToCompare) this.stage = { stage: 'comparing', since: this.at };
		else this.drainOlds();
	}

	private join(id: string): void {
		this.news.set(id, { phase: 'joining' });
		this.effects.push({ effect: 'join', id });
	}

	private startNews(): void {
		this.stage = { stage: 'proving' };
		for (const id of newsOf(this.plan, this.batch)) this.effects.push({ effect: 'start', id });
		if (newsOf(this.plan, this.batch).length === 0) this.advanceProving();
	}

	private drainOlds(): void {
		this.stage = { stage: 'draining', since: this.at, forced: false };
		for (const id of oldsOf(this.plan, this.batch)) {
			if (this.olds.get(id)?.phase !== 'serving') continue;
			this.olds.set(id, { phase: 'draining' });
			this.effects.push({ effect: 'drain', id });
		}
		if (oldsOf(this.plan, this.batch).every((id) => this.olds.get(id)?.phase === 'gone'))
			this.advanceDraining({ since: this.at, forced: false });
	}

	private endBatch(reason: string, culprit: string | null): void {
		this.stage = { stage: 'ending', since: this.at, forced: false, reason, culprit };
		for (const id of newsOf(this.plan, this.batch)) {
			const served = this.plan.worksFromStart || mayServe.has(this.news.get(id)?.phase);
			this.news.set(id, { phase: 'ending', served });
			this.effects.push({ effect: served ? 'drain' : 'end', id });
		}
	}

	private finish(outcome: 'back' | 'refused' | 'failed', reason: string | null, culprit: string | null = null): void {
		this.stage = { stage: 'finished', outcome, reason };
		this.effects.push({ effect: 'finish', outcome, reason, culprit });
	}
}
