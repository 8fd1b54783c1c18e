/**
 * An engine of coordination as the loop of events holds it. What an engine keeps in memory is its own; what it keeps on disk is
 * folded by the loop, which writes it. `quorum/` is one, `test/support/coordination/service-engine` another.
 */
import type { Epoch, NodeName } from './epoch.js';
import type { Bodies, Command, Coordination, Fact, Member, Note, Opaque, Report } from './port.js';

/** The types that an engine has of its own. */
export interface EngineTypes {
	/** What lies on this node's disk: the entries, and what the engine needs beside them. */
	kept: object;
	/** One change of it. */
	entry: object;
	/** What it says to the engine of another node. */
	message: object;
	/** First words of a link's other side. */
	hello: object;
	timer: string;
}

/** What an engine does about an event goes out through this. */
export interface EngineTurn<T extends EngineTypes, B extends Bodies = Opaque> {
	/** ms on the own monotonic clock. */
	readonly now: number;
	/** What came in says nothing new, so nothing is to be decided. */
	quiet?: boolean;
	/** Something was stored in this turn, by the engine or on top of it. */
	readonly hasStored: boolean;
	/** Folds the entries, and puts them on disk before anything that this turn does afterwards. */
	store(...entries: T['entry'][]): void;
	/** To a peer that takes part; dropped if it does not. */
	send(to: NodeName, message: T['message']): void;
	note(event: Note, fields: Record<string, string | number | boolean | null>): void;
	/** Sets the timer, or clears it with null. */
	arm(timer: T['timer'], at: number | null): void;
	isArmed(timer: T['timer']): boolean;
	tell(fact: Fact<B>): void;
	readiness(): B['readiness'];
	status(): B['status'];
	/** Whether the second report says no more than the first. */
	saysTheSame(a: Report<B>, b: Report<B>): boolean;
}

export type Input<T extends EngineTypes> =
	/** Comes first. `kept` is the fold that every `store` changes in place. */
	| { kind: 'started'; process: string; kept: T['kept'] }
	| { kind: 'link_up'; hello: T['hello'] }
	| { kind: 'link_down'; node: NodeName }
	| { kind: 'message'; from: NodeName; message: T['message'] }
	| { kind: 'timer'; name: T['timer'] }
	/** How this node stands has changed. */
	| { kind: 'readiness' }
	| { kind: 'members'; members: readonly Member[]; memberHash: string };

export interface Engine<T extends EngineTypes, B extends Bodies = Opaque> {
	/** What may be asked of it. */
	readonly coordination: Coordination<B>;
	input(turn: EngineTurn<T, B>, input: Input<T>): void;
	/** The door: whether what comes under this epoch is to be obeyed. */
	admits(turn: EngineTurn<T, B>, from: NodeName, epoch: Epoch): boolean;
	/** false: it could not be carried out. */
	command(turn: EngineTurn<T, B>, command: Command<B>): boolean;

	// After every event, in this order

	/** Once the facts of the event were heard. */
	settle(turn: EngineTurn<T, B>): void;
	/** Once requests were handled: tells `left` if a change of members has taken this node out. */
	settleLeft(turn: EngineTurn<T, B>): void;
	/** Whether a leader hears a majority, and may have its commands carried out. */
	mayLead(turn: EngineTurn<T, B>): boolean;
	/** Once the leader has given its commands: stops sending endings that all peers have. */
	settleEndings(turn: EngineTurn<T, B>): void;
	armTimers(turn: EngineTurn<T, B>): void;
}
