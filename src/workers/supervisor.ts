/**
 * The supervisor: keeps the http apps' workers of this node as wanted.
 *
 * Who decides when, so that it is never two: PM2 (in the worker host, a process of its own) alone starts a crashed worker
 * again, with a growing delay, whether this process lives or not. This process alone starts, replaces, stops, deletes and
 * gives up. Workers never depend on it: killed, it finds them again by PM2's list, their private sockets and its record.
 *
 * supervisor             composition: hosts, apps, the outside's face
 *  replacement/change    one replacement over all apps: what leaves goes last; unconfigured-workers: found at a start
 *  host/worker-hosts      one connected (and, without systemd, started) worker host for each user  → host-connection, pm2/client
 *  app-supervisor        one app: jobs on its set, one after the other
 *   pool/worker-pool     operations on its workers: start, drain, end, approve          → pool/worker, worker-records
 *   health/health-monitor  watches each serving worker: proof after a crash, liveness, memory
 *   replacement/runner   replacement/steps (pure) walked through with real workers
 *  connection/           the connection to one process
 */
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { removeLeftovers } from '../system/files/replace-file.js';
import { AppSupervisor } from './app-supervisor.js';
import { carryOut } from './replacement/change.js';
import { type Clock, systemClock } from './clock.js';
import type { WorkerPool, WorkerPoolParts } from './pool/worker-pool.js';
import { isNode } from './pool/worker-description.js';
import { checkSocketPaths } from './pm2/home.js';
import type { HostLink } from './host/host-connection.js';
import { WorkerHosts } from './host/worker-hosts.js';
import { KeptReleases } from './releases/kept-releases.js';
import { askHost, nextReleases, seenByThis } from './releases/next-releases.js';
import { assertStartable, pinnedTo } from './releases/put-back.js';
import { ProcessEnds } from './connection/process-ends.js';
import { PreloadConnection } from './connection/preload-connection.js';
import type { Orphan } from './pm2/orphans.js';
import type { Pm2Process } from './pm2/process.js';
import { portOf } from './pool/places.js';
import { PortClaims } from './pool/port-claims.js';
import { PortConnection } from './connection/port-connection.js';
import { SupervisorRecords } from './pool/worker-records.js';
import { rowOf, threadOf } from './pool/rows.js';
import { askHeldSockets } from './connection/shared-port.js';
import type {
	AppChanges,
	AppReadiness,
	ProvenWorker,
	PinnedBy,
	Releases,
	ReplacementResult,
	StartsFrom,
	Supervisor,
	SupervisorEvents,
	SupervisorOptions,
	ThreadRow,
	WorkerApp,
	WorkerRow,
} from './types.js';
import { type UnconfiguredSet, UnconfiguredWorkers } from './replacement/unconfigured-workers.js';
import type { OpenLink } from './pool/worker-entry.js';
import type { Worker } from './pool/worker.js';
import { appOf } from './pool/worker-id.js';

/** How often PM2's list is read although nothing was heard: its bus promises nothing, and a frozen host is seen by this alone. */
const reconcileMs = 5_000;
const hostEndMs = 10_000;

export function createSupervisor(options: SupervisorOptions): Supervisor {
	return new RollcallSupervisor(options);
}

class RollcallSupervisor extends EventEmitter<SupervisorEvents> implements Supervisor {
	private readonly clock: Clock;
	private readonly log: Logger;
	private readonly records: SupervisorRecords;
	private readonly kept: KeptReleases;
	private readonly workerHosts: WorkerHosts;
	private readonly supervisors = new Map<string, AppSupervisor>();
	private cancelReconcile: () => void = () => undefined;
	private readinessText = '';
	private readonly claims: PortClaims;
	private readonly ends: ProcessEnds;
	private readonly unconfigured: UnconfiguredWorkers;
	private replacements = 0;
	private ended = false;

