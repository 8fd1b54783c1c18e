/** A node that a change of members took out of the fleet, and that nobody tells of the end. */
import { storeEndings } from '../../coordination/quorum/replicate.js';
import { leftBy } from '../../coordination/quorum/voters.js';
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

/** Nobody is linked with it any more to tell it the end. The ending is its own: without an epoch it is told to nobody. */
export function endIfLeft(turn: Turn): void {
	const { state } = turn;
	const at = leavesAt(state);
	if (at === null || turn.now < at) return;
	const open = leftBy(state);
	const view = open && viewOf(state, open.spec.id, turn);
	if (!open || !view) return;
	const reason = `${state.settings.self} has left the fleet; ask a node that stays for the rest`;
	const left = { ...view, state: 'completed' as const, reason, waiting_for: null, ended_at: turn.wall };
	storeEndings(turn, [{ rollout: open.spec.id, epoch: null, view: left }]);
	state.lease = null;
}
