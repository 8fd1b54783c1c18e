/** Who follows a rollout is told of its changes, and of a coordinator that is not heard. */
import { compareEpochs, zeroEpoch } from '../../coordination/epoch.js';
import { wayOut } from '../../coordination/quorum/minority.js';
import { isEqual } from '../equal.js';
import { broadcast, hasEnded, isAtRestHere, isDriven, openOf, openReplicated, type Turn } from '../outbox.js';
import type { CoreState } from '../state.js';
import type { Ending, PeerMessage } from '../messages.js';
import type { Epoch, RolloutSpec, RolloutView } from '../types.js';
import { heldLease } from '../../coordination/quorum/heard.js';
import { driveOf, nextViewNumber } from '../controller/state.js';
import { leaderlessText } from './leaderless.js';
import { followedView, viewOf } from './view.js';

/** Followers hear of changes so much later, of several at once; what begins next does not wait for them. */
export const showAfterMs = 15;

/** The open rollouts whose changes this node tells: its own, and the one that it drives. */
function shownHere(state: CoreState): RolloutSpec[] {
	const driven = driveOf(state)?.rollout;
	return state.durable.open.map((one) => one.spec).filter((spec) => !isDriven(spec) || spec.id === driven);
}

export function showChanges(turn: Turn): void {
	const { state } = turn;
	const drive = driveOf(state);
	for (const spec of shownHere(state)) {
		const driven = isDriven(spec);
		const view = viewOf(state, spec.id, turn);
		const shown = state.views[spec.id];
		if (!view || (shown && isEqual(shown.view, view))) continue;
		if (driven && drive) {
			const number = nextViewNumber(drive);
			keepView(turn, drive.epoch, number, view);
			broadcast(turn, { kind: 'view', epoch: drive.epoch, number, view });
		} else keepView(turn, zeroEpoch, (shown?.number ?? 0) + 1, view);
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

/** Views of rollouts that this node does not know are dropped: they would pile up, unread. */
export function onView(turn: Turn, message: Extract<PeerMessage, { kind: 'view' }>): void {
	if (openOf(turn.state, message.view.id)) keepView(turn, message.epoch, message.number, message.view);
}

export function keepView(turn: Turn, epoch: Epoch, number: number, view: RolloutView): void {
	const { state } = turn;
	if (hasEnded(state, view.id)) return;
	const known = state.views[view.id];
	if (known && (compareEpochs(epoch, known.epoch) || number - known.number) <= 0) return;
	state.views[view.id] = { epoch, number, view };
	if (isAtRestHere(state, view.id)) return;
	turn.effects.push({ kind: 'changed', view });
}

/** It has ended: from here on its end is shown. */
export function onClosed(turn: Turn, { rollout, view }: Ending): void {
	delete turn.state.views[rollout];
	turn.effects.push({ kind: 'changed', view });
}
