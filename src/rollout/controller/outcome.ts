/** Which rollout is driven, and how rollouts end. */
import { textOfEpoch } from '../../coordination/epoch.js';
import { type Drive, driveOf, newDrive } from './state.js';
import type { Ending, OpenRollout, Report, RolloutFlags } from '../messages.js';
import { note, store, type Turn } from '../outbox.js';
import type { Epoch, NodeName, RolloutId, RolloutView } from '../types.js';
import { endedView } from '../views/view-parts.js';
import { catchUpTime, timeOf } from '../times.js';
import { drivenView, viewOf } from '../views/view.js';
import { revertedReason } from './reasons.js';
import { hasEnded, openOf, toldEndings } from '../../coordination/port.js';

/** This node leads: it drives the newest of the rollouts that are open, and ends the others. */
export function onLeading(turn: Turn, epoch: Epoch, open: readonly OpenRollout[]): Drive {
	const drive = newDrive(epoch);
	turn.state.drive = drive;
	const [active, ...older] = open;
	for (const one of older) {
		store(turn, { kind: 'open', spec: one.spec, flags: one.flags });
		// It ends once a majority knows what undoes it.
		if (active?.spec.reverts === one.spec.id) continue;
		endRollout(turn, drive, one, 'aborted', `superseded by ${active?.spec.id ?? 'another rollout'}`);
	}
	if (active) takeUp(turn, drive, active);
	return drive;
}

/** Drives this rollout from now on; it is written anew under the own epoch, and confirmed before any step. */
export function takeUp(turn: Turn, drive: Drive, rollout: OpenRollout): void {
	const { state, now } = turn;
	drive.rollout = rollout.spec.id;
	drive.openedHere = false;
	drive.idleSince = null;
	const seen = state.views[rollout.spec.id]?.view;
	if (seen) catchUpTime(turn, seen);
	learnTimes(drive, seen);
	if (seen?.nodes.some((node) => node.state === 'back')) drive.backAt = now;
	turn.command({ kind: 'put', entry: rollout });
}

/** What was shown of the steps that have begun. */
function learnTimes(drive: Drive, seen: RolloutView | undefined): void {
	for (const node of seen?.nodes ?? []) drive.times[node.node] = { started: node.started_at, back: node.back_at };
	drive.begun = (seen?.order ?? []).filter((name) => drive.times[name]?.started != null);
}

/** A request opens its rollout; nothing of an earlier one counts for it. */
export function openNew(turn: Turn, drive: Drive, rollout: OpenRollout): void {
	Object.assign(drive, { times: {}, begun: [], backAt: null });
	takeUp(turn, drive, rollout);
	drive.openedHere = true;
}

/** A new version of what changes; steps wait until a majority has it. */
export function changeFlags(turn: Turn, { spec, flags }: OpenRollout, change: Partial<RolloutFlags>): void {
	turn.command({ kind: 'put', entry: { spec, flags: { ...flags, ...change } } });
}

export function endRollout(
	turn: Turn,
	drive: Drive,
	open: OpenRollout,
	result: 'completed' | 'aborted',
	reason: string | null,
): void {
	const view = viewOf(turn.state, open.spec.id, turn) as RolloutView;
	if (drive.rollout === open.spec.id) letGo(turn, drive);
	endAs(turn, view, result, reason);
}

/** Drives its rollout no longer; what it has granted counts until the nodes know that the rollout has ended. */
export function letGo(turn: Turn, drive: Drive): void {
	const { rollout } = drive;
	const { self } = turn.state.settings;
	drive.rollout = null;
	if (rollout === null) return;
	// What runs here shows in the own record; no report would ever take this node off the list.
	for (const node of Object.keys(drive.grants)) if (node !== self) drive.stale[node] = rollout;
	Object.assign(drive, { grants: {}, deadlines: {}, overdue: {} });
	turn.command({ kind: 'call_off' });
}

/** The undo is known to a majority: from here on it stands for the rollout that it undoes, which ends. */
export function endUndone(turn: Turn, drive: Drive, undo: OpenRollout): void {
	const { state } = turn;
	const undone = openOf(state, undo.spec.reverts ?? null);
	if (!undone || !state.coordination.isConfirmed(undo)) return;
	const last = newDrive(drive.epoch);
	learnTimes(last, state.views[undone.spec.id]?.view);
	const view = drivenView(turn, last, undone);
	endAs(turn, view, 'aborted', revertedReason(undone, undo.spec.id), undo.spec.id);
}

/** Stores and announces how a rollout ended; also one that was never opened, so that no node can resume it. */
export function endAs(
	turn: Turn,
	last: RolloutView,
	result: 'completed' | 'aborted',
	reason: string | null,
	revertedBy: RolloutId | null = null,
): void {
	note(turn, 'rollout_ended', { rollout: last.id, state: result, reason });
	const view = endedView(last, result, reason, timeOf(turn, last.id), revertedBy);
	turn.command({ kind: 'close', ending: { rollout: last.id, view } });
}

/** A peer reported: it may know of an ending, or have a rollout open that no other node has. */
export function onReported(turn: Turn, from: NodeName, report: Report): void {
	const { state } = turn;
	const drive = driveOf(state);
	if (!drive) return;
	const stale = drive.stale[from];
	if (stale !== undefined && report.ended.includes(stale)) delete drive.stale[from];
	endOrphans(turn, drive, from, report);
}

/**
 * A rollout that no promise told of was never stored by a majority, so none of its steps began; or it ended so long
 * ago that it is forgotten. Either way it ends.
 */
function endOrphans(turn: Turn, drive: Drive, from: NodeName, report: Report): void {
	const { state } = turn;
	const ended: Ending[] = [];
	const undo = openOf(state, drive.rollout)?.spec.revertAs;
	for (const { rollout } of report.have) {
		if (rollout === drive.rollout || openOf(state, rollout)) continue;
		// It was opened by an earlier coordinator, and will be again: under the same id, so that there is one.
		if (rollout === undo && !hasEnded(state, rollout)) continue;
		const known = toldEndings(state, [rollout]);
		ended.push(...(known.length > 0 ? known : [orphan(turn, drive, rollout)]));
	}
	turn.command({ kind: 'tell', to: from, endings: ended });
}

function orphan(turn: Turn, { epoch }: Drive, rollout: RolloutId): Ending {
	return {
		rollout,
		epoch,
		view: {
			id: rollout,
			type: 'restart_service',
			service: null,
			app: null,
			replicated: true,
			user: '',
			state: 'aborted',
			reason: 'it was never stored by a majority of the nodes, so nothing of it began',
			waiting_for: null,
			coordinator: epoch.node,
			epoch: textOfEpoch(epoch),
			max_unavailable: 1,
			order: [],
			nodes: [],
			created_at: turn.wall,
			ended_at: turn.wall,
		},
	};
}
