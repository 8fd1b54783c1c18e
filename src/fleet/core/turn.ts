/** One event in the core: the state, the time, and the effects so far. */
import type { Command, Fact as CoordinationFact } from '../../coordination/port.js';
import type { KeptEntry, Message } from '../../coordination/quorum/messages.js';
import type { EngineTurn } from '../../coordination/engine.js';
import { saysTheSame, statusOf } from '../../rollout/agent/report.js';
import type { NoteEvent, Report, RolloutBodies } from '../../rollout/messages.js';
import type { Fact, Fields, Turn } from '../../rollout/outbox.js';
import { hearOfTime } from '../../rollout/times.js';
import type { NodeName, Readiness } from '../../rollout/types.js';
import { foldEntry } from './durable.js';
import type { CoreEffect, DurableEntry, EngineTypes, PeerMessage, TimerName } from './events.js';
import type { CoreState } from './state.js';

/** One event being worked on; to either side it is what that side knows as its turn. */
export class CoreTurn implements Turn, EngineTurn<EngineTypes, RolloutBodies> {
	readonly effects: CoreEffect[] = [];
	/** What the lower rooms have found out, for those above them; core.ts hands it on, in order. */
	readonly facts: Fact[] = [];
	/** What came in says nothing new, so nothing is to be decided. */
	quiet = false;
	/** Followers have to be sent the change. */
	showing = false;
	hasStored = false;

	constructor(
		readonly state: CoreState,
		readonly now: number,
		readonly wall: number,
	) {}

	store(...entries: KeptEntry<RolloutBodies>[]): void {
		this.keep(entries);
	}

	keep(entries: readonly DurableEntry[]): void {
		for (const entry of entries) {
			if (entry.kind === 'open') hearOfTime(this, entry);
			foldEntry(this.state.durable, entry);
		}
		this.hasStored = true;
		const last = this.effects.at(-1);
		if (last?.kind === 'store') last.entries.push(...entries);
		else this.effects.push({ kind: 'store', entries: [...entries] });
	}

	send(to: NodeName, message: Message<RolloutBodies>): void {
		this.post(to, message);
	}

	post(to: NodeName, message: PeerMessage): void {
		if (this.state.coordination.peer(to)?.refused === null) this.effects.push({ kind: 'send', to, message });
	}

	note(event: NoteEvent, fields: Fields): void {
		this.effects.push({ kind: 'note', event, fields });
	}

	/** Says nothing if it stands so already. */
	arm(name: TimerName, at: number | null): void {
		const { timers } = this.state;
		if (timers[name] === at) return;
		timers[name] = at;
		this.effects.push(at === null ? { kind: 'clear_timer', name } : { kind: 'set_timer', name, at });
	}

	isArmed(name: TimerName): boolean {
		return this.state.timers[name] !== null;
	}

	/** A command to coordination; false if it could not be carried out. */
	command(command: Command<RolloutBodies>): boolean {
		return this.state.engine.command(this, command);
	}

	tell(fact: CoordinationFact<RolloutBodies>): void {
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
