import type { RolloutView } from '../../src/rollout/types.js';
import type { Sighting } from '../support/fleet/witness.js';
import { phases } from './phases.js';
import { type Table, workersWanted } from './scenario.js';

/** A plain roll. */
export const roll: Table = {
	names: ['alpha', 'beta', 'gamma'],
	phases,
	prepare: () => undefined,
	asks: { operation: 'restart_service', fields: { service: 'http_workers', replicated: true } },
	wayOut: ({ id }) => ({ operation: 'abort_rollout', fields: { id } }),
	judgeViews: () => [],
	judgeNode: (seen, views, spoiled) => [...judgeEnd(seen, views), ...(spoiled ? [] : judgeSteps(seen, views))],
};

const completed = (views: readonly RolloutView[]): number => views.filter(({ state }) => state === 'completed').length;

/** Whatever happened: all of one set. */
function judgeEnd({ alive, before }: Sighting, views: readonly RolloutView[]): string[] {
	const old = alive.filter((pid) => before.includes(pid)).length;
	return [
		...(completed(views) > 0 && old > 0 ? ['completed, and old workers live'] : []),
		...(old > 0 && old < alive.length ? ['old and new workers in the end'] : []),
	];
}

/** Each rollout replaces a node's workers once at most, each completed one does. */
function judgeSteps({ came }: Sighting, views: readonly RolloutView[]): string[] {
	return [
		...(came.length > views.length * workersWanted ? ['restarted twice'] : []),
		...(came.length < completed(views) * workersWanted ? ['completed, and not restarted'] : []),
	];
}
