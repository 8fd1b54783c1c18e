/**
 * A connection to a worker host: PM2's remote calls, mended. They never answer (a bound on every call, then the list is
 * asked what came of it), the same exit is told twice, the whole environment goes along (a worker's is given in full
 * instead), the list is saved with all secrets (never asked to).
 */
import { EventEmitter } from 'node:events';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { RollcallError } from '../../errors.js';
import {
	type UntrustedPlace,
	untrustedPlace,
	openUntrustedSocket,
	pathOfDescriptor,
} from '../../system/files/untrusted-file.js';
import type { ProcessIdentity } from '../../system/proc/process.js';
import { answersPace, eventsPace, guardReading, type Pace } from './guarded-reader.js';
import { isOrphan, type Orphan, type OrphanSignal, type SocketQuestion } from './orphans.js';
import { type Callback, openClient, type RawBusMessage, type RawClient, type RawSocket } from './raw.js';
import { type CommandAnswer, type CommandQuestion, readCommandAnswer } from './health-command.js';
import { revisionText } from '../host/revision-text.js';
import { isWorkerId } from '../pool/worker-id.js';
import { readReleases, type ReleaseQuestion, type SeenRelease } from './releases.js';
import { describe, type Pm2Process, type Pm2Start, type RawProcess, readProcess } from './process.js';

export interface Pm2Events {
	/** A process was forked. It says nothing about serving. */
	online: [{ name: string; pmId: number }];
	/** A process ended; told once for each process. */
	exit: [{ name: string; pmId: number; code: number | null }];
	/** The connection is gone: the host died or is ending. */
	lost: [];
}

const callTimeoutMs = 10_000;
const connectTimeoutMs = 3_000;
const queuedCallsMax = 1_000;
/** A start or a removal lasts as long as the process takes to come or to end; others need not wait for more of it than this. */
const turnMs = 5;
/** More rows, or orphans, than any host of this program has are those of another program in its place. */
const rowsMax = 10_000;

/** A connection to the worker host of one home. */
export class Pm2Client extends EventEmitter<Pm2Events> {
	private readonly queue = new PQueue({ concurrency: 1 });
	/** Exits told already, by process id of PM2 and number of the run. */
	private readonly told = new Map<number, string>();
	/** Calls under way, to be refused when the host ends before it answers. */
	private readonly pending = new Set<(error: Error) => void>();
	/** A list that was asked for and not sent yet. */
	private nextList: Promise<Pm2Process[]> | null = null;
	private closed = false;

	private constructor(
		private readonly raw: RawClient,
		/** PM2's version in the host, which can be another one than ours after an upgrade. */
		readonly version: string,
	) {
		super();
	}

	/** Connects to a running host; throws when none answers, or the socket is not the home owner's; never starts one. */
	static async connect(home: string): Promise<Pm2Client> {
		const place = untrustedPlace(home);
		const raw = openClient();
		try {
			await connectSocket(place, 'rpc.sock', raw.calls, answersPace);
			const version = await withTimeout(connectTimeoutMs, 'getVersion', (callback) =>
				raw.call('getVersion', {}, callback),
			);
			const client = new Pm2Client(raw, String(version));
			await client.subscribe(place);
			return client;
		} catch (error) {
			endSocket(raw.calls);
			endSocket(raw.events);
			throw error;
		}
	}

	/** Everything PM2 holds now. */
	async list(timeoutMs = callTimeoutMs): Promise<Pm2Process[]> {
		return rowsOf(await this.call('getMonitorData', {}, timeoutMs));
	}

	/** Workers of an earlier host of this home that live on. A host that does not know the question knows none. */
	async orphans(): Promise<Orphan[]> {
		const answer = await this.call('getReport', { orphans: true });
		const { orphans } = (answer ?? {}) as { orphans?: unknown };
		const told = Array.isArray(orphans) ? orphans.slice(0, rowsMax).filter(isOrphan) : [];
		return told.map((one) => ({ ...one, revision: revisionText(one.revision) }));
	}

