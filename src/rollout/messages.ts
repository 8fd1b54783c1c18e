/**
 * What goes into the decision core, what comes out of it, what peers say to one another, and what is kept on disk.
 *
 * The shell's duties, on which every invariant rests:
 * - the effects of one event are carried out strictly in order; a `store` is a barrier: its entries are written and
 *   synced before anything that follows it happens. Effects of a later event come after those of an earlier one.
 * - a failed store ends this core: nothing that follows is carried out, and a new core is started from what is on disk,
 *   as after a crash.
 * - a timer fires as the event `timer` at or after `at`; setting a name again replaces it.
 * - messages between two nodes keep their order while one link lives; a link that dies may lose its tail.
 * - every event carries `now` (the node's own monotonic clock, ms) and `wall` (ms since 1970). Ids come in with events.
 */
import type { Version } from '../coordination/epoch.js';
import type { AppChanges } from '../workers/types.js';
import type { ViewChange } from './views/change.js';
import type {
	Epoch,
	NodeName,
	NodeRecord,
	OnFailure,
	Readiness,
	RolloutId,
	RolloutSpec,
	RolloutType,
	RolloutView,
	Service,
	Snapshot,
	StepResult,
} from './types.js';

export type { Version };

export interface Member {
	name: NodeName;
	zone: string | null;
}

/** What the core is told about its node and its fleet. */
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
	onFailure: OnFailure;
}

// ---------------------------------------------------------------------------------------------------------------
// On disk

/** What changes about a rollout that has not ended. Only the holder of the lease writes a new version. */
export interface RolloutFlags {
	version: Version;
	/** Of what is left; grows with every resume of a halted rollout. */
	attempt: number;
	skipped: NodeName[];
	/** Only for a change of members: who has left by it, and votes for nobody any more. */
	left: NodeName[];
	paused: boolean;
	aborting: { by: string } | null;
	/** Why it halted. */
	halted: string | null;
}

export interface Ending {
	rollout: RolloutId;
	/** Of the lease under which it ended; null for a rollout of this node alone. */
	epoch: Epoch | null;
	view: RolloutView;
}

/** What a node knows of a peer's state folder; another instance id means that the peer lost its state. */
export interface KnownPeer {
	instance: string;
	boot: number;
	process: string;
}

export interface OpenRollout {
	spec: RolloutSpec;
	flags: RolloutFlags;
}

/** A replicated rollout that an operator has ended on this node alone; see ended-here.ts. */
export interface EndedHere {
	rollout: RolloutId;
	/** As it is shown here while no majority is heard. */
	view: RolloutView;
}

/** The fold of all entries, in the order written. See `foldEntry` in durable.ts. */
export interface DurableState {
	boot: number;
	/** Id of the state folder; null before the first start. */
	instance: string | null;
	/** false until this node's vote counts: it is new, or lost its state, and has not heard all others yet. */
	voting: boolean;
	promised: Epoch;
	/** Rollouts that have not ended, replicated and local, in the order stored. */
	open: OpenRollout[];
	/** This node's own records, of open and of kept ended rollouts, in the order first stored. */
	records: NodeRecord[];
	/** Specs of ended rollouts in which this node is still restarting: it goes forward after a crash all the same. */
	unfinished: RolloutSpec[];
	/** The last ones that ended, oldest first, at most {@link endedMax}. */
	ended: Ending[];
	/** Of those that are open, the ones that have ended on this node alone. */
	endedHere: EndedHere[];
	peers: Record<NodeName, KnownPeer>;
}

export const endedMax = 100;

export type DurableEntry =
	| { kind: 'boot'; boot: number }
	| { kind: 'instance'; instance: string; voting: boolean }
	| { kind: 'promised'; epoch: Epoch }
	| { kind: 'open'; spec: RolloutSpec; flags: RolloutFlags }
	| { kind: 'flags'; rollout: RolloutId; flags: RolloutFlags }
	| { kind: 'record'; record: NodeRecord }
	| { kind: 'ending'; ending: Ending }
	/** A build that does not know it reads past it, and has the rollout as open. */
	| ({ kind: 'ended_here' } & EndedHere)
	/** Written only when a log is rewritten. */
	| { kind: 'unfinished'; spec: RolloutSpec }
	| { kind: 'peer'; node: NodeName; peer: KnownPeer }
	/** Written before entries that a build of an earlier version must not pass over; see `recordsVersion` in durable.ts. */
	| { kind: 'needs'; version: number };

// ---------------------------------------------------------------------------------------------------------------
// Between peers

/** Exchanged by the shells when a link is made; handed to the core with `link_up`. */
export interface Hello {
	node: NodeName;
	boot: number;
	instance: string;
	/** New at every start of the daemon. */
	process: string;
	protocol: { min: number; max: number };
	memberHash: string;
}

