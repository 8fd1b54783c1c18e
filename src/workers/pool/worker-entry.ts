import { readProcessStat } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';
import type { WorkerReport } from '../connection/control.js';
import type { ProcessEnds } from '../connection/process-ends.js';
import type { ConnectionStatus, JoinResult, Probe, WorkerConnection } from '../connection/worker-connection.js';
import { askCommand } from '../health/health-command.js';
import type { HealthCheck } from '../health/health-check.js';
import { marked } from '../health/traffic/recent.js';
import type { HostLink } from '../host/host-connection.js';
import { processOf } from '../pm2/home.js';
import type { WorkerApp, WorkerIdentity } from '../types.js';
import { type Exit, type LifecycleEvent, newLifecycle, stepLifecycle } from './lifecycle.js';
import { Worker, type WorkerFacts, type WorkerNews } from './worker.js';

/** Opens the connection to a process; resolves to null when the process is gone first. */
export type OpenLink = (
	app: WorkerApp,
	identity: WorkerIdentity,
	home: HostLink['home'],
) => Promise<WorkerConnection | null>;

/** What an entry needs, and whom it tells. */
export interface EntryParts {
	clock: Clock;
	ends: ProcessEnds;
	openLink: OpenLink;
	/** The state, or what the worker said last, is another one. */
	changed(entry: WorkerEntry): void;
	spawned(entry: WorkerEntry): void;
	connected(entry: WorkerEntry): void;
	fault(entry: WorkerEntry, text: string): void;
	exited(entry: WorkerEntry, exit: Exit): void;
}

export const gone = { ok: false, code: null, detail: 'its process ended' } as const;
const nothingSaid: WorkerNews = { listeners: null, ports: [], report: null, reportedAt: 0, marks: [], cpu: null };

/** What a pool keeps of one worker and shows to no one else: the state of its machine, and the connection to its process. */
export class WorkerEntry {
	readonly worker: Worker;
	connection: WorkerConnection | null = null;
	/** How often it was heard of that something new can be asked of it. */
	words = 0;
	/** Resolves when its host has answered to its start. */
	starting: Promise<void> = Promise.resolve();
	private lifecycle = newLifecycle;
	private news = nothingSaid;
	/** Of the process that was started last. */
	private revision: string | null = null;

	constructor(
		facts: WorkerFacts,
		check: (worker: Worker) => HealthCheck,
		private readonly parts: EntryParts,
	) {
		const now = () => ({ lifecycle: this.lifecycle, news: this.news, revision: this.revision });
		this.worker = new Worker(facts, now, () => check(this.worker));
	}

	apply(event: LifecycleEvent): void {
		const { state, exit } = stepLifecycle(this.lifecycle, event);
		if (state === this.lifecycle) return;
		this.lifecycle = state;
		if (state.process === null) this.closeConnection();
		this.parts.changed(this);
		if (exit !== null) this.parts.exited(this, exit);
	}

	/** Takes up the connection to a process of this worker, started from a release of this revision. Does nothing if it is known already, gone, or not of its user. */
	attach(pid: number, revision: string | null): void {
		const { id, host, identity } = this.worker;
		const started = processOf(host.home, pid)?.started;
		if (started === undefined) {
			if (readProcessStat(pid) !== null)
				this.apply({ event: 'disowned', detail: `process ${pid}, which its host names, is none of its user's` });
			return;
		}
		if (identity?.pid === pid && identity.started === started) return;
		// The news of a successor can arrive before the end of its predecessor was seen.
		if (identity !== null) this.exited(identity);
		const next = { id, pid, started };
		this.revision = revision;
		this.apply({ event: 'spawned', identity: next });
		if (this.worker.identity !== next) return;
		this.parts.spawned(this);
		void this.open(next);
	}

	/** `identity` null: the host says so, of a process that was not seen. */
	exited(identity: WorkerIdentity | null): void {
		const { app, endReason: detail } = this.worker;
		this.apply({ event: 'exited', identity, detail, at: this.parts.clock.now(), limits: app.crashLoop });
	}

	/** Asks it how it is; one that is not connected is not well. */
	async probe(): Promise<Probe> {
		const { connection } = this;
		if (connection === null) return { healthy: false, detail: this.worker.trouble ?? 'it does not answer yet' };
		const word = await connection.probe(this.worker.check());
		const answer = word.healthy ? await askCommand(this.worker, word) : word;
		if (this.connection !== connection) return answer;
		const { listeners, ports } = this.news;
		this.news = {
			...this.news,
			listeners: answer.listeners ?? listeners,
			ports: answer.healthy ? (answer.ports ?? []) : ports,
		};
		return answer;
	}

	async status(): Promise<ConnectionStatus | null> {
		const { connection } = this;
		const status = (await connection?.status().catch(() => null)) ?? null;
		if (status !== null && this.connection === connection) this.news = { ...this.news, listeners: status.listeners };
		return status;
	}

	/** One that listens nowhere has nothing to open: it hears the word whenever its job leaves it time. */
	async join(): Promise<JoinResult> {
		const joined = this.connection?.join() ?? Promise.resolve(gone);
		if (this.worker.app.listens || this.connection === null) return joined;
		return { ok: true };
	}

	/** Lets go of its process, which lives on. */
	close(): void {
		this.apply({ event: 'forgotten' });
	}

	private closeConnection(): void {
		this.connection?.close();
		this.connection = null;
		this.news = nothingSaid;
	}

	private async open(identity: WorkerIdentity): Promise<void> {
		const { app, host } = this.worker;
		const connection = await this.parts.openLink(app, identity, host.home);
		if (this.worker.identity !== identity) {
			connection?.close();
			return;
		}
		if (connection === null) return this.exited(identity);
		this.connection = connection;
		connection.on('fault', (text) => this.parts.fault(this, text));
		connection.on('listening', () => {
			this.words += 1;
			this.parts.changed(this);
		});
		connection.on('report', (report) => this.take(report));
		connection.on('drained', (cutOff) => this.apply({ event: 'drained', cutOff }));
		connection.once('closed', () => void this.exitedOnceGone(identity));
		this.words += 1;
		this.apply({ event: 'connected' });
		this.parts.connected(this);
	}

	/** The connection can break before the kernel has taken the process away. */
	private async exitedOnceGone(identity: WorkerIdentity): Promise<void> {
		const isOver = () => this.worker.identity !== identity;
		if (await this.parts.ends.gone(identity, undefined, isOver)) this.exited(identity);
	}

	private take(report: WorkerReport): void {
		const now = this.parts.clock.now();
		const { report: before, reportedAt } = this.news;
		let { cpu } = this.news;
		if (before && now > reportedAt) {
			const busyMs = (report.cpuMicros - before.cpuMicros) / 1_000;
			cpu = Math.round((busyMs / (now - reportedAt)) * 1_000) / 10;
		}
		const { traffic } = report;
		const marks = traffic ? marked(this.news.marks, traffic, now) : this.news.marks;
		this.news = { ...this.news, report, reportedAt: now, marks, cpu };
		this.parts.changed(this);
	}
}
