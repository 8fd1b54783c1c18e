/** Pauses a rollout once the first nodes are back, so that an operator can check them. */
import type { OpenRollout } from '../messages.js';
import type { TargetStatus } from '../targets/targets.js';
import type { Drive } from './state.js';

/** Enough nodes are back, and the rollout has not been held yet. */
export function isHoldDue({ spec, flags }: OpenRollout, targets: readonly TargetStatus[]): boolean {
	if (spec.holdAfter === undefined || flags.held !== undefined) return false;
	return targets.filter((one) => one.state === 'back').length >= spec.holdAfter;
}

/**
 * How many steps may begin before the hold: with a large budget, too, no more nodes get their turn than `holdAfter` says. A
 * node that failed does not count, since the rollout holds when so many are back.
 */
export function roomBeforeHold(drive: Drive, { spec, flags }: OpenRollout, targets: readonly TargetStatus[]): number {
	if (spec.holdAfter === undefined || flags.held !== undefined) return Number.POSITIVE_INFINITY;
	return spec.holdAfter - targets.filter((one) => hasTurn(one) || mayHaveTurn(drive, one)).length;
}

const hasTurn = ({ state, overdue }: TargetStatus): boolean => state === 'back' || (state === 'restarting' && !overdue);

/** An earlier coordinator may have granted it a step, and it has not answered this one. */
const mayHaveTurn = (drive: Drive, { state, hearsay }: TargetStatus): boolean =>
	!drive.openedHere && hearsay && state === 'pending';

/** Those that keep the next step from beginning, since they may have had their turn before the hold. */
export function awaitedForHold(drive: Drive, open: OpenRollout, targets: readonly TargetStatus[]): string[] {
	if (roomBeforeHold(drive, open, targets) > 0) return [];
	return targets.filter((one) => mayHaveTurn(drive, one)).map((one) => one.node);
}
