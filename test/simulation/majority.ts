/** Majorities as the disks show them: of the members, and while these change, of the old ones and of the new ones. */
import type { RolloutSpec } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';

type Nodes = ReadonlyMap<string, SimNode>;
type Has = (name: string) => boolean;

/** Who is too few to be a majority for this rollout; null: they are one. */
export function lackingMajority(nodes: Nodes, spec: RolloutSpec, has: Has): string | null {
	return (
		groupsOf(nodes, spec)
			.map((group) => tooFew(group, has))
			.find((text) => text !== null) ?? null
	);
}

/** An old member that has done its part in leaving votes no more. */
function groupsOf(nodes: Nodes, { id, members, membersNext }: RolloutSpec): string[][] {
	const before = members.map((one) => one.name);
	if (!membersNext) return [before];
	const after = membersNext.map((one) => one.name);
	return [before.filter((name) => after.includes(name) || !hasLeft(nodes, name, id)), after];
}

/** By its own durable record; or, should it have lost that, by what others stored. */
export function hasLeft(nodes: Nodes, name: string, rollout: string): boolean {
	const records = nodes.get(name)?.disk.durable.records;
	if (records?.find((one) => one.rollout === rollout)?.state === 'back') return true;
	return [...nodes.values()].some(({ disk }) =>
		disk.durable.open.some((one) => one.spec.id === rollout && one.flags.left.includes(name)),
	);
}

export function tooFew(group: readonly string[], has: Has): string | null {
	const holders = group.filter(has);
	if (holders.length * 2 > group.length) return null;
	return `only ${holders.join(', ') || 'none'} of ${group.join(', ')}`;
}
