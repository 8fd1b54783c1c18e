import { EventEmitter } from 'node:events';
import PQueue from 'p-queue';
import { messageOf, RollcallError } from '../errors.js';
import { adoptAll, drainAll, endOn, findServing, untilLinked } from './pool/adoption.js';
import { readinessOf } from './health/app-readiness.js';
import { Arrival } from './replacement/arrival.js';
import { WorkerPool, type WorkerPoolParts } from './pool/worker-pool.js';
import { HealthMonitor } from './health/health-monitor.js';
import { explained } from './host/log-files.js';
import type { Exit } from './pool/lifecycle.js';
import type { Pm2Process } from './pm2/process.js';
import { type JudgedOutcome, ReplacementPlan, goneTimeoutMs } from './replacement/plan.js';
import type { LeavingSet } from './replacement/leaving.js';
import type { WorkerRecord } from './pool/worker-records.js';
import { isSound, resultOf } from './replacement/result.js';
import { identitiesOf } from './pool/rows.js';
import type {
	AppReadiness,
	CrashedWorker,
	ProvenWorker,
	ReplacementResult,
	WorkerApp,
	WorkerIdentity,
} from './types.js';
import type { Worker } from './pool/worker.js';
import { leaveTimeoutOf } from './pool/worker-description.js';
import { appOf } from './pool/worker-id.js';
import { AppReleases, type SetWish } from './releases/app-releases.js';
import { Recycling } from './health/recycling.js';

export interface AppSupervisorEvents {
	crashed: [{ worker: CrashedWorker; app: string; reason: string }];
	restarted: [{ app: string; id: string; reason: string }];
}

const jobsMax = 100;
/** How often a replacement is begun again because the host died, and how long the next one is waited for. */
const hostLossesMax = 2;
const hostPatienceMs = 15_000;

/**
 * Keeps one app's workers as wanted. Who decides what: PM2 alone starts a crashed worker again, be the control plane up or
 * not; this class alone starts, replaces, ends and gives up. So a worker that is to leave is stopped in PM2 first, and a
 * worker that is given up is deleted there; whatever else ends comes back without anything being done here but to look
 * whether it serves again. Jobs on the set (a start, a replacement) run one after the other.
 */
export class AppSupervisor extends EventEmitter<AppSupervisorEvents> implements LeavingSet {
	readonly pool: WorkerPool;
	private readonly daily: HealthMonitor;
	private readonly jobs = new PQueue({ concurrency: 1 });
	private readonly wornOut: Recycling;
	private readonly exchange: ReplacementPlan;
	private readonly releases: AppReleases;
	private stopped = false;
	/** The host is gone, and no other has taken its place. */
	private away = false;
	/** What was taken in is not looked after one by one before the set as a whole was looked at. */
	private converging = false;
	private readonly arrival: Arrival;
	/** The set could not be completed (a full disk, for one) and is checked again. */
	private unsettled = false;

	constructor(
		/** As wanted now. */
		public app: WorkerApp,
		parts: WorkerPoolParts,
		/** Workers that serve here and are to leave once every app has proven itself. */
		leavers: () => readonly Worker[] = () => [],
	) {
		super();
		this.pool = new WorkerPool(app.name, parts);
		this.arrival = new Arrival(this.pool, leavers);
		this.releases = new AppReleases(app.name, parts);
		this.daily = new HealthMonitor(this.pool, {
			serving: (worker) => this.serving(worker),
			wornOut: (worker, reason, detail) => void this.wornOut.replace(worker, reason, detail),
		});
		this.wornOut = new Recycling(parts.clock, {
			replace: (worker) => this.replaceOne(worker),
			replaced: ({ id }, reason) => this.emit('restarted', { app: this.app.name, id, reason }),
			say: (event, reason) => this.say(event, reason),
		});
		this.exchange = new ReplacementPlan(this.pool, {
			approved: (worker) => this.approved(worker),
			started: (worker) => this.daily.firstChance(worker, () => this.stopped),
			say: (event, reason) => this.say(event, reason),
		});
		this.pool.events.on('spawned', (worker) => this.daily.expect(worker));
		this.pool.events.on('exited', (worker, exit) => this.exited(worker, exit));
		this.pool.events.on('connected', (worker) => this.lookAfter(worker));
	}

	private approved(worker: Worker): void {
		this.pool.putInReplacement(worker, false);
		this.daily.takeOver(worker);
	}

	get name(): string {
		return this.app.name;
	}

	get workers(): Worker[] {
		return [...this.pool.workers.values()];
	}

