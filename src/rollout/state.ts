/** What the core holds in memory. Plain data: it can be copied, compared and printed. */
import type { Anchor } from './times.js';
import type { Drive } from './controller/state.js';
import type { Coordination } from '../coordination/port.js';
import type {
	CheckResult,
	RolloutEvent,
	CoreRequest,
	CoreSettings,
	DurableRollouts,
	Member,
	ForwardedWord,
	NackReason,
	RolloutBodies,
	Version,
} from './messages.js';
import type { Epoch, HookResult, NodeName, Readiness, Releases, RolloutId, RolloutView } from './types.js';

/** Of an undo: what each node goes back to. */
export interface PutBack {
	/** By node and app; of nodes that are passed over since they run it already, too. */
	putBack: Record<NodeName, Releases>;
	/** These are back in what is undone: with the right release they need nothing. */
	whole: readonly NodeName[];
}

/** A replicated request that has not been answered. */
export interface PendingStart {
	/** null: nobody asked; this node opens the undo of the rollout that it drives, as `on_failure` asked. */
	token: string | null;
	id: RolloutId;
	/** The id of the rollout that undoes this one if it fails, in case that is asked for. */
	revertAs: RolloutId | null;
	request: CoreRequest;
	undo: PutBack | null;
	maxUnavailable: number;
	askedAt: number;
	until: number;
	wall: number;
	phase: 'waiting' | 'lease' | 'check' | 'open';
	/** When the lease is asked for again. */
	retryAt: number | null;
	attempts: number;
	checks: Record<NodeName, CheckResult | null>;
	/** The last refusals of a lease, for the text of a 503. */
	refusals: Record<NodeName, NackReason>;
}

/** A local request whose file is being looked at. */
export interface PendingLocal {
	/** null: nobody asked, as of {@link PendingStart}. */
	token: string | null;
	id: RolloutId;
	revertAs: RolloutId | null;
	request: CoreRequest;
	undo: PutBack | null;
}

/** A dry run that waits for what the files say; null: not looked at yet. */
export interface PendingDryRun {
	token: string;
	request: CoreRequest;
	undo: PutBack | null;
	until: number;
	checks: Record<NodeName, CheckResult | null>;
}

/** An operator's word that has not been answered. */
export interface PendingCommand {
	token: string;
	word: ForwardedWord;
	/** Who asked: a peer that forwarded it, or null: an operator here. */
	from: NodeName | null;
	until: number;
	/** The coordinator it was forwarded to. */
	sentTo: NodeName | null;
	/** Applied here as this version; answered once a majority has it. */
	applied: { rollout: RolloutId; version: Version } | null;
}

/** The step that runs on this node. */
export interface Execution {
	rollout: RolloutId;
	attempt: number;
	/** Of the grant; null for a rollout of this node alone. */
	epoch: Epoch | null;
	version: Version | null;
	phase: 'snapshot' | 'running';
	since: number;
	sinceWall: number;
	progress: string | null;
}

/** A hook of a rollout that this core has recorded. A core that finds one recorded and has none in memory does not know how it ended. */
export interface OwnHook {
	epoch: Epoch | null;
	/** `recorded`: its command was not started yet. */
	phase: 'recorded' | 'running';
	result: HookResult | null;
}

/** What the decisions about rollouts keep in memory. */
interface Memory {
	/** The rollout that this node drives; of its lease alone, see `driveOf`. */
	drive: Drive | null;
	execution: Execution | null;
	/** By rollout and name of the hook. */
	hooks: Record<string, OwnHook>;
	/** A grant that waits until the running step of another rollout has ended. */
	deferred: { rollout: RolloutId; epoch: Epoch; version: Version; attempt: number } | null;
	start: PendingStart | null;
	locals: PendingLocal[];
	/** Requests that wait for the word of a coordinator, whether the rollout in their way still runs. */
	inquiries: { event: Extract<RolloutEvent, { kind: 'request' }>; rollout: RolloutId; until: number }[];
	dryRuns: PendingDryRun[];
	/** Who asked for the look at the own file that is under way, by its id. */
	checkers: Record<string, NodeName>;
	commands: PendingCommand[];
	/** Pushed by the coordinator, or last built here. */
	views: Record<RolloutId, { epoch: Epoch; number: number; view: RolloutView }>;
	/** The time of each rollout that is open; see times.ts. */
	anchors: Record<RolloutId, Anchor>;
	/** What was told last of hearing no coordinator. */
	leaderless: string | null;
}

/** All that a decision about a rollout looks at. */
export interface CoreState extends Memory {
	readonly coordination: Coordination<RolloutBodies>;
	settings: CoreSettings;
	members: readonly Member[];
	memberHash: string;
	durable: DurableRollouts;
	readiness: Readiness;
	timers: { readonly show: number | null };
}

export function emptyMemory(): Memory {
	return {
		drive: null,
		execution: null,
		hooks: {},
		deferred: null,
		start: null,
		locals: [],
		inquiries: [],
		dryRuns: [],
		checkers: {},
		commands: [],
		views: {},
		anchors: {},
		leaderless: null,
	};
}
