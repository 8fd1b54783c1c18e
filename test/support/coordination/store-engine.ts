/** A store with one register for the leader, as an engine: what a fleet without links would stand on. It shows that the port fits. */
import { compareEpochs, type Epoch, type NodeName, sameEpoch } from '../../../src/coordination/epoch.js';
import type { Command } from '../../../src/coordination/port.js';
import {
	type Committed,
	type Effect,
	type Engine,
	type Input,
	leaseMs,
	type TestBodies,
	type TestEntry,
} from './engine.js';

const service = 'store';
const renewEveryMs = leaseMs / 3;

export type StoreMessage =
	| { kind: 'campaign'; since: number }
	| { kind: 'renew'; epoch: Epoch }
	| { kind: 'put'; epoch: Epoch; entry: TestEntry }
	| { kind: 'close'; epoch: Epoch; id: string }
	| { kind: 'resign'; epoch: Epoch }
	/** A follower's own word that it is to lead; the store passes it on. */
	| { kind: 'invite'; to: NodeName; epoch: Epoch }
	| { kind: 'elected'; epoch: Epoch; entries: TestEntry[]; since: number }
	| { kind: 'denied' }
	| { kind: 'renewed'; epoch: Epoch }
	| { kind: 'superseded'; epoch: Epoch }
	| { kind: 'done'; committed: Committed };

export interface StoreState {
	self: NodeName;
	members: readonly NodeName[];
	/** Of a node: the epoch under which it leads, and until when it may believe so. */
	epoch: Epoch | null;
	until: number;
	renewAt: number;
	counts: Record<string, number>;
	/** Of the service: the one register, and all that it ever stored. */
	leader: { epoch: Epoch; until: number } | null;
	revision: number;
	entries: Map<string, TestEntry>;
	closed: Set<string>;
}

type Effects = Effect<StoreMessage, never>[];

function serve(state: StoreState, from: NodeName, message: StoreMessage, now: number): Effects {
	const answer = (told: StoreMessage): Effects => [{ kind: 'send', to: from, message: told }];
	const { leader } = state;
	if (message.kind === 'campaign') {
		if (leader && now < leader.until && leader.epoch.node !== from) return answer({ kind: 'denied' });
		state.revision += 1;
		const epoch = { counter: state.revision, node: from };
		state.leader = { epoch, until: now + 2 * leaseMs };
		const entries = [...state.entries.values()].sort((a, b) => b.flags.version.n - a.flags.version.n);
		return answer({ kind: 'elected', epoch, entries, since: message.since });
	}
	if (message.kind === 'invite')
		return leader && sameEpoch(leader.epoch, message.epoch) ? [{ kind: 'send', to: message.to, message }] : [];
	if (!('epoch' in message)) return [];
	// Every write compares the register, as one transaction.
	if (!leader || !sameEpoch(leader.epoch, message.epoch)) return answer({ kind: 'superseded', epoch: message.epoch });
	switch (message.kind) {
		case 'renew':
			leader.until = now + 2 * leaseMs;
			return answer({ kind: 'renewed', epoch: message.epoch });
		case 'resign':
			state.leader = null;
			return answer({ kind: 'superseded', epoch: message.epoch });
		case 'put': {
			const { id } = message.entry.spec;
			if (state.closed.has(id)) return [];
			state.entries.set(id, message.entry);
			const { version } = message.entry.flags;
			return answer({ kind: 'done', committed: { kind: 'committed', id, version, closed: false } });
		}
		case 'close': {
			state.entries.delete(message.id);
			state.closed.add(message.id);
			const version = { epoch: message.epoch, n: 0 };
			return answer({ kind: 'done', committed: { kind: 'committed', id: message.id, version, closed: true } });
		}
		default:
			return [];
	}
}

function lose(state: StoreState): Effects {
	state.epoch = null;
	return [{ kind: 'fact', fact: { kind: 'lost' } }];
}

function onAnswer(state: StoreState, message: StoreMessage, now: number): Effects {
	const ask = (said: StoreMessage): Effects => [{ kind: 'send', to: service, message: said }];
	switch (message.kind) {
		case 'elected': {
			// An answer that took longer than a lease is no lease; the register runs out.
			if (now >= message.since + leaseMs) return ask({ kind: 'resign', epoch: message.epoch });
			const before = state.epoch ? lose(state) : [];
			Object.assign(state, { epoch: message.epoch, until: message.since + leaseMs, renewAt: now, counts: {} });
			const { epoch, entries } = message;
			return [...before, { kind: 'fact', fact: { kind: 'leading', epoch, entries } }];
		}
		case 'denied':
			return [{ kind: 'fact', fact: { kind: 'denied' } }];
		case 'renewed':
			if (state.epoch && sameEpoch(state.epoch, message.epoch)) state.until = state.renewAt - renewEveryMs + leaseMs;
			return [];
		case 'superseded':
			return state.epoch && compareEpochs(state.epoch, message.epoch) <= 0 ? lose(state) : [];
		case 'invite':
			return ask({ kind: 'campaign', since: now });
		case 'done':
			return [{ kind: 'fact', fact: message.committed }];
		default:
			return [];
	}
}

function onCommand(state: StoreState, command: Command<TestBodies>, now: number): Effects {
	const ask = (message: StoreMessage): Effects => [{ kind: 'send', to: service, message }];
	const { epoch } = state;
	if (command.kind === 'campaign') return ask({ kind: 'campaign', since: now });
	if (!epoch) return [];
	switch (command.kind) {
		case 'put': {
			const { spec, flags } = command.entry;
			const n = (state.counts[spec.id] ?? -1) + 1;
			state.counts[spec.id] = n;
			return ask({ kind: 'put', epoch, entry: { spec, flags: { ...flags, version: { epoch, n } } } });
		}
		case 'close':
			return ask({ kind: 'close', epoch, id: command.ending.rollout });
		case 'transfer': {
			const to = command.to[0];
			return to === undefined ? [] : [...ask({ kind: 'invite', to, epoch }), ...ask({ kind: 'resign', epoch })];
		}
		case 'resign':
			return ask({ kind: 'resign', epoch });
		default:
			return [];
	}
}

export const storeEngine: Engine<StoreState, StoreMessage, never> = {
	service,
	create: (self, members) => ({
		self,
		members,
		epoch: null,
		until: 0,
		renewAt: 0,
		counts: {},
		leader: null,
		revision: 0,
		entries: new Map(),
		closed: new Set(),
	}),
	hello: () => null,
	step(state: StoreState, input: Input<StoreMessage>, now: number) {
		const effects = state.epoch && now >= state.until ? lose(state) : [];
		if (input.kind === 'command') return [...effects, ...onCommand(state, input.command, now)];
		if (input.kind === 'message')
			return [
				...effects,
				...(state.self === service
					? serve(state, input.from, input.message, now)
					: onAnswer(state, input.message, now)),
			];
		if (state.epoch && now >= state.renewAt) {
			state.renewAt = now + renewEveryMs;
			effects.push({ kind: 'send', to: service, message: { kind: 'renew', epoch: state.epoch } });
		}
		return effects;
	},
	wakeAt: ({ epoch, until, renewAt }) => (epoch ? Math.min(until, renewAt) : null),
};
