import type { EventEmitter } from 'node:events';
import type { Logger } from '../log.js';
import type { Clock } from './clock.js';
import type { CommandAnswer, CommandQuestion } from './pm2/health-command.js';
import type { RecentTraffic } from './health/traffic/recent.js';
import type { LogLimits } from './host/log-files.js';

/** Which process a worker is. A process id alone is reused by the kernel; with the start time it is not. */
export interface WorkerIdentity {
	/** `<app>-<number>`, never used twice on a node. */
	id: string;
	pid: number;
	/** The kernel's start time of the process in clock ticks since boot (/proc/PID/stat field 22). */
	started: number;
}

export type WorkerState = 'starting' | 'proving' | 'serving' | 'draining' | 'backoff' | 'failed';

/** One row of the operation `list_workers`. */
export interface WorkerRow {
	app: string;
	id: string;
	/** null during back-off and after it failed. */
	pid: number | null;
	state: WorkerState;
	/** ms since 1970, null while no process lives. */
	started_at: number | null;
	/** Restarts after crashes. */
	restarts: number;
	healthy: boolean;
	/** Resident bytes, null if not known yet. */
	memory: number | null;
	/** Per cent of one core, null if not known yet. */
	cpu: number | null;
	/** The resolved script path. */
	release: string;
	/** The revision that this script had when the process was started; null while unknown. */
	revision: string | null;
	/** Not null: the app stays on this release until the next rollout that covers it. */
	pinned: PinnedBy | null;
	/**
	 * Users' requests since its process started, those of them that it answered 5xx, and late where answers are timed; `recent`:
	 * over the last ten minutes at most, as long as it is known. null unless its answers are compared. Earlier versions say less.
	 */
	requests: {
		total: number;
		errors: number;
		slow?: number | undefined;
		recent?: RecentTraffic | undefined;
	} | null;
}

/** Which rollout left an app on an earlier release than its configuration says, and why: it was put back, or refused what the rollout brought. */
export interface PinnedBy {
	rollout: string;
	reason: string;
}

/** What workers are started from. */
export interface Release {
	/** The script, links resolved. */
	path: string;
	/** What its REVISION file or its repository calls it, else a hash of the script; null if that is unknown. */
	revision: string | null;
}

/** By app. */
export type Releases = Record<string, Release>;

/** A release on which an app stays. */
export interface PinnedRelease extends Release, PinnedBy {
	/** The folder that its workers are started in, links resolved. */
	cwd: string;
}

/**
 * Where workers start from. `configured`: what the configuration says, which ends it that an app was put back. `kept`: as
 * a crash would start them. Else by app the releases to go back to; other apps start what is configured.
 */
export type StartsFrom = 'configured' | 'kept' | ({ releases: Releases } & PinnedBy);

/** How one app stands, for readiness and for the rollout's budget. */
export interface AppReadiness {
	app: string;
	/** Workers wanted. */
	wanted: number;
	/** Workers that have joined and are healthy now. */
	healthy: number;
	/** Why fewer than wanted are healthy; null when nothing is wrong. */
	degraded: string | null;
	/** Only of an app that listens nowhere: it is no part of the node's readiness. */
	listens?: false;
}

/** One row of `system_information` `threads`, reported from inside the worker (bytes; times in ms). */
export interface ThreadRow {
	threadId: number;
	name: 'http';
	heapTotal: number;
	heapUsed: number;
	externalMemory: number;
	arrayBuffers: number;
	/** ms since the worker last reported. */
	sinceLastUpdate: number;
	/** Event loop idle and active time in ms over the last report, and their ratio 0..1. */
	idle: number;
	active: number;
	utilization: number;
}

/** A worker's last known process with what a proof needs to say about it. */
export interface ProvenWorker extends WorkerIdentity {
	/** Answered healthy on its own private socket, carrying its own pid, for the whole soak. */
	proven: boolean;
	/** Takes part in the app's public listening. */
	joined: boolean;
	/** The ports that it was proven on; earlier versions do not say. */
	ports?: number[] | undefined;
}

/** What a replacement of all (or one app's) workers came to: facts, to be judged by the rollout's proof. */
export interface ReplacementResult {
	/**
	 * back: the whole new set serves and the old processes are gone.
	 * refused: the new release failed its proof; the full wanted set is still healthy, be it the old one.
	 * failed: neither; fewer healthy workers than wanted.
	 */
	outcome: 'back' | 'refused' | 'failed';
	before: WorkerIdentity[];
	after: ProvenWorker[];
	wanted: number;
	/** No process of the losing set lives any more. */
	oldGone: boolean;
	/** Requests and connections that the drain timeout ended. */
	cutOff: number;
	/** For refused and failed: which worker, why, with the last lines of its stderr. */
	reason: string | null;
	/** The ports that every worker of an app must be proven on. */
	required?: RequiredPorts[] | undefined;
}

export interface RequiredPorts {
	app: string;
	ports: number[];
}

/** What a replacement of the workers would bring to a node and take from it: names of apps. */
export interface AppChanges {
	added: string[];
	removed: string[];
}

export interface SupervisorEvents {
	/** Readiness of some app changed. */
	readiness: [AppReadiness[]];
	/** A worker's process ended without having been asked to. */
	crashed: [{ worker: CrashedWorker; app: string; reason: string }];
	/** A worker was replaced or restarted, and why: crash, liveness, memory, rollout, host. */
	restarted: [{ app: string; id: string; reason: string }];
	/** The worker host was lost or is there again. */
	host: [{ user: string | null; up: boolean; reason: string }];
}

