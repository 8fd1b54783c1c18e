/** A node that a change of members took out of the fleet, and that does not hear of the end. */
import type { CoordinationState } from '../state.js';
import type { Turn } from '../turn.js';
import type { Entry } from '../../port.js';
import { leftBy } from './voters.js';

/** Leases without any link after which a node that was taken out of the fleet believes it. */
const leavesAfterLeases = 5;

/** When a node that a change of members took out, and that has done its part, may end it for itself. */
export function leavesAt(state: CoordinationState): number | null {
	if (state.aloneSince === null || !leftBy(state)) return null;
	return state.aloneSince + leavesAfterLeases * state.settings.leaseMs;
}

/** Those that leave together may stay linked; none of them knows of the end. */
function isApart(state: CoordinationState, { spec }: Entry): boolean {
	return !spec.membersNext?.some(({ name }) => state.links[name]);
}

export function tellIfLeft(turn: Turn): void {
	const { state } = turn;
	const entry = leftBy(state);
	if (!entry) return;
	if (isApart(state, entry)) state.aloneSince ??= turn.now;
	const at = leavesAt(state);
	if (at !== null && turn.now >= at) turn.tell({ kind: 'left', entry });
}
