/** A replicated request, from the asking to its answer: lease, a look at every target's file, the rollout stored. */
import { emptyView, endedView, revertedBy } from '../views/view-parts.js';
import { budgetOf, budgetUsed, unhealthyIn, noRoom } from '../targets/budget.js';
import { endAs, endRollout, letGo, openNew } from '../controller/outcome.js';
import { runsHook } from '../controller/hooks.js';
import { type Drive, driveOf } from '../controller/state.js';
import { firstFlags } from '../records.js';
import { textOfEpoch } from '../../coordination/epoch.js';
import { smallerFleet } from '../views/way-out.js';
import { mayBegin, orderOf } from '../targets/order.js';
import { isSelected } from '../targets/selection.js';
import { haveLooked, whyNothing } from './files.js';
import { isUndo, undoNow } from './undo.js';
import { faultOf, notAsked, unaskedText } from './member-change.js';
import type { CheckResult, RolloutEvent, NackReason, OpenRollout, Refusal } from '../messages.js';
import {
	conflictWith,
	meetAgain,
	refuseStart,
	requestText,
	specOf,
	conflictingRollout,
	whoIsMissing,
	whyNoVote,
} from './request.js';
import type { CoreState, PendingStart } from '../state.js';
import { arm, type Turn } from '../outbox.js';
import type { NodeName, RolloutId, RolloutSpec } from '../types.js';
import { beginTime, timeOf } from '../times.js';
import { viewOf } from '../views/view.js';
import { hasEnded, isShared, openOf, toldEndings } from '../../coordination/port.js';

/** The answer is due within two seconds; this leaves time for its way to the caller. */
export const startLimitMs = 1900;
const retryEveryMs = 60;

export function onReplicatedRequest(turn: Turn, event: Extract<RolloutEvent, { kind: 'request' }>): void {
	const { state } = turn;
	const { token, id, revertAs } = event;
	const undo = undoNow(turn, event.request);
	const request = isUndo(undo) ? undo.request : event.request;
	const maxUnavailable = budgetOf(request.maxUnavailable ?? state.settings.maxUnavailable, state.members.length);
	const refusal = refuseStart(turn, request, maxUnavailable) ?? (isUndo(undo) ? null : undo);
	if (refusal || maxUnavailable === null) {
		if (refusal) turn.effects.push({ kind: 'refuse', token, refusal });
		return;
	}
	beginTime(turn, id, turn.wall);
	const asked = { token, id, revertAs, request, undo: isUndo(undo) ? undo.undo : null, maxUnavailable };
	state.start = pendingStart(turn, asked, 'waiting');
	tryStart(turn, state.start);
}

type Asked = Pick<PendingStart, 'token' | 'id' | 'revertAs' | 'request' | 'undo' | 'maxUnavailable'>;

export function pendingStart({ now, wall }: Turn, asked: Asked, phase: PendingStart['phase']): PendingStart {
	const times = { askedAt: now, until: now + startLimitMs, wall, retryAt: null };
	return { ...asked, ...times, phase, attempts: 0, checks: {}, refusals: {} };
}

/** A local rollout that runs here is waited for, and so is this node's vote; a lease that is held already (of a halted rollout) is used. */
export function tryStart(turn: Turn, start: PendingStart): void {
	const { state } = turn;
	start.retryAt = null;
	if (start.phase === 'waiting' && (localRuns(state) || whyNoVote(state) !== null)) return;
	const drive = driveOf(state);
	if (start.phase === 'waiting') start.phase = 'lease';
	if (drive) {
		startHeld(turn, drive);
		return;
	}
	if (state.coordination.asksToStart()) return;
	const inTheWay = conflictingRollout(turn, start.id);
	if (inTheWay) {
		// It came while this one waited for its turn; asking for the lease would only cost its coordinator the own one.
		answerRefused(turn, inTheWay);
		return;
	}
	start.attempts += 1;
	start.refusals = {};
	turn.command({ kind: 'campaign', purpose: 'start', rollout: start.id });
}

