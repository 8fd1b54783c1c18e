/** One event as a rollout sees it: the state, the time, and the ways out. */
import type {
	NoteEvent,
	OpenRollout,
	Refusal,
	RolloutBodies,
	RolloutEffect,
	RolloutEntry,
	RolloutMessage,
	RolloutTimer,
} from './messages.js';
import type { CoreState } from './state.js';
import type { NodeName, NodeRecord, RolloutId, RolloutView } from './types.js';
import type * as port from '../coordination/port.js';
import { isShared } from '../coordination/port.js';

/** Facts come up, nothing below calls up. */
export type Fact =
	| port.Fact<RolloutBodies>
	/** A step of a rollout of this node alone has ended. */
	| { kind: 'local_step_ended'; rollout: RolloutId }
	/** The undo of this rollout, which nobody asked for, could not be opened. */
	| { kind: 'not_reverted'; rollout: RolloutId | null; refusal: Refusal }
	/** The coordinator's own step: an order to oneself is a message, too. */
	| { kind: 'order'; message: Extract<RolloutMessage, { kind: 'restart' }> };

export type Fields = Record<string, string | number | boolean | null>;

export interface Turn {
	readonly state: CoreState;
	readonly now: number;
	readonly wall: number;
	readonly effects: { push(effect: RolloutEffect): unknown };
	readonly facts: { push(fact: Fact): unknown };
	/** Followers have to be sent the change. */
	showing: boolean;
	/** Remembers the entries, and puts them on disk before anything that this turn does afterwards. */
	keep(entries: readonly RolloutEntry[]): void;
	post(to: NodeName, message: RolloutMessage): void;
	note(event: NoteEvent, fields: Fields): void;
	/** Sets the timer, or clears it with null. */
	arm(name: RolloutTimer, at: number | null): void;
	/** A command to coordination; false if it could not be carried out. */
	command(command: port.Command<RolloutBodies>): boolean;
}

export function store(turn: Turn, ...entries: RolloutEntry[]): void {
	turn.keep(entries);
}

export function send(turn: Turn, to: NodeName, message: RolloutMessage): void {
	turn.post(to, message);
}

export function note(turn: Turn, event: NoteEvent, fields: Fields = {}): void {
	turn.note(event, fields);
}

/** Sets the timer, or clears it with null. */
export function arm(turn: Turn, name: RolloutTimer, at: number | null): void {
	turn.arm(name, at);
}

/** What this node shows of a rollout that has ended on it alone; undefined: it has not. See ended-here.ts. */
export function endedHereOf(state: CoreState, id: RolloutId): RolloutView | undefined {
	return state.durable.endedHere.find((one) => one.rollout === id)?.view;
}

/** Ended on this node alone, and no majority is heard that could continue it. */
export function isAtRestHere(state: CoreState, id: RolloutId): boolean {
	return state.coordination.minoritySince() !== null && endedHereOf(state, id) !== undefined;
}

/** The end of a rollout as this node shows it, for all or for itself alone; undefined: it is open. */
export function endOf(state: CoreState, id: RolloutId): RolloutView | undefined {
	const ended = state.durable.ended.find((one) => one.rollout === id);
	if (ended) return ended.view;
	return isAtRestHere(state, id) ? endedHereOf(state, id) : undefined;
}

export function recordOf(state: CoreState, id: RolloutId): NodeRecord | undefined {
	return state.durable.records.find((one) => one.rollout === id);
}

/** A replicated rollout that is running or paused, as far as this node knows. */
export function runningReplicated(state: CoreState): OpenRollout | undefined {
	return state.durable.open.find(({ spec, flags }) => flags.halted === null && isShared(spec));
}

/** The same, as far as it stands in the way of what an operator asks of this node. */
export function inTheWayHere(state: CoreState): OpenRollout | undefined {
	return state.durable.open.find(
		({ spec, flags }) => flags.halted === null && isShared(spec) && !isAtRestHere(state, spec.id),
	);
}
