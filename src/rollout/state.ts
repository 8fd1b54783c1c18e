/** What the core holds in memory. Plain data: it can be copied, compared and printed. */
import { emptyDurable } from './durable.js';
import { zeroEpoch } from '../coordination/epoch.js';
import type {
	CheckResult,
	CoreEvent,
	CoreRequest,
	CoreSettings,
	DurableState,
	Ending,
	FlagsVersion,
	Hello,
	KnownPeer,
	Member,
	ForwardedWord,
	NackReason,
	OpenRollout,
	PreparePurpose,
	Report,
	TimerName,
} from './messages.js';
import type { Epoch, NodeName, Readiness, RolloutId, RolloutView } from './types.js';

/** A link that is up, and what its peer said first. */
export interface PeerLink {
	hello: Hello;
	/** Why this peer takes no part in anything; null: it does. */
	refused: string | null;
	greeting: { voting: boolean; memberHash: string; readiness: Readiness; promised: Epoch } | null;
	/** Came with an instance id other than the known one, and has not been admitted since. */
	stranger: boolean;
	/** What was known of it before this link. */
	knew: KnownPeer | null;
	/** The last greeting sent to it, to say nothing twice. */
	said: string;
}

/** A lease asked for and not held yet. */
export interface Candidacy {
	kind: 'candidate';
	epoch: Epoch;
	purpose: PreparePurpose;
	rollout: RolloutId | null;
	sentAt: number;
	promises: Record<NodeName, { report: Report; open: OpenRollout[]; ended: Ending[] }>;
	refusals: Record<NodeName, NackReason>;
}

export interface Heard {
	/** When the heartbeat was sent that the report answers: the report is no older than this. */
	at: number;
	report: Report;
	/** It came in under this lease, so what it says was decided on; one that says the same needs no second look. */
	decided: boolean;
}

export interface Grant {
	attempt: number;
	version: FlagsVersion;
	at: number;
	/** The node answered that it has begun. */
	begun: boolean;
}

export interface Lease {
	kind: 'held';
	epoch: Epoch;
	since: number;
	/** Number of the last heartbeat sent, and when the last ones were. */
	number: number;
	sent: Record<number, number>;
	reports: Record<NodeName, Heard>;
	/** When a majority was last heard. */
	majorityAt: number;
	/** The rollout that is driven; null: only endings are spread. */
	rollout: RolloutId | null;
	grants: Record<NodeName, Grant>;
	/** Until when a running step may take, by node and attempt. */
	deadlines: Record<NodeName, { attempt: number; at: number; since: number }>;
	overdue: Record<NodeName, number>;
	times: Record<NodeName, { started: number | null; back: number | null }>;
	/** In which order the steps began. */
	begun: NodeName[];
	/** Since when nothing runs although something should; null: something runs, or nothing should. */
	idleSince: number | null;
	/** When the last step was proven, for wait_between. */
	backAt: number | null;
	/** Grants of a rollout that ended under this lease, until their nodes say that they know it ended. */
	stale: Record<NodeName, RolloutId>;
	handover: { to: NodeName; at: number; tried: NodeName[] } | null;
	/** Endings that a majority may not have yet. */
	spreading: RolloutId[];
	spreadSince: number;
	viewNumber: number;
}

/** A replicated request that has not been answered. */
export interface PendingStart {
	token: string;
	id: RolloutId;
	request: CoreRequest;
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
	token: string;
	id: RolloutId;
	request: CoreRequest;
}

/** A dry run that waits for what the files say; null: not looked at yet. */
export interface PendingDryRun {
	token: string;
	request: CoreRequest;
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
	applied: { rollout: RolloutId; version: FlagsVersion } | null;
}

/** The step that runs on this node. */
export interface Execution {
	rollout: RolloutId;
	attempt: number;
	/** Of the grant; null for a rollout of this node alone. */
	epoch: Epoch | null;
	version: FlagsVersion | null;
	phase: 'snapshot' | 'running';
	since: number;
	sinceWall: number;
	progress: string | null;
}

export interface CoreState {
	settings: CoreSettings;
	members: readonly Member[];
	memberHash: string;
	durable: DurableState;
	process: string;
	started: boolean;
	readiness: Readiness;
	sequence: number;
	links: Record<NodeName, PeerLink>;
	/** Whom this node follows: the last coordinator that it heard as live, and when. */
	follows: { epoch: Epoch; echo: number; heardAt: number | null };
	/** Since when no link is up; null: one is. */
	aloneSince: number | null;
	/** Since when no majority is heard; null: one is. See ended-here.ts. */
	minoritySince: number | null;
	/** The lease timer counts from here. */
	leaseFrom: number;
	/** The highest epoch seen anywhere, so that the next own one is above it. */
	highest: Epoch;
	lease: Candidacy | Lease | null;
	/** Leases asked for since one was held here, or a coordinator was heard as live. */
	attempts: number;
	execution: Execution | null;
	/** A grant that waits until the running step of another rollout has ended. */
	deferred: { rollout: RolloutId; epoch: Epoch; version: FlagsVersion; attempt: number } | null;
	start: PendingStart | null;
	locals: PendingLocal[];
	/** Requests that wait for the word of a coordinator, whether the rollout in their way still runs. */
	inquiries: { event: Extract<CoreEvent, { kind: 'request' }>; rollout: RolloutId; until: number }[];
	dryRuns: PendingDryRun[];
	/** Who asked for the look at the own file that is under way, by its id. */
	checkers: Record<string, NodeName>;
	commands: PendingCommand[];
	/** Pushed by the coordinator, or last built here. */
	views: Record<RolloutId, { epoch: Epoch; number: number; view: RolloutView }>;
	/** What was told last of hearing no coordinator. */
	leaderless: string | null;
	/** The peers whose greeting came since this node lost its state, or is new. */
	metSinceNew: NodeName[];
	timers: Partial<Record<TimerName, number>>;
}

export const emptyReadiness: Readiness = { apps: [], availability: null, draining: false };

export function createState(settings: CoreSettings): CoreState {
	return {
		settings,
		members: settings.members,
		memberHash: settings.memberHash,
		durable: emptyDurable(),
		process: '',
		started: false,
		readiness: emptyReadiness,
		sequence: 0,
		links: {},
		follows: { epoch: zeroEpoch, echo: 0, heardAt: null },
		aloneSince: null,
		minoritySince: null,
		leaseFrom: 0,
		highest: zeroEpoch,
		lease: null,
		attempts: 0,
		execution: null,
		deferred: null,
		start: null,
		locals: [],
		inquiries: [],
		dryRuns: [],
		checkers: {},
		commands: [],
		views: {},
		leaderless: null,
		metSinceNew: [],
		timers: {},
	};
}
