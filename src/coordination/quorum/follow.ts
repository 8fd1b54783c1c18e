/** What a node does for a coordinator, besides restarting: promise, store, report, look at its file. */
import { storeEndings, storeOpen } from './replicate.js';
import { startPrepare } from './campaign.js';
import { heldLease } from './heard.js';
import type { MessageOf } from './messages.js';
import type { CoordinationState } from './state.js';
import { reportToCoordinator } from './report.js';
import type { Turn } from './turn.js';
import { type NodeName, sameEpoch } from '../epoch.js';
import { type Coordination, openOf } from '../port.js';

export function onHeartbeat(turn: Turn, message: MessageOf<'heartbeat'>): void {
	const { state } = turn;
	if (!sameEpoch(state.follows.epoch, message.epoch)) state.follows = { epoch: message.epoch, echo: 0, heardAt: null };
	state.follows.echo = Math.max(state.follows.echo, message.number);
	if (message.live) {
		state.follows.heardAt = turn.now;
		state.attempts = 0;
		state.leaseFrom = turn.now;
	}
	reportToCoordinator(turn);
}

export function onStore(turn: Turn, from: NodeName, message: MessageOf<'store'>): void {
	storeEndings(turn, message.ended);
	storeOpen(turn, from, message.open);
	reportToCoordinator(turn);
}

/** The coordinator is about to restart itself and asks this node, which is back, to continue. */
export function onHandover(turn: Turn, message: MessageOf<'handover'>): void {
	const { state } = turn;
	if (!sameEpoch(state.durable.promised, message.epoch) || state.lease !== null) return;
	if (!openOf(state, message.rollout) || !state.durable.voting) return;
	startPrepare(turn, 'handover', message.rollout);
}

export function onEnded(turn: Turn, message: MessageOf<'ended'>): void {
	const { state } = turn;
	storeEndings(turn, message.endings);
	const lease = heldLease(state);
	if (!lease) return;
	for (const { rollout } of message.endings) if (!lease.spreading.includes(rollout)) lease.spreading.push(rollout);
	lease.spreadSince = turn.now;
}

/** The leader that was heard last, and when. */
export function leaderHeard({ follows: { epoch, heardAt } }: CoordinationState): ReturnType<Coordination['follows']> {
	return heardAt === null ? null : { leader: epoch.node, heardAt };
}

/** Promised a moment ago: its first heartbeat is on its way. */
export function expectsLeader({ durable, links, leaseFrom, settings }: CoordinationState, now: number): boolean {
	return links[durable.promised.node] !== undefined && now - leaseFrom < settings.leaseMs / 3;
}
