/** What the nodes say to each other to find a coordinator and to store what it decides, and what each keeps of it on disk. */
import type { Epoch, NodeName } from '../epoch.js';
import type {
	Bodies,
	Ending,
	Entry,
	EntryId,
	NackReason,
	Opaque,
	Report,
	StoredEntries,
	StoredEntry,
} from '../port.js';

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

/** What a node knows of a peer's state folder; another instance id means that the peer lost its state. */
export interface KnownPeer {
	instance: string;
	boot: number;
	process: string;
}

export type PreparePurpose = 'start' | 'takeover' | 'handover';

export type Message<B extends Bodies = Opaque> =
	/** First words on a link, and again when something of it changes. */
	| {
			kind: 'greeting';
			/** The sender's own promise. */
			promised: Epoch;
			voting: boolean;
			/** The sender's; another one than in its hello once it was told that it lost its state. */
			instance: string;
			memberHash: string;
			readiness: B['readiness'];
			/** The replicated entries that are open, as the sender knows. */
			open: EntryId[];
			/** The addressee came with another instance, or an older boot, than the sender knows: it lost its state. */
			stranger: boolean;
			/** For an addressee that is new or lost its state: what it may have helped to store, and has forgotten. */
			catchUp: { open: Entry<B>[]; ended: Ending<B>[] } | null;
	  }
	| {
			kind: 'prepare';
			epoch: Epoch;
			purpose: PreparePurpose;
			/** The entry to start; null for a takeover. */
			rollout: EntryId | null;
			/** The sender's; while a change of members is open also those before and after it. One has to be the addressee's. */
			memberHashes: string[];
	  }
	| { kind: 'promise'; epoch: Epoch; report: Report<B>; open: Entry<B>[]; ended: Ending<B>[] }
	| { kind: 'nack'; epoch: Epoch; promised: Epoch; reason: NackReason }
	| {
			kind: 'heartbeat';
			epoch: Epoch;
			number: number;
			/** false: the coordinator does not hear a majority itself; such a heartbeat renews no lease. */
			live: boolean;
	  }
	| { kind: 'report'; epoch: Epoch; report: Report<B> }
	/** Open and closed entries; answered with a report once stored. */
	| { kind: 'store'; epoch: Epoch; open: Entry<B>[]; ended: Ending<B>[] }
	| { kind: 'handover'; epoch: Epoch; rollout: EntryId }
	/** Endings, told to a peer that does not know. Needs no lease: an ending wins over open. */
	| { kind: 'ended'; endings: Ending<B>[] };

export type MessageOf<Kind extends Message['kind']> = Extract<Message, { kind: Kind }>;

/** What coordination has on disk; the fold of its entries, with those of others. */
export interface Kept<B extends Bodies = Opaque> extends StoredEntries<B> {
	boot: number;
	/** Id of the state folder; null before the first start. */
	instance: string | null;
	/** false until this node's vote counts: it is new, or lost its state, and has not heard all others yet. */
	voting: boolean;
	promised: Epoch;
	/** This node's own part in each: `back` once it is done. */
	records: { rollout: EntryId; state: string }[];
	peers: Record<NodeName, KnownPeer>;
}

export type KeptEntry<B extends Bodies = Opaque> =
	| { kind: 'boot'; boot: number }
	| { kind: 'instance'; instance: string; voting: boolean }
	| { kind: 'promised'; epoch: Epoch }
	| StoredEntry<B>
	| { kind: 'peer'; node: NodeName; peer: KnownPeer };
