import fs = require('node:fs');
import type { Approval } from '../../health/approval.js';
import type { WorkerStatus } from '../../connection/control.js';

/** An approval is smaller than this, unless something else lies in its place. */
const approvalBytesMax = 65_536;
/** Between two checks: at first, when it takes long, and when the deadline has passed. */
const firstGapMs = 20;
const firstMs = 2_000;
const laterGapMs = 250;
const lateGapMs = 1_000;

interface Worker {
	status(): WorkerStatus;
	goLive(): Promise<void>;
}

/**
 * A worker that was proven with this release and is started again after a crash joins without the control plane, which
 * may be down. It asks itself first what the control plane would ask it, so that users meet no worker that is still
 * warming up. One that does not become well stays held: it says so once and goes on asking itself.
 */
class SelfCheck {
	readonly #startedAt = performance.now();
	#said = false;
	/** Ends the pause before the next check. */
	#wake: () => void = () => undefined;

	constructor(
		private readonly approval: Approval,
		private readonly worker: Worker,
	) {}

	/** null: not proven yet. An approval of an earlier version has no check: its worker joins at once. */
	static readApproval(path: string): Approval | 'unchecked' | null {
		let text: string;
		try {
			if (fs.statSync(path).size > approvalBytesMax) return null;
			text = fs.readFileSync(path, 'utf8');
		} catch {
			return null;
		}
		try {
			const approval = JSON.parse(text) as Approval;
			return typeof approval.check === 'object' && approval.check !== null ? approval : 'unchecked';
		} catch {
			return 'unchecked';
		}
	}

	async run(): Promise<void> {
		try {
			await this.#pause();
			const { checkHealth } = await import('../../health/health-check.js');
			while (this.worker.status().state === 'held') {
				const { healthy, detail } = await checkHealth(this.worker.status(), this.approval.check, null);
				if (healthy && this.worker.status().state === 'held') await this.worker.goLive();
				else this.#sayOnce(detail);
				await this.#pause();
			}
		} catch (error) {
			process.stderr.write(`rollcall: the worker could not check itself: ${String(error)}\n`);
		}
	}

	/** The app opened a listener, or said that it is ready: checks without waiting for the next turn. */
	onNews(): void {
		this.#wake();
	}

	#pause(): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, this.#gapMs()).unref();
			this.#wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}

	#gapMs(): number {
		const age = performance.now() - this.#startedAt;
		if (age > this.approval.deadlineMs) return lateGapMs;
		return age > firstMs ? laterGapMs : firstGapMs;
	}

	#sayOnce(detail: string): void {
		const { deadlineMs } = this.approval;
		if (this.#said || performance.now() - this.#startedAt <= deadlineMs) return;
		this.#said = true;
		process.stderr.write(
			`rollcall: not healthy within ${deadlineMs} ms, and so it takes no public connection: ${detail}\n`,
		);
	}
}

export = SelfCheck;
