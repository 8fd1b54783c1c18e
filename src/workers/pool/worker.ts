import { readBootTime, ticksPerSecond } from '../../system/proc/kernel.js';
import { isAlive } from '../../system/proc/process.js';
import type { WorkerReport } from '../connection/control.js';
import type { HealthCheck } from '../health/health-check.js';
import type { ListenSettings, SeenListener } from '../health/listeners.js';
import type { TrafficMarks } from '../health/traffic/recent.js';
import type { HostLink } from '../host/host-connection.js';
import { isServing, type Lifecycle, publicState } from './lifecycle.js';
import { overriddenPort, type Place } from './places.js';
import { isNode } from './worker-description.js';
import type { WorkerApp, WorkerIdentity, WorkerState } from '../types.js';

/** What stays the same of a worker, whatever process runs it. */
export interface WorkerFacts {
	readonly id: string;
	/** What it was started with. An adopted one is taken as the configuration has it now. */
	readonly app: WorkerApp;
	/** What it was started from, links resolved. */
	readonly from: { readonly script: string; readonly cwd: string };
	readonly host: HostLink;
	readonly place: Place;
	/** What the configuration said of its listeners when it was started. */
	readonly settings: ListenSettings;
}

/** What its process said last. */
export interface WorkerNews {
	/** Where it listened when it was asked last; null before that. */
	readonly listeners: readonly SeenListener[] | null;
	/** The ports that its last good answer proved. */
	readonly ports: readonly number[];
	readonly report: WorkerReport | null;
	readonly reportedAt: number;
	/** What it had counted of its answers over the last minutes; empty where it does not count. */
	readonly marks: TrafficMarks;
	/** Per cent of one core over the last report. */
	readonly cpu: number | null;
}

/** One worker: an id, and over time one process after another that runs it. Everyone reads it; its pool alone writes what it reads. */
export class Worker {
	constructor(
		private readonly facts: WorkerFacts,
		private readonly now: () => {
			readonly lifecycle: Lifecycle;
			readonly news: WorkerNews;
			readonly revision: string | null;
		},
		/** Decides whether it is well. */
		readonly check: () => HealthCheck,
	) {}

	get id(): string {
		return this.facts.id;
	}

	get app(): WorkerApp {
		return this.facts.app;
	}

	get release(): string {
		return this.facts.from.script;
	}

	get cwd(): string {
		return this.facts.from.cwd;
	}

	/** What its release was called when its process was started; null if that is not known. */
	get revision(): string | null {
		return this.now().revision;
	}

	get host(): HostLink {
		return this.facts.host;
	}

	get settings(): ListenSettings {
		return this.facts.settings;
	}

	/** Its number among the instances, from 0. */
	get slot(): number {
		return this.facts.place.slot;
	}

	/** Its port where it has no preload; null for one that has. */
	get port(): number | null {
		return this.facts.place.port;
	}

	get lifecycle(): Lifecycle {
		return this.now().lifecycle;
	}

	get news(): WorkerNews {
		return this.now().news;
	}

	get state(): WorkerState {
		return publicState(this.lifecycle);
	}

	get identity(): WorkerIdentity | null {
		return this.lifecycle.process?.identity ?? null;
	}

	get startedAt(): number | null {
		const { identity } = this;
		return identity && readBootTime() + (identity.started * 1_000) / ticksPerSecond;
	}

	get isConnected(): boolean {
		return this.lifecycle.process?.connected ?? false;
	}

	/** It has a preload and does not listen yet: it will say so when it does. */
	get saysWhenItListens(): boolean {
		return isNode(this.app) && (this.news.listeners ?? []).length === 0;
	}

	get isAlive(): boolean {
		return this.identity !== null && isAlive(this.identity);
	}

	/** It takes public connections. */
	get hasJoined(): boolean {
		return this.lifecycle.phase === 'serving';
	}

	/** It has joined and is healthy. */
	get isServing(): boolean {
		return isServing(this.lifecycle);
	}

	get healthy(): boolean {
		return this.lifecycle.healthy;
	}

	get pmId(): number | null {
		return this.lifecycle.pmId;
	}

	get inReplacement(): boolean {
		return this.lifecycle.inReplacement;
	}

	get approved(): boolean {
		return this.lifecycle.approved;
	}

	get restarts(): number {
		return this.lifecycle.restarts;
	}

	get trouble(): string | null {
		return this.lifecycle.trouble;
	}

	get cutOff(): number {
		return this.lifecycle.cutOff;
	}

	/** The reason given for an exit if no other is known. */
	get endReason(): string {
		const stay = this.app.listens ? '' : '; a program that listens nowhere has to stay, and waits for its next job';
		return `its process ended${overriddenPort(this.app, this.port)}${stay}`;
	}
}
