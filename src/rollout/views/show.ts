/** Sends followers the changes of a rollout, and a coordinator's absence. */
import { zeroEpoch } from '../../coordination/epoch.js';
import { isEqual } from '../equal.js';
import { type Drive, driveOf, nextViewNumber } from '../controller/state.js';
import type { RolloutMessage } from '../messages.js';
import { isAtRestHere, send, type Turn } from '../outbox.js';
import { wayOut } from './way-out.js';
import type { CoreState } from '../state.js';
import type { NodeName, RolloutId, RolloutSpec, RolloutView } from '../types.js';
import { changeOf } from './change.js';
import { keepView } from './follow-view.js';
import { leaderlessText } from './leaderless.js';
import { emptyView } from './view-parts.js';
import { followedView, viewOf } from './view.js';
import { isShared, openShared } from '../../coordination/port.js';

/** Followers hear of changes so much later, of several at once; what begins next does not wait for them. */
const showAfterMsMin = 15;
/** In a large fleet they wait longer, so that a coordinator never sends more than 4,000 messages a second for it. */
const showMsOfPeer = 0.25;

export function showAfterMs(state: CoreState): number {
	return Math.max(showAfterMsMin, showMsOfPeer * state.members.length);
}

/** Version of the protocol that has `view_change`; an earlier peer is sent whole views. */
const changesVersion = 2;

/** The open rollouts whose changes this node tells: its own, and the one that it drives. */
function shownHere(state: CoreState): RolloutSpec[] {
	const driven = driveOf(state)?.rollout;
	return state.durable.open.map((one) => one.spec).filter((spec) => !isShared(spec) || spec.id === driven);
}

export function showChanges(turn: Turn): void {
	const { state } = turn;
	const drive = driveOf(state);
	for (const spec of shownHere(state)) {
		const view = viewOf(state, spec.id, turn);
		const last = state.views[spec.id];
		if (!view) continue;
		const isNew = !last || !isEqual(last.view, view);
		if (isShared(spec) && drive) {
			if (isNew) tellFollowers(turn, drive, spec, view);
			else tellAgain(turn, drive, spec, view);
		} else if (isNew) keepView(turn, zeroEpoch, (last?.number ?? 0) + 1, view);
	}
}

/** Each peer gets what has changed since the view that it was sent last over this link, or since the rollout was asked for. */
function tellFollowers(turn: Turn, drive: Drive, spec: RolloutSpec, view: RolloutView): void {
	const { state } = turn;
	const { epoch, shown } = drive;
	const last = state.views[spec.id];
	const number = nextViewNumber(drive);
	keepView(turn, epoch, number, view);
	const isShown = (peer: NodeName): boolean => shown[peer]?.rollout === spec.id && shown[peer].number === last?.number;
	const whole: RolloutMessage = { kind: 'view', epoch, number, view };
	let next: RolloutMessage | null = null;
	let first: RolloutMessage | null = null;
	for (const peer of state.coordination.peers()) {
		if (!takesChanges(state, peer)) send(turn, peer, whole);
		else if (last && isShown(peer)) {
			next ??= changeMessage(drive, spec, last, view);
			send(turn, peer, next);
		} else {
			first ??= changeMessage(drive, spec, null, view);
			send(turn, peer, first);
		}
		shown[peer] = { rollout: spec.id, number };
	}
}

/** `last`: what the change is made to; null: the view that every node makes itself of a rollout that was just asked for. */
function changeMessage(
	{ epoch, viewNumber: number }: Drive,
	spec: RolloutSpec,
	last: { number: number; view: RolloutView } | null,
	view: RolloutView,
): RolloutMessage {
	const change = changeOf(last?.view ?? emptyView(spec, epoch.node), view);
	return { kind: 'view_change', epoch, number, rollout: spec.id, base: last?.number ?? 0, change };
}

const takesChanges = ({ coordination, settings }: CoreState, peer: NodeName): boolean =>
	Math.min(coordination.peer(peer)?.protocolMax ?? 0, settings.protocol.max) >= changesVersion;

/** A peer that could make nothing of a change is sent all of the view, soon. */
export function onViewWanted({ state }: Turn, from: NodeName, rollout: RolloutId): void {
	const shown = driveOf(state)?.shown[from];
	if (shown?.rollout === rollout) shown.number = 0;
}

function tellAgain(turn: Turn, drive: Drive, spec: RolloutSpec, view: RolloutView): void {
	const { shown, viewNumber: number } = drive;
	const wanting = turn.state.coordination
		.peers()
		.filter((peer) => shown[peer]?.rollout === spec.id && shown[peer].number === 0);
	for (const peer of wanting) {
		send(turn, peer, changeMessage(drive, spec, null, view));
		shown[peer] = { rollout: spec.id, number };
	}
}

/** Tells local followers of a rollout when no coordinator is heard, and when one is heard again. */
export function tellLeaderless(turn: Turn): void {
	const { state } = turn;
	const followed = state.coordination.leads()
		? []
		: openShared(state).filter(({ spec }) => !isAtRestHere(state, spec.id));
	const silent = followed.length > 0 ? leaderlessText(turn) : null;
	const text = silent === null ? null : `${silent}${wayOut(turn, '')}`;
	if (text === state.leaderless) return;
	state.leaderless = text;
	for (const open of followed) turn.effects.push({ kind: 'changed', view: followedView(turn, open) });
}

/** Whether a change may have to be shown, and no timer for that runs. */
export function isToShow({ state, showing }: Turn): boolean {
	return !showing && state.timers.show === null && shownHere(state).length > 0;
}
