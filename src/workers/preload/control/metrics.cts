import perf = require('node:perf_hooks');
import type { WorkerReport } from '../../connection/control.js';

const delayResolutionMs = 20;
const nanosecondsPerMs = 1e6;

/** Measures this process while the control connection has a client. */
class Reporter {
	#timer: NodeJS.Timeout | null = null;
	#delay: perf.IntervalHistogram | null = null;
	#before = perf.performance.eventLoopUtilization();

	constructor(
		private readonly intervalMs: number,
		private readonly publish: (report: WorkerReport) => void,
	) {}

	start(): void {
		if (this.#timer !== null || !(this.intervalMs > 0)) return;
		this.#delay = perf.monitorEventLoopDelay({ resolution: delayResolutionMs });
		this.#delay.enable();
		this.#timer = setInterval(() => this.publish(this.#measure()), this.intervalMs);
		this.#timer.unref();
		// A new client gets a report at once, not one interval later.
		setImmediate(() => {
			if (this.#timer !== null) this.publish(this.#measure());
		});
	}

	stop(): void {
		if (this.#timer !== null) clearInterval(this.#timer);
		this.#timer = null;
		this.#delay?.disable();
		this.#delay = null;
	}

	#measure(): WorkerReport {
		const now = perf.performance.eventLoopUtilization();
		const { idle, active, utilization } = perf.performance.eventLoopUtilization(now, this.#before);
		this.#before = now;
		const memory = process.memoryUsage();
		const cpu = process.cpuUsage();
		// The histogram measures the whole interval between two of its ticks.
		const worst = this.#delay === null || this.#delay.count === 0 ? 0 : this.#delay.max / nanosecondsPerMs;
		this.#delay?.reset();
		return {
			heapTotal: memory.heapTotal,
			heapUsed: memory.heapUsed,
			externalMemory: memory.external,
			arrayBuffers: memory.arrayBuffers,
			rss: memory.rss,
			cpuMicros: cpu.user + cpu.system,
			idle,
			active,
			utilization,
			loopDelayMaxMs: Math.max(0, Math.round((worst - delayResolutionMs) * 100) / 100),
		};
	}
}

export = Reporter;
