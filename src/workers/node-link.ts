import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../errors.js';
import { isAlive } from '../system/process.js';
import type { Clock } from './clock.js';
import { type ControlPush, controlSocketPath, type ListenStatus, type WorkerStatus } from './control.js';
import { connectWorker, type WorkerControl } from './control-client.js';
import type { JoinResult, LinkEvents, LinkStatus, Probe, WorkerLink } from './link.js';
import { type ProbeTarget, probe } from './probe.js';
import type { WorkerApp, WorkerIdentity } from './types.js';

const connectRetryMs = 15;

/**
 * The line to a Node worker: its preload's control socket, and its private probe sockets. Both names hold the process id,
 * so what answers there is that process and no other.
 */
export class NodeLink extends EventEmitter<LinkEvents> implements WorkerLink {
	private constructor(
		private readonly control: WorkerControl,
		private readonly identity: WorkerIdentity,
		private readonly health: WorkerApp['health'],
	) {
		super();
	}

	/** Connects as soon as the process has opened its control socket; null when the process was gone first. */
	static async open(directory: string, identity: WorkerIdentity, health: WorkerApp['health'], clock: Clock) {
		const path = controlSocketPath(directory, identity.id, identity.pid);
		let link: NodeLink | null = null;
		while (isAlive(identity)) {
			try {
				const control = await connectWorker(path, {
					onPush: (push) => link?.heard(push),
					onClose: () => link?.emit('closed'),
				});
				link = new NodeLink(control, identity, health);
				return link;
			} catch {
				await clock.sleep(connectRetryMs);
			}
		}
		return null;
	}

	async probe(): Promise<Probe> {
		let status: WorkerStatus;
		try {
			status = await this.statusInTime();
		} catch (error) {
			return { healthy: false, detail: messageOf(error) };
		}
		const [fault] = status.faults;
		if (status.listens.length === 0) {
			return { healthy: false, detail: fault ?? 'it has not called listen() yet' };
		}
		const answers = await Promise.all(status.listens.map((listen) => this.ask(listen)));
		// A health path is of one of the ports; without one, every port must answer.
		const decisive = this.health.path === null ? answers.find(isBad) : answers.find((one) => one.healthy);
		return decisive ?? answers[0] ?? { healthy: false, detail: 'it does not listen' };
	}

	async status(): Promise<LinkStatus> {
		const { state, listens, served, faults } = await this.control.status();
		return { joined: state === 'live', listening: listens.length > 0, served, faults };
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
	private statusInTime(): Promise<WorkerStatus> {
		const { timeoutMs } = this.health;
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

	private async ask(listen: ListenStatus): Promise<Probe> {
		const path = this.health.path ?? '/';
		const where = listen.path ?? `port ${listen.port}`;
		// On a shared port another worker might answer in its place.
		if (listen.probe === null && !listen.direct) return { healthy: false, detail: `${where} is not open yet` };
		try {
			const answer = await probe(targetOf(listen), {
				path,
				timeoutMs: this.health.timeoutMs,
				protocol: listen.protocol,
			});
			if (answer.pid !== null && answer.pid !== this.identity.pid) {
				return { healthy: false, detail: `process ${answer.pid} answered in place of ${this.identity.pid}` };
			}
			if (answer.status === 0) return { healthy: true, detail: `${where} takes connections` };
			const healthy = this.health.path === null ? answer.status < 500 : answer.status >= 200 && answer.status < 300;
			return { healthy, detail: `GET ${path} on ${where} answered ${answer.status}` };
		} catch (error) {
			return { healthy: false, detail: `GET ${path} on ${where}: ${messageOf(error)}` };
		}
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

const isBad = (one: Probe): boolean => !one.healthy;

/** The private socket; for a listen that the gate leaves alone, the public one. */
function targetOf(listen: ListenStatus): ProbeTarget {
	if (listen.probe !== null) return { socketPath: listen.probe };
	if (listen.path !== null) return { socketPath: listen.path };
	return { host: '127.0.0.1', port: listen.port ?? 0 };
}