/** How a node stands and what it knows; rides on every answer to a coordinator. */
export interface Report {
	boot: number;
	/** Grows with every report of this boot. */
	sequence: number;
	/** Number of the last heartbeat (or prepare) of this epoch that was received before this was said. */
	echo: number;
	readiness: Readiness;
	memberHash: string;
	/** Rollouts in whose records this node is out: restarting, or failed and not back since. */
	out: RolloutId[];
	/** Own records in replicated rollouts that have not ended. */
	records: NodeRecord[];
	/** Replicated rollouts that have not ended, as far as this node knows. */
	have: { rollout: RolloutId; version: Version }[];
	/** The newest replicated rollouts that ended, as far as this node knows; newest last, at most 16. */
	ended: RolloutId[];
	/** What the running step is at, for people. */
	progress: string | null;
	/** Rollouts of which this node takes no further step, since an operator has ended them on it alone; left out if there is none. */
	endedHere?: { rollout: RolloutId; reason: string }[] | undefined;
}

export type PreparePurpose = 'start' | 'takeover' | 'handover';

export type NackReason =
	| { kind: 'promised' }
	| { kind: 'conflict'; rollout: RolloutId }
	| { kind: 'members'; memberHash: string }
	/** A coordinator is heard; nobody takes over from it. */
	| { kind: 'live'; coordinator: NodeName }
	/** Lost its state and may not vote yet. */
	| { kind: 'stranger' }
	/** Has done its part in a change of members that leaves it out. */
	| { kind: 'left'; rollout: RolloutId };

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
	/** The app that was asked for is neither in the file nor running: `fault` says so, and a fleet passes the node over. */
	lacksApp?: boolean | undefined;
	/** Only for clustering_config with certificates; earlier versions do not say. */
	tls?: TlsFacts | undefined;
}

