import type { NodeApps } from '../../rollout/messages.js';
import type { NodeName, RolloutPlan } from '../../rollout/types.js';

/** A plan together with what the nodes say of their files. */
export function planWith(
	plan: RolloutPlan,
	fault: string | null,
	apps: Readonly<Record<NodeName, NodeApps>>,
): RolloutPlan {
	const told = Object.entries(apps).sort(([one], [other]) => (one < other ? -1 : 1));
	const changes = told.flatMap(([node, { changes: found }]) => (found ? [[node, found] as const] : []));
	const remarks = remarksOn(told);
	return {
		...plan,
		refused: plan.refused ?? fault,
		refused_as: plan.refused_as ?? (fault === null ? null : 'unavailable'),
		...(changes.length > 0 ? { apps: Object.fromEntries(changes) } : {}),
		...(remarks.length > 0 ? { remarks } : {}),
	};
}

/** Nodes whose files have other apps than most, since that may be a file that was forgotten. */
function remarksOn(told: readonly (readonly [NodeName, NodeApps])[]): string[] {
	const nodesOf = new Map<string, NodeName[]>();
	for (const [node, { names }] of told) {
		if (names === null) continue;
		const list = [...names].sort().join(', ') || 'none';
		nodesOf.set(list, [...(nodesOf.get(list) ?? []), node]);
	}
	if (nodesOf.size < 2) return [];
	const lists = [...nodesOf].map(([list, nodes]) => `${nodes.join(', ')}: ${list}`);
	return [`the apps are not the same on all nodes (${lists.join('; ')})`];
}
