/** Since when no majority has been heard, and who is missing. */
import type { CoordinationState } from '../state.js';
import type { Turn } from '../turn.js';
import { areMajority, memberHashes } from './voters.js';
import type { NodeName } from '../../epoch.js';

/** Called after every event. What has ended here is taken up again a lease after a majority is heard, by others first. */
export function noteMajority({ state, now }: Turn): void {
	const hashes = memberHashes(state);
	// The members that are linked with this node and whose vote counts, this node included.
	if (!areMajority(state, (name) => whyNotHeard(state, name, hashes) === null)) {
		state.minoritySince ??= now;
		return;
	}
	if (state.minoritySince !== null && state.durable.endedHere.length > 0) state.leaseFrom = now;
	state.minoritySince = null;
}

/** Why the vote of this member does not count here; null: it does. */
export function whyNotHeard(
	state: CoordinationState,
	name: NodeName,
	hashes: readonly string[] = memberHashes(state),
): string | null {
	const lostState = 'is new or lost its state: it may not vote before it has met all others, or admit_node';
	if (name === state.settings.self) return state.durable.voting ? null : lostState;
	const link = state.links[name];
	if (!link) return 'is not linked';
	if (link.refused !== null) return `takes no part: it ${link.refused}`;
	if (!link.greeting) return 'has just been linked';
	if (link.stranger || !link.greeting.voting) return lostState;
	return hasOtherMembers(state, name, hashes) ? 'has other members in its configuration' : null;
}

/** A linked node whose members are others than those here, before and after a change. */
export function hasOtherMembers(
	state: CoordinationState,
	name: NodeName,
	hashes: readonly string[] = memberHashes(state),
): boolean {
	const hash = state.links[name]?.greeting?.memberHash;
	return hash !== undefined && !hashes.includes(hash);
}

/** `beta is not linked, gamma lost its state …`: every member whose vote does not count here. */
export function whoIsNotHeard(state: CoordinationState): string {
	const hashes = memberHashes(state);
	return state.members
		.flatMap(({ name }) => {
			const why = whyNotHeard(state, name, hashes);
			return why === null ? [] : [`${name} ${why}`];
		})
		.join(', ');
}
