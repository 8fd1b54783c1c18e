import { memoryOf } from '../health/health-monitor.js';
import { recentOf } from '../health/traffic/recent.js';
import { pathCharactersMax } from '../pm2/releases.js';
import type { ProvenWorker, PinnedBy, Releases, ThreadRow, WorkerRow } from '../types.js';
import type { Worker } from './worker.js';
import { isNode } from './worker-description.js';
import { numberOf } from './worker-id.js';
import type { WorkerRecord } from './worker-records.js';

/** A worker as the operation `list_workers` shows it. */
export function rowOf(app: string, worker: Worker, pinned: PinnedBy | null = null): WorkerRow {
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
		revision: worker.revision,
		pinned,
		requests: requestsOf(worker),
	};
}

function requestsOf({ news }: Worker): WorkerRow['requests'] {
	const { traffic } = news.report ?? {};
	if (traffic === undefined) return null;
	const { requests: total, errors, slow } = traffic;
	const recent = recentOf(news.marks, traffic, news.reportedAt);
	return { total, errors, ...(slow === undefined ? {} : { slow }), recent };
}

/**
 * What each app runs. While two releases do, it is that of the workers which serve, and of those that of the newest; an app
 * whose workers were all given up runs nothing.
 */
export function releasesOf(rows: readonly WorkerRow[]): Releases {
	const ranks: Partial<Record<WorkerRow['state'], number>> = { serving: 2, draining: 1, failed: -1 };
	const rank = ({ state }: WorkerRow): number => ranks[state] ?? 0;
	const newest = new Map<string, WorkerRow>();
	for (const row of rows) {
		const known = newest.get(row.app);
		if (known && (rank(known) - rank(row) || numberOf(known.id) - numberOf(row.id)) > 0) continue;
		newest.set(row.app, row);
	}
	const running = [...newest.values()].filter(({ state }) => state !== 'failed');
	return Object.fromEntries(
		running.map(({ app, release, revision }) => [app, { path: release.slice(0, pathCharactersMax), revision }]),
	);
}

/** Workers whose release is remembered after they have ended: more than have log files. */
const rememberedMax = 4_096;

/** What workers ran, also those that have ended since: their lines are asked for by release. */
export class SeenReleases {
	readonly #seen = new Map<string, Pick<WorkerRow, 'release' | 'revision'>>();

	learn(rows: readonly WorkerRow[]): void {
		for (const { id, release, revision } of rows) {
			this.#seen.delete(id);
			this.#seen.set(id, { release, revision });
		}
		for (const id of this.#seen.keys()) {
			if (this.#seen.size <= rememberedMax) break;
			this.#seen.delete(id);
		}
	}

	/** `text`: the path of the script, or the beginning of a revision. */
	isOf(worker: string, text: string): boolean {
		const seen = this.#seen.get(worker);
		return seen !== undefined && (seen.release === text || (seen.revision?.startsWith(text) ?? false));
	}
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
	const { identity, release, cwd, revision, port, slot, settings } = worker;
	if (identity === null) return [];
	const { drainTimeoutMs } = worker.app;
	const { user } = worker.host;
	const fork = !isNode(worker.app);
	return [{ ...identity, app, user, release, cwd, revision, port, slot, fork, drainTimeoutMs, settings }];
}

/** The processes of these workers, as evidence for a proof. */
export function identitiesOf(workers: Iterable<Worker>): ProvenWorker[] {
	return [...workers].flatMap(({ identity, healthy, hasJoined, news }) =>
		identity ? [{ ...identity, proven: healthy, joined: hasJoined, ports: [...news.ports] }] : [],
	);
}
