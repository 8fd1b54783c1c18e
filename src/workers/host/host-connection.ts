import { EventEmitter } from 'node:events';
import type { Logger } from '../../log.js';
import { messageOf, RollcallError } from '../../errors.js';
import { isAlive, isOwned, type ProcessIdentity, readProcessStat, signalOwned } from '../../system/proc/process.js';
import { type Clock, untilHolds } from '../clock.js';
import { ProcessEnds } from '../connection/process-ends.js';
import { findHost, type HostHome, ownerOf } from '../pm2/home.js';
import type { Orphan } from '../pm2/orphans.js';
import { startOwnHost } from './host-starter.js';
import { pm2Version } from '../pm2/raw.js';
import { Pm2Client } from '../pm2/client.js';
import type { Pm2Process } from '../pm2/process.js';

export interface HostLinkEvents {
	/** Connected, with everything that the host holds, and with the workers of its predecessors that live on. */
	up: [Pm2Process[], Orphan[]];
	down: [string];
	/** It is up, or no longer kept connected. */
	changed: [];
	/** Its problem changed. */
	complaint: [string | null];
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
/** So many looks in a row without an answer, each waited for so long: a stall of the whole machine is no frozen host. */
const silentLooksMax = 2;
const lookTimeoutMs = 5_000;
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
	/** The host as its lock names it; null while it is down, or where that names no process of the home's owner. */
	private identity: ProcessIdentity | null = null;
	/** The host's problem, as a text for operators (absent, frozen, another version of PM2); null if there is none. */
	complaint: string | null;

	constructor(private readonly options: HostLinkOptions) {
		super();
		this.complaint = `${this.name} is not connected yet`;
	}

	/** As it is called in texts for operators. */
	get name(): string {
		return this.user === null ? 'the worker host' : `the worker host of ${this.user}`;
	}

	get user(): string | null {
		return this.options.user;
	}

	get home(): HostHome {
		return this.options.home;
	}

	get pid(): number | null {
		return this.identity?.pid ?? null;
	}

	/** User id of the home's owner, whom every process of it belongs to. */
	get owner(): number {
		return ownerOf(this.home);
	}

	get isUp(): boolean {
		return this.pm2 !== null;
	}

	/** Resolves at the first connection; reconnects automatically from then on. */
	async start(): Promise<void> {
		await this.connect();
	}

	/** Resolves true once connected; false after `withinMs` or when it is closed. */
	untilUp(withinMs: number): Promise<boolean> {
		const { clock } = this.options;
		return untilHolds(this, 'changed', () => this.isUp, { clock, withinMs, isOver: () => this.closed });
	}

	/** The connection; throws `unavailable` while the host is down. */
	client(): Pm2Client {
		if (this.pm2) return this.pm2;
		throw new RollcallError('unavailable', this.complaint ?? `${this.name} is not connected`);
	}

	/** What the host holds now. One that answers nothing any more is as good as dead: it is named, ended where that can be done from here, and made anew. */
	async look(): Promise<Pm2Process[]> {
		for (;;) {
			try {
				const rows = await this.client().list(lookTimeoutMs);
				this.heard();
				return rows;
			} catch (error) {
				if (!(error instanceof RollcallError && error.code === 'timeout') || this.unheard()) throw error;
			}
		}
	}

	/**
	 * Ends the host, also one that is only just starting, and waits until it is gone, at most `withinMs`. It drains and ends
	 * whatever workers are left by itself.
	 */
	async end(withinMs: number): Promise<void> {
		const { clock, home, log } = this.options;
		const holder = await findHost(home);
		const pid = holder?.pid ?? this.startedPid;
		const started = pid === null ? undefined : readProcessStat(pid)?.started;
		try {
			if (this.pm2) await this.pm2.end();
			else if (holder) signalOwned(holder, this.owner, 'SIGTERM');
			else this.stopStarted();
		} catch (error) {
			log.warn({ event: 'worker_host_not_ended', host_pid: pid, reason: messageOf(error) });
		}
		this.close();
		if (pid === null || started === undefined) return;
		await new ProcessEnds(clock).gone({ pid, started }, withinMs);
	}

	private stopStarted(): void {
		if (this.startedPid === null) return;
		const parent = readProcessStat(this.startedPid)?.parentPid;
		// Our own child still, so the number cannot be another process's.
		if (parent === process.pid) process.kill(this.startedPid, 'SIGTERM');
	}

