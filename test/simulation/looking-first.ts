/** Operators who look first: some rollouts hold, some cover a part of the fleet. Drawn apart, so that a seed keeps the rest of its day. */
import { Random } from '../support/random.js';
import type { Action, Ask, Plan } from './plan.js';

/** Zones as the simulated configurations have them. */
export const zoneOf = (name: string): string => (name < 'c' ? 'a' : 'b');

/** Gives the rollouts of workers a hold or a selection, and answers what operators say to those that hold. */
export function lookingFirst(plan: Plan): Action[] {
	const random = new Random(plan.seed ^ 0x10f1);
	const actions: Action[] = [];
	for (const action of plan.actions) {
		if (action.kind !== 'ask' || !action.ask.replicated || action.ask.service !== 'http_workers') continue;
		if (random.chance(0.25)) select(random, action.ask, plan.nodes);
		if (!random.chance(0.35)) continue;
		action.ask.holdAfter = random.chance(0.7) ? 1 : random.between(0, plan.nodes.length);
		if (random.chance(0.4)) action.ask.maxUnavailable = random.between(1, plan.nodes.length);
		if (random.chance(0.7))
			actions.push({
				at: Math.min(plan.chaosMs, action.at + random.between(500, 6000)),
				kind: 'resume-rollout',
				node: random.pick(plan.nodes),
				skip: null,
			});
	}
	return actions;
}

function select(random: Random, ask: Ask, nodes: readonly string[]): void {
	const some = nodes.filter(() => random.chance(0.5));
	if (random.chance(0.3)) ask.zone = zoneOf(random.pick(nodes));
	else if (some.length > 0) ask.nodes = some;
}
