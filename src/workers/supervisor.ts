/**
 * The supervisor: keeps the http apps' workers of this node as wanted.
 *
 * Who decides when, so that it is never two: PM2 (in the worker host, a process of its own) alone starts a crashed worker
 * again, with a growing delay, whether this process lives or not. This process alone starts, replaces, stops, deletes and
 * gives up. Workers never depend on it: killed, it finds them again by PM2's list, their private sockets and its record.
 *
 * supervisor      composition: hosts, apps, the outside's face
 *  host-link      one connected (and, without systemd, started) worker host for each user     → pm2, host-starter
 *  app-supervisor one app: jobs on its set, one after the other
 *   crew          its workers, and the hands laid on them: start, drain, end, approve          → worker, records
 *   daily         looking after each serving worker: proof after a crash, liveness, memory
 *   replacement-runner  replacement (pure) walked through with real workers
 *  node-link, port-link  the line to one process
 */
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { messageOf, RollcallError } from '../errors.js';
import type { Logger } from '../log.js';
import { removeLeftovers } from '../replace-file.js';
import { isAlive, isOwned } from '../system/process.js';
import { AppSupervisor } from './app-supervisor.js';
import { type Clock, systemClock } from './clock.js';
import { type CrewParts, isNode } from './crew.js';
import { memoryOf } from './daily.js';
import { checkSocketPaths, findHost, hostHome } from './home.js';
import { HostLink } from './host-link.js';
import { hostCommand } from './host-starter.js';
import { Leftovers } from './leftovers.js';
import { NodeLink } from './node-link.js';
import type { Orphan } from './orphans.js';
import type { Pm2Process } from './pm2-process.js';
import { portOf } from './places.js';
import { PortClaims } from './port-claims.js';
import { PortLink } from './port-link.js';
import { SupervisorRecords, type WorkerRecord } from './records.js';
import { type HeldSockets, heldSocketsHere } from './shared-port.js';
import type {
	AppReadiness,
	ProvenWorker,
	ReplacementResult,
	Supervisor,
	SupervisorEvents,
	ThreadRow,
	WorkerApp,
	WorkerRow,
} from './types.js';
import type { OpenLink, Worker } from './worker.js';
import { appOf } from './worker-id.js';

export interface SupervisorOptions {
	apps: readonly WorkerApp[];
	workerDir: string;
	/** Its record lies here, as `workers.json`. */
	stateDir: string;
	/** systemd: the units start the hosts. own: this process does, detached, by `configFile`. */
	mode: 'systemd' | 'own';
	configFile: string;
	logger: Logger;
	clock?: Clock;
	/** How long readiness is off before the only instance of a program that cannot run beside its successor is ended; default 0. */
	lbWaitMs?: number;
	/** Runs a worker host, in place of this program's own command. */
	hostCommand?: readonly string[];
}

/** How often PM2's list is read although nothing was heard: its bus promises nothing. */
const reconcileMs = 5_000;
/** A start waits for a worker host this long; afterwards it goes on by itself when the host comes. */
const hostPatienceMs = 15_000;
const hostEndMs = 10_000;
const hostLookMs = 25;

export function createSupervisor(options: SupervisorOptions): Supervisor {
	return new RollcallSupervisor(options);
}

class RollcallSupervisor extends EventEmitter<SupervisorEvents> implements Supervisor {
	private readonly clock: Clock;
	private readonly log: Logger;
	private readonly records: SupervisorRecords;
	private readonly hostLinks = new Map<string | null, HostLink>();
	private readonly supervisors = new Map<string, AppSupervisor>();
	private cancelReconcile: () => void = () => undefined;
	private readinessText = '';
	private readonly leftovers: Leftovers;
	private readonly claims: PortClaims;
	private ended = false;

