/** The course of a rollout: looked at anew after every event, so nothing depends on what came in which order. */
import { unreadyBack, blockedBy, isOutOfOrder } from '../targets/blocked-by.js';
import { type Budget, budgetUsed, countOut, standingOf, unhealthyIn } from '../targets/budget.js';
import { endingOf, endsLater, hookHaltReason, isPrepared, type Keeper, runsHook, settleHooks } from './hooks.js';
import { isHoldDue, roomBeforeHold } from './hold.js';
import { abortReason, haltReason, idleReason, whatIsOpen } from './reasons.js';
import { changeFlags, endRollout, endUndone } from './outcome.js';
import { type Drive, driveOf } from './state.js';
import { compareVersions } from '../../coordination/epoch.js';
import { mayBegin, orderOf } from '../targets/order.js';
import type { Halt, OpenRollout } from '../messages.js';
import type { CoreState } from '../state.js';
import { stepEnd, timeOf } from '../times.js';
import { isSelected } from '../targets/selection.js';
import { haltText } from '../views/text.js';
import { endedThere, isGone, shownNode, targetsOf, type TargetStatus } from '../targets/targets.js';
import { arm, note, send, type Turn } from '../outbox.js';
import type { NodeName, NodeRecord } from '../types.js';
import { isLeaving, openOf } from '../../coordination/port.js';

/** Everything that the holder of the lease decides, after each event. */
export function advanceDrive(turn: Turn, drive: Drive, majority: boolean): void {
	const { state } = turn;
	const open = openOf(state, drive.rollout);
	if (open) endUndone(turn, drive, open);
	if (!open) drive.rollout = null;
	else if (state.start === null || state.start.id !== open.spec.id) driveRollout(turn, drive, open, majority);
	if (driveOf(state) === drive) arm(turn, 'drive', nextLook(turn, drive));
}

/** Nothing is driven, and no request waits that may need the lease. */
export function needsLease({ drive, start }: CoreState): boolean {
	return (drive !== null && drive.rollout !== null) || start !== null;
}

function driveRollout(turn: Turn, drive: Drive, known: OpenRollout, majority: boolean): void {
	const { state, now } = turn;
	settleGrants(turn, drive, known);
	const targets = targetsOf(state, drive, known, now);
	const keeper = keeperOf(turn, drive, majority);
	const open = settleHooks(turn, noteLeft(turn, known, targets), keeper);
	const last = endingOf(turn, open, keeper);
	if (last) {
		if (last.isDue) endRollout(turn, drive, open, last.ending.state, last.ending.reason);
		return;
	}
	const end = (result: 'completed' | 'aborted', reason: string | null): void => {
		if (!endsLater(turn, open, keeper, { state: result, reason })) endRollout(turn, drive, open, result, reason);
	};
	const running = targets.filter((one) => isRunning(open, one) && !one.overdue);
	if (open.flags.aborting) {
		if (running.length === 0 && !runsHook(state, open.spec.id)) end('aborted', abortReason(state, open, targets));
		return;
	}
	if (open.flags.halted !== null) return;
	if (isFinished(turn, open, targets)) {
		const apart = endedOnEach(turn, open);
		if (apart === null) end('completed', whatIsOpen(state, open, targets));
		else end('aborted', apart);
		return;
	}
	const fault = whyHalt(state, open, targets);
	if (fault !== null) {
		halt(turn, drive, open, targets, fault);
		return;
	}
	if (isHoldDue(open, targets)) {
		hold(turn, open);
		return;
	}
	if (open.flags.paused) return;
	const begun = majority && isPrepared(turn, open, keeper) && stepWhatMay(turn, drive, open, targets);
	if (driveOf(state) !== drive || drive.rollout === null) return;
	// A report that comes late now and then does not start the waiting anew.
	const heardLately = state.coordination.isLive(now);
	idle(turn, drive, open, {
		busy: begun || running.length > 0 || runsHook(state, open.spec.id),
		majority: heardLately,
	});
}

