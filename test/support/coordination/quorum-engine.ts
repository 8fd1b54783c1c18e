/** The own majority as an engine of the contract suite: no rollout near it. */
import type { NodeName } from '../../../src/coordination/epoch.js';
import {
	armTimers,
	mayLead,
	onCommand,
	onInput,
	settle,
	settleEndings,
} from '../../../src/coordination/quorum/engine.js';
import { heldLease, isConfirmed } from '../../../src/coordination/quorum/heard.js';
import { putUnder } from '../../../src/coordination/quorum/lead.js';
import { isMajority } from '../../../src/coordination/quorum/members/voters.js';
import type { Hello, Kept, KeptEntry, Message } from '../../../src/coordination/quorum/messages.js';
import { type CoordinationState, createCoordination } from '../../../src/coordination/quorum/state.js';
import type { CoordinationTimer, Turn } from '../../../src/coordination/quorum/turn.js';
import { type Fact, openOf } from '../../../src/coordination/port.js';
import { type Effect, type Engine, type Input, leaseMs, type TestBodies, type TestFact } from './engine.js';

export type QuorumMessage = Message<TestBodies>;
export type QuorumStored = KeptEntry<TestBodies>;
type Effects = Effect<QuorumMessage, QuorumStored>[];

export interface QuorumState extends CoordinationState<TestBodies> {
	timers: Partial<Record<CoordinationTimer, number>>;
	/** What was told as committed, by version; and what is closed and not yet told. */
	told: string;
	closing: string[];
}

function fold(kept: Kept<TestBodies>, entry: QuorumStored): void {
	switch (entry.kind) {
		case 'boot':
			kept.boot = entry.boot;
			return;
		case 'instance':
			kept.instance = entry.instance;
			kept.voting = entry.voting;
			return;
		case 'promised':
			kept.promised = entry.epoch;
			return;
		case 'open':
			kept.open = [
				...kept.open.filter((one) => one.spec.id !== entry.spec.id),
				{ spec: entry.spec, flags: entry.flags },
			];
			return;
		case 'flags': {
			const known = openOf({ durable: kept }, entry.rollout);
			if (known) fold(kept, { kind: 'open', spec: known.spec, flags: entry.flags });
			return;
		}
		case 'ending':
			kept.open = kept.open.filter((one) => one.spec.id !== entry.ending.rollout);
			kept.ended = [...kept.ended.filter((one) => one.rollout !== entry.ending.rollout), entry.ending];
			return;
		case 'peer':
			kept.peers[entry.node] = entry.peer;
			return;
		case 'ended_here':
			return;
	}
}

class TestTurn implements Turn {
	quiet = false;
	readonly hasStored = true;
	readonly effects: Effects = [];

	constructor(
		readonly state: QuorumState,
		readonly now: number,
	) {}

	store(...entries: KeptEntry[]): void {
		for (const entry of entries as QuorumStored[]) {
			fold(this.state.durable, entry);
			this.effects.push({ kind: 'store', entry });
		}
	}
	send(to: NodeName, message: Message): void {
		if (this.state.links[to]) this.effects.push({ kind: 'send', to, message: message as QuorumMessage });
	}
	note(): void {}
	arm(timer: CoordinationTimer, at: number | null): void {
		if (at === null) delete this.state.timers[timer];
		else this.state.timers[timer] = at;
	}
	isArmed(timer: CoordinationTimer): boolean {
		return this.state.timers[timer] !== undefined;
	}
	tell(fact: Fact): void {
		this.effects.push({ kind: 'fact', fact: fact as TestFact });
	}
	readiness(): object {
		return {};
	}
	status(): object {
		return {};
	}
	saysTheSame(): boolean {
		return false;
	}
}

function onTestInput(turn: TestTurn, input: Input<QuorumMessage>): void {
	const { state, now } = turn;
	switch (input.kind) {
		case 'started':
			onInput(turn, { ...input, kept: state.durable });
			return;
		case 'command':
			if (!onCommand(turn, input.command)) return;
			if (input.command.kind === 'close') state.closing.push(input.command.ending.rollout);
			// Who lets go knows, and is told nothing.
			if (input.command.kind === 'resign' && !heldLease(state)) turn.tell({ kind: 'lost' });
			return;
		case 'link_up':
			onInput(turn, { kind: 'link_up', hello: input.hello as Hello });
			return;
		case 'wake':
			for (const name of ['heartbeat', 'lease', 'prepare'] as const) {
				if ((state.timers[name] ?? Number.POSITIVE_INFINITY) > now) continue;
				delete state.timers[name];
				onInput(turn, { kind: 'timer', name });
			}
			return;
		default:
			onInput(turn, input);
	}
}

/** What has come to be on the disks of a majority. */
function tellCommitted(turn: TestTurn): void {
	const { state } = turn;
	const lease = heldLease(state);
	if (!lease) {
		state.closing = [];
		return;
	}
	const entry = putUnder(state, lease);
	if (entry && isConfirmed(state, entry)) {
		const { version } = entry.flags;
		const key = `${entry.spec.id} ${JSON.stringify(version)}`;
		if (key !== state.told)
			turn.effects.push({ kind: 'fact', fact: { kind: 'committed', id: entry.spec.id, version, closed: false } });
		state.told = key;
	}
	state.closing = state.closing.filter((id) => {
		const holders = Object.entries(lease.reports).filter(([, { report }]) => report.ended.includes(id));
		if (!isMajority(state, new Set([state.settings.self, ...holders.map(([name]) => name)]))) return true;
		const version = { epoch: lease.epoch, n: 0 };
		turn.effects.push({ kind: 'fact', fact: { kind: 'committed', id, version, closed: true } });
		return false;
	});
}

export const quorumEngine: Engine<QuorumState, QuorumMessage, QuorumStored> = {
	service: null,
	create(self, members, stored) {
		const founding = {
			self,
			protocol: { min: 1, max: 1 },
			leaseMs,
			members: members.map((name) => ({ name, zone: null })),
			memberHash: members.join(),
		};
		const state = createCoordination<TestBodies>(founding);
		for (const entry of stored) fold(state.durable, structuredClone(entry));
		return { ...state, timers: {}, told: '', closing: [] };
	},
	hello({ settings, durable, process, memberHash }) {
		const { boot, instance } = durable;
		return { node: settings.self, boot, instance, process, memberHash, protocol: settings.protocol };
	},
	step(state, input, now) {
		const turn = new TestTurn(state, now);
		onTestInput(turn, input);
		settle(turn, true);
		mayLead(turn);
		tellCommitted(turn);
		settleEndings(turn);
		armTimers(turn);
		return turn.effects;
	},
	wakeAt: ({ timers }) => (Object.keys(timers).length > 0 ? Math.min(...Object.values(timers)) : null),
};
