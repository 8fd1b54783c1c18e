import type { WorkerPool } from '../pool/worker-pool.js';
import { portInTheWay } from './leaving.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';

/**
 * Whether an app is new on its node while workers serve there that are to leave. Such an app may be what takes their place,
 * so it is proven as a release is; until then it does not change the node's readiness.
 */
export class Arrival {
	/** It proves itself at the moment. */
	proving = false;
	/** What was refused, and why. */
	refused: { app: WorkerApp; reason: string } | null = null;

	constructor(
		private readonly pool: WorkerPool,
		private readonly leavers: () => readonly Worker[],
	) {}

	get isDue(): boolean {
		return this.leavers().length > 0 && !this.pool.parts.records.memory.proven.includes(this.pool.name);
	}

	/** Why it cannot even be started beside the workers that are to leave. */
	obstacleTo(app: WorkerApp): string | null {
		return portInTheWay(app, this.leavers());
	}

	/** It has served here. */
	accept(): void {
		this.refused = null;
		const { proven } = this.pool.parts.records.memory;
		if (proven.includes(this.pool.name)) return;
		proven.push(this.pool.name);
		this.pool.remember();
	}

	/** The app that was refused; from now on it is refused no longer. */
	takeRefused(): WorkerApp | null {
		const { refused } = this;
		this.refused = null;
		return refused?.app ?? null;
	}

	refuse(app: WorkerApp, reason: string): void {
		this.refused = { app, reason: `refused: ${reason}` };
	}
}
