/** Makes a failing plan small: takes away actions and wildness as long as the same invariant still fails. */
import type { Plan } from './plan.js';
import type { Outcome } from './world.js';

export interface Shrunk {
	plan: Plan;
	outcome: Outcome;
	runs: number;
}

const runsMax = 400;

/** `run`: the world that the plan fails in, which is another one for a patched build. */
export function shrink(plan: Plan, invariant: string, run: (plan: Plan) => Outcome): Shrunk {
	let best: Shrunk = { plan, outcome: run(plan), runs: 1 };
	const attempt = (candidate: Plan): boolean => {
		if (best.runs >= runsMax) return false;
		const outcome = run(candidate);
		best.runs += 1;
		if (outcome.violation?.invariant !== invariant) return false;
		best = { plan: candidate, outcome, runs: best.runs };
		return true;
	};
	const calm = { duplicate: 0, overtake: 0, slow: 0, reset: 0 };
	attempt({ ...best.plan, network: { ...best.plan.network, ...calm } });
	for (let size = Math.ceil(best.plan.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
		for (let at = 0; at < best.plan.actions.length; ) {
			const { actions } = best.plan;
			const fewer = [...actions.slice(0, at), ...actions.slice(at + size)];
			if (!attempt({ ...best.plan, actions: fewer })) at += size;
		}
	}
	return best;
}
