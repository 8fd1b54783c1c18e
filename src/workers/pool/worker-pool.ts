import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { AppListeners } from '../health/app-listeners.js';
import { isApproved, removeApproval, writeApproval } from '../health/approval.js';
import { type Clock, untilHolds } from '../clock.js';
import type { ProcessEnds } from '../connection/process-ends.js';
import type { HostLink } from '../host/host-connection.js';
import type { ConnectionStatus, JoinResult, Probe } from '../connection/worker-connection.js';
import { freePlace, type Place, placeOnRecord, portOf } from './places.js';
import type { PortClaims } from './port-claims.js';
import type { Pm2Process } from '../pm2/process.js';
import { recordOf } from './rows.js';
import type { KeptReleases } from '../releases/kept-releases.js';
import { assertHostCanStart } from '../releases/next-releases.js';
import type { SupervisorRecords, WorkerRecord } from './worker-records.js';
import type { WorkerApp } from '../types.js';
import { listenSettingsOf } from '../health/listeners.js';
import { WorkerShutdown } from './worker-shutdown.js';
import type { Exit } from './lifecycle.js';
import type { Worker, WorkerFacts } from './worker.js';
import { describeWorker, isNode, killTimeoutOf, startOf, startsBeside } from './worker-description.js';
import { gone, type OpenLink, WorkerEntry } from './worker-entry.js';
import { numberOf, workerId } from './worker-id.js';

/** So long the workers of a set are waited for before it is replaced; one that does not answer was seen before. */
const observeMs = 500;
const nothing = (): void => undefined;

export interface WorkerPoolParts {
	host: HostLink;
	records: SupervisorRecords;
	kept: KeptReleases;
	openLink: OpenLink;
	ends: ProcessEnds;
	clock: Clock;
	log: Logger;
	/** Which app has which port. */
	claims: PortClaims;
	/** How long load balancers may take to see that a node is not ready any more. */
	lbWaitMs: number;
	/** Told when the set or anything about a worker of it changed. */
	changed: () => void;
}

export interface WorkerPoolEvents {
	/** A process of a worker is known. */
	spawned: [Worker];
	/** A process answers on its connection. */
	connected: [Worker];
	/** An error was thrown and not caught. */
	fault: [Worker, string];
	/** A process ended, and what that means. */
	exited: [Worker, Exit];
	/** Anything about the set or a worker is another than before; said after every other event, too. */
	changed: [];
}

/**
 * The workers of one app, and the one writer of their lifecycles: it starts, drains, ends and approves them, turns what happens
 * to them into events of the machine (lifecycle.ts), and tells everyone concerned. It decides nothing. Every process that it
 * starts is on record before it runs, and until it is gone.
 */
export class WorkerPool {
	readonly events = new EventEmitter<WorkerPoolEvents>();
	/** Where they listen, and must. */
	readonly listeners: AppListeners;
	private readonly byId = new Map<string, Worker>();
	private readonly entries = new WeakMap<Worker, WorkerEntry>();
	private readonly workerShutdown: WorkerShutdown;
	private announced = false;
	private closed = false;

	constructor(
		readonly name: string,
		readonly parts: WorkerPoolParts,
	) {
		// As many wait for something as there are workers.
		this.events.setMaxListeners(0);
		this.listeners = new AppListeners(name, parts.records, (app) => parts.claims.isWanted(app));
		this.workerShutdown = new WorkerShutdown({
			parts,
			isClosed: () => this.closed,
			isAnnounced: () => this.announced,
			serving: () => [...this.workers.values()].filter((one) => one.isServing).length,
			until: (holds, withinMs) => this.until(holds, withinMs),
			takeOut: (worker, detail) => this.takeOut(worker, detail),
			cutOff: (worker) => this.entryOf(worker).apply({ event: 'drained', cutOff: 1 }),
			status: this.status,
			started: this.started,
			askToDrain: (worker, timeoutMs) => void this.entryOf(worker).connection?.drain(timeoutMs),
			forget: (worker) => this.forget(worker),
		});
		parts.claims.add(this);
	}

