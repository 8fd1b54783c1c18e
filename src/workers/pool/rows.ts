import { memoryOf } from '../health/health-monitor.js';
import type { ProvenWorker, ThreadRow, WorkerRow } from '../types.js';
import type { Worker } from './worker.js';

/** A worker as the operation `list_workers` shows it. */
export function rowOf(app: string, worker: Worker): WorkerRow {
	return {
		app,
		id: worker.id,
		pid: worker.identity?.pid ?? null,
		state: worker.state,
		started_at: worker.startedAt === null ? null : Math.round(worker.startedAt),
		restarts: worker.restarts,
		healthy: worker.healthy,
		memory: memoryOf(worker),
		cpu: worker.cpu,
		release: worker.release,
	};
}

/** A worker as `system_information` shows it; nothing for one that has not reported. */
export function threadOf(worker: Worker, now: number): ThreadRow[] {
	const { identity, report } = worker;
	if (!identity || !report) return [];
	const { heapTotal, heapUsed, externalMemory, arrayBuffers, idle, active, utilization } = report;
	const sinceLastUpdate = Math.round(now - worker.reportedAt);
	return [
		{
			threadId: identity.pid,
			name: 'http',
			heapTotal,
			heapUsed,
			externalMemory,
			arrayBuffers,
			sinceLastUpdate,
			idle,
			active,
			utilization,
		},
	];
}

/** The processes of these workers, as evidence for a proof. */
export function identitiesOf(workers: Iterable<Worker>): ProvenWorker[] {
	return [...workers].flatMap(({ identity, healthy, joined, ports }) =>
		identity ? [{ ...identity, proven: healthy, joined, ports: [...ports] }] : [],
	);
}
