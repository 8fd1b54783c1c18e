import { messageOf } from '../../errors.js';
import type { Exit } from '../pool/lifecycle.js';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { JoinResult } from '../connection/worker-connection.js';
import { explained } from '../host/log-files.js';
import type { ReplacementEffect, ReplacementEvent, ReplacementPlan, ReplacementState } from './model.js';
import { planReplacement, stepReplacement } from './steps.js';
import { dueAt } from './due.js';
import { describeReplacement } from './text.js';
import { TrafficComparison, type TrafficSource } from '../health/traffic/comparison.js';
import { describeTraffic } from '../health/traffic/text.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';

export interface ReplacementParts {
	pool: WorkerPool;
	/** As the new workers are to be. */
	app: WorkerApp;
	plan: ReplacementPlan;
	/** Places of the new workers, for those that get a port by it. */
	slots: ReadonlyMap<string, number>;
	onProgress: (text: string) => void;
	/** A new worker has proven itself to the end: from now on it is looked after like any other. */
	onApproved: (worker: Worker) => void;
}

export interface ReplacementOutcome {
	outcome: 'back' | 'refused' | 'failed';
	reason: string | null;
	cutOff: number;
	/** What the new workers were not judged by, though they are back. */
	remark?: string | null;
	/** The worker host died before the new ones had taken the place of the old: a next host can do better. */
	hostLost?: boolean;
}

/** Between two looks at a worker of which something is expected at any moment, and that says nothing when it comes. */
const lookGapMs = 50;
const soakGapLeastMs = 25;
/** Between two probes of a worker of which nothing is expected at the moment. */
const steadyGapMs = 250;
/** How long a port is waited for that the old workers have just been told to leave. */
const portPatienceMs = 3_000;
const portRetryMs = 10;
const ended = { ok: false, code: null, detail: 'its process ended' } as const;

type Timeless = ReplacementEvent extends infer One ? (One extends { at: number } ? Omit<One, 'at'> : never) : never;

/** Walks one replacement through: turns what happens to workers into the machine's events, and its effects into deeds. */
export class ReplacementRunner {
	private state: ReplacementState;
	private settle: (outcome: ReplacementOutcome) => void = () => undefined;
	private abandoned = false;
	private hostLost = false;
	private progress = '';
	/** While old and new serve side by side. */
	private comparison: TrafficComparison | null = null;
	private readonly stops: (() => void)[] = [() => this.cancelDue()];
	private cancelDue: () => void = () => undefined;

	private readonly pool: WorkerPool;

	constructor(private readonly parts: ReplacementParts) {
		this.pool = parts.pool;
		this.state = planReplacement(parts.plan);
	}

	/** Resolves when it is over, one way or the other; `deadlineMs` from now it is called off unless the old ones drain. */
	run(deadlineMs: number): Promise<ReplacementOutcome> {
		const { clock } = this.pool.parts;
		const cancel = clock.after(deadlineMs, () =>
			this.dispatch({ event: 'called_off', detail: `not done within the deadline of ${deadlineMs} ms` }),
		);
		this.stops.push(cancel);
		this.listen();
		return new Promise((resolve) => {
			this.settle = resolve;
			this.dispatch({ event: 'begun' });
		});
	}

	/** Ends the new workers, unless the old ones drain already. */
	callOff(detail: string): void {
		this.dispatch({ event: 'called_off', detail });
	}

	/** Workers that were starting can no longer be adopted by a host. Old ones that already drain continue to. */
	loseHost(detail: string): void {
		const { stage } = this.state.stage;
		// Where the old ones drain first, the new ones are still to be started.
		const isDecided = stage === 'draining' && this.state.plan.order === 'new_first';
		this.hostLost = !isDecided && stage !== 'ending' && stage !== 'finished';
		this.callOff(detail);
	}

	/** Stops acting; the next runner starts from the current state. */
	abandon(): void {
		if (this.isOver) return;
		this.abandoned = true;
		for (const stop of this.stops) stop();
		this.settle({ outcome: 'failed', reason: 'it was left in the middle', cutOff: this.state.cutOff });
	}

	private get isOver(): boolean {
		return this.abandoned || this.state.stage.stage === 'finished';
	}

