/** What a node stores of rollouts that others tell of, and how they ended: an ending wins over open. */
import type { KeptEntry } from './messages.js';
import type { CoordinationState } from './state.js';
import type { Turn } from './turn.js';
import { isOfThisFleet } from './members/voters.js';
import { compareEpochs, compareVersions, type NodeName, sameEpoch } from '../epoch.js';
import {
	type Ending,
	type Entry,
	type EntryId,
	hasEnded,
	openOf,
	openShared,
	toldEndings,
	isLeaving,
} from '../port.js';

const endingsInPromiseMax = 4;

/** An honest fleet has one or two open at a time, some more while nodes are away; a hostile member must not fill the disk. */
const openMax = 32;

/** Stores newer versions of these rollouts, unless they have ended. */
export function storeOpen(turn: Turn, from: NodeName, rollouts: readonly Entry[]): void {
	const { state } = turn;
	reopenEndedHere(turn, rollouts);
	const entries: KeptEntry[] = [];
	for (const { spec, flags } of rollouts) {
		if (hasEnded(state, spec.id)) {
			tellEnded(turn, from, [spec.id]);
			continue;
		}
		const known = openOf(state, spec.id);
		if (!known) {
			if (openShared(state).length + entries.length < openMax) entries.push({ kind: 'open', spec, flags });
		} else if (compareVersions(flags.version, known.flags.version) > 0) {
			// Another leader may have opened it anew, where no majority had stored what the first one had put.
			if (sameEpoch(flags.version.epoch, known.flags.version.epoch))
				entries.push({ kind: 'flags', rollout: spec.id, flags });
			else entries.push({ kind: 'open', spec, flags });
		}
	}
	if (entries.length > 0) turn.store(...entries);
}

export function tellEnded(turn: Turn, to: NodeName, rollouts: readonly EntryId[]): void {
	tellEndings(turn, to, toldEndings(turn.state, rollouts));
}

export function tellEndings(turn: Turn, to: NodeName, endings: readonly Ending[]): void {
	if (endings.length > 0) turn.send(to, { kind: 'ended', endings: [...endings] });
}

/** Keeps how rollouts ended; of two endings of one rollout the one under the higher epoch stays. */
export function storeEndings(turn: Turn, endings: readonly Ending[]): void {
	const { state } = turn;
	const fresh = endings.filter((ending) => {
		const known = state.durable.ended.find((one) => one.rollout === ending.rollout);
		if (!known) return true;
		if (ending.epoch !== null && known.epoch === null) return true;
		return ending.epoch !== null && known.epoch !== null && compareEpochs(ending.epoch, known.epoch) > 0;
	});
	if (fresh.length === 0) return;
	turn.store(...fresh.map((ending): KeptEntry => ({ kind: 'ending', ending })));
	for (const ending of fresh) turn.tell({ kind: 'closed', ending });
}

/** The newest endings of replicated rollouts; older ones are sent when a link is made. */
export function newestEndings(state: CoordinationState): Ending[] {
	return state.durable.ended.filter((one) => one.epoch !== null).slice(-endingsInPromiseMax);
}

/** A coordinator of its members tells of a rollout that had ended here for good: this node votes on it again. */
export function reopenEndedHere(turn: Turn, told: readonly Entry[]): void {
	const { state } = turn;
	for (const { spec, flags } of told) {
		const ending = state.durable.ended.find((one) => one.rollout === spec.id);
		if (!ending || ending.epoch !== null) continue;
		if (isLeaving({ spec }, state.settings.self) || !isOfThisFleet(state, spec)) continue;
		turn.store({ kind: 'ended_here', rollout: spec.id, view: ending.view }, { kind: 'open', spec, flags });
	}
}
