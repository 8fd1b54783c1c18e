/** Which node goes next, decided anew at every step. */
import type { Budget } from './budget.js';
import type { Member } from '../messages.js';
import type { NodeName } from '../types.js';

/** Nodes first that are heard but unhealthy, then by zone and name; the coordinator last unless it is unhealthy itself. */
export function orderOf(
	pending: readonly Member[],
	unhealthy: ReadonlySet<NodeName>,
	coordinator: NodeName | null,
): NodeName[] {
	const rank = (member: Member): number => (unhealthy.has(member.name) ? 0 : member.name === coordinator ? 2 : 1);
	return [...pending].sort((a, b) => rank(a) - rank(b) || byZoneAndName(a, b)).map((member) => member.name);
}

function byZoneAndName(a: Member, b: Member): number {
	const zoneA = a.zone ?? '';
	const zoneB = b.zone ?? '';
	if (zoneA !== zoneB) return zoneA < zoneB ? -1 : 1;
	return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/**
 * Whether a step on the target may begin now. A target that is already counted (its workers are unhealthy) makes nothing
 * worse and is exempt, as long as no more than the budget are out.
 */
export function mayBegin(target: NodeName, { used, maybeOut }: Budget, maxUnavailable: number): boolean {
	if (!used.has(target)) return used.size + 1 <= maxUnavailable;
	return maybeOut.size + (maybeOut.has(target) ? 0 : 1) <= maxUnavailable;
}
