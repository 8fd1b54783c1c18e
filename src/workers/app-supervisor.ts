import { EventEmitter } from 'node:events';
import PQueue from 'p-queue';
import { messageOf, RollcallError } from '../errors.js';
import { readinessOf } from './app-readiness.js';
import { Crew, type CrewParts, isNode } from './crew.js';
import { DailyCare } from './daily.js';
import { explained } from './log-files.js';
import type { Pm2Process } from './pm2-process.js';
import { Exchange, type ExchangeRequest, goneTimeoutMs } from './exchange.js';
import type { WorkerRecord } from './records.js';
import { isSound, resultOf } from './replacement-result.js';
import type { ReplacementOutcome } from './replacement-runner.js';
import type { AppReadiness, ProvenWorker, ReplacementResult, WorkerApp, WorkerIdentity } from './types.js';
import type { Worker } from './worker.js';
import { appOf } from './worker-id.js';
import { WornOut } from './worn-out.js';

export interface AppSupervisorEvents {
	crashed: [{ worker: WorkerIdentity; app: string; reason: string }];
	restarted: [{ app: string; id: string; reason: string }];
}

const jobsMax = 100;
/** How often a replacement is begun again because the host died, and how long the next one is waited for. */
const hostLossesMax = 2;
const hostPatienceMs = 15_000;
const hostLookMs = 25;

/** A set of workers to be replaced; see {@link AppSupervisor.replace}. */
interface SetWish {
	app: WorkerApp;
	before: readonly WorkerIdentity[] | null;
	deadlineMs: number;
	onProgress: (text: string) => void;
}

/**
 * Keeps one app's workers as wanted. Who decides what: PM2 alone starts a crashed worker again, be the control plane up or
 * not; this class alone starts, replaces, ends and gives up. So a worker that is to leave is stopped in PM2 first, and a
 * worker that is given up is deleted there; whatever else ends comes back without anything being done here but to look
 * whether it serves again. Jobs on the set (a start, a replacement) run one after the other.
 */
export class AppSupervisor extends EventEmitter<AppSupervisorEvents> {
	readonly crew: Crew;
	private readonly daily: DailyCare;
	private readonly jobs = new PQueue({ concurrency: 1 });
	private readonly wornOut: WornOut;
	private readonly exchange: Exchange;
	/** Workers whose events are listened to already. */
	private readonly heard = new WeakSet<Worker>();
	private stopped = false;
	/** The host is gone, and no other has taken its place. */
	private away = false;
	/** What was taken in is not looked after one by one before the set as a whole was looked at. */
	private converging = false;
	/** The set was not brought to what is wanted, as when the disk was full, and is looked at again. */
	private unsettled = false;

	constructor(
		/** As wanted now. */
		public app: WorkerApp,
		parts: CrewParts,
	) {
		super();
		this.crew = new Crew(app.name, parts);
		this.daily = new DailyCare(this.crew, {
			serving: (worker) => this.serving(worker),
			wornOut: (worker, reason, detail) => void this.wornOut.replace(worker, reason, detail),
		});
		this.wornOut = new WornOut(parts.clock, {
			replace: (worker) => this.replaceOne(worker),
			replaced: ({ id }, reason) => this.emit('restarted', { app: this.app.name, id, reason }),
			say: (event, reason) => this.say(event, reason),
		});
		this.exchange = new Exchange(this.crew, {
			approved: (worker) => this.approved(worker),
			started: (worker) => this.firstChance(this.listen(worker)),
			say: (event, reason) => this.say(event, reason),
		});
	}

	private approved(worker: Worker): void {
		worker.inReplacement = false;
		this.listen(worker);
		this.daily.takeOver(worker);
	}

	get workers(): Worker[] {
		return [...this.crew.workers.values()];
	}

