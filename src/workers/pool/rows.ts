import { memoryOf } from '../health/health-monitor.js';
import type { ProvenWorker, ThreadRow, WorkerRow } from '../types.js';
import type { Worker } from './worker.js';
import { isNode } from './worker-description.js';
import type { WorkerRecord } from './worker-records.js';

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
		cpu: worker.news.cpu,
		release: worker.release,
	};
}

/** A worker as `system_information` shows it; nothing for one that has not reported. */
export function threadOf(worker: Worker, now: number): ThreadRow[] {
	const { identity } = worker;
	const { report, reportedAt } = worker.news;
	if (!identity || !report) return [];
	const { heapTotal, heapUsed, externalMemory, arrayBuffers, idle, active, utilization } = report;
	const sinceLastUpdate = Math.round(now - reportedAt);
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

/** A worker's process as the supervisor remembers it over its own death; nothing for one without a process. */
export function recordOf(app: string, worker: Worker): WorkerRecord[] {
	const { identity, release, port, slot, settings } = worker;
	if (identity === null) return [];
	const { drainTimeoutMs } = worker.app;
	const { user } = worker.host;
	return [{ ...identity, app, user, release, port, slot, fork: !isNode(worker.app), drainTimeoutMs, settings }];
}

/** The processes of these workers, as evidence for a proof. */
export function identitiesOf(workers: Iterable<Worker>): ProvenWorker[] {
	return [...workers].flatMap(({ identity, healthy, hasJoined, news }) =>
		identity ? [{ ...identity, proven: healthy, joined: hasJoined, ports: [...news.ports] }] : [],
	);
}
