/**
 * The words of a rollout, shared by the pure core, the shell around it and whoever shows it.
 * Nothing here but types. All times are ms: `wall` since 1970, `now` on the node's own monotonic clock.
 */
import type { Epoch, NodeName } from '../coordination/epoch.js';
import type { AppChanges, ProvenWorker, Releases, RequiredPorts, WorkerIdentity } from '../workers/types.js';

export type { AppChanges, Epoch, NodeName, Releases };

export type RolloutId = string;

export type RolloutType = 'restart' | 'restart_service';
export type Service = 'http_workers' | 'clustering' | 'clustering_config';
/** What a failed step does to the rest of its rollout. */
export type OnFailure = 'halt' | 'continue';
/** As it is asked for. A rollout that is to be put back halts first, so its spec says `halt` and has `revertAs`. */
export type OnFailureAsked = OnFailure | 'revert';

/** Which nodes were asked for; null: not by this. */
export interface Selection {
	nodes: NodeName[] | null;
	zone: string | null;
}

/** Run once for a rollout, on its coordinator's node. */
export type RolloutHook = 'before_rollout' | 'after_rollout';
/** Run by each node in its own step, once for each attempt. */
export type NodeHook = 'before_node' | 'after_node';
export type HookName = RolloutHook | NodeHook;

/** A hook that was recorded, so that it never begins a second time. */
export interface HookRun {
	/** `unknown`: it may have run, and how it ended is not known. */
	state: 'running' | 'done' | 'failed' | 'unknown';
	node: NodeName;
	/** How it ended, with its last lines; null: it has not, or is not known. */
	detail: string | null;
	/** The operator who resumed the rollout although it had not gone well. */
	accepted?: string | undefined;
}

/** The rollout's own, and those of a node, that were recorded. */
export type RolloutHooks<Run = HookRun> = { [Name in RolloutHook]?: Run | undefined };
export type NodeHooks = { [Name in NodeHook]?: HookRun | undefined };

/** How the command of a hook ended. */
export type HookResult = Pick<HookRun, 'detail'> & { state: Exclude<HookRun['state'], 'running'> };

/** What was asked for. Immutable from the moment it is stored. */
export interface RolloutSpec {
	id: RolloutId;
	type: RolloutType;
	service: Service | null;
	app: string | null;
	replicated: boolean;
	user: string;
	maxUnavailable: number;
	onFailure: OnFailure;
	waitBetweenMs: number;
	/** Longest one step may take. */
	deadlineMs: number;
	/** The members at the time of the request, own node included, sorted by name. */
	members: { name: NodeName; zone: string | null }[];
	memberHash: string;
	/** Only for clustering_config: the members after it. */
	membersNext: { name: NodeName; zone: string | null }[] | null;
	memberHashNext: string | null;
	/** Only for clustering_config: the hash of each node's checked configuration, which its step has to apply. */
	configHashes: Record<NodeName, string> | null;
	/** Nodes that have no such app, as their files said: they are passed over. */
	without?: NodeName[] | undefined;
	/** The apps that it covers, where it is more than one but not all; `app` is null then. */
	apps?: readonly string[] | undefined;
	/** Why it was asked for, in the words of who asked. */
	note?: string | undefined;
	/** It pauses once so many nodes are back; left out: it does not. */
	holdAfter?: number | undefined;
	/** As it was asked for; left out: every member is a target. */
	selected?: Selection | undefined;
	/** The members that the selection leaves out: their workers are not touched, and they count against the budget all the same. */
	unselected?: NodeName[] | undefined;
	/** Where the request came from: `socket`, a network address, `signal`, or `revert`: the fleet itself, as `on_failure` asked. */
	from?: string | undefined;
	/** The rollout that it undoes: its targets start what {@link RolloutSpec.putBack} says instead of what their files say. */
	reverts?: RolloutId | undefined;
	/** By node and app, what is to be started; also of nodes that are passed over since they run it already. */
	putBack?: Record<NodeName, Releases> | undefined;
	/** The id of the rollout that undoes this one if it fails; left out: no such rollout is opened. */
	revertAs?: RolloutId | undefined;
	/** Those of its own that run, as configured on the node that was asked; left out: none. */
	hooks?: RolloutHook[] | undefined;
	createdAt: number;
}

/** What can be said of a node's processes at one instant. */
export interface Snapshot {
	boot: number;
	workers: WorkerIdentity[];
	/** Peer links that are up, with an id that is new for each link. */
	links: { node: NodeName; id: string }[];
	/** Hash of the applied `cluster:` configuration. */
	configHash: string | null;
	/** What each app runs; earlier versions do not say. */
	releases?: Releases | undefined;
}

/** What a node ran before and runs after a step, by app; null: not known yet. */
export interface NodeReleases {
	before: Releases | null;
	after: Releases | null;
}