	/** The host is connected and holds these rows: takes in what lives, ends what nobody wants, starts what is missing. */
	async hostUp(rows: readonly Pm2Process[], orphans: readonly WorkerRecord[]): Promise<void> {
		this.converging = true;
		// A host that is new, or heard again, is a new chance for what was given up.
		for (const worker of this.workers) if (worker.state === 'failed') this.crew.forget(worker);
		const own = rows.filter((row) => appOf(row.name) === this.app.name);
		for (const worker of this.workers) {
			if (!own.some((row) => row.name === worker.id)) worker.pmId = null;
		}
		for (const row of own) {
			const worker = this.listen(this.crew.adopt(row, this.app));
			// Somebody was ending it when the connection broke off: that goes on.
			if (row.status === 'stopping' || row.status === 'stopped' || row.status === 'errored') void this.endOn(worker);
		}
		for (const record of orphans) {
			if (record.app !== this.app.name || this.crew.workers.has(record.id)) continue;
			this.listen(this.crew.adoptOrphan(record, this.app));
		}
		this.away = false;
		await this.jobs.add(() => this.converge());
	}

	/** The host is gone; PM2 knows nothing of the workers any more, though they may live. */
	hostDown(reason: string): void {
		this.away = true;
		this.exchange.loseHost(reason);
		for (const worker of this.workers) {
			worker.pmId = null;
			if (!worker.isAlive && worker.state !== 'failed') this.crew.forget(worker);
		}
	}

	/** Called every few seconds: a look at the set that failed is taken again. */
	settle(): void {
		if (!this.unsettled || this.jobs.pending > 0 || this.away || this.stopped) return;
		this.job(() => this.converge()).catch((error: unknown) => this.say('workers_not_started', messageOf(error)));
	}

	/** PM2 forked the worker anew. */
	forked(row: Pm2Process): void {
		const worker = this.crew.workers.get(row.name);
		if (!worker || worker.pmId !== row.pmId || row.pid === null) return;
		worker.attach(row.pid);
		if (worker.state === 'backoff') worker.set('starting');
		this.daily.expect(worker);
	}

	/**
	 * Replaces every worker by one of the app as given. With `before`, only what lives of that set has to go, and what
	 * came after it counts as new: so a replacement that was cut off in the middle goes forward.
	 */
	replace(
		app: WorkerApp,
		before: readonly WorkerIdentity[] | null,
		deadlineMs: number,
		onProgress: (text: string) => void,
	): Promise<ReplacementResult> {
		return this.job(async () => {
			const previous = this.app;
			const old = before?.filter((one) => appOf(one.id) === app.name) ?? this.identities();
			this.app = app;
			try {
				const wish = { app, before: before ? old : null, deadlineMs, onProgress };
				const outcome = await this.replaceDespiteLosses(wish);
				// What was refused is not wanted any more: the old set is whole by its own measure.
				if (outcome?.outcome === 'refused') this.app = previous;
				return this.result(old, outcome);
			} catch (error) {
				this.app = previous;
				return this.result(old, { outcome: 'refused', reason: messageOf(error), cutOff: 0 });
			}
		});
	}

	/** Drains and ends every worker, side by side; a replacement under way is called off first. */
	async endAll(): Promise<void> {
		this.stopped = true;
		this.crew.announced = true;
		this.exchange.callOff('the node is being stopped');
		await this.jobs.onIdle();
		await Promise.all(this.workers.map((worker) => this.crew.drain(worker)));
	}

	close(): void {
		this.stopped = true;
		this.exchange.abandon();
		this.crew.close();
		this.removeAllListeners();
	}

	/** A host that dies in the middle takes the new workers' future along, not the wish: it is begun again with the next one. */
	private async replaceDespiteLosses(wish: SetWish): Promise<ReplacementOutcome | null> {
		const { app, onProgress } = wish;
		const { clock } = this.crew.parts;
		const until = clock.now() + wish.deadlineMs;
		let outcome = await this.replaceSet(wish);
		for (let losses = 1; outcome?.hostLost === true && losses <= hostLossesMax && !this.stopped; losses += 1) {
			onProgress(`${app.name}: ${outcome.reason ?? 'the worker host ended'}; waiting for the next one`);
			const patience = Math.min(until, clock.now() + hostPatienceMs);
			while (this.away && !this.stopped && clock.now() < patience) await clock.sleep(hostLookMs);
			if (this.away) break;
			outcome = await this.replaceSet({ ...wish, before: null, deadlineMs: Math.max(0, until - clock.now()) });
		}
		return outcome;
	}