export function localRuns(state: CoreState): boolean {
	const running = state.execution?.rollout;
	if (running !== undefined && state.execution?.epoch === null) return true;
	return state.durable.open.some(({ spec }) => !isShared(spec) && runsHook(state, spec.id));
}

/** The lease is held: a rollout that runs is in the way, one that halted is not. */
export function startHeld(turn: Turn, drive: Drive): void {
	const { state } = turn;
	const start = state.start;
	if (!start || start.phase === 'waiting') return;
	if (hasEnded(state, start.id)) {
		answerRefused(turn, lost(start));
		return;
	}
	if (drive.rollout === start.id) {
		start.phase = 'open';
		return;
	}
	const active = openOf(state, drive.rollout);
	if (active && isInTheWay(active, start)) {
		answerRefused(turn, conflictWith(active, turn));
		return;
	}
	start.phase = 'check';
	start.checks = {};
}

/**
 * What runs, or is paused; what halted and is about to be put back, to all but its undo; and a change of members that halted
 * half-way, to all but another one.
 */
function isInTheWay(active: OpenRollout, start: PendingStart): boolean {
	const undo = revertedBy(active);
	if (undo !== null && start.id !== undo && start.request.reverts !== active.spec.id) return true;
	const halfWay = active.spec.service === 'clustering_config' && start.request.service !== 'clustering_config';
	return active.flags.halted === null || halfWay;
}

function lost(start: PendingStart): Refusal {
	return {
		code: 'conflict',
		message: `another rollout was started at the same time, and ${requestText(start.request)} was not; look at that one before you send it again: rollcall rollout status`,
		extra: {},
	};
}

/** Looked at after every event while the lease is held and a request is unanswered. */
export function driveStart(turn: Turn, drive: Drive): void {
	const start = turn.state.start;
	if (!start) return;
	if (start.phase === 'check') driveCheck(turn, drive, start);
	if (start.phase === 'open') driveOpen(turn, start);
}

function driveCheck(turn: Turn, drive: Drive, start: PendingStart): void {
	const { state, now } = turn;
	const active = openOf(state, drive.rollout);
	if (active && isInTheWay(active, start)) {
		// It was halted when this was asked for, and an operator has resumed it since.
		answerRefused(turn, conflictWith(active, turn));
		return;
	}
	if (start.token === null && !isStillDue(active, start)) {
		state.start = null;
		return;
	}
	const undo = undoNow(turn, start.request);
	if (isUndo(undo)) Object.assign(start, undo);
	else if (undo) {
		answerRefused(turn, undo);
		return;
	}
	if (!haveLooked(turn, drive, start, startLimitMs / 2)) return;
	const fault = faultOf(state, start);
	if (start.request.service === 'clustering_config') {
		if (notAsked(state, start, now).length > 0) return;
		if (fault) endWithFault(turn, drive, start, fault);
		else if (isLed(turn, drive)) openRollout(turn, drive, start);
		return;
	}
	if (fault) answerRefused(turn, { code: 'unavailable', message: fault, extra: {} });
	else if (isLed(turn, drive)) openIfAllowed(turn, drive, start);
}

/** An operator may have resumed, aborted or superseded what was to be undone. */
const isStillDue = (active: OpenRollout | undefined, { request }: PendingStart): boolean =>
	active !== undefined && active.spec.id === request.reverts && revertedBy(active) !== null;

function openIfAllowed(turn: Turn, drive: Drive, start: PendingStart): void {
	const nothing = whyNothing(turn, start);
	if (nothing !== null) answerRefused(turn, { code: 'invalid', message: nothing, extra: {} });
	// Nobody waits for the answer of a revert: what is in its way shows in the rollout itself.
	else if (start.token === null || firstStepInTheWay(turn, drive, start) === null) openRollout(turn, drive, start);
}

/**
 * A majority is heard, and has stored what is to be superseded as it is known here. Otherwise another node may have taken
 * over long since and drive on what would be ended here.
 */
function isLed({ state, now }: Turn, drive: Drive): boolean {
	if (!state.coordination.hearsMajority(now)) return false;
	const active = openOf(state, drive.rollout);
	return !active || state.coordination.isConfirmed(active);
}

