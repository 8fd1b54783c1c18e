/**
 * The one place that knows PM2. What is used of it is declared here by hand, narrowly, and everything that PM2 gets wrong
 * for a caller is mended here: it never answers (a bound on every call, then the list is asked what came of it), it starts
 * a daemon of its own when it finds none (that is an error here), it tells the same exit twice, it takes the whole
 * environment along (a worker's is given in full instead), it saves its list with all secrets (never asked to).
 *
 * PM2 keeps one home for each process by way of its environment; the client below it takes the paths as a value, so one
 * client for each home can live in one process.
 */
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { RollcallError } from '../errors.js';
import type { ProcessIdentity } from '../system/marked-processes.js';
import { guardReading, type MessageSocket } from './guarded-socket.js';
import {
	isOrphan,
	isOrphanSignal,
	isSocketQuestion,
	type Orphan,
	type OrphanSignal,
	type SocketQuestion,
} from './orphans.js';
import { describe, type Pm2Process, type Pm2Start, type RawProcess, readProcess } from './pm2-process.js';

const require = createRequire(import.meta.url);

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

type Callback = (error: Error | null, answer?: unknown) => void;

interface RawSocket extends EventEmitter, MessageSocket {
	retry: number;
	set(name: string, value: unknown): void;
	close(): void;
}

interface RawClient {
	client: { call(method: string, argument: unknown, callback: Callback): void } | null;
	client_sock: RawSocket;
	sub_sock: RawSocket;
	launchDaemon: unknown;
	launchRPC(callback: Callback): void;
	launchBus(callback: (error: Error | null, bus: EventEmitter) => void): void;
}