	/** The host is connected and has these rows: adopts live workers, ends unwanted ones, starts missing ones. */
	async hostUp(rows: readonly Pm2Process[], orphans: readonly WorkerRecord[]): Promise<void> {
		this.converging = true;
		// A host that is new, or heard again, is a new chance for what was given up.
		for (const worker of this.workers) if (worker.state === 'failed') this.pool.forget(worker);
		for (const worker of adoptAll(this.pool, this.app, rows, orphans)) void endOn(this.pool, worker);
		this.away = false;
		this.pool.events.emit('changed');
		await this.jobs.add(() => this.converge());
	}

	/** The host is gone; PM2 knows nothing of the workers any more, though they may live. */
	hostDown(reason: string): void {
		this.away = true;
		this.exchange.loseHost(reason);
		for (const worker of this.workers) {
			this.pool.orphan(worker);
			if (!worker.isAlive && worker.state !== 'failed') this.pool.forget(worker);
		}
	}

	/** Called every few seconds: a look at the set that failed is taken again. */
	settle(): void {
		if (!this.unsettled || this.jobs.pending > 0 || this.away || this.stopped) return;
		this.job(() => this.converge()).catch((error: unknown) => this.say('workers_not_started', messageOf(error)));
	}

	/**
	 * Replaces every worker by one of the app as given. With `before`, only what lives of that set has to go, and what
	 * came after it counts as new: so a replacement that was cut off in the middle goes forward.
	 */
	replace(wish: SetWish): Promise<ReplacementResult> {
		return this.job(async () => {
			const { app, before } = wish;
			const previous = this.app;
			const old = before?.filter((one) => appOf(one.id) === app.name) ?? this.identities();
			this.app = app;
			this.arrival.proving = previous.instances === 0;
			try {
				await this.releases.begin(app, previous, before === null ? this.workers : []);
				const outcome = await this.replaceDespiteLosses({ ...wish, before: before ? old : null });
				const isNew = previous.instances === 0;
				if ((outcome?.outcome ?? 'back') === 'back') this.arrival.accept();
				else if (isNew) await drainAll(this.pool);
				if (this.arrival.refused) this.arrival.refuse(app, outcome?.reason ?? 'it did not prove itself');
				// What was refused is not wanted any more: the old set is whole by its own measure.
				if (outcome?.outcome === 'refused' || (isNew && outcome?.outcome === 'failed')) this.app = previous;
				return await this.ended(this.result(old, outcome), wish);
			} catch (error) {
				this.app = previous;
				const outcome = { outcome: 'refused', reason: messageOf(error), cutOff: 0, requiredPorts: [] } as const;
				return await this.ended(this.result(old, outcome), wish);
			} finally {
				this.arrival.proving = false;
			}
		});
	}

	/** Drains and ends every worker, side by side; a replacement under way is called off first. */
	async endAll(): Promise<void> {
		this.stopped = true;
		this.pool.announce();
		this.exchange.end('the node is being stopped');
		await this.jobs.onIdle();
		await drainAll(this.pool);
	}

	/** Drains every worker, to be replaced by nothing. */
	leave(onProgress: (text: string) => void): Promise<ReplacementResult> {
		// The node is as ready without it as it was before.
		this.pool.announce();
		const app = { ...this.app, instances: 0 };
		return this.replace({ app, before: null, deadlineMs: goneTimeoutMs, onProgress, rollout: null });
	}

	/** Serves as wanted, as far as that was accepted. */
	get isWhole(): boolean {
		const { wanted, healthy } = this.readiness();
		return !this.arrival.proving && !this.isTurnedAway && healthy >= wanted;
	}

	get isTurnedAway(): boolean {
		return this.arrival.refused !== null;
	}

	/** The workers beside which it was refused are gone: it starts as any app does that nothing serves for. */
	startAfterAll(): void {
		const refused = this.stopped ? null : this.arrival.takeRefused();
		if (!refused) return;
		this.app = refused;
		this.job(() => this.converge()).catch((error: unknown) => this.say('workers_not_started', messageOf(error)));
	}

	close(): void {
		this.stopped = true;
		this.exchange.abandon();
		this.pool.close();
		this.removeAllListeners();
	}