	/** null: there was nothing to do. */
	private async replaceSet({ app, before, deadlineMs, onProgress }: SetWish): Promise<ReplacementOutcome | null> {
		const oldIds = before && new Set(before.map((one) => one.id));
		const leaving = this.workers.filter((worker) => oldIds?.has(worker.id) ?? true);
		if (before && leaving.length === 0 && this.readiness().healthy >= app.instances) return null;
		const staying = this.workers.filter((worker) => !leaving.includes(worker) && isSound(worker));
		return this.changeSet(before ?? this.identities(), {
			app,
			leaving,
			staying,
			wanted: app.instances,
			deadlineMs,
			onProgress,
		});
	}

	/** An exchange that goes forward when this process dies in the middle: the set that has to go is on record. */
	private async changeSet(old: readonly WorkerIdentity[], request: ExchangeRequest): Promise<ReplacementOutcome> {
		const { records } = this.crew.parts;
		const { replacing } = records.memory;
		const { name } = this.app;
		// What fails before it begins leaves the wish before it, not one that the next start would carry out.
		let left = replacing[name];
		replacing[name] = [...old];
		try {
			const outcome = await this.exchange.run(request);
			left = undefined;
			return outcome;
		} finally {
			if (!this.stopped) {
				if (left) replacing[name] = left;
				else delete replacing[name];
				await records.save().catch((error: unknown) => this.say('record_failed', messageOf(error)));
			}
		}
	}

	identities(): ProvenWorker[] {
		return this.workers.flatMap((worker) =>
			worker.identity
				? [{ ...worker.identity, proven: worker.healthy, joined: worker.joined, ports: [...worker.ports] }]
				: [],
		);
	}

	readiness(): AppReadiness {
		return readinessOf(this.app, this.workers, this.crew.parts.host.complaint);
	}

	/** Brings the set to what is wanted after whatever happened while nobody looked. */
	private async converge(): Promise<void> {
		this.unsettled = true;
		await this.untilLinked();
		await this.takeOverServing();
		const { replacing } = this.crew.parts.records.memory;
		const half = replacing[this.app.name];
		const orphans = this.workers.filter((worker) => worker.pmId === null && worker.isAlive);
		const halfIds = new Set((half ?? []).map((one) => one.id));
		const leaving = this.workers.filter((worker) => orphans.includes(worker) || halfIds.has(worker.id));
		const staying = this.workers.filter((worker) => !leaving.includes(worker) && isSound(worker));
		if (half || leaving.length > 0 || staying.length > this.app.instances) {
			const { deadlineMs, soakMs } = this.app.health;
			const outcome = await this.changeSet(half ?? [], {
				app: this.app,
				leaving,
				staying,
				wanted: this.app.instances,
				deadlineMs: deadlineMs + soakMs + goneTimeoutMs,
			});
			if (outcome.outcome !== 'back') this.say('replacement_unfinished', outcome.reason ?? outcome.outcome);
		}
		this.converging = false;
		for (const worker of this.workers) {
			if (worker.state === 'starting' && worker.link) this.daily.begin(worker);
		}
		await this.startMissing();
		this.unsettled = false;
	}

	private async endOn(worker: Worker): Promise<void> {
		worker.set('draining');
		await this.untilLinked();
		await this.crew.drain(worker);
	}

	/** What was adopted gets a moment to answer, so that it is seen what serves already. */
	private async untilLinked(): Promise<void> {
		const { clock } = this.crew.parts;
		const until = clock.now() + this.app.health.timeoutMs + 1_000;
		while (clock.now() < until && this.workers.some((worker) => worker.isAlive && !worker.link)) await clock.sleep(10);
	}

	private async takeOverServing(): Promise<void> {
		await Promise.all(
			this.workers.map(async (worker) => {
				if (worker.state !== 'starting' || !worker.link) return;
				const status = await worker.status();
				if (!status?.joined) return;
				const { healthy, detail } = await worker.probe();
				worker.joined = true;
				worker.healthy = healthy;
				worker.set('serving', healthy ? null : detail);
				this.daily.takeOver(worker);
			}),
		);
	}

	/** First start: each worker by itself, with PM2's back-off and the crash loop's limits when it will not stand. */
	private async startMissing(): Promise<void> {
		const missing = this.app.instances - this.workers.filter((worker) => worker.state !== 'draining').length;
		if (missing <= 0 || this.stopped) return;
		const started = await Promise.all(
			(await this.crew.reserve(missing)).map((id) =>
				this.crew.start(id, this.app, this.crew.nextPlace(this.app)).then(
					(worker) => this.listen(worker),
					(error: unknown) => this.say('worker_start_failed', messageOf(error)),
				),
			),
		);
		await Promise.all(started.map((worker) => worker && this.firstChance(worker)));
	}