	/** Lets the host look which of these sockets a process of its user holds. */
	async heldSockets({ pid, started }: ProcessIdentity, inodes: readonly number[]): Promise<number[]> {
		const question: SocketQuestion = { holder: { pid, started }, inodes };
		const answer = await this.call('getReport', question);
		const { held } = (answer ?? {}) as { held?: unknown };
		return Array.isArray(held) ? held.filter((one) => inodes.includes(one)) : [];
	}

	/** What workers of these scripts, in these folders, would be started from now, one answer for each. */
	async releases(scripts: readonly string[], cwds: readonly string[], timeoutMs: number): Promise<SeenRelease[]> {
		const question: ReleaseQuestion = { scripts, cwds };
		return readReleases(await this.call('getReport', question, timeoutMs), scripts);
	}

	/** Lets the host, which runs as the workers' user, run a command. Other calls need not wait for its end. */
	async runCommand(question: CommandQuestion): Promise<CommandAnswer> {
		const { ended } = await this.begin('getReport', question, question.timeoutMs + callTimeoutMs);
		const answer = readCommandAnswer(await ended, question.lines);
		if (answer !== null) return answer;
		throw new RollcallError('unavailable', 'the worker host is of an earlier version; restart it');
	}

	/** Lets the host, which runs as the workers' user, send the signal to an orphan and to all below it. */
	async signalOrphan({ pid, started }: ProcessIdentity, signal: OrphanSignal['signal']): Promise<void> {
		const request: OrphanSignal = { orphan: { pid, started }, signal };
		await this.call('sendSignalToProcessId', request);
	}

	/** Forks a process; resolves once PM2 forked it. Throws when PM2 could not. */
	async start(start: Pm2Start): Promise<Pm2Process> {
		try {
			await (await this.begin('prepare', describe(start), callTimeoutMs)).ended;
		} catch (error) {
			// It may have happened all the same: the list knows.
			if (!(error instanceof RollcallError && error.code === 'timeout')) throw error;
		}
		const row = (await this.listTogether()).find((one) => one.name === start.name);
		if (row) return row;
		throw new RollcallError('unavailable', `PM2 did not start ${start.name}; see the host's log in the home folder.`);
	}

	/** Ends a live process and deletes it. Resolves with PM2's answer; true if it is off PM2's list. `onSent`: the call was sent. */
	async remove(pmId: number, killTimeoutMs: number, onSent: () => void = () => undefined): Promise<boolean> {
		const { ended } = await this.begin('deleteProcessId', pmId, killTimeoutMs + callTimeoutMs, onSent);
		await ended.catch(() => undefined);
		return !(await this.listTogether()).some((row) => row.pmId === pmId);
	}

	/** Sends a signal to the process. A process that is gone is no error. */
	async signal(pmId: number, pid: number, signal: NodeJS.Signals): Promise<void> {
		await this.call('sendSignalToProcessId', { process_id: pmId, pid, signal }).catch((error: unknown) => {
			if (error instanceof RollcallError) throw error;
		});
	}

	/** Asks the host to end, as SIGTERM would, also where it is another user's process. */
	async end(): Promise<void> {
		await this.call('killMe', {});
	}

	close(): void {
		if (this.closed) return;
		// Calls that wait in the queue are refused in their turn; taken out of it they would never be answered.
		this.closed = true;
		for (const refuse of this.pending) refuse(new RollcallError('unavailable', 'The worker host is not connected.'));
		endSocket(this.raw.calls);
		endSocket(this.raw.events);
	}

	private async subscribe(place: UntrustedPlace): Promise<void> {
		await connectSocket(place, 'pub.sock', this.raw.events, eventsPace);
		this.raw.onEvent('process:event', (message) => this.heard(message));
		for (const socket of [this.raw.calls, this.raw.events]) {
			socket.once('close', () => this.lose());
		}
	}

	private lose(): void {
		if (this.closed) return;
		for (const refuse of this.pending) refuse(new RollcallError('unavailable', 'The worker host ended during a call.'));
		this.close();
		this.emit('lost');
	}

	private heard({ event, process }: RawBusMessage): void {
		const name = process?.['name'];
		const pmId = process?.['pm_id'];
		if (typeof name !== 'string' || typeof pmId !== 'number') return;
		if (event === 'online') this.emit('online', { name, pmId });
		if (event !== 'exit') return;
		const run = `${String(process?.['restart_time'])}@${String(process?.['pm_uptime'])}`;
		if (this.told.get(pmId) === run) return;
		this.told.set(pmId, run);
		const code = process?.['exit_code'];
		this.emit('exit', { name, pmId, code: typeof code === 'number' ? code : null });
	}