	constructor(private readonly options: SupervisorOptions) {
		super();
		this.clock = options.clock ?? systemClock;
		this.ends = new ProcessEnds(this.clock);
		this.log = options.logger;
		this.records = new SupervisorRecords(join(options.stateDir, 'workers.json'));
		if (this.records.damage !== null) this.log.error({ event: 'record_damaged', reason: this.records.damage });
		this.workerHosts = new WorkerHosts({
			...options,
			clock: this.clock,
			log: this.log,
			follow: (host) => this.follow(host),
			welcome: (host, rows, orphans) => this.welcome(host, rows, orphans),
		});
		this.kept = new KeptReleases(join(options.stateDir, 'releases.json'));
		if (this.kept.damage !== null) this.log.error({ event: 'releases_damaged', reason: this.kept.damage });
		this.claims = new PortClaims(options.apps);
		this.unconfigured = new UnconfiguredWorkers((host) => this.poolParts(host));
		for (const app of options.apps) this.addApp({ ...app, pinned: this.kept.pinOf(app.name) });
	}

	async start(): Promise<void> {
		await removeLeftovers(this.records.file);
		await removeLeftovers(this.kept.path);
		await this.workerHosts.findIdle(this.records.memory.workers, (app) => this.supervisors.has(app));
		await Promise.all(this.workerHosts.all.map((host) => this.workerHosts.start(host)));
		this.forgetPins();
		this.reconcileLater();
	}

	async replace(request: Parameters<Supervisor['replace']>[0]): Promise<ReplacementResult> {
		const { apps, before = null, deadlineMs, from = 'configured', rollout = null } = request;
		const wanted = this.appsFrom(from, namedBy(request.only, apps));
		const leaving = this.leavingSets(apps, request.only);
		this.replacements += 1;
		this.claims.want(apps);
		try {
			await this.workerHosts.reach(new Set(wanted.map(({ user }) => user)));
			return await carryOut({
				wanted,
				leaving,
				isRunning: this.runs,
				replace: (app, onProgress) =>
					this.addApp({ ...app, instances: 0 }).replace({ app, before, deadlineMs, onProgress, rollout }),
				onProgress: (text) => request.onProgress?.(text),
			});
		} finally {
			this.replacements -= 1;
			this.forgetEmpty();
		}
	}

	changes(apps: readonly WorkerApp[], only: readonly string[] | null = null): AppChanges {
		const meant = namedBy(only, apps);
		const leaving = this.leavingSets(apps, only).filter(({ workers }) => workers.length > 0);
		return {
			added: meant.map(({ name }) => name).filter((name) => !this.runs(name)),
			removed: [...new Set(leaving.map(({ name }) => name))],
		};
	}

	async startingFrom(from: StartsFrom, apps: readonly WorkerApp[]): Promise<WorkerApp[]> {
		const meant = this.appsFrom(from, apps);
		await assertStartable(meant, async (own) => {
			const user = own[0]?.user ?? null;
			const seen = await askHost(this.workerHosts.known(user), own, this.clock);
			// Without a user of their own its workers run as this process does.
			return seen ?? (user === null ? own.map(seenByThis) : null);
		});
		return meant;
	}

	pins(): Record<string, PinnedBy> {
		const pinned = this.all().flatMap(({ name }) => {
			const pin = this.kept.pinOf(name);
			return pin === null ? [] : [[name, { rollout: pin.rollout, reason: pin.reason }] as const];
		});
		return Object.fromEntries(pinned);
	}

	nextReleases(apps: readonly WorkerApp[]): Promise<Releases> {
		return nextReleases(apps, (user) => this.workerHosts.known(user), this.clock);
	}

	async commandRunner(user: string | null): ReturnType<Supervisor['commandRunner']> {
		await this.workerHosts.reach(new Set([user]));
		const client = this.workerHosts.of(user).client();
		return (question) => client.runCommand(question);
	}

	identities(app?: string): ProvenWorker[] {
		const sets = [...this.all(), ...this.unconfigured.all];
		return sets.flatMap((one) => (app === undefined || one.name === app ? one.identities() : []));
	}

	rows(): WorkerRow[] {
		const wanted = this.all().flatMap(({ name, workers }) => workers.map((worker) => this.rowOf(name, worker)));
		return [...wanted, ...this.unconfigured.workers.map((worker) => this.rowOf(worker.app.name, worker))];
	}

	readiness(): AppReadiness[] {
		return [...this.all(), ...this.unconfigured.all].map((one) => one.readiness());
	}

	threads(): ThreadRow[] {
		const now = this.clock.now();
		return this.all().flatMap((one) => one.workers.flatMap((worker) => threadOf(worker, now)));
	}

	hosts(): { user: string | null; pid: number }[] {
		return this.workerHosts.all.flatMap(({ user, pid }) => (pid === null ? [] : [{ user, pid }]));
	}

