/** Every engine keeps what the port of coordination promises, and the suite notices an engine that does not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { playCourse, Violation } from '../../support/coordination/contract.js';
import type { Effect, Engine, Input } from '../../support/coordination/engine.js';
import {
	type QuorumMessage,
	type QuorumState,
	type QuorumStored,
	quorumEngine,
} from '../../support/coordination/quorum-engine.js';
import { storeEngine, type StoreMessage, type StoreState } from '../../support/coordination/store-engine.js';

const courses = 12;
/** A fault is found within so many, or the suite is blind to it. */
const coursesForFault = 80;

/** The guarantee that a course finds broken; null: none, in all of them. */
function brokenIn<S, M, D>(engine: Engine<S, M, D>, seeds: number): string | null {
	for (let seed = 1; seed <= seeds; seed += 1)
		try {
			playCourse(engine, seed);
		} catch (error) {
			if (error instanceof Violation) return error.guarantee;
			throw error;
		}
	return null;
}

describe('an engine keeps A1 to A5, and decides something', () => {
	for (const seed of Array.from({ length: courses }, (_, at) => at + 1)) {
		test(`the own majority, course ${seed}`, () => {
			assert.ok(playCourse(quorumEngine, seed) > 0);
		});
		test(`a store, course ${seed}`, () => {
			assert.ok(playCourse(storeEngine, seed) > 0);
		});
	}
});

type QuorumEffect = Effect<QuorumMessage, QuorumStored>;

/** The own majority, with something done to what it does. */
function quorumWith(change: (effect: QuorumEffect, state: QuorumState) => QuorumEffect[]): typeof quorumEngine {
	return {
		...quorumEngine,
		step: (state, input, now) => quorumEngine.step(state, input, now).flatMap((effect) => change(effect, state)),
	};
}

const withoutStored = (...kinds: readonly QuorumStored['kind'][]) =>
	quorumWith((effect) => (effect.kind === 'store' && kinds.includes(effect.entry.kind) ? [] : [effect]));

/** A store whose service does something else with a message. */
function storeWith(
	serve: (state: StoreState, input: Input<StoreMessage> & { kind: 'message' }) => () => void,
): typeof storeEngine {
	return {
		...storeEngine,
		step(state, input, now) {
			const after = state.self === storeEngine.service && input.kind === 'message' ? serve(state, input) : null;
			const effects = storeEngine.step(state, input, now);
			after?.();
			return effects;
		},
	};
}

const nothing = (): void => undefined;

const faults: readonly { name: string; breaks: readonly string[]; find: () => string | null }[] = [
	{
		name: 'a store that gives an epoch twice',
		breaks: ['A1'],
		find: () =>
			brokenIn(
				storeWith((state, { from, message }) => {
					if (message.kind === 'campaign' && state.leader?.epoch.node === from) state.revision -= 1;
					return nothing;
				}),
				coursesForFault,
			),
	},
	{
		name: 'a store that keeps what it closes as open',
		breaks: ['A4'],
		find: () =>
			brokenIn(
				storeWith((state, { message }) => {
					const before = new Map(state.entries);
					return () => {
						if (message.kind === 'close') state.entries = before;
					};
				}),
				coursesForFault,
			),
	},
	{
		name: 'a store that takes a write of a leader that is none any more',
		breaks: ['A2', 'A5'],
		find: () =>
			brokenIn(
				storeWith((state, { message }) => {
					const { leader } = state;
					if (message.kind !== 'put' || !leader) return nothing;
					state.leader = { ...leader, epoch: message.epoch };
					return () => {
						state.leader = leader;
					};
				}),
				coursesForFault,
			),
	},
	{
		name: 'a majority that forgets its promises',
		breaks: ['A1', 'A2', 'A5'],
		find: () => brokenIn(withoutStored('promised'), coursesForFault),
	},
	{
		name: 'a majority that keeps nothing on disk of what it is told to store',
		breaks: ['A2', 'A5'],
		find: () => brokenIn(withoutStored('open', 'flags'), coursesForFault),
	},
	{
		name: 'a majority whose promises do not say what is open',
		breaks: ['A2', 'A5'],
		find: () =>
			brokenIn(
				quorumWith((effect) =>
					effect.kind === 'send' && effect.message.kind === 'promise'
						? [{ ...effect, message: { ...effect.message, open: [] } }]
						: [effect],
				),
				coursesForFault,
			),
	},
	{
		name: 'a majority that calls committed what its leader alone has stored',
		breaks: ['A2', 'A5'],
		find: () =>
			brokenIn(
				quorumWith((effect, state) => {
					if (effect.kind !== 'store' || state.lease?.kind !== 'held') return [effect];
					if (effect.entry.kind !== 'open' && effect.entry.kind !== 'flags') return [effect];
					const id = effect.entry.kind === 'open' ? effect.entry.spec.id : effect.entry.rollout;
					const { version } = effect.entry.flags;
					return [effect, { kind: 'fact', fact: { kind: 'committed', id, version, closed: false } }];
				}),
				coursesForFault,
			),
	},
	{
		name: 'a majority that stores no ending',
		breaks: ['A4'],
		find: () => brokenIn(withoutStored('ending'), coursesForFault),
	},
];

describe('the suite notices', () => {
	for (const { name, breaks, find } of faults)
		test(name, () => {
			const broken = find();
			assert.ok(broken !== null && breaks.includes(broken), `found ${broken ?? 'nothing'}, not ${breaks.join(' or ')}`);
		});
});
