import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../../errors.js';
import { type UntrustedPlace, untrustedPlace } from '../../system/files/untrusted-file.js';
import { isAlive } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';
import { type ControlPush, controlSocketPath, type WorkerStatus } from './control.js';
import { connectWorker, type WorkerControl } from './control-client.js';
import { checkHealth, type HealthCheck } from '../health/health-check.js';
import { isStopped } from '../health/unanswering.js';
import type { HostHome } from '../pm2/home.js';
import { ProcessEnds } from './process-ends.js';
import type { JoinResult, ConnectionEvents, ConnectionStatus, Probe, WorkerConnection } from './worker-connection.js';
import { publicListener } from '../health/listeners.js';
import type { WorkerIdentity } from '../types.js';

const connectRetryMs = 15;
/** A process that has not opened its control socket is looked for less and less often, at last each: */
const connectRetryMaxMs = 500;
/** After its connection has closed a process is given so long to be gone. */
const goneMs = 1_000;
/** One that lives on is connected to again so much later, then twice as late each time. */
const reopenFirstMs = 1_000;
const reopenLongestMs = 60_000;

/**
 * The line to a Node worker: its preload's control socket, and its private probe sockets. Both lie in the home of its
 * user, so they are used only where they belong to that user, and only for what the process of this number and id says.
 */
export class PreloadConnection extends EventEmitter<ConnectionEvents> implements WorkerConnection {
	private control: WorkerControl | null = null;
	private closed = false;
	private reopenMs = reopenFirstMs;
	private connectedAt = 0;
	/** What it said of itself last. */
	private lastStatus: WorkerStatus | null = null;
	/** Why there is no connection while the process lives. */
	private complaint = 'its control socket is not connected';

	private constructor(
		private readonly home: Pick<HostHome, 'path' | 'sockets'>,
		readonly identity: WorkerIdentity,
		private readonly clock: Clock,
		private readonly ends: ProcessEnds,
	) {
		super();
	}

	/** Connects as soon as the process has opened its control socket; null when the process was gone first. */
	static async open(
		home: Pick<HostHome, 'path' | 'sockets'>,
		identity: WorkerIdentity,
		clock: Clock,
		ends = new ProcessEnds(clock),
	): Promise<PreloadConnection | null> {
		const link = new PreloadConnection(home, identity, clock, ends);
		return (await link.connect()) ? link : null;
	}

	/**
	 * False when the process was gone first, or this link is closed. It tries again and again, at most as long as the process
	 * lives: the socket appears in a folder of the worker's user, who could wake a process that watched it (inotify) at will.
	 */
	private async connect(): Promise<boolean> {
		const { clock, home, identity } = this;
		const began = clock.now();
		while (!this.closed && isAlive(identity)) {
			try {
				const control = await connectWorker(controlSocketPath(home.sockets, identity.id, identity.pid), {
					expected: { place: this.place, worker: identity },
					onPush: (push) => this.heard(push),
					onClose: (reason) => void this.reconnect(reason),
				});
				if (this.closed) control.close();
				else this.control = control;
				this.connectedAt = clock.now();
				return !this.closed;
			} catch {
				await clock.sleep(Math.min(connectRetryMaxMs, connectRetryMs + (clock.now() - began) / 50));
			}
		}
		return false;
	}

	/** Without its connection a process is gone, or, where it said what it may not, or too much, is left alone for a while. */
	private async reconnect(reason: string | null): Promise<void> {
		const { clock, identity } = this;
		this.control = null;
		if (clock.now() - this.connectedAt >= reopenLongestMs) this.reopenMs = reopenFirstMs;
		this.complaint = `its control socket was closed${reason === null ? '' : `: ${reason}`}`;
		if (!(await this.ends.gone(identity, goneMs, () => this.closed)) && !this.closed) {
			await clock.sleep(this.reopenMs);
			this.reopenMs = Math.min(reopenLongestMs, this.reopenMs * 2);
		}
		if (!(await this.connect()) && !this.closed) this.emit('closed');
	}

	/** The home's owner is the only one whose sockets are used. */
	private get place(): UntrustedPlace {
		return untrustedPlace(this.home.path);
	}

	/** The connection; throws `unreachable` while there is none. */
	private get line(): WorkerControl {
		if (this.control) return this.control;
		throw new RollcallError('unreachable', this.complaint);
	}

	async probe(check: HealthCheck): Promise<Probe> {
		try {
			this.lastStatus = await this.statusInTime(check.timeoutMs);
		} catch (error) {
			if (check.listens !== false || !this.isAtWork) return { healthy: false, detail: messageOf(error) };
		}
		if (this.lastStatus === null) return { healthy: false, detail: this.complaint };
		return checkHealth({ ...this.lastStatus, pid: this.identity.pid }, check, this.place);
	}

	/** A job may hold up the event loop: one that listens nowhere and has answered before keeps nobody waiting by that. */
	private get isAtWork(): boolean {
		return this.lastStatus !== null && this.control !== null && !isStopped(this);
	}

	async status(): Promise<ConnectionStatus> {
		const { state, listens, served, faults } = await this.line.status();
		const listeners = listens.map(publicListener);
		return { joined: state === 'live', listening: listens.length > 0, served, faults, listeners };
	}

	async join(): Promise<JoinResult> {
		try {
			await this.line.live();
			return { ok: true };
		} catch (error) {
			const code = error instanceof RollcallError ? error.extra['code'] : null;
			return { ok: false, code: typeof code === 'string' ? code : null, detail: messageOf(error) };
		}
	}

	async drain(timeoutMs: number): Promise<boolean> {
		try {
			await this.line.drain({ timeoutMs, handOver: true });
			return true;
		} catch {
			return false;
		}
	}

	close(): void {
		this.closed = true;
		this.control?.close();
		this.removeAllListeners();
	}

	/** A call waits longer than a probe may: a stall of the whole host must not break a drain or a join. */
	private async statusInTime(timeoutMs: number): Promise<WorkerStatus> {
		const control = this.line;
		return new Promise((resolve, reject) => {
			const timer = setTimeout(
				() =>
					reject(new RollcallError('timeout', `it did not answer within ${timeoutMs} ms: it is blocked or stopped`)),
				timeoutMs,
			);
			control
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
