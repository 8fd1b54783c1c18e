/**
 * The one place that imports PM2. The parts that are used are declared here by hand, narrowly, and stays among this file,
 * `pm2-client` and `pm2-host`, which correct what PM2 gets wrong for a caller.
 *
 * PM2 keeps one home for each process by way of its environment; the client here takes the paths as a value, so one
 * client for each home can live in one process.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import type { MessageSocket } from './guarded-reader.js';
import type { RawProcess } from './process.js';

const require = createRequire(import.meta.url);

export type Callback = (error: Error | null, answer?: unknown) => void;

export interface RawSocket extends EventEmitter, MessageSocket {
	retry: number;
	set(name: string, value: unknown): void;
	connect(path: string): unknown;
	close(): void;
}

/** Both connections of a client to one host, not connected yet. */
export interface RawClient {
	calls: RawSocket;
	call(method: string, argument: unknown, callback: Callback): void;
	events: RawSocket;
	/** What the host publishes. */
	onEvent(name: string, listener: (message: RawBusMessage) => void): void;
}

export type RawFork = (description: Record<string, unknown>, callback: Callback) => void;

export interface RawGod {
	getReport(argument: unknown, callback: Callback): void;
	sendSignalToProcessId(argument: unknown, callback: Callback): void;
	getFormatedProcesses(): RawProcess[];
	deleteProcessId(pmId: number, callback: Callback): void;
	reloadLogs(options: object, callback: Callback): void;
	/** Fork a process as its description says, the first time and after each crash. */
	nodeApp: RawFork;
	forkMode: RawFork;
	/** By number; `pid` is 0 for one that has ended and is not started again yet. */
	readonly clusters_db: Readonly<Record<string, { process?: { pid?: unknown } } | undefined>>;
	/** The number that the next process gets. */
	next_id: number;
	bus: EventEmitter;
}

export interface RawDaemon {
	innerStart(ready: () => void): void;
	close(options: unknown, callback: () => void): void;
	/** Publishes events on PM2's bus; present once it is started. */
	pub: { emit(event: string, data: unknown): void };
}

export interface RawBusMessage {
	event?: string;
	data?: unknown;
	process?: Record<string, unknown>;
}

/** The version of PM2 that this program was built with. */
export function pm2Version(): string {
	return (require('pm2/package.json') as { version: string }).version;
}

/** Speaks PM2's protocol without PM2's own client, which loads several times as much, and looks at the environment. */
export function openClient(): RawClient {
	const axon = require('pm2/modules/pm2-axon') as {
		socket(type: 'req'): RawSocket;
		socket(type: 'sub-emitter'): Pick<EventEmitter, 'on'> & { sock: RawSocket };
	};
	const rpc = require('pm2/modules/pm2-axon-rpc') as { Client: new (socket: RawSocket) => Pick<RawClient, 'call'> };
	const calls = axon.socket('req');
	const caller = new rpc.Client(calls);
	const emitter = axon.socket('sub-emitter');
	return {
		calls,
		call: (method, argument, callback) => caller.call(method, argument, callback),
		events: emitter.sock,
		onEvent: (name, listener) => void emitter.on(name, listener),
	};
}

/** PM2's daemon for this very process, not started yet, and its table of processes. The environment must be in place. */
export function loadDaemon(home: string): { daemon: RawDaemon; god: RawGod } {
	process.env['PM2_HOME'] = home;
	const Daemon = require('pm2/lib/Daemon.js') as new (options: { ignore_signals: boolean }) => RawDaemon;
	const god = require('pm2/lib/God.js') as RawGod;
	return { daemon: new Daemon({ ignore_signals: true }), god };
}