/** What a hook's record is safe by: a majority has stored it, and is heard. */
const keeperOf = (turn: Turn, { epoch }: Drive, majority: boolean): Keeper => ({
	epoch,
	isSafe: (open) => majority && turn.state.coordination.isConfirmed(open),
	put: (open, change) => changeFlags(turn, open, change),
});

/** Compares grants with what their nodes report: begun, done, or made void by newer flags that the node has stored. */
function settleGrants(turn: Turn, drive: Drive, open: OpenRollout): void {
	const { state, now } = turn;
	for (const { name } of open.spec.members) {
		const standing = standingOf(state, name);
		const record = standing?.records.find((one) => one.rollout === open.spec.id);
		if (record) settleRecord(turn, drive, open, name, record);
		if (!standing) noteHearsay(turn, drive, open, name);
		const grant = drive.grants[name];
		if (grant && standing && !record) noteNoRecord(drive, open, name, standing.have);
		if (standing && endedThere(standing.endedHere, open.spec.id) !== null) noteEnded(drive, name, record);
		const deadline = drive.deadlines[name];
		if (!deadline || now < deadline.at) continue;
		drive.overdue[name] ??= deadline.attempt;
	}
}

/** A node that has left by this change does not vote; a majority has to know that before links to it are cut. */
function noteLeft(turn: Turn, open: OpenRollout, targets: readonly TargetStatus[]): OpenRollout {
	const left = targets.filter((one) => one.state === 'back' && isLeaving(open, one.node)).map((one) => one.node);
	if (left.every((node) => open.flags.left.includes(node))) return open;
	changeFlags(turn, open, { left: [...new Set([...open.flags.left, ...left])].sort() });
	return openOf(turn.state, open.spec.id) ?? open;
}

function settleRecord(turn: Turn, drive: Drive, open: OpenRollout, node: NodeName, record: NodeRecord): void {
	const grant = drive.grants[node];
	// Who granted the step knows its times by its own clock; who did not was told of them by the node.
	if (!grant && !drive.times[node]?.back)
		drive.times[node] = knownTimes(drive.times[node]?.started ?? record.startedAt, record);
	if (record.state === 'restarting') noteRunning(turn, drive, node, record.attempt, open.spec.deadlineMs);
	if (grant && record.attempt >= grant.attempt) grant.begun = true;
	if (record.state === 'restarting' || record.state === 'none') return;
	if (record.state === 'back') {
		if (grant) {
			drive.backAt = turn.now;
			drive.times[node] = { started: drive.times[node]?.started ?? null, back: timeOf(turn, open.spec.id) };
		}
		forgetStep(drive, node);
	} else if (!grant || record.attempt >= grant.attempt) forgetStep(drive, node);
}

const knownTimes = (started: number, record: NodeRecord): Drive['times'][string] => ({
	started,
	back: record.state === 'back' ? stepEnd(started, record) : null,
});

type Have = readonly { rollout: string; version: OpenRollout['flags']['version'] }[];

/**
 * A grant that did not arrive is void once the node has stored newer flags. One that had arrived is void only by a new attempt:
 * the node lost its state, and nobody knows how far the step had come.
 */
function noteNoRecord(drive: Drive, open: OpenRollout, node: NodeName, have: Have): void {
	const grant = drive.grants[node];
	if (!grant) return;
	const again = !grant.begun || grant.attempt < open.flags.attempt;
	if (again && isVoid(open, grant.version, have)) forgetStep(drive, node);
}

/** The node has stored flags newer than the grant, so it will refuse it: the slot was never taken. */
function isVoid(open: OpenRollout, version: OpenRollout['flags']['version'], have: Have): boolean {
	const stored = have.find((one) => one.rollout === open.spec.id);
	return stored !== undefined && compareVersions(stored.version, version) > 0;
}

