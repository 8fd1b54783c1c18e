import { isAlive } from '../../system/proc/process.js';
import { endOn, isEnding, linkMarginMs } from '../pool/adoption.js';
import { farewellMs } from '../connection/control.js';
import { WorkerPool, type WorkerPoolParts } from '../pool/worker-pool.js';
import { goneTimeoutMs } from './plan.js';
import type { HostLink } from '../host/host-connection.js';
import type { LeavingSet } from './leaving.js';
import type { Pm2Process } from '../pm2/process.js';
import type { WorkerRecord } from '../pool/worker-records.js';
import { identitiesOf } from '../pool/rows.js';
import type { AppReadiness, ProvenWorker, ReplacementResult, WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';
import { appOf } from '../pool/worker-id.js';

/** Defaults for a worker whose record lacks the field. */
const drainTimeoutDefaultMs = 30_000;
const probeTimeoutMs = 2_000;
/** A frozen worker does not answer; one that does not within this is ended all the same. */
const linkPatienceMs = probeTimeoutMs + linkMarginMs;
/** Between two looks at a worker that PM2 has just started again. */
const joinGapMs = 250;
/** PM2's patience lies so far behind the drain's. */
const killMarginMs = 2_000;

/**
 * Workers that a control plane finds at its start and whose app its configuration no longer has, with or without the host
 * that started them. They serve on, PM2 restarts them after a crash, and the supervisor says when they leave. Little is
 * known of their app, so nothing is started for it.
 */
export class UnconfiguredWorkers {
	private readonly sets = new Set<UnconfiguredSet>();

	constructor(private readonly partsFor: (host: HostLink) => WorkerPoolParts) {}

	get all(): UnconfiguredSet[] {
		return [...this.sets];
	}

	get workers(): Worker[] {
		return this.all.flatMap(({ workers }) => workers);
	}

	/** Takes in what lives on a host and belongs to no app of it; returns the sets that are new. */
	takeIn(
		host: HostLink,
		isConfigured: (app: string) => boolean,
		rows: readonly Pm2Process[],
		living: readonly WorkerRecord[],
	): UnconfiguredSet[] {
		const before = this.all;
		const strays = rows.filter((row) => !isConfigured(appOf(row.name)));
		for (const row of strays) this.setOf(host, appOf(row.name)).adopt(row);
		for (const record of living) if (!isConfigured(record.app)) this.setOf(host, record.app).adoptOrphan(record);
		return this.all.filter((one) => !before.includes(one));
	}

	/** Those whose workers this host has. */
	poolsOf(host: HostLink): WorkerPool[] {
		return this.all.map(({ pool }) => pool).filter(({ parts }) => parts.host === host);
	}

	hostDown(host: HostLink): void {
		for (const { pool } of this.sets) {
			if (pool.parts.host !== host) continue;
			for (const worker of pool.workers.values()) {
				pool.orphan(worker);
				if (!worker.isAlive) pool.forget(worker);
			}
		}
		this.forgetEmpty();
	}

	/** Forgets the sets of which no worker is left. */
	forgetEmpty(): void {
		for (const one of this.sets) if (one.pool.workers.size === 0) this.sets.delete(one);
	}

	close(): void {
		for (const { pool } of this.sets) pool.close();
	}

	private setOf(host: HostLink, name: string): UnconfiguredSet {
		const known = this.all.find((one) => one.name === name && one.pool.parts.host === host);
		if (known) return known;
		const created = new UnconfiguredSet(name, this.partsFor(host));
		this.sets.add(created);
		return created;
	}
}

export class UnconfiguredSet implements LeavingSet {
	readonly pool: WorkerPool;
	private leaving: Promise<ReplacementResult> | null = null;
	private readonly served = new WeakSet<Worker>();

	constructor(
		readonly name: string,
		parts: WorkerPoolParts,
	) {
		this.pool = new WorkerPool(name, parts);
		this.pool.events.on('connected', (worker) => void this.watch(worker));
		// The node is as ready without it as it was before.
		this.pool.announce();
	}

	get workers(): Worker[] {
		return [...this.pool.workers.values()];
	}

	get isLeaving(): boolean {
		return this.leaving !== null;
	}

	adopt(row: Pm2Process): void {
		const { host, records } = this.pool.parts;
		const record = records.memory.workers.find((one) => one.id === row.name && one.user === host.user);
		// The kind of one that is not on record is not known: a signal ends both.
		const app = appOnRecord(
			record ?? {
				app: this.name,
				user: host.user,
				release: row.script,
				port: null,
				fork: true,
				drainTimeoutMs: Math.max(0, row.killTimeoutMs - killMarginMs),
			},
		);
		const worker = this.pool.adopt(row, app);
		if (isEnding(row)) void endOn(this.pool, worker);
	}

	adoptOrphan(record: WorkerRecord): void {
		if (this.pool.workers.has(record.id)) return;
		this.pool.adoptOrphan(record, appOnRecord(record));
	}

	identities(): ProvenWorker[] {
		return identitiesOf(this.workers);
	}

	/** Those that have served count as wanted until they leave; one that never did is no loss to the node. */
	readiness(): AppReadiness {
		const { workers } = this;
		const healthy = workers.filter((one) => one.isServing).length;
		const wanted = this.leaving === null ? workers.filter((one) => this.served.has(one)).length : 0;
		return { app: this.name, wanted, healthy, degraded: 'http_workers no longer has it' };
	}

	leave(onProgress: (text: string) => void): Promise<ReplacementResult> {
		this.leaving ??= this.drain(onProgress);
		return this.leaving;
	}

	private async drain(onProgress: (text: string) => void): Promise<ReplacementResult> {
		const { clock } = this.pool.parts;
		const { workers } = this;
		const before = this.identities().map(({ id, pid, started }) => ({ id, pid, started }));
		onProgress(`${this.name}: ${workers.length} old ${workers.length === 1 ? 'worker' : 'workers'} draining`);
		const longestMs =
			Math.max(0, ...workers.map((one) => one.app.drainTimeoutMs)) + farewellMs + goneTimeoutMs + linkPatienceMs;
		const gone = Promise.all(workers.map((worker) => endOn(this.pool, worker)));
		await Promise.race([gone, clock.sleep(longestMs)]);
		const left = before.filter(isAlive);
		return {
			outcome: left.length === 0 ? 'back' : 'failed',
			before,
			after: [],
			wanted: 0,
			oldGone: left.length === 0,
			cutOff: workers.reduce((sum, one) => sum + one.cutOff, 0),
			reason:
				left.length === 0
					? null
					: `${this.name}: old workers could not be ended: ${left.map(({ id }) => id).join(', ')}`,
		};
	}

	/**
	 * Says whether it serves, for as long as its process lives: only an answer shows that it is well, and that it has let itself
	 * join after a crash.
	 */
	private async watch(worker: Worker): Promise<void> {
		const { clock } = this.pool.parts;
		const { identity } = worker;
		while (identity !== null && worker.identity === identity && !this.isLeaving) {
			const [status] = await Promise.all([this.pool.status(worker), this.pool.probe(worker)]);
			if (worker.identity !== identity || this.isLeaving) return;
			if (status?.joined) this.pool.foundJoined(worker);
			if (worker.hasJoined) this.served.add(worker);
			await clock.sleep(worker.hasJoined ? worker.app.health.intervalMs : joinGapMs);
		}
	}
}

/** Its configuration is gone: what counts for ending it is on its record. */
function appOnRecord({
	app,
	user,
	release,
	port,
	fork,
	settings,
	drainTimeoutMs = drainTimeoutDefaultMs,
}: Omit<WorkerRecord, 'id' | 'pid' | 'started'>): WorkerApp {
	return {
		name: app,
		script: release,
		cwd: '/',
		args: [],
		nodeArgs: [],
		interpreter: fork === true ? 'unknown' : 'node',
		user,
		instances: 0,
		env: {},
		health: { path: null, timeoutMs: probeTimeoutMs, deadlineMs: 0, soakMs: 0, intervalMs: 5_000, failures: 1 },
		gate: true,
		ports: port === null ? [] : [port],
		listens: settings?.listens !== false,
		overlap: true,
		reusePort: false,
		drainTimeoutMs,
		surge: 1,
		maxMemory: null,
		crashLoop: { intensity: 1, periodMs: 1_000 },
	};
}
