/** What coordination holds in memory, for tests of its pure parts: a voter that has just started. */
import type { Bodies, Entry } from '../../../src/coordination/port.js';
import { type CoordinationState, createCoordination } from '../../../src/coordination/quorum/state.js';

export const leaseMs = 1_200;

const hashOf = (names: readonly string[]): string => names.join('+');

export function makeState(self: string, names: readonly string[]): CoordinationState {
	const members = names.map((name) => ({ name, zone: null }));
	const state = createCoordination({ self, protocol: { min: 1, max: 2 }, leaseMs, members, memberHash: hashOf(names) });
	Object.assign(state.durable, { boot: 1, instance: `${self}-1`, voting: true });
	return state;
}

/** Something open of the whole fleet's. */
export function openEntry(id: string, names: readonly string[]): Entry {
	return openChange(id, names, null);
}

/** A change of members; `left`: who has done its part in it and is no member any more. */
export function openChange(
	id: string,
	before: readonly string[],
	after: readonly string[] | null,
	left: string[] = [],
): Entry {
	const membersOf = (names: readonly string[]): Bodies['spec']['members'] =>
		names.map((name) => ({ name, zone: null }));
	return {
		spec: {
			id,
			replicated: true,
			members: membersOf(before),
			memberHash: hashOf(before),
			membersNext: after && membersOf(after),
			memberHashNext: after && hashOf(after),
		},
		flags: { version: { epoch: { counter: 1, node: 'alpha' }, n: 0 }, left, halted: null },
	};
}

/** A link to each of these that takes part. */
export function linkTo(state: CoordinationState, names: readonly string[]): void {
	for (const name of names)
		state.links[name] = {
			hello: {
				node: name,
				boot: 1,
				instance: `${name}-1`,
				process: `${name}-1`,
				protocol: { min: 1, max: 2 },
				memberHash: state.memberHash,
			},
			refused: null,
			greeting: null,
			stranger: false,
			knew: null,
			said: '',
		};
}
