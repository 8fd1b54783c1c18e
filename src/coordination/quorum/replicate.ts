/** What a node stores of rollouts that others tell of, and how they ended: an ending wins over open. */
import { compareEpochs, compareVersions } from '../epoch.js';
import type { DurableEntry, Ending, OpenRollout } from '../../rollout/messages.js';
import { openAgain } from './reopen.js';
import type { CoreState } from '../../rollout/state.js';
import { hasEnded, openOf, openReplicated, send, store, type Turn } from '../../rollout/outbox.js';
import type { NodeName, RolloutId } from '../../rollout/types.js';

const endingsInPromiseMax = 4;

/** An honest fleet has one or two open at a time, some more while nodes are away; a hostile member must not fill the disk. */
const openMax = 32;

/** Keeps what is newer of these rollouts, unless they have ended. */
export function storeOpen(turn: Turn, from: NodeName, rollouts: readonly OpenRollout[]): void {
	const { state } = turn;
	openAgain(turn, rollouts);
	const entries: DurableEntry[] = [];
	for (const { spec, flags } of rollouts) {
		if (hasEnded(state, spec.id)) {
			tellEnded(turn, from, [spec.id]);
			continue;
		}
		const known = openOf(state, spec.id);
		if (!known) {
			if (openReplicated(state).length + entries.length < openMax) entries.push({ kind: 'open', spec, flags });
		} else if (compareVersions(flags.version, known.flags.version) > 0)
			entries.push({ kind: 'flags', rollout: spec.id, flags });
	}
	if (entries.length > 0) store(turn, ...entries);
}

/** How these rollouts ended, as far as it may be told: what a node ended for itself alone is its own. */
export function toldEndings(state: CoreState, rollouts: readonly RolloutId[]): Ending[] {
	return state.durable.ended.filter((one) => one.epoch !== null && rollouts.includes(one.rollout));
}

export function tellEnded(turn: Turn, to: NodeName, rollouts: readonly RolloutId[]): void {
	const endings = toldEndings(turn.state, rollouts);
	if (endings.length > 0) send(turn, to, { kind: 'ended', endings });
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
	store(turn, ...fresh.map((ending): DurableEntry => ({ kind: 'ending', ending })));
	for (const ending of fresh) {
		delete state.views[ending.rollout];
		turn.effects.push({ kind: 'changed', view: ending.view });
	}
}

/** The newest endings of replicated rollouts; what is older is told when a link is made. */
export function newestEndings(state: CoreState): Ending[] {
	return state.durable.ended.filter((one) => one.epoch !== null).slice(-endingsInPromiseMax);
}