/**
 * The job exists and shows what is wrong; nothing was applied. It is never open, not for a moment: a crash before its
 * end is stored would leave it to a successor, who would drive it.
 */
function endWithFault(turn: Turn, drive: Drive, start: PendingStart, fault: string): void {
	const view = { ...emptyView(specOf(turn.state, start), turn.state.settings.self), epoch: textOfEpoch(drive.epoch) };
	endAs(turn, view, 'aborted', fault);
	answerStarted(turn, start);
}

const isTarget = (spec: RolloutSpec, node: NodeName): boolean =>
	!spec.without?.includes(node) && isSelected(spec, node);

/** Null when the first step may begin; otherwise who is in its way. */
function firstStepInTheWay(turn: Turn, drive: Drive, start: PendingStart): string | null {
	const { state, now } = turn;
	const spec = specOf(state, start);
	const flags = firstFlags(drive.epoch, spec.without);
	const budget = budgetUsed(state, drive, { spec, flags }, now);
	const order = orderOf(
		spec.members.filter(({ name }) => budget.heard.has(name) && isTarget(spec, name)),
		unhealthyIn(budget),
		state.settings.self,
	);
	if (order.some((name) => mayBegin(name, budget, spec.maxUnavailable))) return null;
	const used = [...budget.used].map(([name, why]) => `${name} ${why}`).join(', ');
	if (order.length === 0) return `${used}; no other node is selected`;
	return `${used}; ${noRoom(budget.used.size, spec.maxUnavailable)}`;
}

/** From here on the rollout exists. What it supersedes ends in the same breath. */
function openRollout(turn: Turn, drive: Drive, start: PendingStart): void {
	const { state } = turn;
	const active = openOf(state, drive.rollout);
	// What is undone ends once a majority knows the undo: until then a successor has to find it.
	if (active?.spec.id === start.request.reverts) letGo(turn, drive);
	else if (active) endRollout(turn, drive, active, 'aborted', `superseded by ${start.id}`);
	start.phase = 'open';
	const spec = specOf(state, start);
	openNew(turn, drive, { spec, flags: firstFlags(drive.epoch, spec.without) });
}

/** Every node that is heard should be able to answer for the rollout; a majority has to. */
function driveOpen(turn: Turn, start: PendingStart): void {
	const { state, now } = turn;
	const open = openOf(state, start.id);
	if (!open) {
		answerRefused(turn, lost(start));
		return;
	}
	if (!state.coordination.isConfirmed(open)) return;
	const all = state.coordination.heard(now).every((node) => state.coordination.knows(open, node));
	if (!all && now < start.askedAt + startLimitMs / 2) return;
	answerStarted(turn, start);
}

function answerStarted(turn: Turn, { token, id }: PendingStart): void {
	const { state } = turn;
	if (token !== null) turn.effects.push({ kind: 'answer', token, view: viewOf(state, id, turn) ?? null });
	state.start = null;
}

export function onChecked(turn: Turn, from: NodeName, rollout: RolloutId, result: CheckResult): void {
	const start = turn.state.start;
	if (start?.id === rollout && start.phase === 'check') start.checks[from] = result;
}

/** A peer refused the drive. One that knows a running rollout ends the request, unless that rollout has ended here. */
export function leaseRefused(turn: Turn, from: NodeName, reason: NackReason): void {
	const { state } = turn;
	const start = state.start;
	if (!start) return;
	start.refusals[from] = reason;
	if (reason.kind !== 'conflict') return;
	const endings = toldEndings(state, [reason.rollout]);
	if (endings.length > 0) {
		turn.command({ kind: 'tell', to: from, endings });
		return;
	}
	turn.command({ kind: 'withdraw' });
	const known = openOf(state, reason.rollout);
	answerRefused(
		turn,
		known
			? conflictWith(known, turn)
			: {
					code: 'conflict',
					message: `${from} knows rollout ${reason.rollout}, which is running or paused; wait for it or abort_rollout it`,
					extra: { job_id: reason.rollout },
				},
	);
}

