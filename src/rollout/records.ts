/** How a rollout begins, and what the own records say of this node. */
import type { RolloutFlags } from './messages.js';
import type { Epoch, NodeName, NodeRecord, RolloutId } from './types.js';

/** What can change of a rollout, as it begins. `epoch`: of the coordinator; null for a rollout of one node. */
export function firstFlags(epoch: Epoch | null, skipped: readonly NodeName[] = []): RolloutFlags {
	return {
		version: { epoch, n: 0 },
		attempt: 1,
		skipped: [...skipped],
		left: [],
		paused: false,
		aborting: null,
		halted: null,
	};
}

/** The number that the next record gets. */
export function nextBegun(records: readonly NodeRecord[]): number {
	return 1 + Math.max(0, ...records.map((one) => one.begun));
}

/**
 * The rollouts in whose records this node is out: restarting, or failed with no later step that brought it back. Of a lost
 * one nothing runs any more, so its workers' health says it all.
 */
export function outOf(records: readonly NodeRecord[]): RolloutId[] {
	const isSettled = ({ state }: NodeRecord): boolean => state === 'back' || state === 'refused';
	const settled = records.reduce((last, one) => (isSettled(one) ? Math.max(last, one.begun) : last), 0);
	return records
		.filter((one) => one.state === 'restarting' || (one.state === 'failed' && one.begun > settled))
		.map((one) => one.rollout);
}
