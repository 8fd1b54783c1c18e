import type { AppReadiness, WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';

/** How many of an app's workers serve, and why fewer than wanted do. `complaint`: the problem of their host. */
export function readinessOf(
	{ name, instances, listens }: WorkerApp,
	workers: readonly Worker[],
	complaint: string | null,
): AppReadiness {
	const healthy = workers.filter((worker) => worker.isServing).length;
	const facts = { app: name, wanted: instances, healthy, ...(listens ? {} : { listens }) };
	if (healthy >= instances) return { ...facts, degraded: complaint };
	const troubled = workers.find((worker) => worker.trouble !== null);
	const detail = troubled ? `${troubled.id} ${troubled.state}: ${troubled.trouble}` : complaint;
	return { ...facts, degraded: detail ?? `${healthy} of ${instances} workers healthy` };
}