	get workers(): ReadonlyMap<string, Worker> {
		return this.byId;
	}

	/** Load balancers have been given their time already: the node as a whole is out. */
	announce(): void {
		this.announced = true;
		this.events.emit('changed');
	}

	/**
	 * Resolves true as soon as `holds`, which is asked now and after each event; false when `withinMs` have passed or the pool
	 * is closed.
	 */
	until(holds: () => boolean, withinMs: number): Promise<boolean> {
		const { clock } = this.parts;
		return untilHolds(this.events, 'changed', holds, { clock, withinMs, isOver: () => this.closed });
	}

	/** Resolves true once the worker answers, listens or joins; false after `withinMs`. */
	async nextWord(worker: Worker, withinMs: number): Promise<boolean> {
		const words = () => this.entryOf(worker).words;
		const before = words();
		return this.until(() => words() !== before, withinMs);
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
		const holders = [...this.workers.values()].filter(({ state }) => !(startsBeside(app) && state === 'draining'));
		return freePlace(new Set(holders.map(({ slot }) => slot)));
	}

	/** Forks a worker. Its script is resolved now, once: whatever the link points to later, this worker stays what it is. */
	async start(id: string, app: WorkerApp, slot: number, inReplacement = false): Promise<Worker> {
		const { host, clock } = this.parts;
		const place = { slot, port: isNode(app) ? null : portOf(app, slot) };
		const entry = this.add({ id, app, from: startOf(app) ?? app, place });
		if (inReplacement) entry.apply({ event: 'replacement_began' });
		try {
			const startable = assertHostCanStart(host, app, clock);
			const started = startable.then(() => host.client().start(describeWorker(entry.worker)));
			entry.starting = started.then(nothing, nothing);
			const row = await started;
			entry.apply({ event: 'adopted', pmId: row.pmId, restarts: 0, approved: false });
			if (row.pid !== null) entry.attach(row.pid, row.revision);
			return entry.worker;
		} catch (error) {
			entry.apply({ event: 'given_up', detail: messageOf(error) });
			throw error;
		}
	}

	/** Takes in a worker that the host runs already. */
	adopt(row: Pm2Process, app: WorkerApp): Worker {
		const { name: id, script, cwd } = row;
		const known = this.byId.get(id);
		const facts = { id, app, from: { script, cwd: cwd || app.cwd } };
		const entry = known ? this.entryOf(known) : this.add({ ...facts, place: this.placeOf(id, app) });
		const approved = isApproved(this.parts.host.home, id);
		entry.apply({ event: 'adopted', pmId: row.pmId, restarts: row.restarts, approved });
		if (row.pid !== null) entry.attach(row.pid, row.revision);
		else if (row.status === 'waiting restart') entry.apply({ event: 'awaits_restart', detail: 'its process ended' });
		return entry.worker;
	}

	/** Takes in a process that lives without a host. */
	adoptOrphan(record: WorkerRecord, app: WorkerApp): Worker {
		const { id, pid, release: script, cwd = app.cwd, revision } = record;
		const entry = this.add({ id, app, from: { script, cwd }, place: placeOnRecord(record, app, this.taken) });
		entry.attach(pid, revision ?? null);
		return entry.worker;
	}

	/** PM2 forked a worker anew; its process is known once the host was asked. */
	forked({ name, pmId }: { name: string; pmId: number }): void {
		this.knownBy(name, pmId)?.apply({ event: 'forked' });
	}

	/** The host has this process of a worker. */
	spawned({ name, pmId, pid, revision }: Pm2Process): void {
		if (pid !== null && this.byId.get(name)?.pmId === pmId) this.knownBy(name, pmId)?.attach(pid, revision);
	}

	/** The host says that a process of this worker ended. It may have been gone before it was seen. */
	ended({ name, pmId }: { name: string; pmId: number }): void {
		const entry = this.knownBy(name, pmId);
		// One that lives is a later process than the one that is spoken of. Of one that is connected the end of its connection
		// tells, after all that it said.
		if (entry && !entry.worker.isConnected && !entry.worker.isAlive) entry.exited(entry.worker.identity);
	}

