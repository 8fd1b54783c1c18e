/** A rollout as everyone is shown it. */
import { blockedBy } from '../targets/blocked-by.js';
import {
	afterOf,
	emptyView,
	type ViewNode,
	headOf,
	hooksOf,
	isHeld,
	reasonOf,
	revertedBy,
	stateOf,
	processesOf,
	releasesOf,
} from './view-parts.js';
import { orderOf } from '../targets/order.js';
import { isSelected } from '../targets/selection.js';
import type { OpenRollout } from '../messages.js';
import type { CoreState } from '../state.js';
import { awaitedHook } from '../controller/hooks.js';
import { type Drive, driveOf } from '../controller/state.js';
import { shownNode, targetsOf, type TargetStatus } from '../targets/targets.js';
import { type Budget, budgetUsed, standingOf, unhealthyIn, whatIsDown } from '../targets/budget.js';
import { textOfEpoch } from '../../coordination/epoch.js';
import { wayOut } from './way-out.js';
import { leaderlessText } from './leaderless.js';
import { localViewOf } from '../agent/local-view.js';
import { endOf, type Turn } from '../outbox.js';
import { stepEnd } from '../times.js';
import type { NodeRecord, RolloutId, RolloutView } from '../types.js';
import { frozen, remarkOn, timeOfDay } from './text.js';
import { isShared, openOf } from '../../coordination/port.js';

/** The rollout's view; undefined if this node does not know it. */
export function viewOf(state: CoreState, id: RolloutId, turn: Turn): RolloutView | undefined {
	const ended = endOf(state, id);
	if (ended) return ended;
	const open = openOf(state, id);
	if (!open) return undefined;
	if (!isShared(open.spec)) return localViewOf(turn, open);
	const drive = driveOf(state);
	if (drive?.rollout === id) return drivenView(turn, drive, open);
	return followedView(turn, open);
}

/** As the last coordinator showed it, with what this node knows to be newer. */
export function followedView(turn: Turn, open: OpenRollout): RolloutView {
	const { state } = turn;
	const seen = state.views[open.spec.id]?.view;
	const drives = open.flags.version.epoch?.node ?? state.settings.self;
	const base = seen ?? emptyView(open.spec, drives);
	const silent = leaderlessText(turn);
	// A word may have been stored here since: then what was waited for before it is waited for no more.
	const shown = seen?.state === stateOf(open) ? seen.waiting_for : null;
	return {
		...base,
		coordinator: drives,
		state: stateOf(open),
		reason: reasonOf(open),
		held: isHeld(open.flags),
		reverted_by: revertedBy(open),
		...hooksOf(open.flags),
		waiting_for: silent === null ? (shown ?? unseen(open)) : `${silent}${wayOut(turn, open.spec.id)}`,
		epoch: open.flags.version.epoch ? textOfEpoch(open.flags.version.epoch) : base.epoch,
	};
}

function unseen(open: OpenRollout): string {
	if (revertedBy(open) !== null) return forUndo(open);
	return open.flags.halted === null ? 'word from the coordinator' : forOperator;
}
const forUndo = ({ spec }: OpenRollout): string => `rollout ${spec.revertAs ?? ''} to put its nodes back`;
const forOperator = 'an operator: resume_rollout, abort_rollout, or a new rollout';

export function drivenView(turn: Turn, drive: Drive, open: OpenRollout): RolloutView {
	const { state, now } = turn;
	const targets = targetsOf(state, drive, open, now);
	const budget = budgetUsed(state, drive, open, now);
	const byName = new Map(targets.map((one) => [one.node, one]));
	const isPending = (name: string): boolean => byName.get(name)?.state === 'pending';
	const begun = drive.begun.filter((name) => byName.has(name) && !isPending(name));
	const order = [...begun, ...plannedNext(turn, open, isPending, new Set(begun), budget)];
	const view = headOf(open.spec, state.settings.self);
	view.state = stateOf(open);
	view.reason = reasonOf(open);
	view.held = isHeld(open.flags);
	view.reverted_by = revertedBy(open);
	Object.assign(view, hooksOf(open.flags));
	view.waiting_for = waitingFor(turn, drive, open, targets, budget);
	view.epoch = textOfEpoch(drive.epoch);
	view.order = order;
	const untouched = targets.map((one) => one.node).filter((name) => !isSelected(open.spec, name));
	for (const name of [...order, ...untouched]) {
		const target = byName.get(name);
		if (target) view.nodes.push(viewNode(drive, open, target, shownNode(state, open, name)));
	}
	return view;
}

