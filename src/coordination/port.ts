/**
 * What may be asked of whoever coordinates, what is told, and what then holds. An engine decides who leads and what is durably
 * stored, and never looks into what it stores; whoever stands on it hears of no vote, promise or heartbeat.
 *
 * An engine guarantees (`test/unit/coordination/contract.test.ts` judges each, of the own majority and of a store):
 * - A1 One leader per epoch, and on each node every epoch is above all earlier ones.
 * - A2 `leading` tells the newest version of every entry that was ever committed and has not ended.
 * - A3 What was committed survives the loss of any minority; without that A2 does not hold.
 * - A4 An ending wins over open: what was committed as ended is never told as open again.
 * - A5 Nothing is committed under an epoch any more once a later leader was not told of it.
 */
import type { Epoch, NodeName, Version } from './epoch.js';

export type EntryId = string;

export interface Member {
	name: NodeName;
	zone: string | null;
}

/** The types of the carried values, with the fields that an engine may read. */
export interface Bodies {
	/** The part of an entry that never changes. */
	spec: {
		id: EntryId;
		/** false: it is one node's own, and no engine's matter. */
		replicated: boolean;
		members: readonly Member[];
		memberHash: string;
		/** Only of a change of members: who votes after it. */
		membersNext: readonly Member[] | null;
		memberHashNext: string | null;
	};
	/** The part that each version has anew. */
	flags: {
		version: Version;
		/** Only of a change of members: the nodes that have left by it, and do not vote any more. */
		left: NodeName[];
		/** null: nothing else may be started meanwhile. */
		halted: string | null;
	};
	/** The stored result of an entry that has ended. */
	view: object;
	/** How a node stands, as it says on every link. */
	readiness: object;
	/** What rides on each answer to a leader. */
	status: object;
}

/** Bodies as an engine sees them. */
export type Opaque = Bodies;

/** As it lies on a disk and crosses a link. Of both parts coordination reads what stands in {@link Bodies} alone. */
export interface Entry<B extends Bodies = Opaque> {
	/** Never changes. */
	spec: B['spec'];
	/** Only the holder of the lease writes a new version. */
	flags: B['flags'];
}

/** The last word on an entry. */
export interface Ending<B extends Bodies = Opaque> {
	rollout: EntryId;
	/** The epoch of the lease under which it ended; null for a node's own entry. */
	epoch: Epoch | null;
	view: B['view'];
}

/** The entries that a node has on disk. */
export interface StoredEntries<B extends Bodies = Opaque> {
	/** What has not ended, the fleet's and this node's own, in the order stored. */
	open: Entry<B>[];
	/** The last ones that ended, oldest first. */
	ended: Ending<B>[];
	/** Of those that are open, the ones that have ended on this node alone. */
	endedHere: { rollout: EntryId; view: B['view'] }[];
}

/** One change of it. */
export type StoredEntry<B extends Bodies = Opaque> =
	| ({ kind: 'open' } & Entry<B>)
	| { kind: 'flags'; rollout: EntryId; flags: B['flags'] }
	| { kind: 'ending'; ending: Ending<B> }
	| { kind: 'ended_here'; rollout: EntryId; view: B['view'] };

/** A node's answer to a coordinator: what it knows, and its status. */
export interface ReportHead {
	boot: number;
	/** Grows with every report of this boot. */
	sequence: number;
	/** Number of the last heartbeat (or prepare) of this epoch that was received before this was said. */
	echo: number;
	memberHash: string;
	/** The replicated entries that are open, as far as this node knows. */
	have: { rollout: EntryId; version: Version }[];
	/** What ended last of the whole fleet's, as far as this node knows; newest last, at most 16. */
	ended: EntryId[];
}

export type Report<B extends Bodies = Opaque> = ReportHead & B['status'];

/** Why a node gave no promise. */
export type NackReason =
	| { kind: 'promised' }
	| { kind: 'conflict'; rollout: EntryId }
	| { kind: 'members'; memberHash: string }
	/** A coordinator is heard; no node takes over from it. */
	| { kind: 'live'; coordinator: NodeName }
	/** Lost its state and may not vote yet. */
	| { kind: 'stranger' }
	/** Has done its part in a change of members that leaves it out. */
	| { kind: 'left'; rollout: EntryId };

/** `put` to `resign` are a leader's: of another node they change nothing. */
export type Command<B extends Bodies = Opaque> =
	/** Answered by `leading`, `denied`, or `refused` by each who refuses. `start`: to open this entry; refused while any other one is running. */
	| { kind: 'campaign'; purpose: 'start'; rollout: EntryId }
	| { kind: 'campaign'; purpose: 'takeover'; rollout: null }
	/** Takes back the asking; not told. */
	| { kind: 'withdraw' }
	/** Stores the next version of an entry. A leader has one entry open at a time, and puts again what `leading` told. */
	| { kind: 'put'; entry: Entry<B> }
	/** Stores the last word on an entry, open or never opened. It wins over every version. */
	| { kind: 'close'; ending: Omit<Ending<B>, 'epoch'> }
	/** Asks the first of these that was not asked yet to lead; `lost` says when it does. */
	| { kind: 'transfer'; to: readonly NodeName[] }
	/** Takes the transfer back, unless it is done. */
	| { kind: 'call_off' }
	/** Lets go, as soon as a majority was told what ended. */
	| { kind: 'resign' }
	/** Gives up the lease, or the campaign for it, at once; answered by `lost`. */
	| { kind: 'step_down' }
	/** Keeps an ending that this node may give without a lease: its own, or of a version that it has put. */
	| { kind: 'keep'; ending: Ending<B> }
	/** Says to a peer how these ended. */
	| { kind: 'tell'; to: NodeName; endings: readonly Ending<B>[] }
	/** This node's status has changed: reports it to the leader. */
	| { kind: 'report' }
	/** An operator vouches for this node, which lost its state; refused until it has met a majority. */
	| { kind: 'admit' };