	/** Its host is gone, or no longer has it in its list. */
	orphan(worker: Worker): void {
		this.entryOf(worker).apply({ event: 'orphaned' });
	}

	/** Whether a replacement decides on the worker from now on. */
	putInReplacement(worker: Worker, isIn: boolean): void {
		this.entryOf(worker).apply({ event: isIn ? 'replacement_began' : 'replacement_ended' });
	}

	/** Asks a worker how it is. `overlooked`: should it serve and not be well now, that does not count yet. */
	async probe(worker: Worker, overlooked = false): Promise<Probe> {
		const entry = this.entryOf(worker);
		const { identity, isConnected } = worker;
		const answer = await entry.probe();
		if (!isConnected || worker.identity !== identity || this.closed) return answer;
		entry.apply(answer.healthy ? { event: 'healthy' } : { event: 'unhealthy', detail: answer.detail, overlooked });
		return answer;
	}

	/** What a worker says of itself; null when it does not. */
	readonly status = (worker: Worker): Promise<ConnectionStatus | null> => this.entryOf(worker).status();

	/** A worker says that it takes public connections already. */
	foundJoined(worker: Worker): void {
		this.entryOf(worker).apply({ event: 'joined' });
	}

	/** The worker may join without being told from now on when PM2 restarts it, the control plane being down or not. */
	approve(worker: Worker): void {
		this.entryOf(worker).apply({ event: 'approved' });
		try {
			const { deadlineMs } = worker.app.health;
			const approval = { release: worker.release, deadlineMs, check: worker.check() };
			writeApproval(worker.host.home, worker.id, approval);
		} catch (error) {
			this.parts.log.warn({ event: 'approval_failed', worker: worker.id, reason: messageOf(error) });
		}
	}

	/** Lets a worker take public connections, unless another app has its port. */
	async join(worker: Worker): Promise<JoinResult> {
		const entry = this.entryOf(worker);
		if (worker.app.listens && (await entry.status()) === null) return gone;
		const clash = this.parts.claims.clash(worker.app, worker.news.listeners ?? []);
		if (clash !== null) return { ok: false, code: null, detail: clash };
		entry.apply({ event: 'join_began' });
		const { identity } = worker;
		const result = await entry.join();
		if (worker.identity !== identity) return gone;
		if (result.ok) entry.words += 1;
		entry.apply({ event: result.ok ? 'joined' : 'join_refused' });
		return result;
	}

	/** Kills a worker that does not become well, which makes it a crash: PM2 starts it again with its back-off, and the crash loop is counted. */
	async breakOff(worker: Worker, detail: string): Promise<void> {
		this.entryOf(worker).apply({ event: 'unhealthy', detail, overlooked: false });
		this.parts.log.warn({ event: 'worker_unhealthy', worker: worker.id, reason: detail });
		await this.kill(worker);
	}

	/** Takes up where the workers listen now, after a look at each: one that listens late may not have been seen yet. */
	async observeListeners(): Promise<void> {
		const joined = [...this.workers.values()].filter((worker) => worker.hasJoined);
		await Promise.race([Promise.all(joined.map((worker) => this.status(worker))), this.parts.clock.sleep(observeMs)]);
		this.learnListeners();
	}

	/** The ports on which every worker of the app must be proven; a program that is not Node is proven on its own port only. */
	requiredPorts(app: WorkerApp): number[] {
		return isNode(app) ? this.listeners.requiredPorts(app) : [];
	}

	/** Takes up where the workers listen. What each must prove to join after a crash is written anew when that changes. */
	learnListeners(): void {
		if (!this.listeners.learn(this.workers.values())) return;
		for (const worker of this.workers.values()) if (worker.approved && worker.hasJoined) this.approve(worker);
		this.save();
	}

	/** Drains a worker; resolves when its process has exited and the worker is removed. */
	readonly drain = (worker: Worker): Promise<void> => this.workerShutdown.drain(worker);

	/** Ends a worker at once; resolves when its process is gone and the worker forgotten. */
	readonly end = (worker: Worker): Promise<void> => this.workerShutdown.end(worker);

