/** A rollout that ended on this node alone, and is told of again. */
import { isLeaving } from './voters.js';
import type { OpenRollout } from '../../rollout/messages.js';
import type { CoreState } from '../../rollout/state.js';
import { store, type Turn } from '../../rollout/outbox.js';
import type { RolloutSpec } from '../../rollout/types.js';

/** Whether its members, or those after its change, are this node's: alone, a node asks for no rollout of a fleet. */
export function isOfThisFleet(state: CoreState, { memberHash, memberHashNext }: RolloutSpec): boolean {
	return state.members.length > 1 && [memberHash, memberHashNext].includes(state.memberHash);
}

/** A coordinator of its members tells of a rollout that had ended here for good: this node votes on it again. */
export function openAgain(turn: Turn, told: readonly OpenRollout[]): void {
	const { state } = turn;
	for (const { spec, flags } of told) {
		const ending = state.durable.ended.find((one) => one.rollout === spec.id);
		if (!ending || ending.epoch !== null) continue;
		if (isLeaving({ spec }, state.settings.self) || !isOfThisFleet(state, spec)) continue;
		store(turn, { kind: 'ended_here', rollout: spec.id, view: ending.view }, { kind: 'open', spec, flags });
	}
}
