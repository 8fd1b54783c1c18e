/** Fleets with hooks, whose nodes die while they run. Drawn apart, so that a seed keeps the rest of its day. */
import type { HookName } from '../../src/rollout/types.js';
import type { HookFate } from '../support/rollout/fake-executor.js';
import { Random } from '../support/random.js';
import { type Action, type Plan, settledMs } from './plan.js';

export interface Hooks {
	names: HookName[];
	/** How their commands end, in turn; the last one stays. */
	fates: HookFate[];
	ms: number;
}

const all: readonly HookName[] = ['before_rollout', 'after_rollout', 'before_node', 'after_node'];

/** Gives some fleets hooks, and ends the node that is asked about when one of its rollout runs. */
export function withHooks(plan: Plan, calm: boolean): Action[] {
	const random = new Random(plan.seed ^ 0x400c);
	// Beside a node of the build before, a rollout with hooks of its own is refused.
	if (!random.chance(0.3)) return [];
	const names = all.filter(() => random.chance(0.6));
	const fate = (): HookFate => random.weighted({ good: 12, failed: 3, unknown: 1 });
	const fates = Array.from({ length: random.between(1, 4) }, fate);
	if (random.chance(0.85)) fates.push('good');
	plan.hooks = { names, fates, ms: random.between(5, 1500) };
	if (calm) return [];
	const actions: Action[] = [];
	const asked = plan.actions.find((one) => one.kind === 'ask' && one.ask.replicated && one.at >= settledMs);
	if (asked?.kind === 'ask' && random.chance(0.5)) {
		const at = asked.at + random.between(20, 2500);
		if (random.chance(0.7))
			actions.push({ at, kind: 'kill', node: asked.node, backAfter: random.between(300, 5000), cold: false });
		else actions.push({ at, kind: 'isolate', node: asked.node, ms: random.between(1000, 4000) });
	}
	for (let count = random.between(0, 2); count > 0; count -= 1) {
		const at = random.between(settledMs, plan.chaosMs);
		actions.push({ at, kind: 'resume-rollout', node: random.pick(plan.nodes), skip: null });
	}
	return actions;
}