export interface CrashedWorker {
	id: string;
	/** null: it ended before it was seen. */
	pid: number | null;
}

/** The room's face to the composition root: keeps the http apps' workers as wanted on this node. */
export interface Supervisor extends EventEmitter<SupervisorEvents> {
	/** Connects to (without systemd: starts) the worker host, adopts live workers, starts missing ones. Resolves when every app was proven or given up. */
	start(): Promise<void>;
	/**
	 * Replaces every worker of the given app (null: all apps), new before old, with the wanted state given. What runs here
	 * and `apps` does not have is drained after everything else is back, and stays when that is refused.
	 * `before` is given when a step is gone forward after a crash in the middle: the set that must be gone at the end.
	 * Progress is a short text for `waiting_for`.
	 */
	replace(request: {
		/** Names; null: all. */
		only: readonly string[] | null;
		apps: readonly WorkerApp[];
		before?: readonly WorkerIdentity[];
		/** Default: `configured`. */
		from?: StartsFrom;
		/** Which rollout asks. */
		rollout?: string;
		deadlineMs: number;
		onProgress?: (text: string) => void;
	}): Promise<ReplacementResult>;
	/** What a replacement with these apps would add and remove; with `only`, one of these alone. */
	changes(apps: readonly WorkerApp[], only?: readonly string[] | null): AppChanges;
	/**
	 * These apps as a step would start them. Throws `unavailable` naming app and path where a release that is to be put back was not proven
	 * here, is gone, cannot be read by the app's user or is another by now.
	 */
	startingFrom(from: StartsFrom, apps: readonly WorkerApp[]): Promise<WorkerApp[]>;
	/** The apps that stay on an earlier release, and why. */
	pins(): Record<string, PinnedBy>;
	/** What new workers of these apps would be started from now; resolves within about a second. */
	nextReleases(apps: readonly WorkerApp[]): Promise<Releases>;
	/** Runs a command in the worker host of a user; throws `unavailable`, before anything has begun, if that host does not come up. */
	commandRunner(user: string | null): Promise<(question: CommandQuestion) => Promise<CommandAnswer>>;
	/** The workers that live now, joined or not. */
	identities(app?: string): ProvenWorker[];
	rows(): WorkerRow[];
	readiness(): AppReadiness[];
	threads(): ThreadRow[];
	/** Process ids of the worker hosts. */
	hosts(): { user: string | null; pid: number }[];
	/** The durable record of the workers, as a row of `system_information` `table_size` (bytes). */
	store(): { table: string; record_count: number; table_size: number };
	/** Drains every worker, then ends them and the worker host (`restart`, `stop`). */
	shutdown(): Promise<void>;
	/** Stops supervising; workers and worker host keep running. */
	detach(): Promise<void>;
}

export interface SupervisorOptions {
	apps: readonly WorkerApp[];
	workerDir: string;
	/** Its record lies here, as `workers.json`. */
	stateDir: string;
	/** systemd: the units start the hosts. own: this process does, detached. */
	mode: 'systemd' | 'own';
	/** Of a host that this process starts. */
	logLimits: LogLimits;
	logger: Logger;
	clock?: Clock;
	/** How long readiness is off before the only instance of a program that cannot run beside its successor is ended; default 0. */
	lbWaitMs?: number;
	/** Runs a worker host, in place of this program's own command. */
	hostCommand?: readonly string[];
}

/** How long and how strictly the answers of new workers are compared with those of the old ones beside them. */
export interface TrafficRule {
	windowMs: number;
	/** Least requests of the new workers before they may be refused. */
	requests: number;
	/** By how much the share of 5xx of the new ones may be above that of the old ones, 0..1; that of late answers, too. */
	errors: number;
	/** An answer is late whose head takes longer; 0 or left out: answers are not timed. */
	slowMs?: number | undefined;
}

/** An http app as the supervisor wants it: the configuration's entry, resolved (ms, bytes, absolute paths). */
export interface WorkerApp {
	name: string;
	script: string;
	cwd: string;
	/** Workers start from it in place of script and cwd. */
	pinned?: PinnedRelease | null | undefined;
	args: string[];
	/** Options of Node, for an app of interpreter node. */
	nodeArgs: string[];
	interpreter: string;
	user: string | null;
	instances: number;
	env: Record<string, string>;
	health: {
		path: string | null;
		/** The port that is asked; null: the one in `PORT` if the app listens there, else its first that speaks HTTP. */
		port?: number | null | undefined;
		/** A Node worker that listens nowhere must say `process.send('ready')` before it is proven. */
		ready?: boolean | undefined;
		/** Exits 0 while a worker that listens nowhere is healthy. */
		command?: readonly string[] | undefined;
		timeoutMs: number;
		deadlineMs: number;
		soakMs: number;
		intervalMs: number;
		failures: number;
	};
	gate: boolean;
	/** Where a program listens, each instance on one; for a Node app, where every worker must listen. */
	ports: number[];
	/** false: it listens nowhere on purpose, such as a queue worker. It works from its start and is no part of readiness. */
	listens: boolean;
	/** false: an old worker ends before its successor starts. */
	overlap: boolean;
	/** A program that binds with SO_REUSEPORT: all its instances share the first port, and new ones start beside the old. */
	reusePort: boolean;
	drainTimeoutMs: number;
	/** How many replacements may run beside the old workers at once, at least 1. */
	surge: number;
	/** How a release is judged by its answers to users; without it, it is not. */
	traffic?: TrafficRule | undefined;
	/** Bytes, null: no limit. */
	maxMemory: number | null;
	crashLoop: { intensity: number; periodMs: number };
}
