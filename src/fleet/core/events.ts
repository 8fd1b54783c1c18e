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
import type { Hello, Kept, KeptEntry, Message } from '../../coordination/quorum/messages.js';
import type { QuorumTypes } from '../../coordination/quorum/turn.js';
import type {
	DurableRollouts,
	Member,
	RolloutBodies,
	RolloutEffect,
	RolloutEntry,
	RolloutEvent,
	RolloutMessage,
	RolloutTimer,
} from '../../rollout/messages.js';
import type { NodeName, NodeRecord, Readiness, RolloutId, RolloutSpec } from '../../rollout/types.js';

/** The fold of all entries, in the order written. See `foldEntry` in durable.ts. */
export interface DurableState extends Kept<RolloutBodies>, DurableRollouts {
	records: NodeRecord[];
	/** In which order this node heard of its rollouts; some of them may be forgotten. */
	heard: RolloutId[];
}

export type DurableEntry =
	/** `ended_here`: a build that does not know it reads past it, and has the rollout as open. */
	| KeptEntry<RolloutBodies>
	| RolloutEntry
	/** Written only when a log is rewritten. */
	| { kind: 'unfinished'; spec: RolloutSpec }
	/** Written only when a log is rewritten. A build that does not know it lists what it rewrites by the other entries. */
	| { kind: 'heard'; rollouts: RolloutId[] }
	/** Written before entries that a build of an earlier version must not pass over; see `recordsVersion` in durable.ts. */
	| { kind: 'needs'; version: number };

export type PeerMessage = Message<RolloutBodies> | RolloutMessage;

/** Of the engine whose words cross the links and whose entries lie on the disk. */
export type EngineTypes = QuorumTypes<RolloutBodies>;

export type TimerName = EngineTypes['timer'] | RolloutTimer;

export type CoreEvent =
	| RolloutEvent
	| ({ now: number; wall: number } & (
			| { kind: 'started'; durable: DurableState; process: string; readiness: Readiness }
			| { kind: 'link_up'; hello: Hello }
			| { kind: 'link_down'; node: NodeName }
			| { kind: 'message'; from: NodeName; message: PeerMessage }
			| { kind: 'timer'; name: TimerName }
			/** The applied `cluster:` configuration has other members now. */
			| { kind: 'members'; members: readonly Member[]; memberHash: string }
	  ));

export type CoreEffect =
	| RolloutEffect
	/** A barrier: synced before anything that follows. */
	| { kind: 'store'; entries: DurableEntry[] }
	/** To a peer whose link is up; dropped if it is not. */
	| { kind: 'send'; to: NodeName; message: PeerMessage }
	| { kind: 'set_timer'; name: TimerName; at: number }
	| { kind: 'clear_timer'; name: TimerName }
	/** The boot counter and the instance id are on disk; the shell says them in its hello from now on. */
	| { kind: 'booted'; boot: number; instance: string };
