import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../errors.js';
import { isAlive } from '../system/process.js';
import type { Clock } from './clock.js';
import { type ControlPush, controlSocketPath, type WorkerStatus } from './control.js';
import { connectWorker, type WorkerControl } from './control-client.js';
import { checkHealth, type HealthCheck } from './health-check.js';
import type { JoinResult, LinkEvents, LinkStatus, Probe, WorkerLink } from './link.js';
import { publicListener } from './listeners.js';
import type { WorkerIdentity } from './types.js';

const connectRetryMs = 15;

/**
 * The line to a Node worker: its preload's control socket, and its private probe sockets. Both names hold the process id,
 * so what answers there is that process and no other.
 */
export class NodeLink extends EventEmitter<LinkEvents> implements WorkerLink {
	private constructor(
		private readonly control: WorkerControl,
		private readonly identity: WorkerIdentity,
	) {
		super();
	}

	/** Connects as soon as the process has opened its control socket; null when the process was gone first. */
	static async open(directory: string, identity: WorkerIdentity, clock: Clock) {
		const path = controlSocketPath(directory, identity.id, identity.pid);
		let link: NodeLink | null = null;
		while (isAlive(identity)) {
			try {
				const control = await connectWorker(path, {
					onPush: (push) => link?.heard(push),
					onClose: () => link?.emit('closed'),
				});
				link = new NodeLink(control, identity);
				return link;
			} catch {
				await clock.sleep(connectRetryMs);
			}
		}
		return null;
	}

	async probe(check: HealthCheck): Promise<Probe> {
		let status: WorkerStatus;
		try {
			status = await this.statusInTime(check.timeoutMs);
		} catch (error) {
			return { healthy: false, detail: messageOf(error) };
		}
		return checkHealth({ ...status, pid: this.identity.pid }, check);
	}

	async status(): Promise<LinkStatus> {
		const { state, listens, served, faults } = await this.control.status();
		const listeners = listens.map(publicListener);
		return { joined: state === 'live', listening: listens.length > 0, served, faults, listeners };
	}

	async join(): Promise<JoinResult> {
		try {
			await this.control.live();
			return { ok: true };
		} catch (error) {
			const code = error instanceof RollcallError ? error.extra['code'] : null;
			return { ok: false, code: typeof code === 'string' ? code : null, detail: messageOf(error) };
		}
	}

	async drain(timeoutMs: number): Promise<boolean> {
		try {
			await this.control.drain({ timeoutMs, handOver: true });
			return true;
		} catch {
			return false;
		}
	}

	close(): void {
		this.control.close();
		this.removeAllListeners();
	}

	/** A call waits longer than a probe may: a stall of the whole host must not break a drain or a join. */
	private statusInTime(timeoutMs: number): Promise<WorkerStatus> {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(
				() =>
					reject(new RollcallError('timeout', `it did not answer within ${timeoutMs} ms: it is blocked or stopped`)),
				timeoutMs,
			);
			this.control
				.status()
				.then(resolve, reject)
				.finally(() => clearTimeout(timer));
		});
	}

	private heard(push: ControlPush): void {
		switch (push.event) {
			case 'listening':
				this.emit('listening');
				return;
			case 'fault':
				this.emit('fault', push.message);
				return;
			case 'report':
				this.emit('report', push.report);
				return;
			case 'drained':
				this.emit('drained', push.cutOff);
				return;
		}
	}
}
