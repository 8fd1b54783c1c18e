/** A node that a change of members took out of the fleet, and that does not hear of the end. */
import type { OpenRollout } from '../messages.js';
import type { Turn } from '../outbox.js';
import { timeOf } from '../times.js';
import { viewOf } from '../views/view.js';

/** The ending is the node's own: without an epoch it is not sent to peers. */
export function endLeft(turn: Turn, { spec }: OpenRollout): void {
	const { state } = turn;
	const view = viewOf(state, spec.id, turn);
	if (!view) return;
	const reason = `${state.settings.self} has left the fleet (rollout ${spec.id}); stop it, or add it again`;
	const left = { ...view, state: 'completed' as const, reason, waiting_for: null, ended_at: timeOf(turn, spec.id) };
	turn.command({ kind: 'keep', ending: { rollout: spec.id, epoch: null, view: left } });
	turn.command({ kind: 'step_down' });
}