	constructor(private readonly options: SupervisorOptions) {
		super();
		this.clock = options.clock ?? systemClock;
		this.log = options.logger;
		this.records = new SupervisorRecords(join(options.stateDir, 'workers.json'));
		if (this.records.damage !== null) {
			this.log.error({ event: 'record_damaged', reason: this.records.damage });
		}
		this.claims = new PortClaims(options.apps);
		this.leftovers = new Leftovers((host) => this.crewParts(host));
		for (const app of options.apps) this.addApp(app);
	}

	async start(): Promise<void> {
		await removeLeftovers(this.records.file);
		await this.findIdleHost();
		const chances = [...this.hostLinks.values()].map((host) => this.startHost(host));
		await Promise.all(chances);
		this.reconcileLater();
	}

	async replace(request: Parameters<Supervisor['replace']>[0]): Promise<ReplacementResult> {
		const { apps, before, deadlineMs } = request;
		this.claims.want(apps);
		const wanted = request.app === null ? apps : apps.filter((app) => app.name === request.app);
		if (request.app !== null && wanted.length === 0) {
			throw new RollcallError('unavailable', `http_workers has no app '${request.app}'.`);
		}
		const leaving = request.app === null ? this.withoutPlace(apps) : [];
		await this.reachHosts(wanted);
		const progress = new Map<string, string>();
		const results = await Promise.all(
			[...wanted, ...leaving].map((app) => {
				const supervisor = this.addApp(app);
				return supervisor.replace(app, before ?? null, deadlineMs, (text) => {
					progress.set(app.name, text);
					request.onProgress?.([...progress.values()].join('; '));
				});
			}),
		);
		for (const app of leaving)
			if (this.supervisors.get(app.name)?.workers.length === 0) this.supervisors.delete(app.name);
		this.changed();
		return combine(results);
	}

	identities(app?: string): ProvenWorker[] {
		return this.all().flatMap((one) => (app === undefined || one.app.name === app ? one.identities() : []));
	}

	rows(): WorkerRow[] {
		const wanted = this.all().flatMap((one) => one.workers.map((worker) => rowOf(one.app.name, worker)));
		return [...wanted, ...this.leftovers.workers.map((worker) => rowOf(worker.app.name, worker))];
	}

	readiness(): AppReadiness[] {
		return this.all().map((one) => one.readiness());
	}

	threads(): ThreadRow[] {
		const now = this.clock.now();
		return this.all().flatMap((one) => one.workers.flatMap((worker) => threadOf(worker, now)));
	}

	hosts(): { user: string | null; pid: number }[] {
		return [...this.hostLinks.values()].flatMap(({ user, pid }) => (pid === null ? [] : [{ user, pid }]));
	}

	store(): ReturnType<Supervisor['store']> {
		return { table: 'workers', ...this.records.size() };
	}

	async shutdown(): Promise<void> {
		this.ended = true;
		this.cancelReconcile();
		await Promise.all([...this.all().map((one) => one.endAll()), this.leftovers.ended()]);
		await Promise.all([...this.hostLinks.values()].map((host) => host.end(hostEndMs)));
		await this.detach();
	}

	async detach(): Promise<void> {
		this.ended = true;
		this.cancelReconcile();
		for (const one of this.all()) one.close();
		this.leftovers.close();
		for (const host of this.hostLinks.values()) host.close();
		await this.records.save();
	}

	private all(): AppSupervisor[] {
		return [...this.supervisors.values()];
	}

	private addApp(app: WorkerApp): AppSupervisor {
		const known = this.supervisors.get(app.name);
		if (known) return known;
		const host = this.hostOf(app.user);
		checkSocketPaths(host.home, app.name);
		const supervisor = new AppSupervisor(app, this.crewParts(host));
		supervisor.on('crashed', (event) => this.emit('crashed', event));
		supervisor.on('restarted', (event) => this.emit('restarted', event));
		this.supervisors.set(app.name, supervisor);
		return supervisor;
	}

	private crewParts(host: HostLink): CrewParts {
		const { records, clock, log, openLink, claims } = this;
		const { lbWaitMs = 0 } = this.options;
		return { host, records, clock, log, openLink, claims, lbWaitMs, changed: () => this.changed() };
	}

