import { type LeavingSet, portInTheWay } from './leaving.js';
import { combine } from './result.js';
import type { ReplacementResult, WorkerApp } from '../types.js';

/** What a node's workers are to become. */
export interface Change {
	/** Apps whose workers are to be replaced, or are new. */
	wanted: readonly WorkerApp[];
	/** Workers to remove. */
	leaving: readonly LeavingSet[];
	isRunning(app: string): boolean;
	replace(app: WorkerApp, onProgress: (text: string) => void): Promise<ReplacementResult>;
	onProgress(text: string): void;
}

/** What leaves may be what serves in place of a newcomer: it goes last, and stays when anything was refused. */
export async function carryOut({ wanted, leaving, ...change }: Change): Promise<ReplacementResult> {
	const progress = new Map<string, string>();
	const say = (name: string) => (text: string) => {
		progress.set(name, text);
		change.onProgress([...progress.values()].join('; '));
	};
	const leavers = leaving.flatMap(({ workers }) => workers);
	const results = await Promise.all(
		wanted.map((app) => {
			const obstacle = change.isRunning(app.name) ? null : portInTheWay(app, leavers);
			return obstacle === null ? change.replace(app, say(app.name)) : refusedBefore(app.name, obstacle);
		}),
	);
	const isProven = combine(results).outcome === 'back';
	const left = await Promise.all(leaving.map((set) => (isProven ? set.leave(say(set.name)) : stayed(set))));
	return combine([...results, ...left]);
}

/** The result of a set that was to leave, and serves on since what was to take its place was refused. */
function stayed(set: LeavingSet): ReplacementResult {
	const { name } = set;
	const workers = set.identities();
	const [which, verb] = workers.length === 1 ? ['1 worker', 'serves'] : [`${workers.length} workers`, 'serve'];
	return {
		outcome: 'refused',
		before: workers.map(({ id, pid, started }) => ({ id, pid, started })),
		after: workers,
		wanted: set.readiness().wanted,
		oldGone: true,
		cutOff: 0,
		reason: `${name}: ${which} of ${name}, which http_workers no longer has, ${verb} on; restart_service service=http_workers app=${name} takes them away`,
	};
}

/** The result of an app of which nothing was started. */
function refusedBefore(name: string, reason: string): ReplacementResult {
	return {
		outcome: 'refused',
		before: [],
		after: [],
		wanted: 0,
		oldGone: true,
		cutOff: 0,
		reason: `${name}: ${reason}`,
	};
}
