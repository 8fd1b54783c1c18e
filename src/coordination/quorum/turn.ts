/** One event as coordination sees it: its state, the time, and the ways out. */
import type { NodeName } from '../epoch.js';
import type { Bodies, EntryId, Fact, Note, Peer, Report } from '../port.js';
import type { KeptEntry, Message } from './messages.js';
import type { CoordinationState } from './state.js';

export type CoordinationTimer = 'heartbeat' | 'lease' | 'prepare';

export interface Turn {
	readonly state: CoordinationState;
	readonly now: number;
	/** What came in says nothing new, so nothing is to be decided. */
	quiet?: boolean;
	/** Remembers the entries and puts them on disk before anything that this turn does afterwards. */
	store(...entries: KeptEntry[]): void;
	/** To a peer that takes part; dropped if it does not. */
	send(to: NodeName, message: Message): void;
	note(event: Note, fields: Record<string, string | number | boolean | null>): void;
	/** Sets the timer, or clears it with null. */
	arm(timer: CoordinationTimer, at: number | null): void;
	isArmed(timer: CoordinationTimer): boolean;
	tell(fact: Fact): void;
	readiness(): object;
	status(): object;
	/** Whether the second report says no more than the first. */
	saysTheSame(a: Report, b: Report): boolean;
}

type Kept = Pick<CoordinationState, 'durable'>;

/** To every peer that takes part. */
export function broadcast(turn: Turn, message: Message): void {
	for (const peer of peersOf(turn.state)) turn.send(peer, message);
}

/** Names of the peers whose link is up and that take part, sorted. */
export function peersOf({ links }: Pick<CoordinationState, 'links'>): NodeName[] {
	return Object.keys(links)
		.filter((name) => links[name]?.refused === null)
		.sort();
}

export function peerOf<B extends Bodies>({ links }: CoordinationState<B>, node: NodeName): Peer<B> | undefined {
	const link = links[node];
	if (!link) return undefined;
	return { refused: link.refused, protocolMax: link.hello.protocol.max, readiness: link.greeting?.readiness ?? null };
}

/** Whether it ended on this node alone. */
export function hasEndedHere(state: Kept, id: EntryId): boolean {
	return state.durable.endedHere.some((one) => one.rollout === id);
}