export type Fact<B extends Bodies = Opaque> =
	/** This node leads from now on; with the open entries, newest first. */
	| { kind: 'leading'; epoch: Epoch; entries: Entry<B>[] }
	/** Another epoch is promised: what was granted and heard under the own one is forgotten. */
	| { kind: 'lost' }
	/** It did not come to lead, although it asked. */
	| { kind: 'denied' }
	/** A peer refused it that. */
	| { kind: 'refused'; from: NodeName; reason: NackReason }
	/** A peer answered under the own epoch. */
	| { kind: 'reported'; from: NodeName; report: Report<B> }
	/** What was open here, or was not known, has ended. */
	| { kind: 'closed'; ending: Ending<B> }
	/** This node lost its state, and these were open meanwhile: how far it had come in each, it has forgotten. */
	| { kind: 'caught_up'; entries: Entry<B>[] }
	/** This change of members has left this node out, and no node that stays is linked any more to tell it the end. */
	| { kind: 'left'; entry: Entry<B> };

/** A peer whose link is up. */
export interface Peer<B extends Bodies = Opaque> {
	/** Why it takes no part in anything; null: it does. */
	refused: string | null;
	/** Highest version of the protocol that it speaks. */
	protocolMax: number;
	/** null: it has not said yet. */
	readiness: B['readiness'] | null;
}

/** What an engine answers from memory; asking changes nothing. `now` is ms on the own monotonic clock. */
export interface Coordination<B extends Bodies = Opaque> {
	/** The epoch under which this node leads; null: it does not. */
	leads: () => Epoch | null;
	/** It has asked for a lease so as to start something, and is not answered yet. */
	asksToStart: () => boolean;
	/** The leader that was heard last, and when; null: none was. */
	follows: () => { leader: NodeName; heardAt: number } | null;
	/** Another node has come to lead a moment ago, so it is about to be heard. */
	expectsLeader: (now: number) => boolean;
	/** When this node asks to lead if no other does before; null: it does not. */
	takeoverAt: () => number | null;
	/** Nothing below this epoch is obeyed. Its node is the last that was promised to lead. */
	fence: () => Epoch;

	/** Whether the own vote counts. */
	votes: () => boolean;
	/** The members that a node without a vote has still to meet. */
	unmet: () => NodeName[];
	isMajority: (names: Iterable<NodeName>) => boolean;
	/** Since when no majority is linked; null: one is. */
	minoritySince: () => number | null;
	/** `beta is not linked, gamma lost its state …`: every member whose vote does not count here. */
	whoIsNotHeard: () => string;
	/** Why the vote of this member does not count here; null: it does. */
	whyNotHeard: (node: NodeName) => string | null;
	/** A linked node whose members are others than those here, before and after a change. */
	hasOtherMembers: (node: NodeName) => boolean;
	/** Whether it is of the members that this node has, before or after its change. */
	isOfThisFleet: (spec: B['spec']) => boolean;
	/** An open change of members that takes this node in or out, so that others have to lead it. */
	changingItself: () => Entry<B> | undefined;

	peer: (node: NodeName) => Peer<B> | undefined;
	/** Who is linked and takes part, sorted. */
	peers: () => NodeName[];

	// For a leader; another node hears only itself.

	/** A majority was heard within a lease. */
	isLive: (now: number) => boolean;
	hearsMajority: (now: number) => boolean;
	heard: (now: number) => NodeName[];
	isHeard: (node: NodeName, now: number) => boolean;
	/** What the peer reported last under the own epoch. */
	report: (node: NodeName) => Report<B> | undefined;
	/** Whether the node has stored this version. */
	knows: (entry: Entry<B>, node: NodeName) => boolean;
	/** Whether a majority has stored this version. */
	isConfirmed: (entry: Entry<B>) => boolean;
	/** Whether a majority may not know yet that it has ended. */
	isSpreading: (id: EntryId) => boolean;
	/** The node that was asked to take over the lead, or null. */
	successor: () => NodeName | null;
}

/** For the log and the metrics. */
export type Note =
	| 'lease_held'
	| 'lease_lost'
	| 'lease_refused'
	| 'takeover'
	| 'handover'
	| 'peer_refused'
	| 'peer_lost_state'
	| 'node_admitted';

// What entries say of themselves

export function openOf<E extends Entry>(state: { durable: { open: E[] } }, id: EntryId | null): E | undefined {
	return state.durable.open.find((one) => one.spec.id === id);
}

export function hasEnded(state: { durable: { ended: readonly Ending[] } }, id: EntryId): boolean {
	return state.durable.ended.some((one) => one.rollout === id);
}

/** Whether it needs a lease. What covers a single node is that node's own. */
export function isShared({ replicated, members }: Entry['spec']): boolean {
	return replicated && members.length > 1;
}

/** The replicated entries that are open. */
export function openShared<E extends Entry>(state: { durable: { open: E[] } }): E[] {
	return state.durable.open.filter((one) => isShared(one.spec));
}

/** How these ended, as far as it may be told: what a node ended for itself alone is its own. */
export function toldEndings<E extends Ending>(state: { durable: { ended: E[] } }, ids: readonly EntryId[]): E[] {
	return state.durable.ended.filter((one) => one.epoch !== null && ids.includes(one.rollout));
}

/** Whether a change of members leaves the node out. */
export function isLeaving({ spec }: Pick<Entry, 'spec'>, node: NodeName): boolean {
	return spec.membersNext?.every((one) => one.name !== node) ?? false;
}
