import type { WorkerPool } from './worker-pool.js';
import type { Pm2Process } from '../pm2/process.js';
import type { WorkerRecord } from './worker-records.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from './worker.js';
import { appOf } from './worker-id.js';

/** How much longer than a probe may take an adopted worker may take to answer at all. */
export const linkMarginMs = 1_000;

/**
 * Takes in what a host holds of an app, and what lives of it without a host; returns those that were being ended before. The rows
 * are those of before the host could be used: a worker that is not among them may have been started there since.
 */
export function adoptAll(
	pool: WorkerPool,
	app: WorkerApp,
	rows: readonly Pm2Process[],
	orphans: readonly WorkerRecord[],
): Worker[] {
	const own = rows.filter((row) => appOf(row.name) === app.name);
	const adopted = own.map((row) => ({ row, worker: pool.adopt(row, app) }));
	const alone = orphans.filter((record) => record.app === app.name && !pool.workers.has(record.id));
	for (const record of alone) pool.adoptOrphan(record, app);
	return adopted.filter(({ row }) => isEnding(row)).map(({ worker }) => worker);
}

/** It was being ended when the host's connection closed: ends it. */
export function isEnding({ status }: Pm2Process): boolean {
	return status === 'stopping' || status === 'stopped' || status === 'errored';
}

/** Ends a worker, once it had a moment to answer. */
export async function endOn(pool: WorkerPool, worker: Worker): Promise<void> {
	pool.takeOut(worker);
	await untilLinked(pool, worker.app.health.timeoutMs);
	await pool.drain(worker);
}

export async function drainAll(pool: WorkerPool): Promise<void> {
	await Promise.all([...pool.workers.values()].map((worker) => pool.drain(worker)));
}

/** What was adopted gets a moment to answer, so that it is seen what serves already. */
export async function untilLinked(pool: WorkerPool, probeTimeoutMs: number): Promise<void> {
	const waits = () => [...pool.workers.values()].some((worker) => !worker.isConnected && worker.isAlive);
	await pool.until(() => !waits(), probeTimeoutMs + linkMarginMs);
}

/** The adopted workers that take public connections; from now on they count as serving. */
export async function findServing(pool: WorkerPool): Promise<Worker[]> {
	const found: Worker[] = [];
	await Promise.all(
		[...pool.workers.values()].map(async (worker) => {
			if (worker.state !== 'starting' || !worker.isConnected) return;
			const status = await pool.status(worker);
			if (!status?.joined) return;
			await pool.probe(worker);
			pool.foundJoined(worker);
			found.push(worker);
		}),
	);
	return found;
}