/** Asked again soon, later than a higher-ranked node would. */
export function startLostLease(turn: Turn): void {
	const { state, now } = turn;
	const start = state.start;
	if (!start || start.phase === 'waiting') return;
	if (start.token === null) {
		// Whoever leads now reverts what is to be reverted.
		state.start = null;
		return;
	}
	start.phase = 'lease';
	const rank = state.members.findIndex((member) => member.name === state.settings.self);
	start.retryAt = now + retryEveryMs * (1 + Math.max(0, rank)) * Math.min(start.attempts + 1, 4);
}

export function onStartTimer(turn: Turn): void {
	const start = turn.state.start;
	if (!start) return;
	if (turn.now >= start.until) {
		timeOut(turn, start);
		return;
	}
	if (start.retryAt !== null && turn.now >= start.retryAt) {
		turn.command({ kind: 'withdraw' });
		tryStart(turn, start);
	}
}

export function startTimerAt(state: CoreState): number | null {
	const { start } = state;
	if (!start) return null;
	return start.retryAt === null ? start.until : Math.min(start.retryAt, start.until);
}

/** Nothing stays open: what was stored already is ended, unless another node has taken it up meanwhile. */
function timeOut(turn: Turn, start: PendingStart): void {
	const { state } = turn;
	const drive = driveOf(state);
	const open = openOf(state, start.id);
	const ownVersion = open?.flags.version.epoch?.node === state.settings.self;
	if (open && (!ownVersion || start.token === null)) {
		answerStarted(turn, start);
		return;
	}
	if (start.token === null && drive && isToTryAgain(turn, drive)) {
		state.start = null;
		return;
	}
	const advice = start.phase === 'waiting' ? '' : smallerFleet(turn);
	const message = `${whyTimedOut(turn, start, drive)}${advice}`;
	if (open && drive) endRollout(turn, drive, open, 'aborted', message);
	else if (open) endWithoutLease(turn, open, message);
	turn.command({ kind: 'withdraw' });
	answerRefused(turn, { code: 'unavailable', message, extra: {} });
}

/** A node was slow to look at its file, or no majority was heard: as long as a step may take. */
function isToTryAgain({ state, now }: Turn, { revertingSince }: Drive): boolean {
	return revertingSince === null || now < revertingSince + state.settings.deadlineMs;
}

function whyTimedOut(turn: Turn, start: PendingStart, drive: Drive | null): string {
	const what = requestText(start.request);
	if (start.phase === 'waiting')
		return `${what}: ${whyNoVote(turn.state) ?? 'a rollout of this node alone is still running; wait for it'}`;
	if (!drive || start.phase === 'open') return `${what}: ${whoIsMissing(turn, start)}`;
	const silent = Object.keys(start.checks).filter((node) => !start.checks[node]);
	if (silent.length > 0) return `${what}: ${silent.join(', ')} did not check its file in time; nothing was started`;
	if (start.request.service === 'clustering_config') return `${what}: ${unaskedText(turn, start)}`;
	const inTheWay = firstStepInTheWay(turn, drive, start);
	if (inTheWay === null) return `${what}: ${whoIsMissing(turn, start)}`;
	const { members, coordination } = turn.state;
	const way = members.some(({ name }) => coordination.hasOtherMembers(name)) ? `. ${meetAgain}` : '';
	return `${what}: ${inTheWay}; nothing was started${way}`;
}

function endWithoutLease(turn: Turn, open: OpenRollout, reason: string): void {
	const { state } = turn;
	const view = viewOf(state, open.spec.id, turn);
	if (!view) return;
	const ending = {
		rollout: open.spec.id,
		epoch: open.flags.version.epoch,
		view: endedView(view, 'aborted', reason, timeOf(turn, open.spec.id)),
	};
	turn.command({ kind: 'keep', ending });
	for (const to of state.coordination.peers()) turn.command({ kind: 'tell', to, endings: [ending] });
}

function answerRefused(turn: Turn, refusal: Refusal): void {
	const { start } = turn.state;
	if (!start) return;
	if (start.token === null) turn.facts.push({ kind: 'not_reverted', rollout: start.request.reverts ?? null, refusal });
	else turn.effects.push({ kind: 'refuse', token: start.token, refusal });
	turn.state.start = null;
	arm(turn, 'start', null);
}
