/** Seeds spread over threads, in blocks, so that a failure is found early and every core has work. */
import { Worker } from 'node:worker_threads';
import type { Outcome } from './world.js';

export interface Job {
	from: number;
	count: number;
	/** Ends the block at the first violation. */
	stopAtFirst: boolean;
}

export interface Done {
	violations: Outcome[];
	seeds: number;
	events: number;
	grants: number;
	takeovers: number;
	completed: number;
	halted: number;
	aborted: number;
	answered: number;
	refused: number;
	hookDays: number;
	undoDays: number;
	revertDays: number;
}

export const nothingDone: Done = {
	violations: [],
	seeds: 0,
	events: 0,
	grants: 0,
	takeovers: 0,
	completed: 0,
	halted: 0,
	aborted: 0,
	answered: 0,
	refused: 0,
	hookDays: 0,
	undoDays: 0,
	revertDays: 0,
};

export function add(a: Done, b: Done): Done {
	return {
		violations: [...a.violations, ...b.violations],
		seeds: a.seeds + b.seeds,
		events: a.events + b.events,
		grants: a.grants + b.grants,
		takeovers: a.takeovers + b.takeovers,
		completed: a.completed + b.completed,
		halted: a.halted + b.halted,
		aborted: a.aborted + b.aborted,
		answered: a.answered + b.answered,
		refused: a.refused + b.refused,
		hookDays: a.hookDays + b.hookDays,
		undoDays: a.undoDays + b.undoDays,
		revertDays: a.revertDays + b.revertDays,
	};
}

/** What a run makes is garbage soon: with more room it is swept seldom, which is worth a tenth of the time. */
const resourceLimits = { maxYoungGenerationSizeMb: 64 };

export class Pool {
	readonly #idle: Worker[];
	readonly #waiting: ((worker: Worker) => void)[] = [];

	/** `file`: the thread's program; another one for a patched build. */
	constructor(threads: number, file: URL = new URL('./pool-worker.js', import.meta.url)) {
		this.#idle = Array.from({ length: threads }, () => new Worker(file, { resourceLimits }));
	}

	async run(job: Job): Promise<Done> {
		const worker = this.#idle.pop() ?? (await new Promise<Worker>((resolve) => this.#waiting.push(resolve)));
		try {
			return await new Promise<Done>((resolve, reject) => {
				worker.once('message', (done: Done) => {
					worker.removeAllListeners('error');
					resolve(done);
				});
				worker.once('error', reject);
				worker.postMessage(job);
			});
		} finally {
			const next = this.#waiting.shift();
			if (next) next(worker);
			else this.#idle.push(worker);
		}
	}

	async close(): Promise<void> {
		await Promise.all(this.#idle.map((worker) => worker.terminate()));
	}
}