	store(): ReturnType<Supervisor['store']> {
		return { table: 'workers', ...this.records.size() };
	}

	async shutdown(): Promise<void> {
		this.ended = true;
		this.cancelReconcile();
		const leaving = this.unconfigured.all.map((one) => one.leave(() => undefined));
		await Promise.all([...this.all().map((one) => one.endAll()), ...leaving]);
		await Promise.all(this.workerHosts.all.map((host) => host.end(hostEndMs)));
		await this.detach();
	}

	async detach(): Promise<void> {
		this.ended = true;
		this.cancelReconcile();
		for (const one of this.all()) one.close();
		this.unconfigured.close();
		for (const host of this.workerHosts.all) host.close();
		await this.records.save();
	}

	private rowOf(app: string, worker: Worker): WorkerRow {
		return rowOf(app, worker, this.kept.whoPinned(app, worker.release));
	}

	private appsFrom(from: StartsFrom, apps: readonly WorkerApp[]): WorkerApp[] {
		return apps.map((app) => {
			if (from === 'configured') return { ...app, pinned: null };
			if (from === 'kept') return { ...app, pinned: this.kept.pinOf(app.name) };
			const release = from.releases[app.name];
			return release ? pinnedTo(app, release, this.kept, from) : { ...app, pinned: null };
		});
	}

	private all(): AppSupervisor[] {
		return [...this.supervisors.values()];
	}

	private addApp(app: WorkerApp): AppSupervisor {
		const known = this.supervisors.get(app.name);
		if (known) return known;
		const host = this.workerHosts.of(app.user);
		checkSocketPaths(host.home, app.name);
		const supervisor = new AppSupervisor(app, this.poolParts(host), () => this.unconfigured.workers);
		supervisor.on('crashed', (event) => this.emit('crashed', event));
		supervisor.on('restarted', (event) => this.emit('restarted', event));
		this.supervisors.set(app.name, supervisor);
		return supervisor;
	}

	private poolParts(host: HostLink): WorkerPoolParts {
		const { records, kept, clock, log, openLink, claims, ends } = this;
		const { lbWaitMs = 0 } = this.options;
		return { host, records, kept, clock, log, openLink, ends, claims, lbWaitMs, changed: () => this.changed() };
	}

	/** What runs here and these apps do not have; with a name, of that app alone. */
	private leavingSets(
		apps: readonly WorkerApp[],
		only: readonly string[] | null,
	): readonly (AppSupervisor | UnconfiguredSet)[] {
		const dropped = this.all().filter((one) => !apps.some((app) => app.name === one.name));
		return namedBy(only, [...dropped, ...this.unconfigured.all]);
	}

	private readonly runs = (name: string): boolean => (this.supervisors.get(name)?.workers.length ?? 0) > 0;

	/** Forgets apps that are not wanted and have no worker, and starts what was refused beside workers that are gone. */
	private forgetEmpty(): void {
		this.unconfigured.forgetEmpty();
		// A newcomer that is about to start has no worker yet.
		if (this.replacements > 0) return;
		for (const one of this.all()) {
			if (one.app.instances > 0 || one.workers.length > 0 || one.isTurnedAway) continue;
			one.close();
			this.supervisors.delete(one.name);
		}
		this.forgetPins();
		this.records.memory.proven = this.records.memory.proven.filter((name) => this.supervisors.has(name));
		if (this.unconfigured.all.length === 0) for (const one of this.all()) one.startAfterAll();
		// What was refused has no claim to a port, and what stays in its place has one again.
		this.claims.want(this.all().flatMap(({ app }) => (app.instances > 0 ? [app] : [])));
		this.changed();
	}

	/** An app that is no longer here starts as configured when it is added again, whatever it was put back on before. */
	private forgetPins(): void {
		void this.kept.unpinOthers([...this.all(), ...this.unconfigured.all].map(({ name }) => name));
	}

	/** Unconfigured workers leave once every configured app serves; at once if no app is configured. */
	private releaseUnconfigured(): void {
		const staying = this.unconfigured.all.filter((one) => !one.isLeaving);
		if (staying.length === 0 || this.ended || this.replacements > 0) return;
		if (this.all().some((one) => !one.isWhole)) return;
		const proven = this.all().map(({ name }) => name);
		const reason =
			proven.length === 0 ? 'http_workers names no app' : `all of http_workers serves: ${proven.join(', ')}`;
		for (const one of staying) {
			this.log.warn({ event: 'unconfigured_app_drained', app: one.name, workers: idsOf(one), reason });
			void one
				.leave(() => undefined)
				.then((result) => {
					if (result.reason !== null) this.log.error({ event: 'unconfigured_app_not_ended', reason: result.reason });
					this.forgetEmpty();
				});
		}
	}

