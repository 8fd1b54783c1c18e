/**
 * The lease: held by promises of a majority, under an epoch above every promise. Only the lease has a time-to-live;
 * what a node may still do under an old one is decided by that node's own promise.
 */
import { newestEndings } from './replicate.js';
import { promise, loseLease } from './promise.js';
import { greetAgain } from './members/greeting.js';
import { heldLease, isLive } from './heard.js';
import { gather, hearReport, heartbeat } from './lead.js';
import type { MessageOf, PreparePurpose } from './messages.js';
import { buildReport } from './report.js';
import { type Candidacy, type CoordinationState, newLeadership } from './state.js';
import { broadcast, hasEndedHere, peersOf, type Turn } from './turn.js';
import { changingItself, isMajority, type Left, leftBy, memberHashes } from './members/voters.js';
import { compareEpochs, type Epoch, type NodeName, sameEpoch, textOfEpoch, zeroEpoch } from '../epoch.js';
import { type EntryId, type NackReason, openShared } from '../port.js';

/** Asks everyone at once. The own promise is on disk before the asking, so that no epoch is ever used twice. */
export function startPrepare(turn: Turn, purpose: PreparePurpose, rollout: EntryId | null): void {
	const { state } = turn;
	if (!mayVote(state)) return;
	const above = compareEpochs(state.highest, state.durable.promised) > 0 ? state.highest : state.durable.promised;
	const epoch: Epoch = { counter: above.counter + 1, node: state.settings.self };
	state.lease = null;
	state.attempts += 1;
	promise(turn, epoch);
	state.lease = { kind: 'candidate', epoch, purpose, rollout, sentAt: turn.now, promises: {}, refusals: {} };
	broadcast(turn, { kind: 'prepare', epoch, purpose, rollout, memberHashes: memberHashes(state) });
	tryToHold(turn, state.lease);
}

function mayVote(state: CoordinationState): boolean {
	return !leftBy(state) && state.durable.voting;
}

/**
 * How long a candidate waits for promises before it tries again: longer after each try, up to a lease. Two that ask at the
 * same time, one of them with a slow disk, would otherwise void each other's asking in step and for ever.
 */
export const prepareLimitMs = (state: CoordinationState): number =>
	(state.settings.leaseMs / 3) * Math.min(3, Math.max(1, state.attempts));

export function onPrepare(turn: Turn, from: NodeName, message: MessageOf<'prepare'>): void {
	const { state } = turn;
	const { epoch } = message;
	if (compareEpochs(epoch, state.highest) > 0) state.highest = epoch;
	const reason = whyNotPromise(turn, from, message);
	if (reason) {
		turn.send(from, { kind: 'nack', epoch, promised: state.durable.promised, reason });
		return;
	}
	promise(turn, epoch);
	turn.send(from, {
		kind: 'promise',
		epoch,
		report: buildReport(turn),
		open: openShared(state),
		ended: newestEndings(state),
	});
}

function whyNotPromise(turn: Turn, from: NodeName, message: MessageOf<'prepare'>): NackReason | null {
	const { state } = turn;
	if (!state.durable.voting) return { kind: 'stranger' };
	const gone = leftBy(state);
	if (gone) return { kind: 'left', rollout: gone.spec.id };
	const own = memberHashes(state);
	if (!message.memberHashes.some((hash) => own.includes(hash)))
		return { kind: 'members', memberHash: state.memberHash };
	if (message.purpose === 'start') {
		const running = openShared(state).find(({ flags }) => flags.halted === null);
		if (running && running.spec.id !== message.rollout) return { kind: 'conflict', rollout: running.spec.id };
	}
	const coordinator = liveCoordinator(turn);
	if (message.purpose === 'takeover' && coordinator !== null && coordinator !== from)
		return { kind: 'live', coordinator };
	return null;
}

/** The live coordinator: this node if it hears a majority, or the one that it heard lately. No node takes over from it. */
function liveCoordinator(turn: Turn): NodeName | null {
	const { state, now } = turn;
	const lease = heldLease(state);
	if (lease) return isLive(state, lease, now) ? state.settings.self : null;
	const { epoch, heardAt } = state.follows;
	const fresh = heardAt !== null && now - heardAt < (state.settings.leaseMs * 2) / 3;
	return fresh && sameEpoch(epoch, state.durable.promised) ? epoch.node : null;
}

export function onPromise(turn: Turn, from: NodeName, message: MessageOf<'promise'>): void {
	const { state } = turn;
	const lease = state.lease;
	if (!lease || !sameEpoch(lease.epoch, message.epoch)) return;
	if (state.links[from]?.stranger) return;
	if (lease.kind === 'held') {
		// It came late: its report counts like any other.
		hearReport(turn, from, message.epoch, message.report);
		return;
	}
	lease.promises[from] = { report: message.report, open: message.open, ended: message.ended };
	tryToHold(turn, lease);
}