	private listen(): void {
		const exited = ({ id }: Worker, { reason }: Exit): void => this.fall(id, reason);
		const faulted = (worker: Worker, text: string): void => {
			if (this.parts.plan.news.includes(worker.id)) void this.judgeFault(worker, text);
		};
		const compare = (): void => this.compare();
		const { events } = this.pool;
		events.on('exited', exited).on('fault', faulted).on('changed', compare);
		this.stops.push(() => {
			events.removeListener('exited', exited).removeListener('fault', faulted).removeListener('changed', compare);
		});
	}

	private dispatch(event: Timeless): void {
		if (this.isOver) return;
		const { state, effects } = stepReplacement(this.state, { ...event, at: this.pool.parts.clock.now() });
		this.state = state;
		const text = describeReplacement(state);
		if (text !== this.progress) this.parts.onProgress(`${this.pool.name}: ${text}`);
		this.progress = text;
		for (const effect of effects) this.perform(effect);
		this.awaitDue();
	}

	/** Sets the one timer anew: it fires when the passing of time is an event. */
	private awaitDue(): void {
		this.cancelDue();
		const due = dueAt(this.state);
		if (this.isOver || due === Number.POSITIVE_INFINITY) return;
		const { clock } = this.pool.parts;
		this.cancelDue = clock.after(Math.max(0, due - clock.now()), () => this.dispatch({ event: 'time_passed' }));
	}

	private perform(effect: ReplacementEffect): void {
		switch (effect.effect) {
			case 'start':
				void this.start(effect.id);
				return;
			case 'join':
				void this.join(effect.id);
				return;
			case 'approve': {
				const worker = this.pool.workers.get(effect.id);
				if (!worker) return;
				this.pool.approve(worker);
				this.parts.onApproved(worker);
				return;
			}
			case 'drain':
				void this.leave(effect.id, (worker) => this.pool.drain(worker));
				return;
			case 'end':
				void this.leave(effect.id, (worker) => this.pool.end(worker));
				return;
			case 'finish':
				void this.finish(effect);
				return;
		}
	}

	private get isComparing(): boolean {
		return this.state.stage.stage === 'comparing';
	}

	/** Takes in what the workers have reported of their answers. */
	private compare(): void {
		const { app, plan } = this.parts;
		if (!this.isComparing || app.traffic === undefined) return;
		const { traffic: rule } = app;
		this.comparison ??= new TrafficComparison(rule, monotonicSecond() + 1);
		const sources = (ids: readonly string[], side: TrafficSource['side']) =>
			ids.flatMap((id) => sourceOf(this.pool.workers.get(id), side));
		this.comparison.take([...sources(plan.olds, 'old'), ...sources(plan.news, 'new')]);
		const { isWorse } = this.comparison;
		const seen = describeTraffic(this.comparison, rule);
		if (seen === this.state.compared) return;
		this.dispatch({ event: 'compared', seen, isWorse });
		if (!this.isComparing) this.pool.parts.log.warn({ event: 'traffic_refused', app: app.name, reason: seen });
	}

	private async start(id: string): Promise<void> {
		let worker = this.pool.workers.get(id);
		try {
			worker ??= await this.pool.start(id, this.parts.app, this.parts.slots.get(id) ?? 0, true);
		} catch (error) {
			this.fall(id, messageOf(error));
			return;
		}
		this.pool.putInReplacement(worker, true);
		this.dispatch({ event: 'process_started', id });
		await this.watch(worker);
	}

	/**
	 * Asks a new worker again and again, from its start until the replacement is over: only an answer shows that it is well. One
	 * with a preload says when it listens, so that the first question comes at once and none is asked in vain before.
	 */
	private async watch(worker: Worker): Promise<void> {
		const { clock } = this.pool.parts;
		let probeAt = clock.now();
		let wasHealthy = false;
		while (!this.isOver && this.pool.workers.get(worker.id) === worker) {
			if (clock.now() >= probeAt) {
				const { healthy, detail } = await this.pool.probe(worker);
				this.dispatch({ event: 'probed', id: worker.id, healthy, detail });
				probeAt = clock.now() + this.gapAfter(worker, healthy, wasHealthy);
				wasHealthy = healthy;
			}
			const counts = worker.hasJoined && !worker.approved && worker.app.listens && !this.isComparing;
			if (counts) await this.countServed(worker);
			const gapMs = Math.max(0, probeAt - clock.now());
			const isNews = await this.pool.nextWord(worker, counts ? Math.min(lookGapMs, gapMs) : gapMs);
			if (isNews && !worker.hasJoined) probeAt = clock.now();
		}
	}

