import { EventEmitter } from 'node:events';
import type { Logger } from '../log.js';
import { messageOf, RollcallError } from '../errors.js';
import { findHolder } from '../lock.js';
import { isAlive, readProcessStat } from '../system/process.js';
import type { Clock } from './clock.js';
import type { HostHome } from './home.js';
import { startOwnHost } from './host-starter.js';
import { Pm2Client, pm2Version } from './pm2.js';
import type { Pm2Process } from './pm2-process.js';

export interface HostLinkEvents {
	/** Connected, with everything that the host holds. */
	up: [Pm2Process[]];
	down: [string];
	online: [{ name: string; pmId: number }];
	exit: [{ name: string; pmId: number }];
}

export interface HostLinkOptions {
	user: string | null;
	home: HostHome;
	/** The command that runs a host; null under systemd, whose unit is waited for. */
	command: readonly string[] | null;
	clock: Clock;
	log: Logger;
	/** The version that the host has to have; this program's own if not given. */
	pm2Version?: string;
}

const connectRetryMs = 25;
/** A host that was started but does not answer for so long is started again. */
const answerTimeoutMs = 10_000;
const startBackoffFirstMs = 100;
const startBackoffLongestMs = 10_000;
/** So many calls in a row without an answer. */
const silentCallsMax = 2;
/** A host that held so long resets the back-off. */
const steadyMs = 30_000;

/**
 * Keeps one worker host connected, for as long as it is not closed: connects, notices at once when it dies, and, where
 * this process is the one that starts it, starts it again with a growing delay.
 */
export class HostLink extends EventEmitter<HostLinkEvents> {
	private pm2: Pm2Client | null = null;
	private closed = false;
	private backoffMs = startBackoffFirstMs;
	private silent = 0;
	/** The process that was started last; it may not have got so far as to answer. */
	private startedPid: number | null = null;
	private upSince = 0;
	/** Process id of the host as its lock names it; null while it is down. */
	pid: number | null = null;
	/** Why the host is not connected, or a warning about it (another version of PM2); null when all is well. */
	complaint: string | null = 'not connected yet';

	constructor(private readonly options: HostLinkOptions) {
		super();
	}

	get user(): string | null {
		return this.options.user;
	}

	get home(): HostHome {
		return this.options.home;
	}

	get isUp(): boolean {
		return this.pm2 !== null;
	}

	/** Resolves at the first connection; goes on by itself from then on. */
	async start(): Promise<void> {
		await this.connect();
	}

	/** The connection; throws `unavailable` while the host is down. */
	client(): Pm2Client {
		if (this.pm2) return this.pm2;
		const whose = this.user === null ? 'The worker host' : `The worker host of ${this.user}`;
		throw new RollcallError('unavailable', `${whose} is not connected: ${this.complaint}.`);
	}

	/**
	 * Ends the host, also one that is only just starting, and waits until it is gone, at most `withinMs`. It drains and ends
	 * whatever workers are left by itself.
	 */
	async end(withinMs: number): Promise<void> {
		const { clock, home, log } = this.options;
		const holder = await findHolder(home.lock);
		const pid = holder?.pid ?? this.startedPid;
		const started = pid === null ? undefined : readProcessStat(pid)?.started;
		try {
			if (this.pm2) await this.pm2.end();
			else if (holder) process.kill(holder.pid, 'SIGTERM');
			else this.stopStarted();
		} catch (error) {
			log.warn({ event: 'worker_host_not_ended', host_pid: pid, reason: messageOf(error) });
		}
		this.close();
		if (pid === null || started === undefined) return;
		const until = clock.now() + withinMs;
		while (isAlive({ pid, started }) && clock.now() < until) await clock.sleep(20);
	}

	private stopStarted(): void {
		if (this.startedPid === null) return;
		const parent = readProcessStat(this.startedPid)?.parentPid;
		// Our own child still, so the number cannot be another process's.
		if (parent === process.pid) process.kill(this.startedPid, 'SIGTERM');
	}

	/** A call was not answered in time. A host that answers nothing any more is as good as dead, and is made anew. */
	unanswered(): void {
		this.silent += 1;
		if (this.silent < silentCallsMax) return;
		this.complaint = 'it does not answer';
		this.options.log.error({ event: 'worker_host_silent', home: this.home.path, host_pid: this.pid });
		if (this.options.command === null || this.pid === null) return;
		process.kill(this.pid, 'SIGKILL');
	}

	answered(): void {
		this.silent = 0;
	}

	close(): void {
		this.closed = true;
		this.pm2?.close();
		this.pm2 = null;
		this.removeAllListeners();
	}

	private async connect(): Promise<void> {
		while (!this.closed) {
			try {
				await this.startIfOwn();
				const pm2 = await this.answer();
				if (pm2 === null) continue;
				await this.welcome(pm2);
				return;
			} catch (error) {
				this.complaint = messageOf(error);
				this.options.log.warn({ event: 'worker_host_unreachable', home: this.home.path, reason: this.complaint });
				await this.options.clock.sleep(this.backoffMs);
				this.backoffMs = Math.min(startBackoffLongestMs, this.backoffMs * 2);
			}
		}
	}

	private async startIfOwn(): Promise<void> {
		const { command, home, log } = this.options;
		if (command === null) return;
		const pid = await startOwnHost(home, command);
		if (pid === null) return;
		log.info({ event: 'worker_host_started', home: home.path, host_pid: pid });
		this.startedPid = pid;
		if (this.closed) this.stopStarted();
	}

	/** Connects as soon as the host listens; null when it did not within its time. */
	private async answer(): Promise<Pm2Client | null> {
		const { clock, home } = this.options;
		const until = clock.now() + answerTimeoutMs;
		while (!this.closed && clock.now() < until) {
			try {
				return await Pm2Client.connect(home.path);
			} catch (error) {
				this.complaint = messageOf(error);
				await clock.sleep(connectRetryMs);
			}
		}
		return null;
	}

	private async welcome(pm2: Pm2Client): Promise<void> {
		const rows = await pm2.list();
		this.pid = (await findHolder(this.home.lock))?.pid ?? null;
		this.pm2 = pm2;
		this.silent = 0;
		this.upSince = this.options.clock.now();
		this.complaint = null;
		const expected = this.options.pm2Version ?? pm2Version();
		if (pm2.version !== expected) {
			this.complaint = `it runs PM2 ${pm2.version}, this program has PM2 ${expected}; restart the worker host`;
			this.options.log.warn({ event: 'worker_host_version', home: this.home.path, reason: this.complaint });
		}
		pm2.on('online', (event) => this.emit('online', event));
		pm2.on('exit', (event) => this.emit('exit', event));
		pm2.once('lost', () => this.lose());
		this.emit('up', rows);
	}

	private lose(): void {
		if (this.closed) return;
		this.pm2 = null;
		this.pid = null;
		this.complaint = 'its process ended';
		if (this.options.clock.now() - this.upSince >= steadyMs) this.backoffMs = startBackoffFirstMs;
		this.emit('down', this.complaint);
		void this.connect();
	}
}