	/** Apps that run but are wanted no more: to be replaced by nothing. */
	private withoutPlace(apps: readonly WorkerApp[]): WorkerApp[] {
		return this.all()
			.filter((one) => !apps.some((app) => app.name === one.app.name))
			.map((one) => ({ ...one.app, instances: 0 }));
	}

	private readonly openLink: OpenLink = async (app, identity, home) => {
		if (isNode(app)) return NodeLink.open(home, identity, this.clock);
		const port = this.supervisors.get(appOf(identity.id))?.crew.workers.get(identity.id)?.port ?? portOf(app, 0);
		return new PortLink(identity, port, app.health, this.clock, app.reusePort ? this.heldSockets(app.user) : null);
	};

	/** The kernel tells of another user's process to that user alone. */
	private heldSockets(user: string | null): HeldSockets {
		return async (identity, inodes) => {
			try {
				return await heldSocketsHere(identity, inodes);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
				return this.hostOf(user).client().heldSockets(identity, inodes);
			}
		};
	}

	private hostOf(user: string | null): HostLink {
		const known = this.hostLinks.get(user);
		if (known) return known;
		const { workerDir, mode, configFile } = this.options;
		const host = new HostLink({
			user,
			home: hostHome(workerDir, user),
			command: mode === 'systemd' ? null : (this.options.hostCommand ?? hostCommand(configFile)),
			clock: this.clock,
			log: this.log,
		});
		host.on('down', (reason) => {
			this.log.error({ event: 'worker_host_lost', user, reason });
			for (const one of this.appsOf(host)) one.hostDown(reason);
			this.changed();
			this.emit('host', { user, up: false, reason });
		});
		host.on('complaint', () => this.changed());
		host.on('online', () => void this.lookAt(host));
		this.hostLinks.set(user, host);
		return host;
	}

	/** Resolves when every app of the host had its first chance, or the host had its time to come. */
	private startHost(host: HostLink): Promise<void> {
		return new Promise((resolve) => {
			host.on('up', (rows, orphans) => {
				this.log.info({ event: 'worker_host_connected', user: host.user, host_pid: host.pid, workers: rows.length });
				this.emit('host', { user: host.user, up: true, reason: 'connected' });
				void this.welcome(host, rows, orphans).then(resolve);
			});
			void host.start();
			this.clock.after(hostPatienceMs, () => {
				if (!host.isUp) resolve();
			});
		});
	}

	/** A node that had no app yet has no host, the first that it gets brings one along; one that just died is on its way. */
	private async reachHosts(apps: readonly WorkerApp[]): Promise<void> {
		const until = this.clock.now() + hostPatienceMs;
		await Promise.all(
			[...new Set(apps.map(({ user }) => user))].map(async (user) => {
				const known = this.hostLinks.get(user);
				if (!known) return this.startHost(this.hostOf(user));
				while (!known.isUp && !this.ended && this.clock.now() < until) await this.clock.sleep(hostLookMs);
			}),
		);
	}

	/** Without any app no host is wanted, but one that still runs may hold workers of apps that were taken out, or have left some behind. */
	private async findIdleHost(): Promise<void> {
		for (const { user, ...worker } of this.records.memory.workers) {
			if (isAlive(worker) && (user === null || this.options.mode === 'systemd')) this.hostOf(user);
		}
		if (this.hostLinks.size > 0 || this.options.mode === 'systemd') return;
		if ((await findHost(hostHome(this.options.workerDir, null))) !== null) this.hostOf(null);
	}

	private async welcome(host: HostLink, rows: readonly Pm2Process[], orphans: readonly Orphan[]): Promise<void> {
		await this.endUnknown(host, rows);
		const living = this.orphansOf(host, orphans);
		this.leftovers.end(host, (app) => !this.supervisors.has(app), living);
		const done = await Promise.allSettled(this.appsOf(host).map((one) => one.hostUp(rows, living)));
		for (const result of done) {
			if (result.status === 'rejected')
				this.log.error({ event: 'workers_not_started', reason: messageOf(result.reason) });
		}
		this.changed();
	}