	close(): void {
		this.closed = true;
		this.pm2?.close();
		this.pm2 = null;
		this.emit('changed');
		this.removeAllListeners();
	}

	/** A look was not answered in time; true when that was one too many. */
	private unheard(): boolean {
		this.silent += 1;
		const { log, command } = this.options;
		const frozen = `${this.name}, process ${this.pid}, has not answered for ${(this.silent * lookTimeoutMs) / 1000} s: it is blocked or stopped; its workers serve on`;
		if (this.silent === 1) log.error({ event: 'worker_host_silent', home: this.home.path, host_pid: this.pid });
		this.complain(frozen);
		if (this.silent < silentLooksMax) return false;
		// A unit's host is ended by its watchdog: it is another user's process.
		if (command === null || this.identity === null) return true;
		log.error({ event: 'worker_host_killed', home: this.home.path, host_pid: this.pid, reason: frozen });
		signalOwned(this.identity, this.owner, 'SIGKILL');
		return true;
	}

	private heard(): void {
		if (this.silent > 0) this.complain(this.oldVersion());
		this.silent = 0;
	}

	private complain(complaint: string | null): void {
		if (complaint === this.complaint) return;
		this.complaint = complaint;
		this.emit('complaint', complaint);
	}

	private oldVersion(): string | null {
		const expected = this.options.pm2Version ?? pm2Version();
		if (!this.pm2 || this.pm2.version === expected) return null;
		return `${this.name} runs PM2 ${this.pm2.version}, this program has PM2 ${expected}; restart the worker host`;
	}

	/** Tries until it is connected or closed, with a delay that grows up to its bound: a host that cannot run says nothing. */
	private async connect(): Promise<void> {
		while (!this.closed) {
			try {
				await this.startIfOwn();
				const pm2 = await this.answer();
				if (pm2 === null) continue;
				await this.welcome(pm2);
				return;
			} catch (error) {
				const reason = messageOf(error);
				this.complain(`${this.name} cannot be started or reached: ${reason}`);
				this.options.log.warn({ event: 'worker_host_unreachable', home: this.home.path, reason });
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

	/**
	 * Connects as soon as the host listens; null when it did not within its time. It tries again and again: the host's sockets
	 * lie in a folder of its user, who could wake a process that watched it (inotify) at will.
	 */
	private async answer(): Promise<Pm2Client | null> {
		const { clock, home } = this.options;
		const until = clock.now() + answerTimeoutMs;
		let reason = '';
		while (!this.closed && clock.now() < until) {
			try {
				return await Pm2Client.connect(home.path);
			} catch (error) {
				reason = messageOf(error);
				await clock.sleep(connectRetryMs);
			}
		}
		this.complain(`${this.name} does not answer (${reason}); if workers live, they serve on`);
		return null;
	}

	private async welcome(pm2: Pm2Client): Promise<void> {
		const rows = await pm2.list();
		const orphans = await this.orphansOf(pm2, rows);
		this.identity = await findHost(this.home);
		this.pm2 = pm2;
		this.silent = 0;
		this.upSince = this.options.clock.now();
		this.complaint = this.oldVersion();
		if (this.complaint !== null) {
			this.options.log.warn({ event: 'worker_host_version', home: this.home.path, reason: this.complaint });
		}
		pm2.on('online', (event) => this.emit('online', event));
		pm2.on('exit', (event) => this.emit('exit', event));
		pm2.once('lost', () => this.lose());
		this.emit('up', rows, orphans);
		this.emit('changed');
	}

	/** The record does not have what a host started behind a control plane that was down. */
	private async orphansOf(pm2: Pm2Client, rows: readonly Pm2Process[]): Promise<Orphan[]> {
		try {
			const orphans = await pm2.orphans();
			const { owner } = this;
			return orphans.filter((one) => isOwned(one, owner) && isAlive(one) && !rows.some(({ pid }) => pid === one.pid));
		} catch (error) {
			this.options.log.warn({ event: 'orphans_not_found', home: this.home.path, reason: messageOf(error) });
			return [];
		}
	}

	private lose(): void {
		if (this.closed) return;
		const pid = this.pid;
		this.pm2 = null;
		this.identity = null;
		this.complaint = `${this.name}${pid === null ? '' : `, process ${pid},`} has ended; workers that outlive it serve on until a new host has a set of its own`;
		if (this.options.clock.now() - this.upSince >= steadyMs) this.backoffMs = startBackoffFirstMs;
		this.emit('down', this.complaint);
		void this.connect();
	}
}
