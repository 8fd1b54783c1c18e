/** What coordination holds in memory: the links, whom this node follows, and its own asking for the lease, or holding of it. */
import { type Epoch, type NodeName, zeroEpoch } from '../epoch.js';
import type { Bodies, Ending, Entry, EntryId, Member, NackReason, Opaque, Report } from '../port.js';
import type { Hello, Kept, KnownPeer, PreparePurpose } from './messages.js';

/** A link that is up, and what its peer said first. */
export interface PeerLink<B extends Bodies = Opaque> {
	hello: Hello;
	/** Why this peer takes no part in anything; null: it does. */
	refused: string | null;
	greeting: { voting: boolean; memberHash: string; readiness: B['readiness']; promised: Epoch } | null;
	/** Came with an instance id other than the known one, and has not been admitted since. */
	stranger: boolean;
	/** What was known of it before this link. */
	knew: KnownPeer | null;
	/** The last greeting sent to it, to say nothing twice. */
	said: string;
}

/** A lease asked for and not held yet. */
export interface Candidacy<B extends Bodies = Opaque> {
	kind: 'candidate';
	epoch: Epoch;
	purpose: PreparePurpose;
	rollout: EntryId | null;
	sentAt: number;
	promises: Record<NodeName, { report: Report<B>; open: Entry<B>[]; ended: Ending<B>[] }>;
	refusals: Record<NodeName, NackReason>;
}

export interface Heard<B extends Bodies = Opaque> {
	/** When the heartbeat was sent that the report answers: the report is no older than this. */
	at: number;
	report: Report<B>;
	/** It came in under this lease, so what it says was decided on; one that says the same needs no second look. */
	decided: boolean;
}

/** A held lease. What is rolled under it is up to the controller. */
export interface Leadership<B extends Bodies = Opaque> {
	kind: 'held';
	epoch: Epoch;
	/** Number of the last heartbeat sent, and when the last ones were. */
	number: number;
	sent: Record<number, number>;
	reports: Record<NodeName, Heard<B>>;
	/** When a majority was last heard. */
	majorityAt: number;
	/** The peer that was asked to take the lease, and those asked before it. */
	transfer: { to: NodeName; at: number; tried: NodeName[] } | null;
	/** Endings that a majority may not have yet. */
	spreading: EntryId[];
	spreadSince: number;
}

export interface CoordinationState<B extends Bodies = Opaque> {
	settings: CoordinationSettings;
	members: readonly Member[];
	memberHash: string;
	durable: Kept<B>;
	process: string;
	links: Record<NodeName, PeerLink<B>>;
	/** Whom this node follows: the last coordinator that it heard as live, and when. */
	follows: { epoch: Epoch; echo: number; heardAt: number | null };
	/** Since when no link is up; null: one is. */
	aloneSince: number | null;
	/** Since when no majority is heard; null: one is. */
	minoritySince: number | null;
	/** The lease timer counts from here. */
	leaseFrom: number;
	/** The highest epoch seen anywhere, so that the next own one is above it. */
	highest: Epoch;
	lease: Candidacy<B> | Leadership<B> | null;
	/** Leases asked for since one was held here, or a coordinator was heard as live. */
	attempts: number;
	/** Number of the last report of this boot. */
	sequence: number;
	/** The peers whose greeting came since this node lost its state, or is new. */
	metSinceNew: NodeName[];
}

export interface CoordinationSettings {
	self: NodeName;
	protocol: { min: number; max: number };
	leaseMs: number;
}

/** What a node knows before its first event. */
export interface Founding extends CoordinationSettings {
	members: readonly Member[];
	memberHash: string;
}

/** Before the first event; `durable` is replaced by what lies on disk as soon as that was read. */
export function createCoordination<B extends Bodies>(founding: Founding): CoordinationState<B> {
	const { self, protocol, leaseMs, members, memberHash } = founding;
	return {
		settings: { self, protocol, leaseMs },
		members,
		memberHash,
		durable: nothingKept(),
		process: '',
		links: {},
		follows: { epoch: zeroEpoch, echo: 0, heardAt: null },
		aloneSince: null,
		minoritySince: null,
		leaseFrom: 0,
		highest: zeroEpoch,
		lease: null,
		attempts: 0,
		sequence: 0,
		metSinceNew: [],
	};
}

export function nothingKept<B extends Bodies>(): Kept<B> {
	return {
		boot: 0,
		instance: null,
		voting: false,
		promised: zeroEpoch,
		open: [],
		ended: [],
		endedHere: [],
		records: [],
		peers: {},
	};
}

export function newLeadership({ epoch, sentAt, promises }: Candidacy, now: number): Leadership {
	const reports: Leadership['reports'] = {};
	for (const [name, { report }] of Object.entries(promises)) reports[name] = { at: sentAt, report, decided: false };
	return {
		kind: 'held',
		epoch,
		number: 0,
		sent: { 0: sentAt },
		reports,
		majorityAt: now,
		transfer: null,
		spreading: [],
		spreadSince: now,
	};
}