/** It has ended the rollout for itself: a step that it has not begun by now it never begins, so the slot was never taken. */
function noteEnded(drive: Drive, node: NodeName, record: NodeRecord | undefined): void {
	const grant = drive.grants[node];
	if (grant && !grant.begun && (record?.attempt ?? 0) < grant.attempt) forgetStep(drive, node);
}

function noteRunning(turn: Turn, drive: Drive, node: NodeName, attempt: number, deadlineMs: number): void {
	const known = drive.deadlines[node];
	if (known) return;
	drive.deadlines[node] = { attempt, at: turn.now + deadlineMs };
	if (!drive.begun.includes(node)) drive.begun.push(node);
}

/** An earlier coordinator showed it as restarting, and it has not been heard since: its deadline counts from now. */
function noteHearsay(turn: Turn, drive: Drive, open: OpenRollout, node: NodeName): void {
	const seen = shownNode(turn.state, open, node);
	if (seen?.state === 'restarting') noteRunning(turn, drive, node, seen.attempt, open.spec.deadlineMs);
}

function forgetStep(drive: Drive, node: NodeName): void {
	delete drive.grants[node];
	delete drive.deadlines[node];
	delete drive.overdue[node];
}

/** A step that others wait for: not that of a leaver which died in it, since nothing depends on how far it came. */
const isRunning = (open: OpenRollout, one: TargetStatus): boolean => one.state === 'restarting' && !isGone(open, one);

const isFailing = (one: TargetStatus): boolean =>
	one.state === 'failed' || one.state === 'refused' || (one.state === 'restarting' && one.overdue);

function isFinished(turn: Turn, open: OpenRollout, targets: readonly TargetStatus[]): boolean {
	const { state } = turn;
	const { membersNext, memberHashNext } = open.spec;
	const done = (one: TargetStatus): boolean => {
		if (isGone(open, one) && !isFailing(one)) return true;
		if (one.hearsay) return one.state === 'skipped';
		return one.state === 'back' || one.state === 'skipped';
	};
	if (!targets.every(done)) return false;
	if (!membersNext) return true;
	return membersNext.every(({ name }) => {
		if (!targets.some((one) => one.node === name && one.state === 'back')) return true;
		return standingOf(state, name)?.memberHash === memberHashNext;
	});
}

/** Why it cannot complete: operators have ended it on every node, one by one. null if a node still takes part. */
function endedOnEach(turn: Turn, { spec }: OpenRollout): string | null {
	const names = spec.members.map((member) => member.name).filter((name) => isSelected(spec, name));
	const reasons = names.map((name) => endedThere(standingOf(turn.state, name)?.endedHere, spec.id));
	return reasons.includes(null) ? null : reasons.join('; ');
}

/** Why it has to halt; null: nothing failed, or others may proceed. */
function whyHalt(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[]): Halt | null {
	const failing = targets.filter(isFailing);
	const isFailed = !open.flags.paused && mustHalt(open, targets, failing);
	return hookHaltReason(open) ?? (isFailed ? haltReason(state, open, targets, failing) : null);
}

/** With `halt` at the first failure; with `continue` when nothing else is left to do. */
function mustHalt(open: OpenRollout, targets: readonly TargetStatus[], failing: readonly TargetStatus[]): boolean {
	if (failing.length === 0) return false;
	if (open.spec.onFailure === 'halt') return true;
	return targets.every((one) => isFailing(one) || one.state === 'back' || one.state === 'skipped');
}

/** Whether it is to be undone is stored with it, so that a successor knows. */
function halt(turn: Turn, drive: Drive, open: OpenRollout, targets: readonly TargetStatus[], reason: Halt): void {
	turn.command({ kind: 'call_off' });
	drive.idleSince = null;
	note(turn, 'rollout_halted', { rollout: open.spec.id, reason: haltText(reason) });
	const isDue = open.spec.revertAs !== undefined && isBad(turn, open, targets);
	changeFlags(turn, open, isDue ? { halted: reason.halted, advice: null, revert: 'due' } : reason);
}

