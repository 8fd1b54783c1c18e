/**
 * Majorities, also while the members change: then one of the old members and one of the new ones. So whoever knows only
 * the old fleet, whoever knows only the new one, and whoever knows of the change can never decide apart from one another.
 */
import type { Kept } from '../messages.js';
import type { CoordinationState } from '../state.js';
import type { NodeName } from '../../epoch.js';
import { type Entry, type EntryId, isLeaving, isShared, openShared } from '../../port.js';

/** Of which fleet this node is, and what it has open. */
interface FleetState<E extends Entry> {
	settings: { self: NodeName };
	durable: Pick<Kept, 'records'> & { open: E[] };
}

const hasDonePart = ({ durable }: FleetState<Entry>, id: EntryId): boolean =>
	durable.records.find((one) => one.rollout === id)?.state === 'back';

/** A node that has done its part in a change that takes it out. It does not vote while that change is open. */
export interface Left {
	node: NodeName;
	rollout: EntryId;
}

type Group = readonly { name: NodeName }[];

interface Change {
	before: Group;
	after: Group;
	left: Set<NodeName>;
}

/** Of rollouts that change the members, each once, with everyone who is known to have left by it. */
function changesOf(rollouts: readonly Entry[], left: readonly Left[]): Change[] {
	const changes = new Map<EntryId, Change>();
	for (const { spec, flags } of rollouts) {
		if (!spec.membersNext) continue;
		const known = changes.get(spec.id) ?? {
			before: spec.members,
			after: spec.membersNext,
			left: new Set(left.filter((one) => one.rollout === spec.id).map((one) => one.node)),
		};
		for (const node of flags.left) known.left.add(node);
		changes.set(spec.id, known);
	}
	return [...changes.values()];
}

/**
 * Whether the named nodes are a majority: of the members; while these change, of the old ones and of the new ones. An old
 * member that has left votes for nobody, so a majority of those that remain meets every majority that can still be had.
 * `told` and `left`: what promises and their refusals say of rollouts that this node may not know.
 */
export function isMajority(
	state: CoordinationState,
	names: Pick<ReadonlySet<NodeName>, 'has'>,
	told: readonly Entry[] = [],
	left: readonly Left[] = [],
): boolean {
	// Asked several times an event, and members seldom change: then nothing is made for it.
	const mayChange = hasChange(state.durable.open) || hasChange(told);
	const changes = mayChange ? changesOf([...openShared(state), ...told], left) : [];
	if (changes.length === 0) return isMostOf(state.members, names);
	return changes.every(
		({ before, after, left: gone }) =>
			isMostOf(
				before.filter(({ name }) => !gone.has(name)),
				names,
			) && isMostOf(after, names),
	);
}

/** The same of the members of the own file alone that `has` answers for. */
export function areMajority(state: CoordinationState, has: (node: NodeName) => boolean): boolean {
	if (!hasChange(state.durable.open)) return isMostOf(state.members, { has });
	return isMajority(state, new Set(state.members.map((one) => one.name).filter(has)));
}

/** A rollout of one node never changes the members. */
const hasChange = (rollouts: readonly Entry[]): boolean => rollouts.some(({ spec }) => spec.membersNext !== null);

function isMostOf(group: Group, names: Pick<ReadonlySet<NodeName>, 'has'>): boolean {
	let count = 0;
	for (const { name } of group) if (names.has(name)) count += 1;
	return count * 2 > group.length;
}

/** The own hash; while a change of members is open, those before and after it are right as well. */
export function memberHashes(state: CoordinationState): string[] {
	const { open } = state.durable;
	if (!hasChange(open)) return [state.memberHash];
	const changing = openShared(state).flatMap(({ spec }) =>
		spec.memberHashNext === null ? [] : [spec.memberHash, spec.memberHashNext],
	);
	return [...new Set([state.memberHash, ...changing])];
}

/**
 * A node that an open change of members takes out, or in, never coordinates it: with those that have applied it, or have
 * not yet, it is not linked.
 */
export function changingItself<E extends Entry>(state: FleetState<E>): E | undefined {
	const { self } = state.settings;
	const isIn = (members: readonly { name: NodeName }[]): boolean => members.some((one) => one.name === self);
	return openShared(state).find(
		({ spec }) => spec.membersNext !== null && !(isIn(spec.members) && isIn(spec.membersNext)),
	);
}

/** The change that leaves this node out, and in which it has done its part; undefined: it votes. */
export function leftBy<E extends Entry>(state: FleetState<E>): E | undefined {
	const { self } = state.settings;
	return state.durable.open.find(
		(open) =>
			isLeaving(open, self) &&
			isShared(open.spec) &&
			// Its own record says so; or, should it have lost its state, what the others had stored of it.
			(hasDonePart(state, open.spec.id) || open.flags.left.includes(self)),
	);
}

/** Whether its members, or those after its change, are this node's: alone, a node asks for no rollout of a fleet. */
export function isOfThisFleet(state: CoordinationState, { memberHash, memberHashNext }: Entry['spec']): boolean {
	return state.members.length > 1 && [memberHash, memberHashNext].includes(state.memberHash);
}
