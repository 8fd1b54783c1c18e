/** Why a rollout halted or ended, for people; of a change of members also who has which members, and how they meet again. */
import type { Halt, OpenRollout, RolloutFlags } from '../messages.js';
import type { CoreState } from '../state.js';
import { standingOf } from '../targets/budget.js';
import { isSelected } from '../targets/selection.js';
import { isGone, isPassedOver, type TargetStatus } from '../targets/targets.js';
import { clause, mayStillRestart } from '../views/text.js';
import type { NodeName, RolloutId } from '../types.js';
import { isLeaving } from '../../coordination/port.js';

const applyHere = 'rollcall restart_service service=clustering_config';
const changeAgain = 'send restart_service service=clustering_config replicated=true again';

export function haltReason(
	state: CoreState,
	open: OpenRollout,
	targets: readonly TargetStatus[],
	failing: readonly TargetStatus[],
): Halt {
	const halted = whatFailed(failing);
	const names = namesOf(failing);
	const advice = isChange(open)
		? `Correct that, then resume_rollout tries ${names} again, or ${changeAgain}; abort_rollout ends it here: ${standText(state, open, targets)}`
		: `resume_rollout tries ${names} again, with skip it stays as it is, abort_rollout ends the rollout`;
	return { halted, advice };
}

/** Which steps failed, and why. */
export function whatFailed(failing: readonly TargetStatus[]): string {
	const parts = failing.map((one) => {
		if (one.state === 'restarting') return `${one.node} is not back within the deadline and may still be restarting`;
		return `${one.node} ${one.state}: ${clause(one.reason ?? 'no reason given')}`;
	});
	return parts.join('; ');
}

/** How the advice begins that builds before the field `advice` stored at the end of `halted`. */
const storedAdviceStart = '. resume_rollout tries ';

/** Why a rollout halted, without what an operator may do about it. */
function whyHalted({ halted, advice }: RolloutFlags): string {
	const reason = halted ?? '';
	const at = advice === undefined ? reason.lastIndexOf(storedAdviceStart) : -1;
	return at < 0 ? reason : reason.slice(0, at);
}

export const nothingToPutBack = 'nothing to put back';

/** It halted, and could not be put back either. */
export function notRevertedReason({ flags }: OpenRollout, open: readonly NodeName[], why: string): Halt {
	const not = why.startsWith(nothingToPutBack) ? '' : 'on_failure is revert, but it could not be put back: ';
	return {
		halted: `${whyHalted(flags)}; ${not}${clause(why)}`,
		advice: `resume_rollout tries ${open.join(', ')} again, abort_rollout ends the rollout`,
	};
}

export function revertedReason({ flags }: OpenRollout, by: RolloutId): string {
	return flags.halted === null ? `reverted by ${by}` : `${whyHalted(flags)}; reverted by ${by}`;
}

/** `why`: for whom or what it waited too long. */
export function idleReason(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[], why: string): Halt {
	const away = targets.filter((one) => one.state === 'pending' && !one.heard);
	if (!isChange(open) || away.length === 0) return { halted: why, advice: 'Mend it, then resume_rollout' };
	const advice = `Start ${namesOf(away)}, then resume_rollout; or take what is gone for good out of cluster.peers of every other node and ${changeAgain}; abort_rollout ends it here: ${standText(state, open, targets)}`;
	return { halted: why, advice };
}

export function abortReason(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[]): string {
	const by = `aborted by ${open.flags.aborting?.by ?? 'an operator'}`;
	const rest = whatIsOpen(state, open, targets);
	return rest ? `${by}; ${rest}` : by;
}

/** What is not known to be done when the rollout ends; null: all is. */
export function whatIsOpen(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[]): string | null {
	const parts = isChange(open) ? notApplied(state, open, targets) : mayStillLive(open, targets);
	return parts.length > 0 ? parts.join('; ') : null;
}