	/** Resolves once it is known whether the worker serves: it does, it is given up, or its time is over. */
	private async firstChance(worker: Worker): Promise<void> {
		this.daily.expect(worker);
		const { clock } = this.crew.parts;
		const { deadlineMs, soakMs } = this.app.health;
		const until = clock.now() + deadlineMs + soakMs;
		while (worker.state !== 'serving' && worker.state !== 'failed' && clock.now() < until && !this.stopped) {
			await clock.sleep(10);
		}
	}

	private result(before: readonly WorkerIdentity[], outcome: ReplacementOutcome | null): ReplacementResult {
		const { workers, app } = this;
		const required = isNode(app) ? this.crew.listeners.requiredPorts(app) : [];
		const healthy = this.readiness().healthy;
		return resultOf({ app, workers, healthy, after: this.identities(), required }, before, outcome);
	}

	/** Hears of what happens to the worker's process outside of a replacement. */
	private listen(worker: Worker): Worker {
		if (this.heard.has(worker)) return worker;
		this.heard.add(worker);
		worker.on('gone', (identity) => this.gone(worker, identity));
		worker.on('linked', () => {
			this.crew.remember();
			if (!this.converging && !worker.inReplacement && worker.state !== 'draining') this.daily.begin(worker);
		});
		if (!this.converging && worker.link && worker.state !== 'serving') this.daily.begin(worker);
		return worker;
	}

	private gone(worker: Worker, identity: WorkerIdentity): void {
		if (worker.inReplacement || worker.state === 'draining' || worker.state === 'failed' || this.stopped) return;
		if (worker.pmId === null) {
			this.crew.forget(worker);
			if (!worker.host.isUp) return;
			this.job(() => this.converge()).catch((error: unknown) => this.say('workers_not_started', messageOf(error)));
			return;
		}
		worker.restarts += 1;
		const reason = worker.trouble ?? 'its process ended';
		this.emit('crashed', { worker: identity, app: this.app.name, reason });
		if (!worker.noteCrash()) {
			worker.set('backoff', reason);
			this.crew.remember();
			return;
		}
		const { intensity, periodMs } = worker.app.crashLoop;
		const text = `it crashed more than ${intensity} times within ${periodMs} ms; last: ${reason}`;
		this.giveUp(worker, text).catch((error: unknown) => this.say('worker_given_up', messageOf(error)));
	}

	private async giveUp(worker: Worker, text: string): Promise<void> {
		const why = await explained(text, this.crew.parts.host.home, worker.id);
		this.say('worker_given_up', `${worker.id}: ${why}`);
		await this.crew.giveUp(worker, why);
	}

	private serving(worker: Worker): void {
		if (worker.restarts > 0) this.emit('restarted', { app: this.app.name, id: worker.id, reason: 'crash' });
	}

	/** null: it is gone already. */
	private replaceOne(worker: Worker): Promise<ReplacementOutcome | null> {
		return this.job(() => {
			if (!this.crew.workers.has(worker.id)) return Promise.resolve(null);
			const { deadlineMs, soakMs } = this.app.health;
			const others = this.workers.filter((one) => one !== worker && isSound(one));
			return this.exchange.run({
				app: this.app,
				leaving: [worker],
				staying: others,
				wanted: Math.max(this.app.instances, others.length + 1),
				deadlineMs: deadlineMs + soakMs,
			});
		});
	}

	private job<T>(work: () => Promise<T>): Promise<T> {
		if (this.stopped) throw new RollcallError('unavailable', `The workers of ${this.app.name} are being ended.`);
		if (this.jobs.size >= jobsMax) {
			throw new RollcallError('unavailable', `More than ${jobsMax} jobs wait for the workers of ${this.app.name}.`);
		}
		return this.jobs.add(() => {
			if (this.stopped) throw new RollcallError('unavailable', `The workers of ${this.app.name} are being ended.`);
			return work();
		});
	}

	private say(event: string, reason: string): void {
		this.crew.parts.log.warn({ event, app: this.app.name, reason });
	}
}
