/**
 * Majorities, also while the members change: then one of the old members and one of the new ones. So whoever knows only
 * the old fleet, whoever knows only the new one, and whoever knows of the change can never decide apart from one another.
 */
import type { Kept } from '../messages.js';
import type { CoordinationState } from '../state.js';
import type { NodeName } from '../../epoch.js';
import { type Entry, type EntryId, isLeaving, openShared } from '../../port.js';

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

interface Change {
	before: readonly NodeName[];
	after: readonly NodeName[];
	left: Set<NodeName>;
}

/** Of rollouts that change the members, each once, with everyone who is known to have left by it. */
function changesOf(rollouts: readonly Entry[], left: readonly Left[]): Change[] {
	const changes = new Map<EntryId, Change>();
	for (const { spec, flags } of rollouts) {
		if (!spec.membersNext) continue;
		const known = changes.get(spec.id) ?? {
			before: spec.members.map((one) => one.name),
			after: spec.membersNext.map((one) => one.name),
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
	names: ReadonlySet<NodeName>,
	told: readonly Entry[] = [],
	left: readonly Left[] = [],
): boolean {
	const changes = changesOf([...openShared(state), ...told], left);
	const groups = changes.flatMap(({ before, after, left: gone }) => [before.filter((name) => !gone.has(name)), after]);
	if (groups.length === 0) groups.push(state.members.map((one) => one.name));
	return groups.every((group) => group.filter((name) => names.has(name)).length * 2 > group.length);
}

/** The own hash; while a change of members is open, those before and after it are right as well. */
export function memberHashes(state: CoordinationState): string[] {
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
	return openShared(state).find(
		(open) =>
			isLeaving(open, self) &&
			// Its own record says so; or, should it have lost its state, what the others had stored of it.
			(hasDonePart(state, open.spec.id) || open.flags.left.includes(self)),
	);
}

/** Whether its members, or those after its change, are this node's: alone, a node asks for no rollout of a fleet. */
export function isOfThisFleet(state: CoordinationState, { memberHash, memberHashNext }: Entry['spec']): boolean {
	return state.members.length > 1 && [memberHash, memberHashNext].includes(state.memberHash);
}