	private readonly openLink: OpenLink = async (app, identity, home) => {
		if (isNode(app)) return PreloadConnection.open(home, identity, this.clock, this.ends);
		const port = this.supervisors.get(appOf(identity.id))?.pool.workers.get(identity.id)?.port ?? portOf(app, 0);
		const held = app.reusePort ? askHeldSockets(() => this.workerHosts.of(app.user).client()) : null;
		return new PortConnection(identity, port, app, { clock: this.clock, ends: this.ends, held });
	};

	private follow(host: HostLink): void {
		const { user } = host;
		host.on('down', (reason) => {
			this.log.error({ event: 'worker_host_lost', user, reason });
			for (const one of this.appsOf(host)) one.hostDown(reason);
			this.unconfigured.hostDown(host);
			this.changed();
			this.emit('host', { user, up: false, reason });
		});
		host.on('complaint', () => this.changed());
		host.on('online', (event) => {
			for (const pool of this.poolsOf(host)) pool.forked(event);
			void this.lookAt(host);
		});
		host.on('exit', (event) => {
			this.ends.hint();
			for (const pool of this.poolsOf(host)) pool.ended(event);
		});
	}

	private async welcome(host: HostLink, rows: readonly Pm2Process[], orphans: readonly Orphan[]): Promise<void> {
		this.log.info({ event: 'worker_host_connected', user: host.user, host_pid: host.pid, workers: rows.length });
		this.emit('host', { user: host.user, up: true, reason: 'connected' });
		const living = this.records.living(host, orphans);
		const isConfigured = (app: string): boolean => this.supervisors.get(app)?.pool.parts.host === host;
		for (const one of this.unconfigured.takeIn(host, isConfigured, rows, living)) {
			const reason = `http_workers no longer has ${one.name}: its workers serve until every app that it has is proven`;
			this.log.warn({ event: 'unconfigured_app_kept', app: one.name, workers: idsOf(one), reason });
		}
		await this.workerHosts.untilStraysAreKnown();
		const done = await Promise.allSettled(this.appsOf(host).map((one) => one.hostUp(rows, living)));
		for (const { reason } of done.filter((result) => result.status === 'rejected'))
			this.log.error({ event: 'workers_not_started', reason: messageOf(reason) });
		this.releaseUnconfigured();
		this.changed();
	}

	private appsOf(host: HostLink): AppSupervisor[] {
		return this.all().filter((one) => one.pool.parts.host === host);
	}

	/** A host speaks for the workers of its own user alone. */
	private poolsOf(host: HostLink): WorkerPool[] {
		return [...this.appsOf(host).map(({ pool }) => pool), ...this.unconfigured.poolsOf(host)];
	}

	private async lookAt(host: HostLink): Promise<void> {
		try {
			const rows = await host.look();
			// A host speaks for the apps of its own user alone.
			for (const pool of this.poolsOf(host)) for (const row of rows) pool.spawned(row);
		} catch (error) {
			this.log.debug({ event: 'list_failed', reason: messageOf(error) });
		}
	}

	private reconcileLater(): void {
		if (this.ended) return;
		this.cancelReconcile = this.clock.after(reconcileMs, () => {
			const up = this.workerHosts.all.filter((host) => host.isUp);
			void Promise.all(up.map((host) => this.lookAt(host))).then(() => {
				for (const one of this.all()) one.settle();
				this.releaseUnconfigured();
				this.reconcileLater();
			});
		});
	}

	private changed(): void {
		const readiness = this.readiness();
		const text = JSON.stringify(readiness);
		if (text === this.readinessText) return;
		this.readinessText = text;
		this.emit('readiness', readiness);
	}
}

const idsOf = ({ pool }: UnconfiguredSet): string[] => [...pool.workers.keys()];

function namedBy<One extends { readonly name: string }>(
	names: readonly string[] | null,
	all: readonly One[],
): readonly One[] {
	return names === null ? all : all.filter(({ name }) => names.includes(name));
}
