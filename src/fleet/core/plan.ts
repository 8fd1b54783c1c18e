import type { CoreRequest, NodeApps } from '../../rollout/messages.js';
import type { NodeName, NodeReleases, RolloutPlan } from '../../rollout/types.js';
import type { RolloutRequest } from '../types.js';

/** A plan together with what the nodes say of their files. */
export function planWith(
	plan: RolloutPlan,
	fault: string | null,
	apps: Readonly<Record<NodeName, NodeApps>>,
): RolloutPlan {
	const told = Object.entries(apps).sort(([one], [other]) => (one < other ? -1 : 1));
	const changes = told.flatMap(([node, { changes: found }]) => (found ? [[node, found] as const] : []));
	const releases = told.flatMap(([node, { releases: found }]) => (found ? [[node, found] as const] : []));
	const same = told.flatMap(([node, { runsAlready }]) => (runsAlready ? [`${node} runs it already`] : []));
	// Nodes that go back go where each of them was.
	const remarks = [
		...(plan.remarks ?? []),
		...same,
		...remarksOn(told),
		...(plan.reverts === undefined ? releaseRemarks(releases) : []),
	];
	return {
		...plan,
		refused: plan.refused ?? fault,
		refused_as: plan.refused_as ?? (fault === null ? null : 'unavailable'),
		...(changes.length > 0 ? { apps: Object.fromEntries(changes) } : {}),
		...(releases.length > 0 ? { release: Object.fromEntries(releases) } : {}),
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

/** Apps of which nodes would start different releases: one may have been brought to some hosts alone. */
function releaseRemarks(told: readonly (readonly [NodeName, NodeReleases])[]): string[] {
	const apps = new Map<string, Map<string, NodeName[]>>();
	for (const [node, { after }] of told) {
		for (const [app, { path, revision }] of Object.entries(after ?? {})) {
			const nodesOf = apps.get(app) ?? new Map<string, NodeName[]>();
			const name = revision ?? path;
			nodesOf.set(name, [...(nodesOf.get(name) ?? []), node]);
			apps.set(app, nodesOf);
		}
	}
	return [...apps].flatMap(([app, nodesOf]) => {
		if (nodesOf.size < 2) return [];
		const lists = [...nodesOf].map(([name, nodes]) => `${nodes.join(', ')}: ${name}`);
		return [`${app} would not be the same release on all nodes (${lists.join('; ')})`];
	});
}

/** The request as the core takes it. */
export function coreRequest(request: RolloutRequest): CoreRequest {
	const { maxUnavailable = null, onFailure = null, ...asked } = request;
	return { ...asked, maxUnavailable, onFailure };
}
