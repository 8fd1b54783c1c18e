/** Events, effects, peer messages and stored entries of rollouts. */
import type { Version } from '../coordination/epoch.js';
import type * as port from '../coordination/port.js';
import type { Bodies, Entry, Member, NackReason, Note } from '../coordination/port.js';
import type { AppChanges, Releases } from '../workers/types.js';
import type { ViewChange } from './views/change.js';
import type {
	Epoch,
	HookName,
	HookResult,
	HookRun,
	NodeName,
	NodeRecord,
	NodeReleases,
	OnFailureAsked,
	Readiness,
	RolloutHooks,
	RolloutId,
	RolloutSpec,
	RolloutType,
	RolloutView,
	Service,
	Snapshot,
	StepResult,
} from './types.js';
import type { Scope } from './targets/scope.js';

export type { Member, NackReason, Version };

/** The core's settings: its node and its fleet. */
export interface CoreSettings {
	self: NodeName;
	/** false: no `cluster:` is configured; then `members` holds this node alone. */
	clustered: boolean;
	/** Own node included, sorted by name. */
	members: readonly Member[];
	/** Over the sorted names, own one included, never over addresses. */
	memberHash: string;
	protocol: { min: number; max: number };
	leaseMs: number;
	/** Longest one step may take; also the longest wait without a step. */
	deadlineMs: number;
	waitBetweenMs: number;
	/** Nodes, or a text with per cent. */
	maxUnavailable: number | string;
	onFailure: OnFailureAsked;
	/** For rollouts of http_workers over the fleet; 0 or left out: they do not hold. */
	holdAfter?: number | undefined;
	/** The hooks that are configured here, for rollouts that restart workers. */
	hooks?: readonly HookName[] | undefined;
}

// ---------------------------------------------------------------------------------------------------------------
// On disk

/** What changes about a rollout that has not ended. Only the holder of the lease writes a new version. */
export interface RolloutFlags {
	version: Version;
	/** Number of the attempt for the remaining nodes; grows with each resume of a halted rollout. */
	attempt: number;
	skipped: NodeName[];
	/** Only for a change of members: the nodes that have left by it, and do not vote any more. */
	left: NodeName[];
	paused: boolean;
	aborting: { by: string } | null;
	/** Why it halted. */
	halted: string | null;
	/** What an operator may do about the halt, null: nothing. Left out by builds that stored it inside `halted`. */
	advice?: string | null | undefined;
	/** `on`: it is paused because of `holdAfter`; `over`: an operator has resumed it. Left out: so many nodes are not back yet. */
	held?: 'on' | 'over' | undefined;
	/** It halted and has to be undone. `due`: the coordinator will; `given_up`: the undo cannot begin, `halted` says why. */
	revert?: 'due' | 'given_up' | undefined;
	/** The rollout's own hooks, each recorded before it runs; left out: none was. */
	hooks?: RolloutHooks<RecordedHook> | undefined;
}

/** Why a rollout halts, and what an operator may do about it: stored apart, shown together. */
export interface Halt {
	halted: string;
	advice: string | null;
}

export type RecordedHook = HookRun & {
	/** Of the coordinator that recorded it; null for a rollout of one node. */
	epoch: Epoch | null;
	/** Of after_rollout: how the rollout ends once the hook has ended, whatever came of that. */
	ending?: { state: 'completed' | 'aborted'; reason: string | null } | undefined;
};

/** What coordination carries for rollouts. */
export interface RolloutBodies extends Bodies {
	spec: RolloutSpec;
	flags: RolloutFlags;
	view: RolloutView;
	readiness: Readiness;
	status: Status;
}

export type OpenRollout = Entry<RolloutBodies>;
export type Ending = port.Ending<RolloutBodies>;

/** A replicated rollout that an operator has ended on this node alone; see ended-here.ts. */
export interface EndedHere {
	rollout: RolloutId;
	/** As it is shown here while no majority is heard. */
	view: RolloutView;
}

/** The stored state of rollouts. */
export interface DurableRollouts extends port.StoredEntries<RolloutBodies> {
	/** This node's own records, of open and of kept ended rollouts, in the order first stored. */
	records: NodeRecord[];
	/** Specs of ended rollouts in which this node is still restarting: it goes forward after a crash all the same. */
	unfinished: RolloutSpec[];
}

export const endedMax = 100;

export type RolloutEntry = port.StoredEntry<RolloutBodies> | { kind: 'record'; record: NodeRecord };

// ---------------------------------------------------------------------------------------------------------------
// Between peers

