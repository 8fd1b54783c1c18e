/** What a node says of a rollout while it hears nobody coordinate: what it was shown last may have long ceased to hold. */
import { heldLease } from '../../coordination/quorum/heard.js';
import { sameEpoch } from '../../coordination/epoch.js';
import { takeoverAt } from '../../coordination/quorum/campaign.js';
import { isMajority } from '../../coordination/quorum/members/voters.js';
import { frozen, timeOfDay } from './text.js';
import type { Turn } from '../outbox.js';
import { peersOf } from '../../coordination/quorum/turn.js';

/** Null while this node coordinates, or hears who does. */
export function leaderlessText({ state, now }: Turn): string | null {
	if (heldLease(state)) return null;
	const { epoch, heardAt } = state.follows;
	const { self, leaseMs } = state.settings;
	const { promised } = state.durable;
	if (heardAt !== null && now - heardAt < leaseMs && sameEpoch(epoch, promised)) return null;
	// Promised a moment ago: its first heartbeat is on its way.
	if (state.links[promised.node] && now - state.leaseFrom < leaseMs / 3) return null;
	const linked = new Set([self, ...peersOf(state)]);
	const missing = state.members.map((one) => one.name).filter((name) => !linked.has(name));
	if (!isMajority(state, linked)) return frozen(missing, state.members.length);
	return ['', self].includes(promised.node) ? 'a coordinator' : `a coordinator, since ${promised.node} is not heard`;
}

/** When this node takes over if no other does before. */
export function takeoverText(turn: Turn): string {
	const at = takeoverAt(turn.state);
	return at === null || at <= turn.now ? '' : `, until ${timeOfDay(turn.wall + at - turn.now)}`;
}
