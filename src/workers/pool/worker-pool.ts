import { realpathSync } from 'node:fs';
import { messageOf, RollcallError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { signalTree } from '../../system/proc/process-tree.js';
import { isAlive } from '../../system/proc/process.js';
import { AppListeners } from '../health/app-listeners.js';
import { isApproved, removeApproval, writeApproval } from './approval.js';
import type { Clock } from '../clock.js';
import { farewellMs } from '../connection/control.js';
import type { HostLink } from '../host/host-connection.js';
import type { JoinResult } from '../connection/worker-connection.js';
import { freePlace, type Place, placeOnRecord, portOf } from './places.js';
import type { PortClaims } from './port-claims.js';
import type { Pm2Process } from '../pm2/process.js';
import type { SupervisorRecords, WorkerRecord } from './worker-records.js';
import type { WorkerApp } from '../types.js';
import { isInDoubt, isStopped } from '../health/unanswering.js';
import { type OpenLink, Worker } from './worker.js';
import { describeWorker } from './worker-description.js';
import { numberOf, workerId } from './worker-id.js';

/** A worker that is ended, not drained, gets so long to leave by itself. */
const endGraceMs = 1_000;
const goneCheckMs = 10;
/** PM2's own patience lies behind the drain's, so that it never cuts one short. */
const killMarginMs = 2_000;
/** So long the workers of a set are waited for before it is replaced; one that does not answer was seen before. */
const observeMs = 500;
/** An orphan that could not be ended is tried again so much later: the host that may do it can be away. */
const forceAgainMs = 1_000;

export interface WorkerPoolParts {
	host: HostLink;
	records: SupervisorRecords;
	openLink: OpenLink;
	clock: Clock;
	log: Logger;
	/** Which app has which port. */
	claims: PortClaims;
	/** How long load balancers may take to see that a node is not ready any more. */
	lbWaitMs: number;
	/** Told when the set or anything about a worker of it changed. */
	changed: () => void;
}

/**
 * The workers of one app and the hands that are laid on them: start, drain, end, approve. It decides nothing. Every
 * process that it starts is on record before it runs, and until it is gone.
 */
export class WorkerPool {
	readonly workers = new Map<string, Worker>();
	/** Where they listen, and must. */
	readonly listeners: AppListeners;
	/** Load balancers have been given their time already: the node as a whole is out. */
	announced = false;
	private closed = false;

	constructor(
		readonly name: string,
		readonly parts: WorkerPoolParts,
	) {
		this.listeners = new AppListeners(name, parts.records, (app) => parts.claims.isWanted(app));
		parts.claims.add(this);
	}

	/** Ids for so many workers to come; never one that was there before. Durable when it resolves. */
	async reserve(count: number): Promise<string[]> {
		const { memory } = this.parts.records;
		const known = [...this.workers.keys()].map(numberOf);
		const last = Math.max(memory.lastNumber[this.name] ?? 0, ...known);
		memory.lastNumber[this.name] = last + count;
		await this.parts.records.save();
		return Array.from({ length: count }, (_, index) => workerId(this.name, last + 1 + index));
	}

	/** The number of the next instance. A worker that drains has given its own back, unless it still has the port to it. */
	nextPlace(app: WorkerApp): number {
		const holders = [...this.workers.values()].filter(({ state }) => !(sharesPorts(app) && state === 'draining'));
		return freePlace(new Set(holders.map(({ slot }) => slot)));
	}

	/** Forks a worker. Its script is resolved now, once: whatever the link points to later, this worker stays what it is. */
	async start(id: string, app: WorkerApp, slot: number): Promise<Worker> {
		const { host, openLink, clock } = this.parts;
		const place = { slot, port: isNode(app) ? null : portOf(app, slot) };
		const release = resolveScript(app);
		const worker = this.add(new Worker(id, app, release ?? app.script, host, place, openLink, clock));
		try {
			if (release === null) {
				throw new RollcallError('unavailable', `the script ${app.script} of ${app.name} cannot be found`);
			}
			const row = await host.client().start(describeWorker(worker, isNode(app), killTimeoutOf(app)));
			worker.pmId = row.pmId;
			if (row.pid !== null) worker.attach(row.pid);
			return worker;
		} catch (error) {
			worker.set('failed', messageOf(error));
			throw error;
		}
	}

	/** Takes in a worker that the host runs already. */
	adopt(row: Pm2Process, app: WorkerApp): Worker {
		const { host, openLink, clock } = this.parts;
		const known = this.workers.get(row.name);
		const worker =
			known ?? this.add(new Worker(row.name, app, row.script, host, this.placeOf(row.name, app), openLink, clock));
		worker.pmId = row.pmId;
		worker.restarts = Math.max(worker.restarts, row.restarts);
		worker.approved = isApproved(host.home, row.name);
		this.listeners.recall(worker);
		if (row.pid !== null) worker.attach(row.pid);
		else if (row.status === 'waiting restart') worker.set('backoff', 'its process ended');
		return worker;
	}

	/** Takes in a process that lives without a host. */
	adoptOrphan(record: WorkerRecord, app: WorkerApp): Worker {
		const { host, openLink, clock } = this.parts;
		const { id, pid, release } = record;
		const place = placeOnRecord(record, app, this.taken);
		const worker = this.add(new Worker(id, app, release, host, place, openLink, clock));
		this.listeners.recall(worker);
		worker.attach(pid);
		return worker;
	}

	/** The worker may join by itself from now on when PM2 restarts it, the control plane being down or not. */
	approve(worker: Worker): void {
		worker.approved = true;
		try {
			const { deadlineMs } = worker.app.health;
			const approval = { release: worker.release, deadlineMs, check: worker.check() };
			writeApproval(worker.host.home, worker.id, approval);
		} catch (error) {
			this.parts.log.warn({ event: 'approval_failed', worker: worker.id, reason: messageOf(error) });
		}
	}

	join(worker: Worker): Promise<JoinResult> {
		return this.parts.claims.join(worker);
	}

	/** Takes up where the workers listen now, after a look at each: one that listens late may not have been seen yet. */
	async observeListeners(): Promise<void> {
		const joined = [...this.workers.values()].filter((worker) => worker.joined);
		await Promise.race([Promise.all(joined.map((worker) => worker.status())), this.parts.clock.sleep(observeMs)]);
		this.learnListeners();
	}

	/** The ports that every worker of the app must be proven on; what is no Node app is asked on its own port alone. */
	requiredPorts(app: WorkerApp): number[] {
		return isNode(app) ? this.listeners.requiredPorts(app) : [];
	}

	/** Takes up where the workers listen. What each must prove to join after a crash is written anew when that changes. */
	learnListeners(): void {
		if (!this.listeners.learn(this.workers.values())) return;
		for (const worker of this.workers.values()) if (worker.approved && worker.joined) this.approve(worker);
		this.parts.records.save().catch((error: unknown) => {
			this.parts.log.error({ event: 'record_failed', reason: messageOf(error) });
		});
	}

	/**
	 * Lets a worker finish what is open and leave; resolves when its process is gone and the worker forgotten. One that is
	 * busy hears of it later. Stopping it in PM2 is what keeps PM2 from starting it again.
	 */
	async drain(worker: Worker): Promise<void> {
		const { drainTimeoutMs } = worker.app;
		const served = this.serving;
		const inDoubt = isInDoubt(worker);
		this.takeOut(worker);
		if (isStopped(worker)) return this.end(worker);
		if (!isNode(worker.app)) {
			if (served > 0 && this.serving === 0) await this.letBalancersSee(worker);
			return this.untilGone(worker, drainTimeoutMs, () => void this.signal(worker, 'SIGTERM'));
		}
		if (worker.link === null || (inDoubt && !(await this.answers(worker)))) return this.end(worker);
		await this.untilGone(worker, killTimeoutOf(worker.app), () => void worker.link?.drain(drainTimeoutMs));
	}

	private answers(worker: Worker): Promise<boolean> {
		const late = this.parts.clock.sleep(worker.app.health.timeoutMs).then(() => false);
		return Promise.race([worker.status().then((status) => status !== null), late]);
	}

	/** Ends a worker at once: it is asked, and a moment later killed. Resolves when its process is gone and the worker forgotten. */
	async end(worker: Worker): Promise<void> {
		if (worker.state !== 'failed') this.takeOut(worker);
		const cancel = this.parts.clock.after(endGraceMs, () => void this.kill(worker));
		const ask = () => void (isNode(worker.app) ? worker.link?.drain(endGraceMs) : this.signal(worker, 'SIGTERM'));
		await this.untilGone(worker, endGraceMs, ask).finally(cancel);
	}

	/** Kills the process; PM2 starts it again unless it was told to stop it. */
	async kill(worker: Worker): Promise<void> {
		await this.signal(worker, 'SIGKILL');
	}

	/** Through PM2 where that knows the process. An orphan is signalled with all below it, as PM2 does when it ends one. */
	private async signal(worker: Worker, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
		const { identity, pmId, host } = worker;
		if (!identity || !isAlive(identity)) return;
		try {
			if (pmId !== null && host.isUp) await host.client().signal(pmId, signal);
			// Another user's process is signalled by the host of that user alone.
			else if (host.owner !== process.geteuid?.()) await host.client().signalOrphan(identity, signal);
			else signalTree(identity, host.owner, signal);
		} catch (error) {
			const reason = messageOf(error);
			this.parts.log.warn({ event: 'signal_failed', worker: worker.id, worker_pid: identity.pid, signal, reason });
		}
	}

	/** Gives a worker up: PM2 does not start it again, the row stays to say so. */
	async giveUp(worker: Worker, reason: string): Promise<void> {
		worker.set('failed', reason);
		const { pmId } = worker;
		worker.pmId = null;
		if (pmId === null || !worker.host.isUp) return;
		await worker.host.client().remove(pmId, killTimeoutOf(worker.app));
		worker.detach();
		this.remember();
	}

	/** Lets go of every worker, and lets each live as it does. */
	close(): void {
		this.closed = true;
		for (const worker of this.workers.values()) {
			worker.detach();
			worker.removeAllListeners();
		}
	}

	forget(worker: Worker): void {
		worker.detach();
		worker.removeAllListeners();
		this.workers.delete(worker.id);
		removeApproval(worker.host.home, worker.id);
		this.remember();
	}

	/** Brings the record of living processes in line with what is known. */
	remember(): void {
		const { records, log } = this.parts;
		const { user } = this.parts.host;
		const others = records.memory.workers.filter((record) => record.app !== this.name || record.user !== user);
		const own = [...this.workers.values()].flatMap((worker) =>
			worker.identity
				? [
						{
							...worker.identity,
							app: this.name,
							user: worker.host.user,
							release: worker.release,
							port: worker.port,
							slot: worker.slot,
							fork: !isNode(worker.app),
							drainTimeoutMs: worker.app.drainTimeoutMs,
							settings: worker.settings,
						},
					]
				: [],
		);
		records.memory.workers = [...others, ...own];
		records.save().catch((error: unknown) => {
			log.error({ event: 'record_failed', reason: messageOf(error) });
		});
		this.parts.changed();
	}

	private add(worker: Worker): Worker {
		this.workers.set(worker.id, worker);
		worker.check = () => this.listeners.checkOf(worker);
		worker.on('changed', () => this.parts.changed());
		worker.on('linked', () => this.remember());
		this.remember();
		return worker;
	}

	private get serving(): number {
		return [...this.workers.values()].filter((one) => one.joined && one.healthy).length;
	}

	/** With this worker goes the only one that serves: the node is not ready from now on, and requests still come for a while. */
	private async letBalancersSee(worker: Worker): Promise<void> {
		const { clock, lbWaitMs } = this.parts;
		if (lbWaitMs > 0)
			worker.set('draining', `it is the only one, so readiness is off for ${lbWaitMs} ms before it ends`);
		const until = clock.now() + lbWaitMs;
		while (worker.isAlive && !this.closed && !this.announced && clock.now() < until) await clock.sleep(goneCheckMs);
	}

	/** It takes no new connection from here on, so it does not count as serving. */
	private takeOut(worker: Worker): void {
		worker.joined = false;
		worker.set('draining', worker.trouble);
		this.parts.changed();
	}

	/**
	 * Asks by way of PM2, which sends its signal, and kills what stays too long; and then directly. An orphan can only be
	 * asked directly, and is killed from here after `patienceMs`.
	 */
	private async untilGone(worker: Worker, patienceMs: number, ask: () => void): Promise<void> {
		const { pmId, identity, host } = worker;
		const { clock } = this.parts;
		let removed: Promise<unknown> = Promise.resolve();
		if (pmId !== null && host.isUp) {
			const direct = !isNode(worker.app);
			removed = host
				.client()
				.remove(pmId, killTimeoutOf(worker.app), direct ? undefined : ask)
				.catch(ask);
		} else ask();
		let forceAt = clock.now() + patienceMs;
		while (identity && isAlive(identity) && !this.closed) {
			if (worker.pmId === null && clock.now() >= forceAt) {
				void this.kill(worker);
				forceAt = clock.now() + forceAgainMs;
			}
			await clock.sleep(goneCheckMs);
		}
		if (this.closed) return;
		await removed;
		this.forget(worker);
	}

	private placeOf(id: string, app: WorkerApp): Place {
		const record = this.parts.records.memory.workers.find((one) => one.id === id);
		if (record) return placeOnRecord(record, app, this.taken);
		return { slot: freePlace(this.taken), port: isNode(app) ? null : (app.ports[0] ?? null) };
	}

	private get taken(): Set<number> {
		return new Set([...this.workers.values()].map(({ slot }) => slot));
	}
}

/** Node programs run as cluster workers on the host's own Node, with the preload; everything else is forked. */
export function isNode(app: WorkerApp): boolean {
	return app.interpreter === 'node';
}

/** Whether new workers of the app can run beside the old ones on the same ports. */
export function sharesPorts(app: WorkerApp): boolean {
	return isNode(app) || app.reusePort;
}

/** Longest that a worker may take from the word to leave to its end: it may be busy at first, for as long as a probe waits. */
export function leaveTimeoutOf(app: WorkerApp): number {
	return app.drainTimeoutMs + (isNode(app) ? app.health.timeoutMs + farewellMs : 0);
}

function killTimeoutOf(app: WorkerApp): number {
	return leaveTimeoutOf(app) + killMarginMs;
}

/** The file that a worker started now would run; null if there is none. */
export function resolveScript(app: WorkerApp): string | null {
	try {
		return realpathSync(app.script);
	} catch {
		return null;
	}
}
