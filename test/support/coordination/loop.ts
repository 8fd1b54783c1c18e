/** The loop around one engine, without a rollout: what an engine does, kept in order. */
import type { Engine, EngineTurn, Input } from '../../../src/coordination/engine.js';
import type { Command, Entry, Fact } from '../../../src/coordination/port.js';
import { emptyDurable, foldEntry } from '../../../src/fleet/core/durable.js';
import type { DurableEntry, DurableState, EngineTypes, PeerMessage } from '../../../src/fleet/core/events.js';
import type { RolloutBodies } from '../../../src/rollout/messages.js';

export type TestedEngine = Engine<EngineTypes, RolloutBodies>;

export class Loop {
	readonly durable: DurableState = emptyDurable();
	now = 1_000;
	/** Since the last look. */
	stored: DurableEntry[] = [];
	facts: Fact<RolloutBodies>[] = [];
	sent: { to: string; message: PeerMessage }[] = [];
	readonly #timers = new Set<string>();

	constructor(readonly engine: TestedEngine) {
		this.input({ kind: 'started', process: 'p1', kept: this.durable });
	}

	input(input: Input<EngineTypes>): void {
		this.#turn((turn) => this.engine.input(turn, input));
	}

	/** What it answers, and in {@link stored}, {@link facts} and {@link sent} what it does. */
	command(command: Command<RolloutBodies>): boolean {
		Object.assign(this, { stored: [], facts: [], sent: [] });
		return this.#turn((turn) => this.engine.command(turn, command));
	}

	#turn<Result>(work: (turn: EngineTurn<EngineTypes, RolloutBodies>) => Result): Result {
		const turn: EngineTurn<EngineTypes, RolloutBodies> = {
			now: this.now,
			hasStored: true,
			store: (...entries) => {
				for (const entry of entries) foldEntry(this.durable, entry);
				this.stored.push(...entries);
			},
			send: (to, message) => this.sent.push({ to, message }),
			note: () => undefined,
			arm: (timer, at) => (at === null ? this.#timers.delete(timer) : this.#timers.add(timer)),
			isArmed: (timer) => this.#timers.has(timer),
			tell: (fact) => this.facts.push(fact),
			readiness: () => ({ apps: [], availability: null, draining: false }),
			status: () => ({}) as RolloutBodies['status'],
			saysTheSame: () => false,
		};
		const result = work(turn);
		this.engine.settle(turn);
		this.engine.settleLeft(turn);
		this.engine.mayLead(turn);
		this.engine.settleEndings(turn);
		this.engine.armTimers(turn);
		return result;
	}
}

/** An entry of the fleet's, never stored yet. An engine reads no more of it. */
export function freshEntry(id: string, names: readonly string[]): Entry<RolloutBodies> {
	const members = names.map((name) => ({ name, zone: null }));
	const spec = { id, replicated: true, members, memberHash: names.join('+'), membersNext: null, memberHashNext: null };
	const flags = { version: { epoch: null, n: 0 }, left: [], halted: null };
	return { spec, flags } as unknown as Entry<RolloutBodies>;
}
