/** Who follows a rollout is told of its changes, and of a coordinator that is not heard. */
import { keepView } from '../../coordination/quorum/follow.js';
import { wayOut } from '../../coordination/quorum/minority.js';
import { isEqual } from '../equal.js';
import { broadcast, heldLease, isAtRestHere, isDriven, openReplicated, type Turn } from '../outbox.js';
import type { CoreState } from '../state.js';
import type { RolloutSpec } from '../types.js';
import { leaderlessText } from './leaderless.js';
import { followedView, viewOf } from './view.js';

/** Followers hear of changes so much later, of several at once; what begins next does not wait for them. */
export const showAfterMs = 15;

/** The open rollouts whose changes this node tells: its own, and the one that it drives. */
function shownHere(state: CoreState): RolloutSpec[] {
	const driven = heldLease(state)?.rollout;
	return state.durable.open.map((one) => one.spec).filter((spec) => !isDriven(spec) || spec.id === driven);
}

export function showChanges(turn: Turn): void {
	const { state } = turn;
	const lease = heldLease(state);
	for (const spec of shownHere(state)) {
		const driven = isDriven(spec);
		const view = viewOf(state, spec.id, turn);
		const shown = state.views[spec.id];
		if (!view || (shown && isEqual(shown.view, view))) continue;
		if (driven && lease) {
			lease.viewNumber += 1;
			keepView(turn, lease.epoch, lease.viewNumber, view);
			broadcast(turn, { kind: 'view', epoch: lease.epoch, number: lease.viewNumber, view });
		} else keepView(turn, { counter: 0, node: '' }, (shown?.number ?? 0) + 1, view);
	}
}

/** Whoever follows a rollout here hears that nobody is heard to drive it, and that somebody is again. */
export function tellLeaderless(turn: Turn): void {
	const { state } = turn;
	const followed = heldLease(state) ? [] : openReplicated(state).filter(({ spec }) => !isAtRestHere(state, spec.id));
	const silent = followed.length > 0 ? leaderlessText(turn) : null;
	const text = silent === null ? null : `${silent}${wayOut(turn, '')}`;
	if (text === state.leaderless) return;
	state.leaderless = text;
	for (const open of followed) turn.effects.push({ kind: 'changed', view: followedView(turn, open) });
}

/** Whether a change may have to be shown, and no timer for that runs. */
export function isToShow({ state, showing }: Turn): boolean {
	return !showing && state.timers.show === undefined && shownHere(state).length > 0;
}