/** The version of PM2 that this program was built with. */
export function pm2Version(): string {
	return (require('pm2/package.json') as { version: string }).version;
}

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

	/** Connects to a running host; throws `unavailable` when none answers, and never starts one. */
	static async connect(home: string): Promise<Pm2Client> {
		const raw = loadClient(home);
		try {
			await withTimeout(connectTimeoutMs, 'connect', (callback) => {
				raw.launchRPC(callback);
				guardReading(raw.client_sock);
				raw.client_sock.once('ignored error', callback);
				raw.client_sock.once('error', callback);
			});
			raw.client_sock.on('error', () => undefined);
			const version = await withTimeout(connectTimeoutMs, 'getVersion', (callback) =>
				raw.client?.call('getVersion', {}, callback),
			);
			const client = new Pm2Client(raw, String(version));
			await client.subscribe();
			return client;
		} catch (error) {
			endSocket(raw.client_sock);
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
		return Array.isArray(orphans) ? orphans.filter(isOrphan) : [];
	}

	/** Lets the host look which of these sockets a process of its user holds. */
	async heldSockets({ pid, started }: ProcessIdentity, inodes: readonly number[]): Promise<number[]> {
		const question: SocketQuestion = { holder: { pid, started }, inodes };
		const answer = await this.call('getReport', question);
		const { held } = (answer ?? {}) as { held?: unknown };
		return Array.isArray(held) ? held.filter((one) => inodes.includes(one)) : [];
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

	/** Ends a process, if it lives, and forgets it. Resolves when PM2 says so; true if it is gone from its list. `onSent`: it is told. */
	async remove(pmId: number, killTimeoutMs: number, onSent: () => void = () => undefined): Promise<boolean> {
		const { ended } = await this.begin('deleteProcessId', pmId, killTimeoutMs + callTimeoutMs, onSent);
		await ended.catch(() => undefined);
		return !(await this.listTogether()).some((row) => row.pmId === pmId);
	}

	/** Sends a signal to the process. A process that is gone is no error. */
	async signal(pmId: number, signal: NodeJS.Signals): Promise<void> {
		await this.call('sendSignalToProcessId', { process_id: pmId, signal }).catch((error: unknown) => {
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
		endSocket(this.raw.client_sock);
		endSocket(this.raw.sub_sock);
	}

	private async subscribe(): Promise<void> {
		const bus = await withTimeout<EventEmitter>(connectTimeoutMs, 'launchBus', (callback) => {
			this.raw.launchBus((error, emitter) => callback(error, emitter));
			guardReading(this.raw.sub_sock);
		});
		bus.on('process:event', (message: RawBusMessage) => this.heard(message));
		for (const socket of [this.raw.client_sock, this.raw.sub_sock]) {
			socket.on('error', () => undefined);
			// Without a retry the socket says that it closed; with one it would go on trying for ever and say nothing.
			socket.set('retry timeout', 0);
			socket.retry = 0;
			socket.once('close', () => this.lose());
		}
	}

	private lose(): void {
		if (this.closed) return;
		this.close();
		for (const refuse of this.pending) refuse(new RollcallError('unavailable', 'The worker host ended during a call.'));
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

	/** Sends a call in its turn; it may go on when its turn is over, and those after it are sent all the same. */
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
		const client = this.raw.client;
		if (this.closed || !client) {
			return Promise.reject(new RollcallError('unavailable', 'The worker host is not connected.'));
		}
		let refuse: (error: Error) => void = () => undefined;
		const answer = withTimeout(timeoutMs, method, (callback) => {
			refuse = callback;
			this.pending.add(refuse);
			client.call(method, argument, callback);
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

/** Longest that PM2's daemon may take to listen on its own sockets. */
const startMs = 10_000;

/** PM2's daemon inside this very process; see {@link runPm2}. */
export interface Pm2Host {
	list(): Pm2Process[];
	/** Ends the process if it lives and forgets it. */
	remove(pmId: number): Promise<void>;
	/** Lets every process open its log files anew. */
	reloadLogs(): void;
	/** What cluster workers write to their stderr, as it comes over the channel. */
	onErrorText(listener: (name: string, text: string) => void): void;
	/** A cluster worker's process ended; told once for each. */
	onExit(listener: (name: string) => void): void;
}

/** What a host does besides what PM2 does. Both run in the host, as the workers' user. */
export interface HostErrands {
	orphans(): Orphan[];
	heldSockets(question: SocketQuestion): number[];
	/** Throws where the process may not be signalled. */
	signalOrphan(request: OrphanSignal): void;
}

interface RawGod {
	getReport(argument: unknown, callback: Callback): void;
	sendSignalToProcessId(argument: unknown, callback: Callback): void;
	getFormatedProcesses(): RawProcess[];
	deleteProcessId(pmId: number, callback: Callback): void;
	reloadLogs(options: object, callback: Callback): void;
	bus: EventEmitter;
}

interface RawBusMessage {
	event?: string;
	data?: unknown;
	process?: Record<string, unknown>;
}

/**
 * Runs PM2's daemon in this process; resolves when both its sockets are bound. Its environment must be in place. Neither
 * its signal handlers (they save the list, secrets included) nor its "resurrection" of itself are taken along: an error in
 * it is an uncaught exception of this process, and whoever started that starts it again.
 */
export async function runPm2(home: string, errands: HostErrands): Promise<Pm2Host> {
	process.env['PM2_HOME'] = home;
	const Daemon = require('pm2/lib/Daemon.js') as new (options: {
		ignore_signals: boolean;
	}) => {
		innerStart(ready: () => void): void;
		close(options: unknown, callback: () => void): void;
	};
	const god = require('pm2/lib/God.js') as RawGod;
	teach(god, errands);
	const daemon = new Daemon({ ignore_signals: true });
	// What a client's end() comes to: the same orderly end as by a signal, which another user could not send.
	daemon.close = (_options, callback) => {
		callback();
		process.kill(process.pid, 'SIGTERM');
	};
	await new Promise<void>((resolve, reject) => {
		// PM2 tries for ever to open its sockets, as fast as it can: where it cannot, this process must end.
		const text = `PM2 could not open its sockets in ${home} within ${startMs / 1000} s: is the folder there, and writable?`;
		const late = setTimeout(() => reject(new RollcallError('unavailable', text)), startMs);
		daemon.innerStart(() => {
			clearTimeout(late);
			resolve();
		});
	});
	return {
		list: () => god.getFormatedProcesses().map(readProcess),
		remove: (pmId) => new Promise((resolve) => god.deleteProcessId(pmId, () => resolve())),
		reloadLogs: () => god.reloadLogs({}, () => undefined),
		onErrorText: (listener) => {
			god.bus.on('log:err', ({ process, data }: RawBusMessage) => listener(String(process?.['name']), String(data)));
		},
		onExit: (listener) => {
			god.bus.on('process:event', ({ event, process }: RawBusMessage) => {
				if (event === 'exit' && process?.['exec_mode'] === 'cluster_mode') listener(String(process['name']));
			});
		},
	};
}

/** PM2 offers a fixed list of calls: ours travel as another kind of argument of two of them. */
function teach(god: RawGod, errands: HostErrands): void {
	const { getReport, sendSignalToProcessId } = god;
	god.getReport = (argument, callback) => {
		if (isSocketQuestion(argument)) callback(null, { held: errands.heldSockets(argument) });
		else if ((argument as { orphans?: unknown } | null)?.orphans === true)
			callback(null, { orphans: errands.orphans() });
		else getReport(argument, callback);
	};
	god.sendSignalToProcessId = (argument, callback) => {
		if (!isOrphanSignal(argument)) return sendSignalToProcessId(argument, callback);
		try {
			errands.signalOrphan(argument);
			callback(null, {});
		} catch (error) {
			callback(error as Error);
		}
	};
}

function loadClient(home: string): RawClient {
	// PM2's modules look at these while they load. They are put back, since the environment belongs to the whole process.
	const before = { PM2_HOME: process.env['PM2_HOME'], PM2_PROGRAMMATIC: process.env['PM2_PROGRAMMATIC'] };
	process.env['PM2_HOME'] = home;
	process.env['PM2_PROGRAMMATIC'] = 'true';
	try {
		const Client = require('pm2/lib/Client.js') as (new (options: {
			conf: object;
		}) => RawClient) & { prototype: { initFileStructure: () => void } };
		// The host makes its folders itself; here they may be another user's.
		Client.prototype.initFileStructure = () => undefined;
		const constants = require('pm2/constants.js') as object;
		const paths = require('pm2/paths.js') as (home: string) => object;
		const sockets = { DAEMON_RPC_PORT: join(home, 'rpc.sock'), DAEMON_PUB_PORT: join(home, 'pub.sock') };
		const client = new Client({ conf: { ...constants, ...paths(home), ...sockets } });
		client.launchDaemon = (...args: unknown[]) => {
			const callback = args.at(-1) as Callback;
			callback(new RollcallError('unavailable', 'There is no worker host, and this client may not start one.'));
		};
		return client;
	} finally {
		for (const [name, value] of Object.entries(before)) {
			if (value === undefined) delete process.env[name];
			else process.env[name] = value;
		}
	}
}

function rowsOf(answer: unknown): Pm2Process[] {
	return Array.isArray(answer) ? answer.map((row: RawProcess) => readProcess(row)) : [];
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