/** How a node stands and what it has done; rides on every answer to a coordinator. */
export interface Status {
	readiness: Readiness;
	/** Rollouts in whose records this node is out: restarting, or failed and not back since. */
	out: RolloutId[];
	/** Own records in replicated rollouts that have not ended. */
	records: NodeRecord[];
	/** What the running step is at, for people. */
	progress: string | null;
	/** Rollouts of which this node takes no further step, since an operator has ended them on it alone; left out if there is none. */
	endedHere?: { rollout: RolloutId; reason: string }[] | undefined;
}

export type Report = port.Report<RolloutBodies>;

/** An operator's word that any node takes and forwards to the coordinator, or to the node that it admits. */
export type ForwardedWord =
	| { kind: 'pause'; rollout: RolloutId; user: string }
	| { kind: 'resume'; rollout: RolloutId; skip: NodeName[]; user: string }
	| { kind: 'abort'; rollout: RolloutId; user: string }
	| { kind: 'admit'; node: NodeName; user: string };

/** `end_here` is for the node that it was said to, and never leaves it. */
export type OperatorCommand = ForwardedWord | { kind: 'end_here'; rollout: RolloutId; user: string };

export interface Refusal {
	/** Codes of the table of faults. */
	code: 'conflict' | 'unavailable' | 'invalid' | 'not_found';
	message: string;
	/** What the answer adds beside `error`, for example `job_id`. */
	extra: Record<string, string>;
}

export type OperatorAnswer = { ok: true; view: RolloutView | null } | { ok: false; refusal: Refusal };

/** What a target's look at its own file came to, before anything is started. */
export interface CheckResult {
	/** Names the key; null: the file checks. */
	fault: string | null;
	/** Only for clustering_config: what the file would make of the fleet. */
	members: Member[] | null;
	memberHash: string | null;
	configHash: string | null;
	/** Only for http_workers; earlier versions do not say. */
	apps?: AppChanges | undefined;
	/** Only for http_workers: the apps of the file. Earlier versions do not say. */
	appNames?: string[] | undefined;
	/** Only for a dry run of http_workers: what runs, and what would be started. Earlier versions do not say. */
	releases?: NodeReleases | undefined;
	/** The app that was asked for is neither in the file nor running: `fault` says so, and a fleet passes the node over. */
	lacksApp?: boolean | undefined;
	/** Only for clustering_config with certificates; earlier versions do not say. */
	tls?: TlsFacts | undefined;
	/** Only for clustering_config: peers no longer reach this node where they do now. Earlier versions do not say. */
	moves?: boolean | undefined;
}

/** What a node's file says of apps, for a dry run. */
export interface NodeApps {
	/** null: the node does not say. */
	changes: AppChanges | null;
	names: string[] | null;
	releases: NodeReleases | null;
	/** It has no such app, and is passed over. */
	lacksApp: boolean;
	/** Of an undo: it runs already what it would go back to, and is passed over. */
	runsAlready?: true;
}

/** Which authorities a node accepts, and which have signed what it shows: each a hash of subject and key. */
export interface TlsFacts {
	caFile: string;
	certFile: string;
	/** In the file. */
	trusts: string[];
	/** In use. */
	trustsNow: string[];
	/** Of the certificate in the file. */
	signedBy: string[];
	/** Of the certificate in use. */
	presents: string[];
}

/** What a look at a node's own file is about. */
export interface Checked extends Scope {
	service: Service | null;
	/** What it would start instead of what the file says; left out: nothing. */
	putBack?: Releases | undefined;
}

export type RolloutMessage =
	/** Look at your file; start nothing. */
	| ({ kind: 'check'; epoch: Epoch; rollout: RolloutId } & Checked)
	| { kind: 'checked'; epoch: Epoch; rollout: RolloutId; result: CheckResult }
	/** The grant of a slot, to a node that has stored this version of the rollout's flags. Idempotent. */
	| { kind: 'restart'; epoch: Epoch; rollout: RolloutId; version: Version; attempt: number }
	| { kind: 'forward'; id: string; word: ForwardedWord }
	| { kind: 'answer'; id: string; answer: OperatorAnswer }
	| { kind: 'view'; epoch: Epoch; number: number; view: RolloutView }
	/** What has changed since the view `base` of that epoch; 0: since the rollout was asked for. */
	| { kind: 'view_change'; epoch: Epoch; number: number; rollout: RolloutId; base: number; change: ViewChange }
	/** The sender was sent a change of a view that it was not shown. */
	| { kind: 'view_wanted'; rollout: RolloutId }
	/** Look at your file for a dry run: nothing is promised, stored or started; answered by `looked`. */
	| ({ kind: 'look'; id: string } & Checked)
	| { kind: 'looked'; id: string; result: CheckResult }
	/** Whether this rollout, which the sender knows to run, still does; answered by `ended` or `ongoing`. */
	| { kind: 'inquiry'; rollout: RolloutId }
	| { kind: 'ongoing'; rollout: RolloutId };

