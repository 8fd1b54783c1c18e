/** What a text about a missing majority adds once it is gone for good. */
import type { Turn } from '../outbox.js';
import type { RolloutId } from '../types.js';
import { isGoneForGood } from '../../coordination/quorum/members/minority.js';

/** What follows a text about a missing majority once the way out is open; empty before. */
export function wayOut({ state, now }: Pick<Turn, 'state' | 'now'>, rollout: RolloutId): string {
	if (!isGoneForGood(state, now)) return '';
	return `. If they are gone for good, end it on ${state.settings.self} alone: rollcall rollout abort --local ${rollout}`;
}

/** The same for a request that no open rollout stands in the way of. */
export function smallerFleet({ state, now }: Pick<Turn, 'state' | 'now'>): string {
	if (!isGoneForGood(state, now)) return '';
	return '. If they are gone for good, take them out of cluster.peers, then: rollcall restart_service service=clustering_config';
}