	/** Kills the process; PM2 starts it again unless it was told to stop it. */
	readonly kill = (worker: Worker): Promise<void> => this.workerShutdown.kill(worker);

	/** Resolves when its host has answered to its start. */
	readonly started = async (worker: Worker): Promise<void> => this.entryOf(worker).starting;

	/** It takes no new connection from here on, so it does not count as serving. */
	takeOut(worker: Worker, detail: string | null = null): void {
		this.entryOf(worker).apply({ event: 'drain_began', detail });
	}

	/** Gives a worker up: PM2 does not start it again, the row stays to say so. */
	async giveUp(worker: Worker, detail: string): Promise<void> {
		await this.started(worker);
		const { pmId } = worker;
		this.entryOf(worker).apply({ event: 'given_up', detail });
		if (pmId === null || !worker.host.isUp) return;
		await worker.host.client().remove(pmId, killTimeoutOf(worker.app));
		if (!worker.isAlive) this.entryOf(worker).exited(worker.identity);
		this.remember();
	}

	/** Lets go of every worker, and lets each live as it does. */
	close(): void {
		this.closed = true;
		for (const worker of this.workers.values()) this.entryOf(worker).close();
		this.events.emit('changed');
		this.events.removeAllListeners();
	}

	forget(worker: Worker): void {
		this.byId.delete(worker.id);
		this.entryOf(worker).apply({ event: 'forgotten' });
		removeApproval(worker.host.home, worker.id);
		this.remember();
	}

	/** Updates the record of live processes. */
	remember(): void {
		const { records, host } = this.parts;
		const { memory } = records;
		const others = memory.workers.filter((record) => record.app !== this.name || record.user !== host.user);
		memory.workers = [...others, ...[...this.workers.values()].flatMap((one) => recordOf(this.name, one))];
		this.save();
		this.parts.changed();
	}

	private save(): void {
		const { records, log } = this.parts;
		records.save().catch((error: unknown) => log.error({ event: 'record_failed', reason: messageOf(error) }));
	}

	private add(facts: Omit<WorkerFacts, 'host' | 'settings'>): WorkerEntry {
		const { host, openLink, ends, clock } = this.parts;
		const settings = this.listeners.recall(facts.id) ?? listenSettingsOf(facts.app);
		const check = (worker: Worker) => this.listeners.checkOf(worker);
		const entry = new WorkerEntry({ ...facts, host, settings }, check, {
			clock,
			ends,
			openLink,
			changed: () => this.changed(),
			spawned: ({ worker }) => this.tell((events) => events.emit('spawned', worker)),
			connected: ({ worker }) => {
				this.remember();
				this.tell((events) => events.emit('connected', worker));
			},
			fault: ({ worker }, text) => this.tell((events) => events.emit('fault', worker, text)),
			exited: (one, exit) => this.exited(one, exit),
		});
		this.byId.set(facts.id, entry.worker);
		this.entries.set(entry.worker, entry);
		this.remember();
		return entry;
	}

	/** The worker that its host has under this number. One that is only just started gets its number a moment later. */
	private knownBy(id: string, pmId: number): WorkerEntry | null {
		const worker = this.byId.get(id);
		if (worker === undefined || (worker.pmId !== null && worker.pmId !== pmId)) return null;
		return this.entryOf(worker);
	}

	private entryOf(worker: Worker): WorkerEntry {
		const entry = this.entries.get(worker);
		if (entry === undefined) throw new RollcallError('internal', `${worker.id} is no worker of ${this.name}.`);
		return entry;
	}

	private exited({ worker }: WorkerEntry, exit: Exit): void {
		if (exit.kind === 'lost') this.forget(worker);
		else this.remember();
		this.tell((events) => events.emit('exited', worker, exit));
	}

	private tell(emit: (events: EventEmitter<WorkerPoolEvents>) => void): void {
		if (this.closed) return;
		emit(this.events);
		this.events.emit('changed');
	}

	private changed(): void {
		if (this.closed) return;
		this.parts.changed();
		this.events.emit('changed');
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