function plannedNext(
	{ state }: Turn,
	open: OpenRollout,
	isPending: (name: string) => boolean,
	begun: ReadonlySet<string>,
	budget: Budget,
): string[] {
	const left = open.spec.members.filter(({ name }) => !begun.has(name) && isSelected(open.spec, name));
	const order = orderOf(left, unhealthyIn(budget), state.settings.self);
	return [...order.filter(isPending), ...order.filter((name) => !isPending(name))];
}

function viewNode(drive: Drive, open: OpenRollout, target: TargetStatus, seen: ViewNode | undefined): ViewNode {
	const times = drive.times[target.node];
	const record = target.record;
	return {
		node: target.node,
		state: target.state,
		attempt: target.attempt,
		before: record ? processes(open, record).before : (seen?.before ?? null),
		after: record ? processes(open, record).after : (seen?.after ?? null),
		release: record ? processes(open, record).release : (seen?.release ?? { before: null, after: null }),
		started_at: times?.started ?? null,
		back_at: target.state === 'back' ? (times?.back ?? null) : null,
		// Until the new attempt has a record of its own, the record is that of the attempt before.
		ended_at: record && target.state !== 'restarting' ? stepEnd(times?.started ?? null, record) : null,
		reason: target.overdue ? 'not back within the deadline' : (target.reason ?? remarkOn(record)),
		...hooksShown(record, seen),
	};
}

/** Followers are told of a change, so what was shown once is never left out: a new attempt has an empty one. */
function hooksShown(record: NodeRecord | null, seen: ViewNode | undefined): Pick<ViewNode, 'hooks'> {
	const hooks = record ? (record.hooks ?? (seen?.hooks ? {} : undefined)) : seen?.hooks;
	return hooks ? { hooks } : {};
}

type Processes = Pick<ViewNode, 'before' | 'after' | 'release'>;
const processesShown = new WeakMap<NodeRecord, Processes>();

/** As long as the record stays the same, so do they: then they need not be compared. */
function processes({ spec }: OpenRollout, record: NodeRecord): Processes {
	const known = processesShown.get(record);
	if (known) return known;
	const release = releasesOf(spec, record);
	const made = { before: processesOf(spec, record.before), after: afterOf(spec, record), release };
	processesShown.set(record, made);
	return made;
}

/** One line: what the rollout waits for, until when, and what may be done about it. */
function waitingFor(
	turn: Turn,
	drive: Drive,
	open: OpenRollout,
	targets: readonly TargetStatus[],
	budget: Budget,
): string | null {
	const { state, now } = turn;
	if (open.flags.halted !== null) return revertedBy(open) === null ? forOperator : forUndo(open);
	if (!state.coordination.hearsMajority(now)) {
		const heard = state.coordination.heard(now);
		const missing = state.members.map((one) => one.name).filter((name) => !heard.includes(name));
		return `${frozen(missing, state.members.length)}${wayOut(turn, open.spec.id)}`;
	}
	const hook = awaitedHook(open);
	if (hook !== null) return hook;
	const running = targets.filter((one) => one.state === 'restarting' && !one.overdue);
	const steps = running.map((one) => stepText(turn, drive, one)).join('; ');
	if (open.flags.aborting) return steps || 'the end';
	if (open.flags.paused)
		return steps ? `the running step to finish, ${steps}` : 'an operator: resume_rollout or abort_rollout';
	if (steps) return steps;
	if (drive.backAt !== null && now < drive.backAt + open.spec.waitBetweenMs)
		return `wait_between, until ${clock(turn, drive.backAt + open.spec.waitBetweenMs)}`;
	const why = blockedBy(turn, drive, open, targets, budget);
	const until = drive.idleSince === null ? '' : `, until ${clock(turn, drive.idleSince + open.spec.deadlineMs)}`;
	return `${why}${until}`;
}

function stepText(turn: Turn, drive: Drive, target: TargetStatus): string {
	const standing = standingOf(turn.state, target.node);
	const said = standing?.progress ?? null;
	const away = said === null ? 'is not heard' : `is not heard, last: ${said}`;
	const what = target.heard ? (said ?? (standing && whatIsDown(standing.readiness)) ?? 'restarting') : away;
	const deadline = drive.deadlines[target.node];
	return deadline ? `${target.node}: ${what}, until ${clock(turn, deadline.at)}` : `${target.node}: ${what}`;
}

/** Time of day of an instant on the own monotonic clock. */
function clock(turn: Turn, at: number): string {
	return timeOfDay(turn.wall + (at - turn.now));
}