	/** Workers of apps that the configuration no longer has. */
	private async endUnknown(host: HostLink, rows: readonly Pm2Process[]): Promise<void> {
		for (const row of rows) {
			if (this.supervisors.has(appOf(row.name))) continue;
			this.log.info({ event: 'worker_unknown', worker: row.name, worker_pid: row.pid });
			void host
				.client()
				.remove(row.pmId, row.killTimeoutMs)
				.catch((error: unknown) => this.log.warn({ event: 'worker_unknown', reason: messageOf(error) }));
		}
	}

	/** Workers that live without a host: those on record, and those that only the host could find. */
	private orphansOf(host: HostLink, found: readonly Orphan[]): WorkerRecord[] {
		const { user } = host;
		const recorded = this.records.memory.workers.filter(
			(record) => record.user === user && isAlive(record) && isOwned(record, host.owner),
		);
		const others = found.filter(({ pid }) => !recorded.some((record) => record.pid === pid));
		return [...recorded, ...others.map((one) => ({ ...one, app: appOf(one.id), user }))];
	}

	private appsOf(host: HostLink): AppSupervisor[] {
		return this.all().filter((one) => one.crew.parts.host === host);
	}

	private async lookAt(host: HostLink): Promise<void> {
		try {
			const rows = await host.look();
			// A host speaks for the apps of its own user alone.
			for (const one of this.appsOf(host))
				for (const row of rows) if (appOf(row.name) === one.app.name) one.forked(row);
		} catch (error) {
			this.log.debug({ event: 'list_failed', reason: messageOf(error) });
		}
	}

	private reconcileLater(): void {
		if (this.ended) return;
		this.cancelReconcile = this.clock.after(reconcileMs, () => {
			const up = [...this.hostLinks.values()].filter((host) => host.isUp);
			void Promise.all(up.map((host) => this.lookAt(host))).then(() => {
				for (const one of this.all()) one.settle();
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

function rowOf(app: string, worker: Worker): WorkerRow {
	return {
		app,
		id: worker.id,
		pid: worker.identity?.pid ?? null,
		state: worker.state,
		started_at: worker.startedAt === null ? null : Math.round(worker.startedAt),
		restarts: worker.restarts,
		healthy: worker.healthy,
		memory: memoryOf(worker),
		cpu: worker.cpu,
		release: worker.release,
	};
}

function threadOf(worker: Worker, now: number): ThreadRow[] {
	const { identity, report } = worker;
	if (!identity || !report) return [];
	const { heapTotal, heapUsed, externalMemory, arrayBuffers, idle, active, utilization } = report;
	const sinceLastUpdate = Math.round(now - worker.reportedAt);
	return [
		{
			threadId: identity.pid,
			name: 'http',
			heapTotal,
			heapUsed,
			externalMemory,
			arrayBuffers,
			sinceLastUpdate,
			idle,
			active,
			utilization,
		},
	];
}

/** The node's result out of its apps': as bad as the worst of them. */
function combine(results: readonly ReplacementResult[]): ReplacementResult {
	const has = (outcome: ReplacementResult['outcome']) => results.some((one) => one.outcome === outcome);
	const reasons = results.flatMap((one) => (one.reason === null ? [] : [one.reason]));
	const before = results.flatMap((one) => one.before);
	return {
		outcome: has('failed') ? 'failed' : has('refused') ? 'refused' : 'back',
		before,
		after: results.flatMap((one) => one.after),
		wanted: results.reduce((sum, one) => sum + one.wanted, 0),
		oldGone: results.every((one) => one.oldGone),
		cutOff: results.reduce((sum, one) => sum + one.cutOff, 0),
		reason: reasons.length === 0 ? null : reasons.join('\n'),
		required: results.flatMap((one) => one.required ?? []),
	};
}