	/** A host that dies in the middle takes the new workers' future along, not the wish: it is begun again with the next one. */
	private async replaceDespiteLosses(wish: SetWish): Promise<JudgedOutcome | null> {
		const { app, onProgress } = wish;
		const { clock } = this.pool.parts;
		const until = clock.now() + wish.deadlineMs;
		// One that died before the first worker was asked of it was lost to this step, too.
		const isLost = (one: JudgedOutcome | null): boolean =>
			one?.hostLost === true || (this.away && one?.outcome === 'refused');
		let outcome = await this.replaceSet(wish);
		for (let losses = 1; isLost(outcome) && losses <= hostLossesMax && !this.stopped; losses += 1) {
			onProgress(`${app.name}: ${outcome?.reason ?? 'the worker host ended'}; waiting for the next one`);
			const patience = Math.min(until, clock.now() + hostPatienceMs);
			await this.pool.until(() => !this.away || this.stopped, patience - clock.now());
			if (this.away) break;
			outcome = await this.replaceSet({ ...wish, before: null, deadlineMs: Math.max(0, until - clock.now()) });
		}
		return outcome;
	}

	/** null: there was nothing to do. */
	private async replaceSet({ app, before, deadlineMs, onProgress }: SetWish): Promise<JudgedOutcome | null> {
		const oldIds = before && new Set(before.map((one) => one.id));
		const leaving = this.workers.filter((worker) => oldIds?.has(worker.id) ?? true);
		if (before && leaving.length === 0 && this.readiness().healthy >= app.instances) return null;
		const staying = this.workers.filter((worker) => !leaving.includes(worker) && isSound(worker));
		const request = { app, leaving, staying, wanted: app.instances, isRelease: true, deadlineMs, onProgress };
		return this.exchange.runOnRecord(before ?? this.identities(), request);
	}

	identities(): ProvenWorker[] {
		return identitiesOf(this.workers);
	}

	readiness(): AppReadiness {
		const complaint = this.arrival.refused?.reason ?? this.pool.parts.host.complaint;
		const app = this.arrival.proving ? { ...this.app, instances: 0 } : this.app;
		return readinessOf(app, this.workers, complaint);
	}

	/** Reconciles the set with the configuration after the control plane was away. */
	private async converge(): Promise<void> {
		this.unsettled = true;
		await untilLinked(this.pool, this.app.health.timeoutMs);
		for (const worker of await findServing(this.pool)) this.daily.takeOver(worker);
		try {
			await this.exchangeUnwanted();
		} finally {
			this.arrival.proving = false;
		}
		this.converging = false;
		for (const worker of this.workers) {
			if (worker.state === 'starting' && worker.isConnected) this.daily.begin(worker);
		}
		const isDone = await this.startMissing();
		if (this.readiness().healthy > 0) this.arrival.accept();
		await this.releases.prove(this.app, this.workers, null);
		this.unsettled = !isDone;
	}

	/** Replaces workers that are half replaced, orphaned or surplus; adds an app that is new beside others as a release. */
	private async exchangeUnwanted(): Promise<void> {
		const { replacing } = this.pool.parts.records.memory;
		const half = replacing[this.app.name];
		const orphans = this.workers.filter((worker) => worker.pmId === null && worker.isAlive);
		const halfIds = new Set((half ?? []).map((one) => one.id));
		const leaving = this.workers.filter((worker) => orphans.includes(worker) || halfIds.has(worker.id));
		const staying = this.workers.filter((worker) => !leaving.includes(worker) && isSound(worker));
		const proving = this.arrival.isDue;
		this.arrival.proving = proving;
		if (!half && leaving.length === 0 && staying.length <= this.app.instances && !proving) return;
		const obstacle = proving ? this.arrival.obstacleTo(this.app) : null;
		if (obstacle !== null) return this.turnAway(obstacle);
		const { deadlineMs, soakMs } = this.app.health;
		const outcome = await this.exchange.runOnRecord(half ?? [], {
			app: half ? this.app : this.releases.outsideStep(this.app),
			leaving,
			staying,
			wanted: this.app.instances,
			isRelease: half !== undefined,
			deadlineMs: deadlineMs + soakMs + goneTimeoutMs + (this.app.traffic?.windowMs ?? 0),
		});
		if (outcome.outcome === 'back') return;
		this.say('replacement_unfinished', outcome.reason ?? outcome.outcome);
		if (proving) await this.turnAway(outcome.reason ?? outcome.outcome);
	}

	/** Whatever serves in its place at present stays, so the node is as ready as before. */
	private async turnAway(reason: string): Promise<void> {
		this.say('app_refused', reason);
		this.arrival.refuse(this.app, reason);
		this.app = { ...this.app, instances: 0 };
		await drainAll(this.pool);
	}