/** What a node's file says of apps, for a dry run. */
export interface NodeApps {
	/** null: the node does not say. */
	changes: AppChanges | null;
	names: string[] | null;
	/** It has no such app, and is passed over. */
	lacksApp: boolean;
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

export type PeerMessage =
	/** First words on a link, and again when something of it changes. */
	| {
			kind: 'greeting';
			/** The sender's own promise. */
			promised: Epoch;
			voting: boolean;
			/** The sender's; another one than in its hello once it was told that it lost its state. */
			instance: string;
			memberHash: string;
			readiness: Readiness;
			/** Replicated rollouts that have not ended, as the sender knows. */
			open: RolloutId[];
			/** The addressee came with another instance, or an older boot, than the sender knows: it lost its state. */
			stranger: boolean;
			/** For an addressee that is new or lost its state: what it may have helped to store, and has forgotten. */
			catchUp: { open: OpenRollout[]; ended: Ending[] } | null;
	  }
	| {
			kind: 'prepare';
			epoch: Epoch;
			purpose: PreparePurpose;
			/** Of the rollout to be started; null for a takeover. */
			rollout: RolloutId | null;
			/** The sender's; while a change of members is open also those before and after it. One has to be the addressee's. */
			memberHashes: string[];
	  }
	| { kind: 'promise'; epoch: Epoch; report: Report; open: OpenRollout[]; ended: Ending[] }
	| { kind: 'nack'; epoch: Epoch; promised: Epoch; reason: NackReason }
	| {
			kind: 'heartbeat';
			epoch: Epoch;
			number: number;
			/** false: the coordinator does not hear a majority itself; such a heartbeat renews no lease. */
			live: boolean;
	  }
	| { kind: 'report'; epoch: Epoch; report: Report }
	/** Rollouts that are open and those that ended; answered with a report once stored. */
	| { kind: 'store'; epoch: Epoch; open: OpenRollout[]; ended: Ending[] }
	/** Look at your file; start nothing. */
	| { kind: 'check'; epoch: Epoch; rollout: RolloutId; service: Service | null; app: string | null }
	| { kind: 'checked'; epoch: Epoch; rollout: RolloutId; result: CheckResult }
	/** The grant of a slot, to a node that has stored this version of the rollout's flags. Idempotent. */
	| { kind: 'restart'; epoch: Epoch; rollout: RolloutId; version: Version; attempt: number }
	| { kind: 'handover'; epoch: Epoch; rollout: RolloutId }
	| { kind: 'forward'; id: string; word: ForwardedWord }
	| { kind: 'answer'; id: string; answer: OperatorAnswer }
	| { kind: 'view'; epoch: Epoch; number: number; view: RolloutView }
	/** What has changed since the view `base` of that epoch; 0: since the rollout was asked for. */
	| { kind: 'view_change'; epoch: Epoch; number: number; rollout: RolloutId; base: number; change: ViewChange }
	/** The sender was sent a change of a view that it was not shown. */
	| { kind: 'view_wanted'; rollout: RolloutId }
	/** Look at your file for a dry run: nothing is promised, stored or started; answered by `looked`. */
	| { kind: 'look'; id: string; service: Service | null; app: string | null }
	| { kind: 'looked'; id: string; result: CheckResult }
	/** Whether this rollout, which the sender knows to run, still does; answered by `ended` or `ongoing`. */
	| { kind: 'inquiry'; rollout: RolloutId }
	| { kind: 'ongoing'; rollout: RolloutId }
	/** How rollouts ended, told to a peer that does not know. Needs no lease: an ending wins over open. */
	| { kind: 'ended'; endings: Ending[] };

// ---------------------------------------------------------------------------------------------------------------
// Into the core

/** What an operator asked for, as far as the core needs it; defaults are in the settings. */
export interface CoreRequest {
	type: RolloutType;
	service: Service | null;
	app: string | null;
	replicated: boolean;
	user: string;
	maxUnavailable: number | string | null;
	onFailure: OnFailure | null;
}

export type CoreEvent = { now: number; wall: number } & (
	| { kind: 'started'; durable: DurableState; process: string; readiness: Readiness }
	/** `id` is fresh and becomes the rollout's. Answered by `answer` or `refuse` with the same token. */
	| { kind: 'request'; token: string; id: RolloutId; request: CoreRequest }
	/** A dry run asks for the files of all targets. Answered by `answer` without a view, or `refuse` with what is wrong. */
	| { kind: 'look'; token: string; request: CoreRequest }
	/** `token` is unique over the fleet: it also names the word while it is forwarded. */
	| { kind: 'operator'; token: string; word: OperatorCommand }
	| { kind: 'link_up'; hello: Hello }
	| { kind: 'link_down'; node: NodeName }
	| { kind: 'message'; from: NodeName; message: PeerMessage }
	| { kind: 'timer'; name: TimerName }
	| { kind: 'readiness'; readiness: Readiness }
	| { kind: 'snapshot'; rollout: RolloutId; attempt: number; snapshot: Snapshot }
	| { kind: 'checked'; rollout: RolloutId; result: CheckResult }
	| { kind: 'progress'; rollout: RolloutId; attempt: number; text: string }
	| { kind: 'step_ended'; rollout: RolloutId; attempt: number; result: StepResult }
	/** The applied `cluster:` configuration has other members now. */
	| { kind: 'members'; members: readonly Member[]; memberHash: string }
);

export type TimerName =
	| 'heartbeat'
	| 'lease'
	| 'prepare'
	| 'start'
	| 'drive'
	| 'show'
	| 'operator'
	| 'local'
	| 'doubt'
	| 'look';

// ---------------------------------------------------------------------------------------------------------------
// Out of the core

export type CoreEffect =
	/** A barrier: synced before anything that follows. */
	| { kind: 'store'; entries: DurableEntry[] }
	/** To a peer whose link is up; dropped if it is not. */
	| { kind: 'send'; to: NodeName; message: PeerMessage }
	/** Look at the own processes now; answered by the event `snapshot`. */
	| { kind: 'take_snapshot'; rollout: RolloutId; attempt: number }
	/** Look at the own file; answered by the event `checked`. */
	| { kind: 'check'; rollout: RolloutId; service: Service | null; app: string | null }
	/** Do one step here and prove it; answered by `progress` and once by `step_ended`. */
	| { kind: 'run_step'; spec: RolloutSpec; attempt: number; before: Snapshot; recovered: boolean }
	| { kind: 'set_timer'; name: TimerName; at: number }
	| { kind: 'clear_timer'; name: TimerName }
	/** `apps`: of a dry run, what it would bring to each node and take from it. */
	| { kind: 'answer'; token: string; view: RolloutView | null; apps?: Record<NodeName, NodeApps> }
	| { kind: 'refuse'; token: string; refusal: Refusal }
	/** A rollout changed, for whoever follows it. */
	| { kind: 'changed'; view: RolloutView }
	/** For the log and the metrics. */
	| { kind: 'note'; event: NoteEvent; fields: Record<string, string | number | boolean | null> }
	/** The boot counter and the instance id are on disk; the shell says them in its hello from now on. */
	| { kind: 'booted'; boot: number; instance: string };

export type NoteEvent =
	| 'lease_held'
	| 'lease_lost'
	| 'lease_refused'
	| 'takeover'
	| 'step_granted'
	| 'step_begun'
	| 'step_done'
	| 'rollout_halted'
	| 'rollout_ended'
	| 'rollout_ended_here'
	| 'command_refused'
	| 'peer_refused'
	| 'peer_lost_state'
	| 'turn_lost'
	| 'node_admitted'
	| 'handover';