// ---------------------------------------------------------------------------------------------------------------
// Into the core

/** What an operator asked for, as far as the core needs it; defaults are in the settings. */
export interface CoreRequest extends Scope {
	type: RolloutType;
	service: Service | null;
	replicated: boolean;
	user: string;
	maxUnavailable: number | string | null;
	onFailure: OnFailureAsked | null;
	note?: string | undefined;
	/** 0: it does not hold. */
	holdAfter?: number | undefined;
	nodes?: readonly NodeName[] | undefined;
	zone?: string | undefined;
	from?: string | undefined;
	/** The rollout that it undoes. */
	reverts?: RolloutId | undefined;
}

export type RolloutEvent = {
	now: number;
	wall: number;
} /**
 * `id` is fresh and becomes the rollout's; `revertAs` is fresh, too: the id of its undo, should it need one. Answered by
 * `answer` or `refuse` with the same token.
 */ & (
	| { kind: 'request'; token: string; id: RolloutId; revertAs: RolloutId; request: CoreRequest }
	/** A dry run asks for the files of all targets. Answered by `answer` without a view, or `refuse` with the faults. */
	| { kind: 'look'; token: string; request: CoreRequest }
	/** `token` is unique over the fleet: it also names the word while it is forwarded. */
	| { kind: 'operator'; token: string; word: OperatorCommand }
	| { kind: 'readiness'; readiness: Readiness }
	| { kind: 'snapshot'; rollout: RolloutId; attempt: number; snapshot: Snapshot }
	| { kind: 'checked'; rollout: RolloutId; result: CheckResult }
	| { kind: 'progress'; rollout: RolloutId; attempt: number; text: string }
	| { kind: 'step_ended'; rollout: RolloutId; attempt: number; result: StepResult }
	| { kind: 'hook_ended'; rollout: RolloutId; hook: HookName; attempt: number; result: HookResult }
);

export type RolloutTimer = 'start' | 'drive' | 'show' | 'operator' | 'local' | 'doubt' | 'look';

// ---------------------------------------------------------------------------------------------------------------
// Out of the core

export type RolloutEffect =
	/** Look at the own processes now; answered by the event `snapshot`. */
	| { kind: 'take_snapshot'; rollout: RolloutId; attempt: number }
	/** Look at the own file; answered by the event `checked`. */
	/** `dryRun`: what would be started is looked up, too. */
	/** `local`: for a rollout of this node alone, which no other node looks at. */
	| ({ kind: 'check'; rollout: RolloutId; dryRun?: true; local?: true } & Checked)
	/** Do one step here and prove it; answered by `progress` and once by `step_ended`. */
	/** `refused`: replace nothing, and give evidence of what runs; this is why. */
	| { kind: 'run_step'; spec: RolloutSpec; attempt: number; before: Snapshot; recovered: boolean; refused?: string }
	/** Run the command of this node's configuration, once; answered by the event `hook_ended`. */
	| ({ kind: 'run_hook'; attempt: number } & HookRequest)
	/** `apps`: of a dry run, what it would bring to each node and take from it. */
	| { kind: 'answer'; token: string; view: RolloutView | null; apps?: Record<NodeName, NodeApps> }
	| { kind: 'refuse'; token: string; refusal: Refusal }
	/** A rollout changed; for its followers. */
	| { kind: 'changed'; view: RolloutView }
	/** For the log and the metrics. */
	| { kind: 'note'; event: NoteEvent; fields: Record<string, string | number | boolean | null> };

/** Of which hook, and what its command is told. */
export interface HookRequest {
	hook: HookName;
	rollout: RolloutId;
	/** How the rollout, or this node, stands. */
	state: 'running' | 'back' | 'completed' | 'aborted';
	note: string | null;
}

export type NoteEvent =
	| Note
	| 'step_granted'
	| 'step_begun'
	| 'step_done'
	| 'rollout_halted'
	| 'rollout_held'
	| 'rollout_reverted'
	| 'rollout_ended'
	| 'rollout_ended_here'
	| 'command_refused'
	| 'turn_lost'
	| 'hook_begun'
	| 'hook_ended';