/** Steps whose end was not observed when the rollout ended. */
function mayStillLive({ spec }: OpenRollout, targets: readonly TargetStatus[]): string[] {
	const workers = spec.type === 'restart' || spec.service === 'http_workers';
	const running = targets.filter((one) => one.state === 'restarting').map((one) => one.node);
	// Of one that is back it is known, wherever it went since.
	const isUnseen = (one: TargetStatus): boolean => !one.heard && one.state !== 'restarting' && one.state !== 'back';
	const unseen = targets.filter((one) => isUnseen(one) && isSelected(spec, one.node)).map((one) => one.node);
	const parts = [];
	if (running.length > 0) parts.push(mayStillRestart(running, workers ? 'workers' : 'links'));
	if (unseen.length > 0)
		parts.push(`${unseen.join(', ')} not heard at the end${workers ? ': its old workers may still live' : ''}`);
	return parts;
}

const isChange = ({ spec }: OpenRollout): boolean => spec.membersNext !== null;
const namesOf = (targets: readonly { node: NodeName }[]): string => targets.map((one) => one.node).join(', ');

/** The targets that have applied their files, those that have not, and those that leave unheard. */
function standOf(
	state: CoreState,
	open: OpenRollout,
	targets: readonly TargetStatus[],
): Record<'done' | 'rest' | 'gone', TargetStatus[]> {
	const { memberHash, memberHashNext } = open.spec;
	// It may have taken up its file by a restart of its own.
	const hasNext = ({ node }: TargetStatus): boolean =>
		memberHash !== memberHashNext && standingOf(state, node)?.memberHash === memberHashNext;
	const isDone = (one: TargetStatus): boolean => one.state === 'back' || hasNext(one);
	const isAway = (one: TargetStatus): boolean => isGone(open, one) || isPassedOver(open.spec, one.node);
	const left = targets.filter((one) => !isDone(one));
	return {
		done: targets.filter(isDone),
		rest: left.filter((one) => !isAway(one)),
		gone: left.filter(isAway),
	};
}

/** `delta left, new members (…) on beta, old members (…) on alpha, gamma` */
function standText(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[]): string {
	const { members, membersNext, memberHash, memberHashNext } = open.spec;
	const { done, rest } = standOf(state, open, targets);
	if (done.length === 0) return 'no node has applied its file';
	if (memberHash === memberHashNext)
		return `${namesOf(done)} applied the new file${rest.length > 0 ? `, ${namesOf(rest)} did not` : ''}`;
	const list = (some: readonly { name: NodeName }[]): string => some.map(({ name }) => name).join(', ');
	const left = done.filter((one) => isLeaving(open, one.node));
	const taken = done.filter((one) => !isLeaving(open, one.node));
	return [
		...(left.length > 0 ? [`${namesOf(left)} left`] : []),
		...(taken.length > 0 ? [`new members (${list(membersNext ?? [])}) on ${namesOf(taken)}`] : []),
		...(rest.length > 0 ? [`old members (${list(members)}) on ${namesOf(rest)}`] : []),
	].join(', ');
}

/** Where the files were not applied, and how all come together again. */
function notApplied(state: CoreState, open: OpenRollout, targets: readonly TargetStatus[]): string[] {
	const { done, rest, gone } = standOf(state, open, targets);
	const begun = gone.filter((one) => one.state === 'restarting');
	const unheard = gone.filter((one) => one.state !== 'restarting');
	const parts = [
		...(unheard.length > 0 ? [`${namesOf(unheard)} did not hear of it; stop it if it still runs`] : []),
		...(begun.length > 0 ? [`${namesOf(begun)} was lost in its own step; stop it if it still runs`] : []),
	];
	if (rest.length === 0) return parts;
	const stand = standText(state, open, targets);
	if (done.length === 0) return [...parts, stand];
	const forward = `to go forward, run on ${namesOf(rest)}: ${applyHere}`;
	return [...parts, `${stand}; ${forward}; to go back, restore the old file on ${namesOf(done)} and run it there`];
}
