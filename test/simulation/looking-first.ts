/** Operators who look first: some rollouts hold, some cover a part of the fleet. Drawn apart, so that a seed keeps the rest of its day. */
import { Random } from '../support/random.js';
import { type Action, type Ask, type Plan, settledMs } from './plan.js';

/** Zones as the simulated configurations have them. */
export const zoneOf = (name: string): string => (name < 'c' ? 'a' : 'b');

/** Gives the rollouts of workers a hold or a selection, and answers what operators say to those that hold. */
export function lookingFirst(plan: Plan, calm: boolean): Action[] {
	const random = new Random(plan.seed ^ 0x10f1);
	const actions: Action[] = [];
	if (!calm && plan.nodes.length === 5 && plan.newcomers.length === 0 && random.chance(0.3))
		actions.push(...firstTurnUnseen(random, plan));
	for (const action of plan.actions) {
		if (action.kind !== 'ask' || !action.ask.replicated || action.ask.service !== 'http_workers') continue;
		// A copy: scenarios of other seeds may share it.
		action.ask = { ...action.ask };
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

/** The first node begins, and with its coordinator it is gone before any other node was shown that. */
function firstTurnUnseen(random: Random, { nodes }: Plan): Action[] {
	const [first = '', ...others] = nodes;
	const node = random.pick(others);
	const goneAt = settledMs + random.between(30, 250);
	const ask: Ask = {
		type: 'restart_service',
		service: 'http_workers',
		replicated: true,
		maxUnavailable: random.between(3, 4),
		onFailure: 'halt',
		holdAfter: 1,
	};
	return [
		{ at: settledMs - 1, kind: 'ask', node, ask },
		{ at: goneAt, kind: 'kill', node, backAfter: random.between(4000, 9000), cold: false },
		{ at: goneAt, kind: 'kill', node: first, backAfter: random.between(4000, 9000), cold: false },
	];
}

function select(random: Random, ask: Ask, nodes: readonly string[]): void {
	const some = nodes.filter(() => random.chance(0.5));
	if (random.chance(0.3)) ask.zone = zoneOf(random.pick(nodes));
	else if (some.length > 0) ask.nodes = some;
}
