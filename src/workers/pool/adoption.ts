import type { WorkerPool } from './worker-pool.js';
import type { Pm2Process } from '../pm2/process.js';
import type { WorkerRecord } from './worker-records.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from './worker.js';
import { appOf } from './worker-id.js';

/** How much longer than a probe may take an adopted worker may take to answer at all. */
export const linkMarginMs = 1_000;

/** Takes in what a host holds of an app, and what lives of it without a host; `ending`: these were being ended before. */
export function adoptAll(
	pool: WorkerPool,
	app: WorkerApp,
	rows: readonly Pm2Process[],
	orphans: readonly WorkerRecord[],
): { workers: Worker[]; ending: Worker[] } {
	const own = rows.filter((row) => appOf(row.name) === app.name);
	for (const worker of pool.workers.values()) {
		if (!own.some((row) => row.name === worker.id)) worker.pmId = null;
	}
	const adopted = own.map((row) => ({ row, worker: pool.adopt(row, app) }));
	const alone = orphans.filter((record) => record.app === app.name && !pool.workers.has(record.id));
	return {
		workers: [...adopted.map(({ worker }) => worker), ...alone.map((record) => pool.adoptOrphan(record, app))],
		ending: adopted.filter(({ row }) => isEnding(row)).map(({ worker }) => worker),
	};
}

/** Somebody was ending it when the connection to its host broke off: that goes on. */
export function isEnding({ status }: Pm2Process): boolean {
	return status === 'stopping' || status === 'stopped' || status === 'errored';
}

/** Ends a worker, once it had a moment to answer. */
export async function endOn(pool: WorkerPool, worker: Worker): Promise<void> {
	worker.set('draining');
	await untilLinked(pool, worker.app.health.timeoutMs);
	await pool.drain(worker);
}

export async function drainAll(pool: WorkerPool): Promise<void> {
	await Promise.all([...pool.workers.values()].map((worker) => pool.drain(worker)));
}

/** What was adopted gets a moment to answer, so that it is seen what serves already. */
export async function untilLinked(pool: WorkerPool, probeTimeoutMs: number): Promise<void> {
	const { clock } = pool.parts;
	const until = clock.now() + probeTimeoutMs + linkMarginMs;
	const waits = () => [...pool.workers.values()].some((worker) => worker.isAlive && !worker.link);
	while (clock.now() < until && waits()) await clock.sleep(10);
}

/** The adopted workers that take public connections; from now on they count as serving. */
export async function findServing(pool: WorkerPool): Promise<Worker[]> {
	const found: Worker[] = [];
	await Promise.all(
		[...pool.workers.values()].map(async (worker) => {
			if (worker.state !== 'starting' || !worker.link) return;
			const status = await worker.status();
			if (!status?.joined) return;
			const { healthy, detail } = await worker.probe();
			worker.joined = true;
			worker.healthy = healthy;
			worker.set('serving', healthy ? null : detail);
			found.push(worker);
		}),
	);
	return found;
}
