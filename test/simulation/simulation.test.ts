import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildMutants, builtFile, patched } from './mutant-build.js';
import { type Mutant, mutants } from './mutants.js';
import { type Plan, planOf } from './plan.js';
import { runPlan } from './world.js';

/** A few of them; all are run by `npm run simulate -- --seeds 10000`. */
const seeds = 250;

interface Regression {
	invariant: string;
	/** What was wrong when this was found. */
	found: string;
	plan: Plan;
}

// Kept beside the source: the compiler copies no JSON.
const regressionsFile = new URL('../../../test/simulation/regressions.json', import.meta.url);

test('the same seed gives the same trace, twice', () => {
	for (const seed of [3, 17, 42, 99, 123]) assert.deepEqual(runPlan(planOf(seed)), runPlan(planOf(seed)));
});

test('the plan of a seed is the same whichever seeds were planned before', () => {
	const forward = Array.from({ length: 500 }, (_, seed) => JSON.stringify(planOf(seed)));
	for (let seed = 499; seed >= 0; seed -= 1) assert.equal(JSON.stringify(planOf(seed)), forward[seed], `seed ${seed}`);
});

test('what nodes say and store is the same when nothing of it is shared in memory', () => {
	for (let seed = 1; seed <= 60; seed += 1)
		assert.deepEqual(runPlan(planOf(seed), { copies: true }), runPlan(planOf(seed)), `seed ${seed}`);
});

test('every invariant holds on every event, and every rollout ends or halts', () => {
	let [grants, takeovers, completed, halted, undone] = [0, 0, 0, 0, 0];
	for (let seed = 1; seed <= seeds; seed += 1) {
		const outcome = runPlan(planOf(seed));
		assert.equal(outcome.violation, null, `seed ${seed}: ${outcome.violation?.message}`);
		grants += outcome.grants;
		takeovers += outcome.takeovers;
		completed += outcome.completed;
		halted += outcome.halted;
		undone += outcome.undoDays + outcome.revertDays;
	}
	// A simulation in which nothing happens would hold, too.
	assert.ok(grants > seeds && takeovers > seeds / 5 && completed > seeds / 2 && halted > seeds / 20);
	assert.ok(undone > seeds / 50, `${undone} undos`);
});

test('what was once wrong stays right', () => {
	const kept = JSON.parse(readFileSync(regressionsFile, 'utf8')) as Regression[];
	assert.ok(kept.length > 0);
	for (const { plan, found } of kept) {
		const { violation } = runPlan(plan);
		assert.equal(violation, null, `${found}: ${violation?.message}`);
	}
});

test('each patch of a mutant is found in the build, exactly once', () => {
	for (const { patches } of Object.values(mutants))
		for (const patch of patches) patched(patch, readFileSync(builtFile(patch), 'utf8'));
});

test('a rule that is taken out is noticed by the invariant that it serves', async () => {
	// The ones that are noticed soon; the whole table comes from `npm run mutants`.
	const soon = ['durable-promise', 'missing-is-down', 'count-out', 'proof', 'recheck-back', 'halt-on-failure'];
	soon.push('once', 'durable-record', 'go-forward', 'takeover', 'coordinator-last', 'hand-over', 'report-order');
	for (const rule of soon) {
		const { serves } = mutants[rule] as Mutant;
		const noticed = await firstNoticed(rule, serves, 150);
		assert.ok(noticed !== null, `without ${rule} nothing of ${serves.join(', ')} fails`);
	}
});

/** The first invariant, of those that the rule serves, that fails without it. */
async function firstNoticed(rule: string, serves: readonly string[], seedsMax: number): Promise<string | null> {
	const broken = buildMutants([rule]);
	try {
		const world = await broken.world();
		for (let seed = 1; seed <= seedsMax; seed += 1) {
			const { violation } = world.runPlan(planOf(seed));
			if (violation && serves.includes(violation.invariant)) return violation.invariant;
		}
		return null;
	} finally {
		broken.remove();
	}
}