/** What the executor of a step reports when it ended. The core judges the facts (I5), not the word. */
export interface StepResult {
	outcome: 'back' | 'refused' | 'failed';
	before: Snapshot;
	after: (Omit<Snapshot, 'workers'> & { workers: ProvenWorker[] }) | null;
	/** Workers wanted over the apps that the step covers. */
	wanted: number;
	oldGone: boolean;
	cutOff: number;
	reason: string | null;
	/** By app, the ports that every worker must be proven on; earlier versions do not say. */
	required?: RequiredPorts[] | undefined;
}

/** `lost`: the node lost its state while the rollout ran, so whether it had its turn is not known to it. */
export type RecordState = 'none' | 'restarting' | 'back' | 'refused' | 'failed' | 'lost';

/** What happened to a node in one rollout. Only the node itself writes it. */
export interface NodeRecord {
	rollout: RolloutId;
	state: RecordState;
	/** Grows with every step that this node begins, over all rollouts: the order in which they happened. */
	begun: number;
	epoch: Epoch | null;
	attempt: number;
	/** When the step began and ended, ms since 1970 by the node's own clock. */
	startedAt: number;
	endedAt: number | null;
	before: Snapshot | null;
	/** While the step is `restarting`: it has ended well, and after_node runs. */
	result: StepResult | null;
	/** Of this attempt; left out: none has begun. */
	hooks?: NodeHooks | undefined;
}

/** How a node stands, as it reports it itself. */
export interface Readiness {
	apps: { app: string; wanted: number; healthy: number }[];
	availability: 'Available' | 'Unavailable' | null;
	draining: boolean;
	/** Only while its configuration file does not check and it runs by the last good one. */
	configuration?: 'last_good' | undefined;
	/** Whose certificates it accepts and shows; left out without TLS, and by earlier versions. */
	authorities?: Authorities | undefined;
}

/** Made by config/checks/authorities, which says what each is. */
export interface Authorities {
	accepts: { id: string; name: string; from: number }[];
	presents: string[];
}

export type RolloutState = 'planned' | 'running' | 'paused' | 'halted' | 'completed' | 'aborted';
export type NodeState = 'pending' | 'restarting' | 'back' | 'refused' | 'failed' | 'skipped';

/** The shape that `get_rollout` answers. Its names are the contract's. */
export interface RolloutView {
	id: RolloutId;
	type: RolloutType;
	service: Service | null;
	app: string | null;
	replicated: boolean;
	user: string;
	state: RolloutState;
	reason: string | null;
	waiting_for: string | null;
	coordinator: NodeName;
	epoch: string | null;
	max_unavailable: number;
	order: NodeName[];
	nodes: {
		node: NodeName;
		state: NodeState;
		attempt: number;
		before: { boot: number; workers: WorkerIdentity[] } | null;
		after: { boot: number; workers: WorkerIdentity[] } | null;
		/** Not in what an older version wrote. */
		release?: NodeReleases | undefined;
		started_at: number | null;
		back_at: number | null;
		/** When its last step ended, whatever came of it; not of a node before it began, nor in what an older version wrote. */
		ended_at?: number | null | undefined;
		reason: string | null;
		/** Those that have begun; left out: none has. */
		hooks?: NodeHooks | undefined;
	}[];
	created_at: number;
	ended_at: number | null;
	/** These are not in what an older version wrote. */
	/** The apps that it covers, where it is more than one but not all; `app` is null then. */
	apps?: readonly string[] | undefined;
	note?: string | null | undefined;
	/** 0: it does not hold. */
	hold_after?: number | undefined;
	/** It is paused because of `hold_after`. */
	held?: boolean | undefined;
	selected?: Selection | undefined;
	asked_by?: { user: string; from: string | null } | undefined;
	/** The rollout that it undoes. */
	reverts?: RolloutId | null | undefined;
	/** The rollout that undoes it, from when that is certain to be opened. */
	reverted_by?: RolloutId | null | undefined;
	/** Its own that have begun; left out: none has. */
	hooks?: RolloutHooks | undefined;
}

/** The shape that `dry_run` answers. */
export interface RolloutPlan {
	order: NodeName[];
	max_unavailable: number;
	down: NodeName[];
	steps: { nodes: NodeName[]; estimate_ms: number }[];
	estimate_ms: number;
	/** No earlier rollout of this kind says how long a node takes. */
	guess?: boolean;
	refused: string | null;
	/** The rollout that it undoes. */
	reverts?: RolloutId;
	/** As which fault a start would be refused; null if it would not. */
	refused_as?: 'conflict' | 'invalid' | 'unavailable' | null;
	/** Nodes that have no such app and are passed over. */
	without?: NodeName[];
	/** Nodes that the selection leaves out. */
	unselected?: NodeName[];
	/** It pauses once so many nodes are back; left out: it does not. */
	hold_after?: number;
	/** What an operator may not expect, though it stops nothing. */
	remarks?: string[];
	/** What would come to each node and go from it, as far as its file was looked at. */
	apps?: Record<NodeName, AppChanges>;
	/** What each node runs and would start, as far as it says. */
	release?: Record<NodeName, NodeReleases>;
}
