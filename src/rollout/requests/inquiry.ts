/**
 * A rollout that this node knows to run, but does not coordinate, may have ended a moment ago without this node having
 * been told yet. So its coordinator is asked before a request is refused because of it.
 */
import type { RolloutEvent } from '../messages.js';
import type { CoreState } from '../state.js';
import { arm, runningReplicated, send, type Turn } from '../outbox.js';
import type { NodeName, RolloutId } from '../types.js';
import { openOf, toldEndings } from '../../coordination/port.js';

export type Request = Extract<RolloutEvent, { kind: 'request' }>;

/** Longest that a request waits for the coordinator's word; without it the rollout counts as running. */
export const inquiryTimeoutMs = 100;
const doubtsMax = 64;

/** true: the request waits; {@link settledInquiries} gives it back. */
export function waitsForInquiry(turn: Turn, event: Request): boolean {
	const { state, now } = turn;
	const running = runningReplicated(state);
	const coordinator = state.coordination.fence().node;
	if (!running || state.coordination.leads()) return false;
	if (!state.coordination.peer(coordinator) || state.inquiries.length >= doubtsMax) return false;
	state.inquiries.push({ event, rollout: running.spec.id, until: now + inquiryTimeoutMs });
	send(turn, coordinator, { kind: 'inquiry', rollout: running.spec.id });
	return true;
}

export function onInquiry(turn: Turn, from: NodeName, rollout: RolloutId): void {
	const endings = toldEndings(turn.state, [rollout]);
	if (endings.length > 0) turn.command({ kind: 'tell', to: from, endings });
	else send(turn, from, { kind: 'ongoing', rollout });
}

export function onOngoing(state: CoreState, rollout: RolloutId): void {
	for (const doubt of state.inquiries) if (doubt.rollout === rollout) doubt.until = 0;
}

/** The requests that need not wait any more: the rollout has ended, continues, or no answer came. */
export function settledInquiries(turn: Turn): Request[] {
	const { state, now } = turn;
	if (state.inquiries.length === 0) return [];
	const settled = state.inquiries.filter((one) => now >= one.until || !openOf(state, one.rollout));
	state.inquiries = state.inquiries.filter((one) => !settled.includes(one));
	const until = state.inquiries.map((one) => one.until);
	arm(turn, 'doubt', until.length > 0 ? Math.min(...until) : null);
	return settled.map((one) => one.event);
}
