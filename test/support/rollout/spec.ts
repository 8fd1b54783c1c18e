/** What was asked for, in tests of pure parts: the http workers of the fleet, one node after the other. */
import type { NodeName, RolloutSpec } from '../../../src/rollout/types.js';

export function specFor(names: readonly NodeName[], change: Partial<RolloutSpec> = {}): RolloutSpec {
	return {
		id: 'r1',
		type: 'restart_service',
		service: 'http_workers',
		app: null,
		replicated: true,
		user: 'admin',
		maxUnavailable: 1,
		onFailure: 'halt',
		waitBetweenMs: 0,
		deadlineMs: 60_000,
		members: names.map((name) => ({ name, zone: null })),
		memberHash: 'abc',
		membersNext: null,
		memberHashNext: null,
		configHashes: null,
		createdAt: 0,
		...change,
	};
}