	/** First start: each worker alone, with PM2's back-off and the crash loop's limits if it fails. False: one that leaves is in the way. */
	private async startMissing(): Promise<boolean> {
		const leaving = () => this.workers.filter(({ state }) => state === 'draining').length;
		if (!this.app.overlap) await this.pool.until(() => leaving() === 0, leaveTimeoutOf(this.app) + goneTimeoutMs);
		if (!this.app.overlap && leaving() > 0) return false;
		const missing = this.app.instances - (this.workers.length - leaving());
		if (missing <= 0 || this.stopped) return true;
		const app = this.releases.outsideStep(this.app);
		const started = await Promise.all(
			(await this.pool.reserve(missing)).map((id) =>
				this.pool
					.start(id, app, this.pool.nextPlace(app))
					.catch((error: unknown) => this.say('worker_start_failed', messageOf(error))),
			),
		);
		await Promise.all(started.map((worker) => worker && this.daily.firstChance(worker, () => this.stopped)));
		return true;
	}

	/** What the step started is what the app starts from now on, or stays what it was. */
	private async ended(result: ReplacementResult, wish: SetWish): Promise<ReplacementResult> {
		// The next start carries on from what this step began.
		if (this.stopped) return result;
		const pinned = await this.releases.end(result.outcome, wish, this.workers, this.app.instances);
		this.app = { ...this.app, pinned };
		return result;
	}

	private result(before: readonly WorkerIdentity[], outcome: JudgedOutcome | null): ReplacementResult {
		const { workers, app } = this;
		const { healthy } = this.readiness();
		const required = outcome?.requiredPorts ?? this.pool.requiredPorts(app);
		return resultOf({ app, workers, healthy, after: this.identities(), required }, before, outcome);
	}

	/** A process answers: it is proven, unless something else looks after it. */
	private lookAfter(worker: Worker): void {
		if (this.converging || worker.inReplacement || worker.state === 'draining' || worker.hasJoined) return;
		this.daily.begin(worker);
	}

	/** The end of a process, as far as no replacement decides what follows. */
	private exited(worker: Worker, { kind, identity, reason }: Exit): void {
		if (this.stopped) return;
		if (kind === 'lost' && worker.host.isUp) {
			this.job(() => this.converge()).catch((error: unknown) => this.say('workers_not_started', messageOf(error)));
		}
		if (kind !== 'crashed' && kind !== 'looped') return;
		this.emit('crashed', { worker: { id: worker.id, pid: identity?.pid ?? null }, app: this.app.name, reason });
		if (kind === 'crashed') return;
		const { intensity, periodMs } = worker.app.crashLoop;
		const text = `it crashed more than ${intensity} times within ${periodMs} ms; last: ${reason}`;
		this.giveUp(worker, text).catch((error: unknown) => this.say('worker_given_up', messageOf(error)));
	}

	private async giveUp(worker: Worker, text: string): Promise<void> {
		const why = await explained(text, this.pool.parts.host.home, worker.id);
		this.say('worker_given_up', `${worker.id}: ${why}`);
		await this.pool.giveUp(worker, why);
	}

	private serving(worker: Worker): void {
		this.arrival.accept();
		if (worker.restarts > 0) this.emit('restarted', { app: this.app.name, id: worker.id, reason: 'crash' });
	}

	/** null: it is gone already. */
	private replaceOne(worker: Worker): Promise<JudgedOutcome | null> {
		return this.job(() => {
			if (!this.pool.workers.has(worker.id)) return Promise.resolve(null);
			const { deadlineMs, soakMs } = this.app.health;
			const others = this.workers.filter((one) => one !== worker && isSound(one));
			return this.exchange.run({
				app: this.releases.outsideStep(this.app),
				leaving: [worker],
				staying: others,
				wanted: Math.max(this.app.instances, others.length + 1),
				deadlineMs: deadlineMs + soakMs,
			});
		});
	}

	private job<T>(work: () => Promise<T>): Promise<T> {
		const refusal = () => new RollcallError('unavailable', `The workers of ${this.name} are being ended.`);
		if (this.stopped) throw refusal();
		if (this.jobs.size >= jobsMax) {
			throw new RollcallError('unavailable', `More than ${jobsMax} jobs wait for the workers of ${this.name}.`);
		}
		return this.jobs.add(() => (this.stopped ? Promise.reject(refusal()) : work()));
	}

	private say(event: string, reason: string): void {
		this.pool.parts.log.warn({ event, app: this.app.name, reason });
	}
}
