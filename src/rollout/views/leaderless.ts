/** What a rollout waits for while no coordinator is heard: the last view received may be out of date. */
import { frozen, timeOfDay } from './text.js';
import type { Turn } from '../outbox.js';

/** Null while this node coordinates, or hears who does. */
export function leaderlessText(turn: Turn): string | null {
	const { state, now } = turn;
	const { coordination, settings, members } = state;
	const { self, leaseMs } = settings;
	const follows = coordination.follows();
	if (coordination.leads() || (follows && now - follows.heardAt < leaseMs) || coordination.expectsLeader(now))
		return null;
	const linked = [self, ...coordination.peers()];
	const missing = members.map((one) => one.name).filter((name) => !linked.includes(name));
	if (!coordination.isMajority(linked)) return frozen(missing, members.length);
	const { node } = coordination.fence();
	return `a coordinator${['', self].includes(node) ? '' : `, since ${node} is not heard`}${takeoverText(turn)}`;
}

/** When this node takes over if no other does before. */
function takeoverText({ state, now, wall }: Turn): string {
	const at = state.coordination.takeoverAt();
	return at === null || at <= now ? '' : `, until ${timeOfDay(wall + at - now)}`;
}
