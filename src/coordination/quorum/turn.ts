/** One event as coordination sees it: its state, the time, and the ways out. */
import type { NodeName } from '../epoch.js';
import type { EngineTurn } from '../engine.js';
import type { Bodies, EntryId, Fact, Note, Opaque, Peer, Report } from '../port.js';
import type { Hello, Kept as KeptHere, KeptEntry, Message } from './messages.js';
import type { CoordinationState } from './state.js';

export type CoordinationTimer = 'heartbeat' | 'lease' | 'prepare';

/** What this engine has of its own: see `coordination/engine`. */
export interface QuorumTypes<B extends Bodies = Opaque> {
	kept: KeptHere<B>;
	entry: KeptEntry<B>;
	message: Message<B>;
	hello: Hello;
	timer: CoordinationTimer;
}

type Out = EngineTurn<QuorumTypes>;

export interface Turn extends Out {
	readonly state: CoordinationState;
}

/** The loop's turn, beside this engine's own state. */
export class OwnTurn implements Turn {
	readonly now: number;

	constructor(
		readonly state: CoordinationState,
		readonly out: Out,
	) {
		this.now = out.now;
	}

	get hasStored(): boolean {
		return this.out.hasStored;
	}

	set quiet(quiet: boolean) {
		this.out.quiet = quiet;
	}

	store(...entries: KeptEntry[]): void {
		this.out.store(...entries);
	}

	send(to: NodeName, message: Message): void {
		this.out.send(to, message);
	}

	note(event: Note, fields: Parameters<Out['note']>[1]): void {
		this.out.note(event, fields);
	}

	arm(timer: CoordinationTimer, at: number | null): void {
		this.out.arm(timer, at);
	}

	isArmed(timer: CoordinationTimer): boolean {
		return this.out.isArmed(timer);
	}

	tell(fact: Fact): void {
		this.out.tell(fact);
	}

	readiness(): object {
		return this.out.readiness();
	}

	status(): object {
		return this.out.status();
	}

	saysTheSame(a: Report, b: Report): boolean {
		return this.out.saysTheSame(a, b);
	}
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
