/** PM2's daemon inside the worker host's own process, with what it cannot do taught to it. */
import { RollcallError } from '../../errors.js';
import { isOrphanSignal, isSocketQuestion, type Orphan, type OrphanSignal, type SocketQuestion } from './orphans.js';
import { loadDaemon, type RawBusMessage, type RawDaemon, type RawFork, type RawGod } from './raw.js';
import { type CommandAnswer, type CommandQuestion, isCommandQuestion } from './health-command.js';
import { type Pm2Process, readProcess } from './process.js';
import { isReleaseQuestion, revisionVariable } from './releases.js';
import type { Release } from '../types.js';

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

/** What a host does besides what PM2 does. All of it runs in the host, as the workers' user. */
export interface HostErrands {
	orphans(): Orphan[];
	heldSockets(question: SocketQuestion): number[];
	/** Throws where the process may not be signalled. */
	signalOrphan(request: OrphanSignal): void;
	/** What a worker of this script would be started from now; never throws. */
	releaseOf(script: string, cwd?: string): Release;
	/** Never rejects. */
	runCommand(question: CommandQuestion): Promise<CommandAnswer>;
}

/**
 * Runs PM2's daemon in this process; resolves when both its sockets are bound. Its environment must be in place. Neither
 * its signal handlers (they save the list, secrets included) nor its "resurrection" of itself are taken along: an error in
 * it is an uncaught exception of this process, and its parent starts it again.
 */
export async function runPm2(home: string, errands: HostErrands): Promise<Pm2Host> {
	const { daemon, god } = loadDaemon(home);
	teach(god, errands);
	neverReuseNumbers(god);
	markRevisions(god, errands);
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
	sayEventsAlone(daemon);
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

/** PM2 says on its bus all that workers log, too: no subscriber needs it, and it would wait in memory for slow readers. */
function sayEventsAlone({ pub }: RawDaemon): void {
	const emit = pub.emit.bind(pub);
	pub.emit = (event, data) => {
		if (event === 'process:event') emit(event, data);
	};
}

/** PM2 offers a fixed list of calls: ours travel as another kind of argument of two of them. */
function teach(god: RawGod, errands: HostErrands): void {
	const { getReport, sendSignalToProcessId } = god;
	god.getReport = (argument, callback) => {
		if (isSocketQuestion(argument)) callback(null, { held: errands.heldSockets(argument) });
		else if ((argument as { orphans?: unknown } | null)?.orphans === true)
			callback(null, { orphans: errands.orphans() });
		else if (isReleaseQuestion(argument)) {
			const { scripts, cwds = [] } = argument;
			callback(null, { releases: scripts.map((script, index) => errands.releaseOf(script, cwds[index])) });
		} else if (isCommandQuestion(argument)) void errands.runCommand(argument).then((ran) => callback(null, { ran }));
		else getReport(argument, callback);
	};
	god.sendSignalToProcessId = (argument, callback) => {
		if (!isOrphanSignal(argument)) {
			if (isMeant(god, argument)) sendSignalToProcessId(argument, callback);
			else callback(null, {});
			return;
		}
		try {
			errands.signalOrphan(argument);
			callback(null, {});
		} catch (error) {
			callback(error as Error);
		}
	};
}

/**
 * Whether PM2 has the process that is to be signalled, and has not started another one in its place. PM2 has the number 0 for
 * one that has ended: to the kernel that is every process of the host's own group, the host and its workers.
 */
function isMeant(god: RawGod, argument: unknown): boolean {
	const { process_id: pmId, pid } = (argument ?? {}) as { process_id?: unknown; pid?: unknown };
	const running = god.clusters_db[String(pmId)]?.process?.pid;
	return typeof running === 'number' && running > 0 && (pid === undefined || pid === running);
}

/**
 * Each process carries the revision of its script from the moment that it is forked, as it carries the script's path: in
 * PM2's list, and in its own environment, where a later host finds it.
 */
function markRevisions(god: RawGod, { releaseOf }: HostErrands): void {
	const marking =
		(fork: RawFork): RawFork =>
		(description, callback) => {
			const { revision } = releaseOf(String(description['pm_exec_path']), String(description['pm_cwd']));
			if (revision === null) delete description[revisionVariable];
			else description[revisionVariable] = revision;
			fork.call(god, description, callback);
		};
	god.nodeApp = marking(god.nodeApp);
	god.forkMode = marking(god.forkMode);
}

/**
 * PM2 counts from zero again once its list is empty. A second removal of a process that is still under way then would take
 * the next one out of the list, which then runs unseen and holds its port.
 */
function neverReuseNumbers(god: RawGod): void {
	let next = god.next_id;
	Object.defineProperty(god, 'next_id', {
		get: () => next,
		set: (value: number) => {
			next = Math.max(next, value);
		},
	});
}
