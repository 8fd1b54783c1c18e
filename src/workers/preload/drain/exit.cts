import nodeCluster = require('node:cluster');
import paths = require('../paths.cjs');
import type ControlServer = require('../control/server.cjs');
import type ProcessEvents = require('./process-events.cjs');

/** Node's own types describe the module as an ES module sees it. */
const cluster = nodeCluster as unknown as nodeCluster.Cluster;
const disconnectMs = 1_000;

/** The last steps of a worker that has run empty. */
class WorkerExit {
	#disconnected: () => void = () => undefined;

	constructor(
		private readonly control: ControlServer,
		private readonly events: ProcessEvents,
	) {}

	onDisconnect(): void {
		this.#disconnected();
	}

	async leave(result: { cutOff: number; handedOver: number }): Promise<void> {
		this.control.push({ event: 'drained', ...result });
		await this.control.flush();
		await this.#disconnect();
		// The app's own handlers may flush, close and exit as they like; all connections are done with.
		if (this.events.tellApp()) await new Promise((resolve) => setTimeout(resolve, paths.farewellMs));
		process.exit();
	}

	/** Its own handler of a stop signal decides when the app ends; without one it ends as by the signal. */
	letAppEnd(): void {
		if (!this.events.tellApp('SIGTERM')) process.exit();
		// The channel to the host keeps the process: an app may end by having nothing left to do.
		void this.#disconnect();
	}

	/** The app had its time to end, and lives. */
	async cutShort(): Promise<void> {
		this.control.push({ event: 'drained', cutOff: 1, handedOver: 0 });
		await this.control.flush();
		process.exit();
	}

	/**
	 * Leaves the cluster in order: the primary's answer comes after everything that it sent before, so a connection that
	 * it has handed to this worker is given back rather than lost.
	 */
	async #disconnect(): Promise<void> {
		const { worker } = cluster;
		if (!process.connected || worker === undefined) return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, disconnectMs);
			this.#disconnected = () => {
				clearTimeout(timer);
				resolve();
			};
			worker.disconnect();
		});
	}
}

export = WorkerExit;
