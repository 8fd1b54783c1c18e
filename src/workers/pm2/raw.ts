/**
 * The one place that imports PM2. The parts that are used are declared here by hand, narrowly, and stays among this file,
 * `pm2-client` and `pm2-host`, which correct what PM2 gets wrong for a caller.
 *
 * PM2 keeps one home for each process by way of its environment; the client below it takes the paths as a value, so one
 * client for each home can live in one process.
 */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { RollcallError } from '../../errors.js';
import type { MessageSocket } from './guarded-reader.js';
import type { RawProcess } from './process.js';

const require = createRequire(import.meta.url);

export type Callback = (error: Error | null, answer?: unknown) => void;

export interface RawSocket extends EventEmitter, MessageSocket {
	retry: number;
	set(name: string, value: unknown): void;
	close(): void;
}

export interface RawClient {
	client: { call(method: string, argument: unknown, callback: Callback): void } | null;
	client_sock: RawSocket;
	sub_sock: RawSocket;
	/** Where the next launch connects to. */
	rpc_socket_file: string;
	pub_socket_file: string;
	launchDaemon: unknown;
	launchRPC(callback: Callback): void;
	launchBus(callback: (error: Error | null, bus: EventEmitter) => void): void;
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

/** A client of the host of this home, not connected yet; it never starts one. */
export function loadClient(home: string): RawClient {
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

/** PM2's daemon for this very process, not started yet, and its table of processes. The environment must be in place. */
export function loadDaemon(home: string): { daemon: RawDaemon; god: RawGod } {
	process.env['PM2_HOME'] = home;
	const Daemon = require('pm2/lib/Daemon.js') as new (options: { ignore_signals: boolean }) => RawDaemon;
	const god = require('pm2/lib/God.js') as RawGod;
	return { daemon: new Daemon({ ignore_signals: true }), god };
}
