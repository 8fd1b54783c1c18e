/** A node that a change of members took out of the fleet, and that nobody tells of the end. */
import { storeEndings } from '../../coordination/quorum/replicate.js';
import { leftBy } from '../../coordination/quorum/members/voters.js';
import type { OpenRollout } from '../messages.js';
import type { Turn } from '../outbox.js';
import type { CoreState } from '../state.js';
import { viewOf } from '../views/view.js';

/** Leases without any link after which a node that was taken out of the fleet believes it. */
const leavesAfterLeases = 5;

/** When a node that a change of members took out, and that has done its part, ends the rollout for itself. */
export function leavesAt(state: CoreState): number | null {
	if (state.aloneSince === null || !leftBy(state)) return null;
	return state.aloneSince + leavesAfterLeases * state.settings.leaseMs;
}

/** Those that leave together may stay linked; none of them knows of the end. */
function isApart(state: CoreState, { spec }: OpenRollout): boolean {
	return !spec.membersNext?.some(({ name }) => state.links[name]);
}

/** Nobody is linked with it any more to tell it the end. The ending is its own: without an epoch it is told to nobody. */
export function endIfLeft(turn: Turn): void {
	const { state } = turn;
	const open = leftBy(state);
	if (open && isApart(state, open)) state.aloneSince ??= turn.now;
	const at = leavesAt(state);
	if (at === null || turn.now < at) return;
	const view = open && viewOf(state, open.spec.id, turn);
	if (!open || !view) return;
	const reason = `${state.settings.self} has left the fleet (rollout ${open.spec.id}); stop it, or add it again`;
	const left = { ...view, state: 'completed' as const, reason, waiting_for: null, ended_at: turn.wall };
	storeEndings(turn, [{ rollout: open.spec.id, epoch: null, view: left }]);
	state.lease = null;
}
