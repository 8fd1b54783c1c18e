import { EventEmitter } from 'node:events';
import { readBootTime } from '../../system/proc/kernel.js';
import { isAlive, readProcessStat } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';
import type { WorkerReport } from '../connection/control.js';
import { type CrashHistory, noteCrash } from './crash-loop.js';
import type { HealthCheck } from '../health/health-check.js';
import { processOf } from '../pm2/home.js';
import type { HostLink } from '../host/host-connection.js';
import type { ConnectionStatus, Probe, WorkerConnection } from '../connection/worker-connection.js';
import { type ListenSettings, listenSettingsOf, type SeenListener } from '../health/listeners.js';
import { overriddenPort, type Place } from './places.js';
import type { WorkerApp, WorkerIdentity, WorkerState } from '../types.js';

/** USER_HZ, which Linux has fixed for user space. */
const clockTicksPerSecond = 100;
const goneCheckMs = 10;

export interface WorkerEvents {
	/** Its process answers on its line. */
	linked: [];
	/** Its process is gone. */
	gone: [WorkerIdentity];
	fault: [string];
	changed: [];
}

/** Opens the line to a process; resolves to null when the process is gone first. */
export type OpenLink = (
	app: WorkerApp,
	identity: WorkerIdentity,
	home: HostLink['home'],
) => Promise<WorkerConnection | null>;

/**
 * One worker: an id, and over time one process after another that runs it. Holds what is known of it, and nothing of what
 * is to be done about it: that is decided by its app's supervisor.
 */
export class Worker extends EventEmitter<WorkerEvents> {
	state: WorkerState = 'starting';
	identity: WorkerIdentity | null = null;
	link: WorkerConnection | null = null;
	/** PM2's number of it; null when no host knows it (not started yet, or an orphan of a host that died). */
	pmId: number | null = null;
	/** A replacement looks after it; the app's daily supervision keeps its hands off. */
	inReplacement = false;
	/** Proven once with this release: PM2 may let it join by itself. */
	approved = false;
	joined = false;
	healthy = false;
	restarts = 0;
	/** Why it is not as wanted; null when nothing is wrong. */
	trouble: string | null = null;
	startedAt: number | null = null;
	report: WorkerReport | null = null;
	reportedAt = 0;
	/** Per cent of one core over the last report. */
	cpu: number | null = null;
	/** What the configuration said of its listeners when it was started. */
	settings: ListenSettings;
	/** Decides whether it is well; its pool says how. */
	check: () => HealthCheck;
	/** Where it listened when it was asked last; null before that. */
	seenListeners: readonly SeenListener[] | null = null;
	/** The ports that its last good answer proved. */
	ports: readonly number[] = [];
	/** It was told to join, or has joined. */
	joining = false;
	/** Requests or connections that its drain cut off. */
	cutOff = 0;
	private crashes: CrashHistory = [];

	constructor(
		readonly id: string,
		/** What it was started with. An adopted one is taken as the configuration has it now. */
		readonly app: WorkerApp,
		readonly release: string,
		readonly host: HostLink,
		private readonly place: Place,
		private readonly openLink: OpenLink,
		private readonly clock: Clock,
	) {
		super();
		this.settings = listenSettingsOf(app);
		this.check = () => ({ ...this.settings, path: app.health.path, timeoutMs: app.health.timeoutMs, required: [] });
	}

	/** Takes up the line to a process that runs this worker. Does nothing if it is known already, gone, or not of its user. */
	attach(pid: number): void {
		const started = processOf(this.host.home, pid)?.started;
		if (started === undefined) {
			if (readProcessStat(pid) !== null)
				this.set(this.state, `process ${pid}, which its host names, is none of its user's`);
			return;
		}
		if (this.identity?.pid === pid && this.identity.started === started) return;
		// The news of a successor can arrive before the end of its predecessor was seen.
		if (this.identity) this.lose(this.identity);
		if (this.state === 'failed') return;
		const identity = { id: this.id, pid, started };
		this.identity = identity;
		this.startedAt = readBootTime() + (started * 1_000) / clockTicksPerSecond;
		this.cutOff = 0;
		this.emit('changed');
		void this.open(identity);
	}

	/** Its number among the instances, from 0. */
	get slot(): number {
		return this.place.slot;
	}

	/** Its port where it has no preload; null for one that has. */
	get port(): number | null {
		return this.place.port;
	}

	/** What is said of its process when it ends and nothing else is known. */
	get endReason(): string {
		return `its process ended${overriddenPort(this.app, this.port)}`;
	}

	get isAlive(): boolean {
		return this.identity !== null && isAlive(this.identity);
	}

	/** Asks it how it is; a worker without a line is not well. */
	async probe(): Promise<Probe> {
		if (!this.link) return { healthy: false, detail: this.trouble ?? 'it does not answer yet' };
		const { link } = this;
		const answer = await link.probe(this.check());
		if (this.link !== link) return answer;
		this.seenListeners = answer.listeners ?? this.seenListeners;
		if (answer.healthy) this.ports = answer.ports ?? [];
		return answer;
	}

	async status(): Promise<ConnectionStatus | null> {
		const { link } = this;
		const status = (await link?.status().catch(() => null)) ?? null;
		if (status !== null && this.link === link) this.seenListeners = status.listeners;
		return status;
	}

	/** Notes a crash; true when it is one too many. */
	noteCrash(): boolean {
		const verdict = noteCrash(this.crashes, this.clock.now(), this.app.crashLoop);
		this.crashes = verdict.history;
		return verdict.giveUp;
	}

	set(state: WorkerState, trouble: string | null = null): void {
		if (this.state === state && this.trouble === trouble) return;
		this.state = state;
		this.trouble = trouble;
		this.emit('changed');
	}

	/** Forgets the process, not the worker. */
	detach(): void {
		this.link?.close();
		this.link = null;
		this.identity = null;
		this.startedAt = null;
		this.joined = false;
		this.joining = false;
		this.healthy = false;
		this.seenListeners = null;
		this.ports = [];
		this.report = null;
		this.cpu = null;
	}

	private async open(identity: WorkerIdentity): Promise<void> {
		const link = await this.openLink(this.app, identity, this.host.home);
		if (this.identity !== identity) {
			link?.close();
			return;
		}
		if (link === null) return this.lose(identity);
		this.link = link;
		link.on('fault', (text) => this.emit('fault', text));
		link.on('report', (report) => this.take(report));
		link.on('drained', (cutOff) => {
			this.cutOff = cutOff;
		});
		link.once('closed', () => void this.loseOnceDead(identity));
		this.emit('linked');
	}

	/** The line can break before the kernel has taken the process away. */
	private async loseOnceDead(identity: WorkerIdentity): Promise<void> {
		while (isAlive(identity) && this.identity === identity) await this.clock.sleep(goneCheckMs);
		this.lose(identity);
	}

	private lose(identity: WorkerIdentity): void {
		if (this.identity !== identity) return;
		this.detach();
		this.emit('gone', identity);
	}

	private take(report: WorkerReport): void {
		const now = this.clock.now();
		if (this.report && now > this.reportedAt) {
			const busyMs = (report.cpuMicros - this.report.cpuMicros) / 1_000;
			this.cpu = Math.round((busyMs / (now - this.reportedAt)) * 1_000) / 10;
		}
		this.report = report;
		this.reportedAt = now;
		this.emit('changed');
	}
}
