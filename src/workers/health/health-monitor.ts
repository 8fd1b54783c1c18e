import { readFileSync } from 'node:fs';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Worker } from '../pool/worker.js';
import type { RecyclingReason } from './recycling.js';

export interface HealthMonitorHooks {
	/** A worker joined the serving set outside of a replacement: first start, or after a crash. */
	serving(worker: Worker): void;
	/** An unhealthy worker has to be replaced; it serves until its successor is proven. */
	wornOut(worker: Worker, reason: RecyclingReason, detail: string): void;
}

const proofGapMs = 50;
/** Between two looks at one that has not said that it listens. */
const silentGapMs = 250;

/**
 * Looks after each worker that no replacement is busy with: proves it after a start, lets it join, and from then on asks
 * regularly whether it is well and how much memory it holds.
 */
export class HealthMonitor {
	/** Which worker's process is looked after already. */
	private readonly rounds = new Map<Worker, object>();

	constructor(
		private readonly pool: WorkerPool,
		private readonly hooks: HealthMonitorHooks,
	) {}

	/** Takes care of a worker whose process has just answered on its line. */
	begin(worker: Worker): void {
		void this.round(worker, (stillIts) => this.prove(worker, stillIts));
	}

	/** A process that never answers has no more time than one that never turns healthy. An orphan is its replacement's to end. */
	expect(worker: Worker): void {
		const { identity, app } = worker;
		const { deadlineMs } = app.health;
		this.pool.parts.clock.after(deadlineMs, () => {
			const isOthers = worker.inReplacement || worker.pmId === null;
			if (worker.identity !== identity || worker.isConnected || isOthers || worker.state !== 'starting') return;
			void this.pool.breakOff(worker, `its process did not answer within ${deadlineMs} ms`);
		});
	}

	/** Resolves once it is known whether a fresh worker serves: it does, it is given up, or its time is over. */
	async firstChance(worker: Worker, isOver: () => boolean): Promise<void> {
		const { deadlineMs, soakMs } = worker.app.health;
		const isDecided = () => worker.state === 'serving' || worker.state === 'failed';
		await this.pool.until(() => isDecided() || isOver(), deadlineMs + soakMs);
	}

	/** Takes over a worker that a replacement has proven and joined. */
	takeOver(worker: Worker): void {
		void this.round(worker, (stillIts) => this.keep(worker, stillIts));
	}

	private async round(worker: Worker, care: (stillIts: () => boolean) => Promise<void>): Promise<void> {
		const { identity } = worker;
		const token = {};
		if (!worker.isConnected) return;
		this.rounds.set(worker, token);
		const stillIts = () =>
			this.rounds.get(worker) === token &&
			worker.identity === identity &&
			!worker.inReplacement &&
			worker.state !== 'draining' &&
			this.pool.workers.get(worker.id) === worker;
		await care(stillIts);
		if (this.rounds.get(worker) === token) this.rounds.delete(worker);
	}

	/** From a fresh process to a serving worker. What was approved before need not soak again. */
	private async prove(worker: Worker, stillIts: () => boolean): Promise<void> {
		const { clock } = this.pool.parts;
		const { deadlineMs, soakMs } = worker.app.health;
		const until = clock.now() + deadlineMs;
		let healthySince: number | null = null;
		while (stillIts()) {
			const { healthy, detail } = await this.pool.probe(worker);
			if (!stillIts()) return;
			healthySince = healthy ? (healthySince ?? clock.now()) : null;
			if (healthySince !== null && (worker.approved || clock.now() - healthySince >= soakMs)) break;
			if (clock.now() >= until + soakMs)
				return this.pool.breakOff(worker, `not healthy within ${deadlineMs} ms: ${detail}`);
			// Health is an answer, which has to be asked for; that it listens a worker with a preload says.
			await this.pool.nextWord(worker, worker.saysWhenItListens ? silentGapMs : proofGapMs);
		}
		if (!stillIts()) return;
		const joined = await this.pool.join(worker);
		if (!stillIts()) return;
		if (!joined.ok) return this.pool.breakOff(worker, `it could not join: ${joined.detail}`);
		this.pool.approve(worker);
		this.pool.learnListeners();
		this.hooks.serving(worker);
		await this.keep(worker, stillIts);
	}

	/** As long as it serves: only an answer shows that a worker is well, so it is asked each `intervalMs`. */
	private async keep(worker: Worker, stillIts: () => boolean): Promise<void> {
		const { clock } = this.pool.parts;
		const { intervalMs, failures } = worker.app.health;
		let failed = 0;
		for (;;) {
			await clock.sleep(intervalMs);
			if (!stillIts()) return;
			const { healthy, detail } = await this.pool.probe(worker, failed + 1 < failures);
			if (!stillIts()) return;
			failed = healthy ? 0 : failed + 1;
			this.pool.learnListeners();
			if (failed >= failures) this.hooks.wornOut(worker, 'liveness', `${failed} probes failed: ${detail}`);
			else this.checkMemory(worker);
		}
	}

	private checkMemory(worker: Worker): void {
		const { maxMemory } = worker.app;
		const bytes = memoryOf(worker);
		if (maxMemory === null || bytes === null || bytes <= maxMemory) return;
		this.hooks.wornOut(worker, 'memory', `it holds ${bytes} bytes of memory, ${maxMemory} are allowed`);
	}
}

/** Resident bytes of a worker: as it reports them, else as the kernel does. */
export function memoryOf(worker: Worker): number | null {
	if (worker.news.report) return worker.news.report.rss;
	if (!worker.identity) return null;
	try {
		const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${worker.identity.pid}/status`, 'latin1'))?.[1];
		return kilobytes === undefined ? null : Number(kilobytes) * 1_024;
	} catch {
		return null;
	}
}
