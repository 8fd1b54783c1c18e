import { isAlive } from '../../system/proc/process.js';
import type { ReplacementOutcome } from './runner.js';
import type { ProvenWorker, ReplacementResult, WorkerApp, WorkerIdentity } from '../types.js';
import type { Worker } from '../pool/worker.js';

/** How an app's set stands after a replacement. */
export interface SetFacts {
	app: WorkerApp;
	workers: readonly Worker[];
	healthy: number;
	after: ProvenWorker[];
	/** Ports that every worker must be proven on. */
	required: readonly number[];
}

/** Neither given up nor on its way out. */
export function isSound(worker: Worker): boolean {
	return worker.state !== 'failed' && worker.state !== 'draining';
}

/** What a replacement came to, judged by what stands there now. `outcome` null: there was nothing to do. */
export function resultOf(
	{ app, workers, healthy, after, required }: SetFacts,
	before: readonly WorkerIdentity[],
	outcome: ReplacementOutcome | null,
): ReplacementResult {
	const wanted = app.instances;
	const full = healthy >= wanted;
	const oldGone = !before.some(isAlive);
	const word = outcome?.outcome ?? 'back';
	const judged = word === 'back' ? (full && oldGone ? 'back' : 'failed') : full ? 'refused' : 'failed';
	const lacking = full ? 'old processes still live' : `${healthy} of ${wanted} workers healthy`;
	return {
		outcome: judged,
		before: before.map(({ id, pid, started }) => ({ id, pid, started })),
		after,
		wanted,
		// The losing set must be gone: the new one if it was refused, else the old one.
		oldGone: judged === 'refused' ? !workers.some((one) => one.isAlive && one.state !== 'serving') : oldGone,
		cutOff: outcome?.cutOff ?? 0,
		required: [{ app: app.name, ports: [...required] }],
		reason: judged === 'back' ? remarkOn(app, outcome) : `${app.name}: ${outcome?.reason ?? lacking}`,
	};
}

const remarkOn = ({ name }: WorkerApp, outcome: ReplacementOutcome | null): string | null =>
	outcome?.remark ? `${name}: ${outcome.remark}` : null;

/** The node's result out of its apps': as bad as the worst of them. */
export function combine(results: readonly ReplacementResult[]): ReplacementResult {
	const has = (outcome: ReplacementResult['outcome']) => results.some((one) => one.outcome === outcome);
	const outcome = has('failed') ? 'failed' : has('refused') ? 'refused' : 'back';
	// What is remarked of an app that is back explains nothing of the others.
	const reasons = results.flatMap((one) =>
		one.reason === null || (one.outcome === 'back' && outcome !== 'back') ? [] : [one.reason],
	);
	const before = results.flatMap((one) => one.before);
	return {
		outcome,
		before,
		after: results.flatMap((one) => one.after),
		wanted: results.reduce((sum, one) => sum + one.wanted, 0),
		oldGone: results.every((one) => one.oldGone),
		cutOff: results.reduce((sum, one) => sum + one.cutOff, 0),
		reason: reasons.length === 0 ? null : reasons.join('\n'),
		required: results.flatMap((one) => one.required ?? []),
	};
}
