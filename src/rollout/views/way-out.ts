/** What a text about a missing majority adds once it is gone for good. */
import type { Turn } from '../outbox.js';
import type { CoreState } from '../state.js';
import type { RolloutId } from '../types.js';

/** Leases without a majority after which an operator may end a rollout on one node alone. */
const goneAfterLeases = 5;

/** When a rollout may be ended on this node alone, on its own clock; null: a majority is heard. */
export function endsHereAt({ coordination, settings }: CoreState): number | null {
	const since = coordination.minoritySince();
	return since === null ? null : since + goneAfterLeases * settings.leaseMs;
}

export function isGoneForGood(state: CoreState, now: number): boolean {
	const at = endsHereAt(state);
	return at !== null && now >= at;
}

/** What follows a text about a missing majority once the way out is open; empty before. */
export function wayOut({ state, now }: Pick<Turn, 'state' | 'now'>, rollout: RolloutId): string {
	if (!isGoneForGood(state, now)) return '';
	return `. If they are gone for good, end it on ${state.settings.self} alone: rollcall rollout abort --local ${rollout}`;
}

/** The same for a request that no open rollout stands in the way of. */
export function smallerFleet({ state, now }: Pick<Turn, 'state' | 'now'>): string {
	const { members, coordination } = state;
	const isSplit = members.some(({ name }) => coordination.hasOtherMembers(name));
	if (isSplit || !isGoneForGood(state, now)) return '';
	return '. If they are gone for good, take them out of cluster.peers, then: rollcall restart_service service=clustering_config';
}
