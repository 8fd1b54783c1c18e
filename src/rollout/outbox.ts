/** One event being worked on: the state, the time, and the effects so far. */
import { foldEntry } from './durable.js';
import type {
	CoreEffect,
	DurableEntry,
	Ending,
	NoteEvent,
	OpenRollout,
	PeerMessage,
	TimerName,
	Report,
	NackReason,
} from './messages.js';
import type { CoreState } from './state.js';
import type { Candidacy, CoordinationState, Leadership } from '../coordination/quorum/state.js';
import type { NodeName, NodeRecord, RolloutId, RolloutSpec, RolloutView, Epoch } from './types.js';

/** Facts come up, nothing below calls up. */
export type Fact =
	/** This node holds the lease, by the promises of that candidacy. */
	| { kind: 'held'; lease: Leadership; candidacy: Candidacy }
	/** Another epoch is promised: what was granted and heard under the own one is forgotten. */
	| { kind: 'lost' }
	/** It did not get the lease that it asked for. */
	| { kind: 'denied' }
	/** A peer gave no promise. */
	| { kind: 'refused'; from: NodeName; reason: NackReason }
	/** A promise that came late: its report counts like any other. */
	| { kind: 'late_report'; from: NodeName; epoch: Epoch; report: Report }
	/** A peer's report counts under the own lease. */
	| { kind: 'reported'; from: NodeName; report: Report }
	/** What was open here, or was not known, has ended. */
	| { kind: 'closed'; ending: Ending }
	/** A step of a rollout of this node alone has ended. */
	| { kind: 'local_step_ended'; rollout: RolloutId }
	/** The coordinator's own step: an order to oneself is a message, too. */
	| { kind: 'order'; message: Extract<PeerMessage, { kind: 'restart' }> };

export interface Turn {
	state: CoreState;
	now: number;
	wall: number;
	effects: CoreEffect[];
	/** What the lower rooms have found out, for those above them; core.ts hands it on, in order. */
	facts: Fact[];
	/** What came in says nothing new, so nothing is to be decided. */
	quiet?: boolean;
	/** Whoever follows is to be told what has changed. */
	showing?: boolean;
}

/** Remembers the entries and puts them on disk before anything that this turn does afterwards. */
export function store(turn: Turn, ...entries: DurableEntry[]): void {
	for (const entry of entries) foldEntry(turn.state.durable, entry);
	const last = turn.effects.at(-1);
	if (last?.kind === 'store') last.entries.push(...entries);
	else turn.effects.push({ kind: 'store', entries });
}

export function send(turn: Turn, to: NodeName, message: PeerMessage): void {
	if (turn.state.links[to]?.refused === null) turn.effects.push({ kind: 'send', to, message });
}

/** To every peer that takes part. */
export function broadcast(turn: Turn, message: PeerMessage): void {
	for (const peer of peersOf(turn.state)) send(turn, peer, message);
}

/** Names of the peers whose link is up and that take part, sorted. */
export function peersOf(state: CoordinationState): NodeName[] {
	return Object.keys(state.links)
		.filter((name) => state.links[name]?.refused === null)
		.sort();
}

export function note(
	turn: Turn,
	event: NoteEvent,
	fields: Record<string, string | number | boolean | null> = {},
): void {
	turn.effects.push({ kind: 'note', event, fields });
}

/** Sets the timer, or clears it with null; says nothing if it stands so already. */
export function arm(turn: Turn, name: TimerName, at: number | null): void {
	if (at === null) {
		if (turn.state.timers[name] === undefined) return;
		delete turn.state.timers[name];
		turn.effects.push({ kind: 'clear_timer', name });
		return;
	}
	if (turn.state.timers[name] === at) return;
	turn.state.timers[name] = at;
	turn.effects.push({ kind: 'set_timer', name, at });
}

export function openOf(state: CoordinationState, id: RolloutId | null): OpenRollout | undefined {
	return state.durable.open.find((one) => one.spec.id === id);
}

export function hasEnded(state: CoordinationState, id: RolloutId): boolean {
	return state.durable.ended.some((one) => one.rollout === id);
}

/** What this node shows of a rollout that has ended on it alone; undefined: it has not. See ended-here.ts. */
export function endedHereOf(state: CoordinationState, id: RolloutId): RolloutView | undefined {
	return state.durable.endedHere.find((one) => one.rollout === id)?.view;
}

/** Ended on this node alone, and no majority is heard that could go on with it. */
export function isAtRestHere(state: CoordinationState, id: RolloutId): boolean {
	return state.minoritySince !== null && endedHereOf(state, id) !== undefined;
}

/** The end of a rollout as this node shows it, for all or for itself alone; undefined: it is open. */
export function endOf(state: CoordinationState, id: RolloutId): RolloutView | undefined {
	const ended = state.durable.ended.find((one) => one.rollout === id);
	if (ended) return ended.view;
	return isAtRestHere(state, id) ? endedHereOf(state, id) : undefined;
}

export function recordOf(state: CoordinationState, id: RolloutId): NodeRecord | undefined {
	return state.durable.records.find((one) => one.rollout === id);
}

/** Whether the rollout needs a lease. One that covers a single node, asked for as replicated or not, is that node's own. */
export function isDriven(spec: RolloutSpec): boolean {
	return spec.replicated && spec.members.length > 1;
}

export function openReplicated(state: CoordinationState): OpenRollout[] {
	return state.durable.open.filter((one) => isDriven(one.spec));
}

/** A replicated rollout that is running or paused, as far as this node knows. */
export function runningReplicated(state: CoordinationState): OpenRollout | undefined {
	return openReplicated(state).find((one) => one.flags.halted === null);
}

/** The same, as far as it stands in the way of what an operator asks of this node. */
export function inTheWayHere(state: CoordinationState): OpenRollout | undefined {
	return openReplicated(state).find(({ spec, flags }) => flags.halted === null && !isAtRestHere(state, spec.id));
}
