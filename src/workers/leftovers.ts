import { Crew, type CrewParts } from './crew.js';
import type { HostLink } from './host-link.js';
import type { WorkerRecord } from './records.js';
import type { WorkerApp } from './types.js';
import type { Worker } from './worker.js';

/** What is assumed of a worker whose record does not say it. */
const drainTimeoutDefaultMs = 30_000;
/** A frozen worker does not answer; what does not within this is ended all the same. */
const linkPatienceMs = 2_000;

/**
 * Workers that outlived their host, of apps that the configuration no longer has. No host knows them and nobody wants
 * them: they finish what is open and end, as they would have under their host.
 */
export class Leftovers {
	private readonly crews = new Map<string, { crew: Crew; done: Promise<unknown> }>();

	constructor(private readonly partsFor: (host: HostLink) => CrewParts) {}

	get workers(): Worker[] {
		return [...this.crews.values()].flatMap(({ crew }) => [...crew.workers.values()]);
	}

	/** Begins with those whose app is unknown and that are not being ended already. */
	end(host: HostLink, isUnknown: (app: string) => boolean, living: readonly WorkerRecord[]): void {
		const unknown = living.filter(({ app }) => isUnknown(app) && !this.crews.has(app));
		for (const name of new Set(unknown.map(({ app }) => app))) {
			const parts = this.partsFor(host);
			const crew = new Crew(name, parts);
			const workers = unknown
				.filter(({ app }) => app === name)
				.map((record) => crew.adoptOrphan(record, appOnRecord(record)));
			for (const { id, identity } of workers) {
				parts.log.info({ event: 'worker_unknown', worker: id, worker_pid: identity?.pid });
			}
			const done = Promise.all(workers.map((worker) => drainOne(crew, worker))).then(() => this.crews.delete(name));
			this.crews.set(name, { crew, done });
		}
	}

	/** Resolves when none is left. */
	async ended(): Promise<void> {
		await Promise.all([...this.crews.values()].map(({ done }) => done));
	}

	close(): void {
		for (const { crew } of this.crews.values()) crew.close();
	}
}

async function drainOne(crew: Crew, worker: Worker): Promise<void> {
	const { clock } = crew.parts;
	worker.set('draining');
	const until = clock.now() + linkPatienceMs;
	while (worker.isAlive && !worker.link && clock.now() < until) await clock.sleep(10);
	await crew.drain(worker);
}

/** Its configuration is gone: what counts for ending it is on its record. */
function appOnRecord({ app, user, release, fork, drainTimeoutMs = drainTimeoutDefaultMs }: WorkerRecord): WorkerApp {
	return {
		name: app,
		script: release,
		cwd: '/',
		args: [],
		nodeArgs: [],
		interpreter: fork === true ? 'unknown' : 'node',
		user,
		instances: 0,
		env: {},
		health: { path: null, timeoutMs: 2_000, deadlineMs: 0, soakMs: 0, intervalMs: 5_000, failures: 1 },
		gate: true,
		ports: [],
		reusePort: false,
		drainTimeoutMs,
		surge: 1,
		maxMemory: null,
		crashLoop: { intensity: 1, periodMs: 1_000 },
	};
}