	private gapAfter(worker: Worker, healthy: boolean, wasHealthy: boolean): number {
		if (worker.approved || this.isComparing || worker.app.health.command) return steadyGapMs;
		if (healthy) return Math.min(steadyGapMs, Math.max(soakGapLeastMs, this.parts.app.health.soakMs / 5));
		// One that missed a probe gets a moment before it is asked once more.
		return wasHealthy || worker.saysWhenItListens ? steadyGapMs : lookGapMs;
	}

	/** Costs the worker far less than a probe, which is a request of its own to it. */
	private async countServed(worker: Worker): Promise<void> {
		const status = await this.pool.status(worker);
		if (status) this.dispatch({ event: 'served', id: worker.id, requests: status.served });
	}

	/** An app that threw before it listened never will: no need to wait for the deadline. One that listens nowhere is up once it has joined. */
	private async judgeFault(worker: Worker, text: string): Promise<void> {
		const status = await this.pool.status(worker);
		if (status === null) return;
		const isUp = worker.app.listens ? status.listening : status.joined;
		if (!isUp) this.fall(worker.id, text);
	}

	private async join(id: string): Promise<void> {
		const worker = this.pool.workers.get(id);
		let result: JoinResult = worker ? await this.pool.join(worker) : ended;
		if (worker && !result.ok && result.code === 'EADDRINUSE') result = await this.joinAfterOrphans(worker, result);
		if (!worker || !result.ok) {
			this.fall(id, result.ok ? ended.detail : `it could not join: ${result.detail}`);
			return;
		}
		this.dispatch({ event: 'joined', id });
	}

	/**
	 * Workers whose host died hold the port, and the new host could not take it over from them: they have to stop
	 * listening before the new ones can. That is the work of an instant, and they finish what is open all the same. The kernel
	 * tells no one that a port is free: it is tried again until `portPatienceMs` have passed.
	 */
	private async joinAfterOrphans(worker: Worker, refused: JoinResult): Promise<JoinResult> {
		const { clock, log } = this.pool.parts;
		const orphans = [...this.pool.workers.values()].filter((one) => one.pmId === null && one.isAlive);
		if (orphans.length === 0) return refused;
		log.warn({ event: 'port_not_taken_over', worker: worker.id, orphans: orphans.map((one) => one.id) });
		for (const orphan of orphans) {
			if (orphan.state !== 'draining') void this.pool.drain(orphan);
		}
		const until = clock.now() + portPatienceMs;
		let result = refused;
		while (!result.ok && result.code === 'EADDRINUSE' && worker.isConnected && clock.now() < until) {
			await clock.sleep(portRetryMs);
			result = await this.pool.join(worker);
		}
		return result;
	}

	private async leave(id: string, how: (worker: Worker) => Promise<void>): Promise<void> {
		const worker = this.pool.workers.get(id);
		if (worker) await how(worker);
		this.dispatch({ event: 'gone', id, cutOff: worker?.cutOff ?? 0 });
	}

	private fall(id: string, detail: string): void {
		this.dispatch({ event: 'fell', id, detail });
	}

	private async finish({ outcome, reason, culprit }: ReplacementEffect & { effect: 'finish' }): Promise<void> {
		for (const stop of this.stops) stop();
		for (const id of this.state.plan.news) {
			const worker = this.pool.workers.get(id);
			if (worker) this.pool.putInReplacement(worker, false);
		}
		const why = reason === null ? null : await this.explain(reason, culprit).catch(() => reason);
		const { hostLost } = this;
		const remark = this.comparison?.isJudged === false ? this.state.compared : null;
		this.settle({ outcome, reason: why, remark, cutOff: this.state.cutOff, hostLost: hostLost && outcome !== 'back' });
	}

	private async explain(reason: string, culprit: string | null): Promise<string> {
		if (culprit === null) return reason;
		return explained(reason, this.pool.parts.host.home, culprit);
	}
}

/** Of the clock that all processes of the host share. */
const monotonicSecond = (): number => process.hrtime()[0];

function sourceOf(worker: Worker | undefined, side: TrafficSource['side']): TrafficSource[] {
	if (!worker?.identity) return [];
	const { id, pid } = worker.identity;
	return [{ key: `${id} ${pid}`, side, traffic: worker.news.report?.traffic ?? null }];
}
