import { parentPort } from 'node:worker_threads';
import { planOf } from './plan.js';
import { add, type Done, type Job, nothingDone } from './pool.js';
import { type Outcome, runPlan } from './world.js';

export function runBlock(job: Job): Done {
	let done: Done = nothingDone;
	for (let seed = job.from; seed < job.from + job.count; seed += 1) {
		const outcome = runPlan(planOf(seed));
		done = add(done, doneOf(outcome));
		if (outcome.violation && job.stopAtFirst) break;
	}
	return done;
}

function doneOf(outcome: Outcome): Done {
	const { events, grants, takeovers, completed, halted, aborted, answered, refused } = outcome;
	const { hookDays, undoDays, revertDays } = outcome;
	const days = { hookDays, undoDays, revertDays };
	const violations = outcome.violation ? [outcome] : [];
	return { violations, seeds: 1, events, grants, takeovers, completed, halted, aborted, answered, refused, ...days };
}

parentPort?.on('message', (job: Job) => parentPort?.postMessage(runBlock(job)));