function tryToHold(turn: Turn, candidacy: Candidacy): void {
	const { state, now } = turn;
	const names = new Set([...Object.keys(candidacy.promises), state.settings.self]);
	const told = Object.values(candidacy.promises).flatMap((one) => one.open);
	if (!isMajority(state, names, told, leftOf(candidacy))) return;
	const lease = newLeadership(candidacy, now);
	state.lease = lease;
	state.attempts = 0;
	turn.note('lease_held', { epoch: textOfEpoch(lease.epoch), purpose: candidacy.purpose });
	turn.tell({ kind: 'leading', epoch: lease.epoch, entries: gather(turn, lease, candidacy, leftOf(candidacy)) });
	heartbeat(turn, lease);
}

/** Who refused because a change of members leaves it out. */
function leftOf(candidacy: Candidacy): Left[] {
	return Object.entries(candidacy.refusals).flatMap(([node, reason]) =>
		reason.kind === 'left' ? [{ node, rollout: reason.rollout }] : [],
	);
}

export function onNack(turn: Turn, from: NodeName, message: MessageOf<'nack'>): void {
	const { state } = turn;
	if (compareEpochs(message.promised, state.highest) > 0) state.highest = message.promised;
	const lease = state.lease;
	if (!lease || !sameEpoch(lease.epoch, message.epoch)) return;
	if (lease.kind === 'candidate') {
		lease.refusals[from] = message.reason;
		candidateRefused(turn, lease, from, message);
	} else if (message.reason.kind === 'promised' && compareEpochs(message.promised, lease.epoch) > 0) {
		loseLease(turn, message.promised);
		hurry(turn);
	}
}

function candidateRefused(turn: Turn, lease: Candidacy, from: NodeName, message: MessageOf<'nack'>): void {
	const { state } = turn;
	turn.tell({ kind: 'refused', from, reason: message.reason });
	turn.note('lease_refused', { by: from, reason: message.reason.kind });
	switch (message.reason.kind) {
		case 'promised':
			if (state.lease === lease) giveUpCandidacy(turn);
			return;
		case 'live':
			if (state.lease === lease) giveUpCandidacy(turn);
			state.leaseFrom = turn.now;
			return;
		case 'conflict':
		case 'members':
		case 'stranger':
			// What is open here may have ended there; the greeting asks for it.
			greetAgain(turn, from);
			return;
		case 'left':
			if (state.lease === lease) tryToHold(turn, lease);
			return;
	}
}

/** Tries again later than a higher-ranked node would. */
function giveUpCandidacy(turn: Turn): void {
	turn.state.lease = null;
	hurry(turn);
	turn.tell({ kind: 'denied' });
}

/** After a lost or denied lease the node waits a third of a lease instead of a whole one. */
function hurry(turn: Turn): void {
	turn.state.leaseFrom = turn.now - (turn.state.settings.leaseMs * 2) / 3;
}

/** When this node takes over: a lease after the last heartbeat, later by its rank among those that could. */
export function takeoverAt(state: CoordinationState): number | null {
	if (state.lease !== null || !state.durable.voting) return null;
	const open = openShared(state);
	if (open.length === 0) return null;
	const endedHere = open.every(({ spec }) => hasEndedHere(state, spec.id));
	if (endedHere && state.minoritySince !== null) return null;
	const { leaseMs } = state.settings;
	// Who has ended all that is open for itself leaves it to those who have not.
	const rank = endedHere ? state.members.length : rankOf(state);
	return state.leaseFrom + leaseMs + rank * (leaseMs / 3);
}

function rankOf(state: CoordinationState): number {
	const gone = state.durable.promised.node;
	const { self } = state.settings;
	let rank = 0;
	for (const { name } of state.members) {
		if (name === self) return rank;
		if (name !== gone && state.links[name]?.refused === null) rank += 1;
	}
	return 0;
}

export function onLeaseTimer(turn: Turn): void {
	const { state } = turn;
	const at = takeoverAt(state);
	if (at === null || turn.now < at) return;
	if (changingItself(state)) {
		// It asks whether the change has ended without it, and leaves the coordinating to those that stay.
		for (const peer of peersOf(state)) greetAgain(turn, peer);
		state.leaseFrom = turn.now;
		return;
	}
	turn.note('takeover', { from: state.durable.promised.node || zeroEpoch.node });
	startPrepare(turn, 'takeover', null);
}

export function onPrepareTimer(turn: Turn): void {
	const { state } = turn;
	if (state.lease?.kind !== 'candidate' || turn.now < state.lease.sentAt + prepareLimitMs(state)) return;
	giveUpCandidacy(turn);
}
