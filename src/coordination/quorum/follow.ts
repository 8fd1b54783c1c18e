/** What a node does for a coordinator, besides restarting: promise, store, report, look at its file. */
import { promise, refuseBelow } from './promise.js';
import { storeEndings, storeOpen } from './replicate.js';
import { type NodeName, sameEpoch } from '../epoch.js';
import { startPrepare } from './campaign.js';
import type { PeerMessage } from '../../rollout/messages.js';
import { reportToCoordinator } from '../../rollout/agent/report.js';
import { heldLease } from './heard.js';
import { openOf, type Turn } from '../../rollout/outbox.js';

type Message<Kind extends PeerMessage['kind']> = Extract<PeerMessage, { kind: Kind }>;

export function onHeartbeat(turn: Turn, from: NodeName, message: Message<'heartbeat'>): void {
	const { state } = turn;
	if (refuseBelow(turn, from, message.epoch)) return;
	promise(turn, message.epoch);
	if (!sameEpoch(state.follows.epoch, message.epoch)) state.follows = { epoch: message.epoch, echo: 0, heardAt: null };
	state.follows.echo = Math.max(state.follows.echo, message.number);
	if (message.live) {
		state.follows.heardAt = turn.now;
		state.attempts = 0;
		state.leaseFrom = turn.now;
	}
	reportToCoordinator(turn);
}

export function onStore(turn: Turn, from: NodeName, message: Message<'store'>): void {
	if (refuseBelow(turn, from, message.epoch)) return;
	promise(turn, message.epoch);
	storeEndings(turn, message.ended);
	storeOpen(turn, from, message.open);
	reportToCoordinator(turn);
}

/** The coordinator is about to restart itself and asks this node, which is back, to go on. */
export function onHandover(turn: Turn, from: NodeName, message: Message<'handover'>): void {
	const { state } = turn;
	if (refuseBelow(turn, from, message.epoch)) return;
	if (!sameEpoch(state.durable.promised, message.epoch) || state.lease !== null) return;
	if (!openOf(state, message.rollout) || !state.durable.voting) return;
	startPrepare(turn, 'handover', message.rollout);
}

export function onEnded(turn: Turn, message: Message<'ended'>): void {
	const { state } = turn;
	storeEndings(turn, message.endings);
	const lease = heldLease(state);
	if (!lease) return;
	for (const { rollout } of message.endings) if (!lease.spreading.includes(rollout)) lease.spreading.push(rollout);
	lease.spreadSince = turn.now;
}
