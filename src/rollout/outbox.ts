/** One event being worked on: the state, the time, and the effects so far. */
import { saysTheSame, statusOf } from './agent/report.js';
import { foldEntry } from './durable.js';
import type {
	CoreEffect,
	DurableEntry,
	NoteEvent,
	OpenRollout,
	PeerMessage,
	Report,
	RolloutBodies,
	TimerName,
} from './messages.js';
import type { CoreState } from './state.js';
import type { NodeName, NodeRecord, Readiness, RolloutId, RolloutView } from './types.js';
import type * as port from '../coordination/port.js';
import type { KeptEntry, Message } from '../coordination/quorum/messages.js';
import { onCommand } from '../coordination/quorum/engine.js';
import { openShared } from '../coordination/port.js';

/** Facts come up, nothing below calls up. */
export type Fact =
	| port.Fact<RolloutBodies>
	/** A step of a rollout of this node alone has ended. */
	| { kind: 'local_step_ended'; rollout: RolloutId }
	/** The coordinator's own step: an order to oneself is a message, too. */
	| { kind: 'order'; message: Extract<PeerMessage, { kind: 'restart' }> };

type Fields = Record<string, string | number | boolean | null>;

export class Turn {
	readonly effects: CoreEffect[] = [];
	/** What the lower rooms have found out, for those above them; core.ts hands it on, in order. */
	readonly facts: Fact[] = [];
	/** What came in says nothing new, so nothing is to be decided. */
	quiet = false;
	/** Whoever follows is to be told what has changed. */
	showing = false;

	constructor(
		readonly state: CoreState,
		readonly now: number,
		readonly wall: number,
	) {}

	store(...entries: KeptEntry<RolloutBodies>[]): void {
		this.keep(entries);
	}

	keep(entries: readonly DurableEntry[]): void {
		for (const entry of entries) foldEntry(this.state.durable, entry);
		const last = this.effects.at(-1);
		if (last?.kind === 'store') last.entries.push(...entries);
		else this.effects.push({ kind: 'store', entries: [...entries] });
	}

	send(to: NodeName, message: Message<RolloutBodies>): void {
		this.post(to, message);
	}

	post(to: NodeName, message: PeerMessage): void {
		if (this.state.links[to]?.refused === null) this.effects.push({ kind: 'send', to, message });
	}

	note(event: NoteEvent, fields: Fields): void {
		this.effects.push({ kind: 'note', event, fields });
	}

	/** Says nothing if it stands so already. */
	arm(name: TimerName, at: number | null): void {
		const { timers } = this.state;
		if (timers[name] === (at ?? undefined)) return;
		if (at === null) {
			delete timers[name];
			this.effects.push({ kind: 'clear_timer', name });
			return;
		}
		timers[name] = at;
		this.effects.push({ kind: 'set_timer', name, at });
	}

	isArmed(name: TimerName): boolean {
		return this.state.timers[name] !== undefined;
	}

	/** To whoever coordinates; false: nothing could be done. */
	command(command: port.Command<RolloutBodies>): boolean {
		return onCommand(this, command);
	}

	tell(fact: port.Fact<RolloutBodies>): void {
		this.facts.push(fact);
	}

	readiness(): Readiness {
		return this.state.readiness;
	}

	status(): RolloutBodies['status'] {
		return statusOf(this.state);
	}

	saysTheSame(a: Report, b: Report): boolean {
		return saysTheSame(a, b);
	}
}

export function store(turn: Turn, ...entries: DurableEntry[]): void {
	turn.keep(entries);
}

export function send(turn: Turn, to: NodeName, message: PeerMessage): void {
	turn.post(to, message);
}

export function note(turn: Turn, event: NoteEvent, fields: Fields = {}): void {
	turn.note(event, fields);
}

/** Sets the timer, or clears it with null. */
export function arm(turn: Turn, name: TimerName, at: number | null): void {
	turn.arm(name, at);
}

/** What this node shows of a rollout that has ended on it alone; undefined: it has not. See ended-here.ts. */
export function endedHereOf(state: CoreState, id: RolloutId): RolloutView | undefined {
	return state.durable.endedHere.find((one) => one.rollout === id)?.view;
}

/** Ended on this node alone, and no majority is heard that could go on with it. */
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
	return openShared(state).find((one) => one.flags.halted === null);
}

/** The same, as far as it stands in the way of what an operator asks of this node. */
export function inTheWayHere(state: CoreState): OpenRollout | undefined {
	return openShared(state).find(({ spec, flags }) => flags.halted === null && !isAtRestHere(state, spec.id));
}