/** A step failed, or a node that was back has lost workers since: what the rollout brought is bad. */
const isBad = (turn: Turn, open: OpenRollout, targets: readonly TargetStatus[]): boolean =>
	targets.some(isFailing) || isOutOfOrder(turn, open, targets);

/** Durable like an operator's pause, so a successor holds, too. */
function hold(turn: Turn, open: OpenRollout): void {
	note(turn, 'rollout_held', { rollout: open.spec.id, hold_after: open.spec.holdAfter ?? 0 });
	changeFlags(turn, open, { paused: true, held: 'on' });
}

/** Grants every slot that may be granted now; true if there was one. */
function stepWhatMay(turn: Turn, drive: Drive, open: OpenRollout, targets: readonly TargetStatus[]): boolean {
	const { state, now } = turn;
	if (!state.coordination.isConfirmed(open)) return false;
	const isTooEarly = drive.backAt !== null && now < drive.backAt + open.spec.waitBetweenMs;
	if (isTooEarly) return true;
	if (state.coordination.successor() !== null) return handOver(turn, drive, open);
	if (unreadyBack(turn, open, targets) !== null) return false;
	const budget = budgetUsed(state, drive, open, now);
	const room = roomBeforeHold(drive, open, targets);
	let begun = 0;
	// A step that begins leaves less for the others, and changes nothing else for them: one look at each is enough.
	for (const next of ableInOrder(turn, drive, open, targets, budget)) {
		if (begun >= room) break;
		if (!fitsBudget(open, next, budget)) continue;
		if (mustHandOver(turn, open, next)) return handOver(turn, drive, open) || begun > 0;
		grant(turn, drive, open, next);
		countOut(budget, next);
		begun += 1;
	}
	return begun > 0;
}

/** A change of members takes no node out. */
const fitsBudget = ({ spec }: OpenRollout, node: NodeName, budget: Budget): boolean =>
	spec.service === 'clustering_config' || mayBegin(node, budget, spec.maxUnavailable);

/** The targets whose steps may begin now, as far as the budget allows; of a change of members it is one. */
function ableInOrder(
	turn: Turn,
	drive: Drive,
	open: OpenRollout,
	targets: readonly TargetStatus[],
	budget: Budget,
): NodeName[] {
	const { state } = turn;
	// In a large fleet most wait for the budget: they need not be put in order after each event.
	const able = targets.filter(
		(one) =>
			one.state === 'pending' &&
			one.heard &&
			!drive.grants[one.node] &&
			fitsBudget(open, one.node, budget) &&
			state.coordination.knows(open, one.node),
	);
	if (able.length === 0) return [];
	const early = (name: NodeName): boolean => isLastButEarly(turn, open, name, targets, budget);
	const order = plannedOrder(turn, open, able, budget).filter((name) => !early(name));
	if (open.spec.service !== 'clustering_config') return order;
	if (targets.some((one) => isRunning(open, one))) return [];
	const next = order.find((name) => isLeaving(open, name)) ?? order[0];
	return next === undefined ? [] : [next];
}

/** The coordinator waits until no other target is left, unless it is unhealthy itself. */
function isLastButEarly(
	turn: Turn,
	open: OpenRollout,
	name: NodeName,
	targets: readonly TargetStatus[],
	budget: Budget,
): boolean {
	const { self } = turn.state.settings;
	if (name !== self || budget.used.has(name)) return false;
	const isDue = (one: TargetStatus): boolean => isRunning(open, one) || (one.state === 'pending' && !isGone(open, one));
	return targets.some((one) => one.node !== self && isDue(one));
}

export function plannedOrder(
	turn: Turn,
	open: OpenRollout,
	targets: readonly { node: NodeName }[],
	budget: Budget,
): NodeName[] {
	const names = new Set(targets.map((one) => one.node));
	const members = open.spec.members.filter((member) => names.has(member.name));
	const unhealthy = unhealthyIn(budget);
	return orderOf(members, unhealthy, turn.state.settings.self);
}

