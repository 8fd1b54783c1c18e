/**
 * `on_failure: revert`: the coordinator undoes a rollout that halts because its release is bad. The halt is stored with the fact that an
 * undo is due, and the id of that undo is drawn when the rollout starts. So a successor opens the same undo, never a second one.
 */
import { pendingStart } from '../requests/start.js';
import { isUndo, revertRequest, undoNow } from '../requests/undo.js';
import { targetsOf } from '../targets/targets.js';
import { haltText } from '../views/text.js';
import { revertedBy } from '../views/view-parts.js';
import type { OpenRollout, Refusal } from '../messages.js';
import { note, type Turn } from '../outbox.js';
import type { RolloutId } from '../types.js';
import { hasEnded, openOf } from '../../coordination/port.js';
import { changeFlags } from './outcome.js';
import { notRevertedReason } from './reasons.js';
import { type Drive, driveOf } from './state.js';

/** Runs after every event, before the coordinator drives its rollout further. */
export function beginRevert(turn: Turn, drive: Drive): void {
	const { state, now } = turn;
	const open = openOf(state, drive.rollout);
	const id = open ? revertedBy(open) : null;
	if (!open || id === null || !state.coordination.isLive(now)) {
		drive.revertingSince = null;
		return;
	}
	drive.revertingSince ??= now;
	if (state.start !== null || !state.coordination.isConfirmed(open)) return;
	if (targetsOf(state, drive, open, now).some((one) => one.state === 'restarting' && !one.overdue)) return;
	if (hasEnded(state, id)) {
		giveUp(turn, drive, open, `rollout ${id}, which was to do that, has ended`);
		return;
	}
	const undo = undoNow(turn, revertRequest(open));
	if (!isUndo(undo)) {
		giveUp(turn, drive, open, undo?.message ?? '');
		return;
	}
	const { maxUnavailable } = open.spec;
	state.start = pendingStart(turn, { token: null, id, revertAs: null, ...undo, maxUnavailable }, 'check');
	note(turn, 'rollout_reverted', { rollout: open.spec.id, by: id });
}

/** The same would stand in the way again: an operator has to look. */
export function onNotReverted(turn: Turn, rollout: RolloutId | null, { message }: Refusal): void {
	const drive = driveOf(turn.state);
	const open = openOf(turn.state, rollout);
	if (drive && open && drive.rollout === rollout && revertedBy(open) !== null) giveUp(turn, drive, open, message);
}

function giveUp(turn: Turn, drive: Drive, open: OpenRollout, why: string): void {
	const { state, now } = turn;
	const left = targetsOf(state, drive, open, now).filter((one) => one.state !== 'back' && one.state !== 'skipped');
	const names = left.map((one) => one.node);
	const halt = notRevertedReason(open, names, why);
	note(turn, 'rollout_halted', { rollout: open.spec.id, reason: haltText(halt) });
	changeFlags(turn, open, { ...halt, revert: 'given_up' });
}
