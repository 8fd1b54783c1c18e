import { messageOf } from '../../errors.js';
import { signalTree } from '../../system/proc/process-tree.js';
import { isAlive } from '../../system/proc/process.js';
import type { ConnectionStatus } from '../connection/worker-connection.js';
import { isInDoubt, isStopped } from '../health/unanswering.js';
import type { WorkerIdentity } from '../types.js';
import type { Worker } from './worker.js';
import { isNode, killTimeoutOf, lbWaitOf, leaveTimeoutOf } from './worker-description.js';
import type { WorkerPoolParts } from './worker-pool.js';

/** A worker that is ended, not drained, gets so long to leave. */
const endGraceMs = 1_000;
/** An orphan that could not be ended is tried again so much later: the host that may do it can be away. */
const forceAgainMs = 1_000;

/** What of a pool it takes to shut its workers down. */
export interface ShutdownPool {
	parts: WorkerPoolParts;
	isClosed(): boolean;
	/** Load balancers have been given their time already. */
	isAnnounced(): boolean;
	/** Workers that serve. */
	serving(): number;
	until(holds: () => boolean, withinMs: number): Promise<boolean>;
	takeOut(worker: Worker, detail: string | null): void;
	/** What it was at is lost. */
	cutOff(worker: Worker): void;
	/** Resolves when the worker's host has answered to its start: before that there is nothing to end. */
	started(worker: Worker): Promise<void>;
	status(worker: Worker): Promise<ConnectionStatus | null>;
	askToDrain(worker: Worker, timeoutMs: number): void;
	forget(worker: Worker): void;
}

/** Shuts workers down: asks, signals or kills them, through PM2 where that knows them. */
export class WorkerShutdown {
	constructor(private readonly pool: ShutdownPool) {}

	/**
	 * Lets a worker finish what is open and leave; resolves when its process is gone and the worker forgotten. One that is
	 * busy hears of it later. Stopping it in PM2 is what keeps PM2 from starting it again.
	 */
	async drain(worker: Worker): Promise<void> {
		const { app } = worker;
		const served = this.pool.serving();
		const inDoubt = isInDoubt(worker);
		this.pool.takeOut(worker, null);
		if (isStopped(worker)) return this.end(worker);
		const lbWaitMs = lbWaitOf(app, this.pool.parts.lbWaitMs);
		if (lbWaitMs > 0 && served > 0 && this.pool.serving() === 0) await this.letBalancersSee(worker, lbWaitMs);
		// One that listens nowhere may be silent because a job holds it up: it is never taken for one with nothing to finish.
		const isIdle = isNode(app) && app.listens && (!worker.isConnected || (inDoubt && !(await this.answers(worker))));
		if (isIdle) return this.end(worker);
		const patienceMs = app.listens && isNode(app) ? killTimeoutOf(app) : leaveTimeoutOf(app);
		await this.untilGone(worker, patienceMs, () => this.ask(worker, app.drainTimeoutMs));
	}

	private ask(worker: Worker, timeoutMs: number): void {
		if (isNode(worker.app) && worker.isConnected) this.pool.askToDrain(worker, timeoutMs);
		else void this.signal(worker, 'SIGTERM');
	}

	private answers(worker: Worker): Promise<boolean> {
		const late = this.pool.parts.clock.sleep(worker.app.health.timeoutMs).then(() => false);
		return Promise.race([this.pool.status(worker).then((status) => status !== null), late]);
	}

	/** Ends a worker at once: it is asked, and a moment later killed. Resolves when its process is gone and the worker forgotten. */
	async end(worker: Worker): Promise<void> {
		this.pool.takeOut(worker, null);
		const cancel = this.pool.parts.clock.after(endGraceMs, () => {
			// It was still at its job; requests are counted by the worker itself.
			if (!worker.app.listens && worker.isAlive && !isStopped(worker)) this.pool.cutOff(worker);
			void this.kill(worker);
		});
		await this.untilGone(worker, endGraceMs, () => this.ask(worker, endGraceMs)).finally(cancel);
	}

	/** Kills the process; PM2 starts it again unless it was told to stop it. */
	async kill(worker: Worker): Promise<void> {
		await this.signal(worker, 'SIGKILL');
	}

	/** Through PM2 where that knows the process. An orphan is signalled with all below it, as PM2 does when it ends one. */
	private async signal(worker: Worker, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
		const { identity, pmId, host } = worker;
		if (!identity || !isAlive(identity)) return;
		try {
			if (pmId !== null && host.isUp) await this.signalThroughHost(worker, pmId, identity, signal);
			// Another user's process is signalled by the host of that user alone.
			else if (host.owner !== process.geteuid?.()) await host.client().signalOrphan(identity, signal);
			else signalTree(identity, host.owner, signal);
		} catch (error) {
			const reason = messageOf(error);
			this.pool.parts.log.warn({ event: 'signal_failed', worker: worker.id, worker_pid: identity.pid, signal, reason });
		}
	}

	/**
	 * In the order of all calls to the host: a process that ends before PM2 was told to stop it is started again. It is told which
	 * process is meant: PM2 has the number 0 for one that has just ended, and that would be every process of the host's group.
	 */
	private signalThroughHost(
		{ app, host }: Worker,
		pmId: number,
		identity: WorkerIdentity,
		signal: 'SIGTERM' | 'SIGKILL',
	): Promise<void> {
		// A program asks its own children to end; what it has started must not outlive it, though.
		const withChildren = signal === 'SIGKILL' || (isNode(app) && app.listens);
		if (withChildren) return host.client().signalOrphan(identity, signal);
		return host.client().signal(pmId, identity.pid, signal);
	}

	/** Resolves when the process is gone, or the pool closed. No bound: a process that cannot be killed is waited for, and tried again. */
	private async force(worker: Worker, identity: WorkerIdentity, patienceMs: number): Promise<void> {
		const { ends } = this.pool.parts;
		const isOver = () => this.pool.isClosed();
		for (let waitMs = patienceMs; !(await ends.gone(identity, waitMs, isOver)) && !isOver(); waitMs = forceAgainMs) {
			if (worker.pmId === null) void this.kill(worker);
		}
	}

	/** With this worker goes the only one that serves: the node is not ready from now on, and requests still come for a while. */
	private async letBalancersSee(worker: Worker, lbWaitMs: number): Promise<void> {
		this.pool.takeOut(worker, `it is the only one, so readiness is off for ${lbWaitMs} ms before it ends`);
		await this.pool.until(() => !worker.isAlive || this.pool.isAnnounced(), lbWaitMs);
	}

	/**
	 * Asks by way of PM2, which sends its signal, and kills what stays too long; and then directly. An orphan can only be
	 * asked directly, and is killed from here after `patienceMs`.
	 */
	private async untilGone(worker: Worker, patienceMs: number, ask: () => void): Promise<void> {
		await this.pool.started(worker);
		const { pmId, identity, host } = worker;
		let removed: Promise<unknown> = Promise.resolve();
		if (pmId !== null && host.isUp) {
			// By PM2's signal alone it does not end before PM2 knows that it is to stop, and would start it again.
			const direct = !isNode(worker.app) || !worker.app.listens;
			removed = host
				.client()
				.remove(pmId, killTimeoutOf(worker.app), direct ? undefined : ask)
				.catch(() => this.pool.isClosed() || ask());
		} else ask();
		if (identity !== null) await this.force(worker, identity, patienceMs);
		if (this.pool.isClosed()) return;
		await removed;
		this.pool.forget(worker);
	}
}