function grant(turn: Turn, drive: Drive, open: OpenRollout, node: NodeName): void {
	const { state, now } = turn;
	const { version, attempt } = open.flags;
	drive.grants[node] = { attempt, version, begun: false };
	drive.deadlines[node] = { attempt, at: now + open.spec.deadlineMs };
	delete drive.overdue[node];
	drive.idleSince = null;
	drive.times[node] = { started: timeOf(turn, open.spec.id), back: null };
	if (!drive.begun.includes(node)) drive.begun.push(node);
	note(turn, 'step_granted', { rollout: open.spec.id, node, attempt });
	const message = { kind: 'restart', epoch: drive.epoch, rollout: open.spec.id, version, attempt } as const;
	if (node === state.settings.self) turn.facts.push({ kind: 'order', message });
	else send(turn, node, message);
}

function mustHandOver(turn: Turn, open: OpenRollout, next: NodeName): boolean {
	return open.spec.type === 'restart' && next === turn.state.settings.self;
}

/** Peers that are back are asked first to take the lease; until one holds it, this node stays the coordinator. */
function handOver(turn: Turn, drive: Drive, open: OpenRollout): boolean {
	const { state, now } = turn;
	const peers = targetsOf(state, drive, open, now).filter(
		(one) => one.heard && one.node !== state.settings.self && one.state !== 'restarting',
	);
	const able = [...peers.filter((one) => one.state === 'back'), ...peers.filter((one) => one.state !== 'back')];
	return turn.command({ kind: 'transfer', to: able.map((one) => one.node) });
}

/** Waiting without a step longer than the deadline halts, whatever the cause, while a majority is heard. */
function idle(turn: Turn, drive: Drive, open: OpenRollout, standing: { busy: boolean; majority: boolean }): void {
	const { state, now } = turn;
	if (standing.busy || !standing.majority) {
		drive.idleSince = null;
		return;
	}
	drive.idleSince ??= now;
	if (now - drive.idleSince < open.spec.deadlineMs) return;
	const targets = targetsOf(state, drive, open, now);
	const failing = targets.filter(isFailing);
	const blocked = blockedBy(turn, drive, open, targets, budgetUsed(state, drive, open, now));
	const why = `waited longer than the deadline for ${blocked}`;
	if (failing.length === 0) halt(turn, drive, open, targets, idleReason(state, open, targets, why));
	else {
		const { halted, advice } = haltReason(state, open, targets, failing);
		halt(turn, drive, open, targets, { halted: `${why}; ${halted}`, advice });
	}
}

/** When something is due without any event: a deadline, the end of a pause between steps, an unheard node. */
function nextLook(turn: Turn, drive: Drive): number | null {
	const { now } = turn;
	const open = openOf(turn.state, drive.rollout);
	if (!open) return null;
	const times = Object.entries(drive.deadlines)
		.filter(([name]) => drive.overdue[name] === undefined)
		.map(([, one]) => one.at);
	if (drive.backAt !== null) times.push(drive.backAt + open.spec.waitBetweenMs);
	if (drive.idleSince !== null) times.push(drive.idleSince + open.spec.deadlineMs);
	const next = Math.min(...times.filter((at) => at > now));
	return Number.isFinite(next) ? next : null;
}

/** Beside the heartbeat: a grant whose node has not answered may not have arrived. */
export function grantAgain(turn: Turn, drive: Drive): void {
	const open = openOf(turn.state, drive.rollout);
	if (!open || open.flags.halted !== null || open.flags.paused || open.flags.aborting) return;
	for (const [node, grant] of Object.entries(drive.grants)) {
		if (grant.begun || compareVersions(grant.version, open.flags.version) !== 0) continue;
		const { version, attempt } = grant;
		send(turn, node, { kind: 'restart', epoch: drive.epoch, rollout: open.spec.id, version, attempt });
	}
}