	private call(method: string, argument: unknown, timeoutMs = callTimeoutMs): Promise<unknown> {
		return this.enqueue(() => this.callNow(method, argument, timeoutMs));
	}

	/** Who asks while another's question has not been sent yet gets the answer to that: many starts end at once. */
	private listTogether(): Promise<Pm2Process[]> {
		this.nextList ??= this.enqueue(async () => {
			// The queue can begin at once, while what it returns is not assigned yet.
			await Promise.resolve();
			this.nextList = null;
			return rowsOf(await this.callNow('getMonitorData', {}, callTimeoutMs));
		});
		return this.nextList;
	}

	/** Sends a call in its turn; later calls are sent even if it takes longer than its turn. */
	private begin(
		method: string,
		argument: unknown,
		timeoutMs: number,
		onSent: () => void = () => undefined,
	): Promise<{ ended: Promise<unknown> }> {
		return this.enqueue(async () => {
			const ended = this.callNow(method, argument, timeoutMs);
			onSent();
			const turn = new Promise((resolve) => setTimeout(resolve, turnMs).unref());
			await Promise.race([ended.catch(() => undefined), turn]);
			return { ended };
		});
	}

	private callNow(method: string, argument: unknown, timeoutMs: number): Promise<unknown> {
		if (this.closed) {
			return Promise.reject(new RollcallError('unavailable', 'The worker host is not connected.'));
		}
		let refuse: (error: Error) => void = () => undefined;
		const answer = withTimeout(timeoutMs, method, (callback) => {
			refuse = callback;
			this.pending.add(refuse);
			this.raw.call(method, argument, callback);
		});
		return answer.finally(() => this.pending.delete(refuse));
	}

	private enqueue<T>(task: () => Promise<T>): Promise<T> {
		if (this.queue.size >= queuedCallsMax) {
			throw new RollcallError('unavailable', `More than ${queuedCallsMax} calls wait for the worker host.`);
		}
		return this.queue.add(task);
	}
}

function rowsOf(answer: unknown): Pm2Process[] {
	const rows = Array.isArray(answer) ? answer.slice(0, rowsMax) : [];
	// Another name than Rollcall gives is none of its workers'; names become part of paths.
	return rows.map((row: RawProcess) => readProcess(row)).filter(({ name, pmId }) => pmId >= 0 && isWorkerId(name));
}

/** Connects to a socket of the home's owner. PM2 gets a path under which no other user can put a file. */
async function connectSocket(place: UntrustedPlace, name: string, socket: RawSocket, pace: Pace): Promise<void> {
	const descriptor = openUntrustedSocket(join(place.root, name), place);
	try {
		await withTimeout(connectTimeoutMs, `a connection to ${name}`, (callback) => {
			socket.once('connect', () => callback(null));
			socket.once('ignored error', callback);
			socket.on('error', callback);
			prepareSocket(socket, pace);
			socket.connect(pathOfDescriptor(descriptor));
		});
	} finally {
		closeSync(descriptor);
	}
}

/**
 * Without a retry a socket of PM2 says that it closed; with one it would go on trying for ever and say nothing, under a
 * path that is good for one connection.
 */
function prepareSocket(socket: RawSocket, pace: Pace): void {
	socket.set('retry timeout', 0);
	socket.retry = 0;
	guardReading(socket, pace);
}

function endSocket(socket: RawSocket | undefined): void {
	if (!socket) return;
	socket.on('error', () => undefined);
	socket.close();
}

function withTimeout<T = unknown>(ms: number, what: string, run: (callback: Callback) => void): Promise<T> {
	return new Promise<T>((resolve, reject) => {
		const timer = setTimeout(() => {
			reject(new RollcallError('timeout', `PM2 did not answer ${what} within ${ms} ms.`));
		}, ms);
		run((error, answer) => {
			clearTimeout(timer);
			if (error) reject(error);
			else resolve(answer as T);
		});
	});
}
