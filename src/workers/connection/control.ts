/**
 * The words spoken on a worker's control socket: JSON lines, one object a line, over the private unix socket that the
 * preload opens inside every Node worker. The supervisor asks with a sequence number, the worker answers with the same
 * number; what happens in between is pushed. Losing the connection means that the process is gone.
 */
import { fileURLToPath } from 'node:url';
import paths from '../preload/paths.cjs';

/** Names shared with the preload: see preload/paths.cts for what each one is. */
export const { preloadVariable, farewellMs, trafficPatience, pidHeader } = paths;
export const { controlSocketPath, probeSocketPath, approvalPath } = paths;

/** The file for a Node worker's `--require`. */
export const preloadFile = fileURLToPath(new URL('../preload/worker.cjs', import.meta.url));

/** Handed to a worker in the environment variable {@link preloadVariable} as JSON; the preload takes it out again. */
export interface PreloadSettings {
	/** Worker id, `<app>-<number>`. */
	id: string;
	/** Folder of the private sockets and approvals; short, since a socket path has at most 107 bytes. */
	directory: string;
	/** false: the app listens at once (`gate: false`); drain and report still work. */
	gate: boolean;
	/** Only of an app that listens nowhere: it joins without a listen, and its drain is its own handler's. */
	listens?: false;
	/** Its answers to users are counted, for comparison with those of another release. Without it none is looked at. */
	countsTraffic?: true;
	/** With `countsTraffic`: an answer is late whose head takes longer. Without it answers are not timed. */
	slowMs?: number;
	/** How often heap, event loop and processor time are reported, to those who are connected. */
	reportIntervalMs: number;
	/**
	 * Longest drain when the worker is stopped by SIGINT, SIGTERM or the message `shutdown` (30,000 if not given). The app's
	 * own stop handlers get up to {@link farewellMs} more, so a kill must wait longer than the sum.
	 */
	drainTimeoutMs?: number;
	/** Mode of the private sockets, 0o600 if not given. */
	socketMode?: number;
}

/** Whom a command is for. A worker refuses one for another, so that a command that goes astray does nothing. */
export interface Addressee {
	id: string;
	pid: number;
}

/** Control planes of earlier versions name no addressee. */
export type ControlCommand = { to?: Addressee } & Command;

type Command =
	| { seq: number; command: 'status' }
	/** Join the public listening. Answers when every listen is up, or with the error (EADDRINUSE included); then none is. */
	| { seq: number; command: 'live' }
	/**
	 * Stop accepting, finish what is open, leave. After `timeoutMs` open connections are ended and counted. `handOver` gives
	 * idle connections to a sibling where that is possible. Answers at once; the end is pushed as `drained`.
	 */
	| { seq: number; command: 'drain'; timeoutMs: number; handOver: boolean }
	/** The worker's host died: give copies of the public listening sockets to the new one, which listens at this path. */
	| { seq: number; command: 'lend'; path: string };

export type ControlAnswer =
	| { seq: number; ok: true; status: WorkerStatus }
	| { seq: number; ok: false; error: string; code: string | null; status: WorkerStatus };

export type ControlPush =
	/** There is something new to ask: the app called listen() and is held (or live), or it said that it is ready. */
	| { event: 'listening'; status: WorkerStatus }
	/** Uncaught exception or unhandled rejection: an ESM app that failed to load stays alive as a zombie. */
	| { event: 'fault'; message: string; status: WorkerStatus }
	| { event: 'report'; report: WorkerReport; status: WorkerStatus }
	/** Last words before the process leaves by its own will. */
	| { event: 'drained'; cutOff: number; handedOver: number };

/** What a listening server speaks; `h2` is HTTP/2 over TLS (perhaps HTTP/1 too), `h2c` HTTP/2 in the clear. */
export type ListenProtocol = 'http' | 'https' | 'h2' | 'h2c' | 'tls' | 'tcp';

export interface ListenStatus {
	/** The port asked for (the real one, where 0 was); null for a unix socket. */
	port: number | null;
	host: string | null;
	path: string | null;
	/** The address behind `host`, `::` or `0.0.0.0` where none was given; null for a unix socket. Earlier versions do not say. */
	address?: string | null | undefined;
	/** The next worker can listen at the same place beside this one: neither port 0, exclusive nor a descriptor. */
	repeatable?: boolean | undefined;
	/** Private socket of the same server, once it listens; null where it could not be opened. */
	probe: string | null;
	/** The gate does not hold it (exclusive, reusePort, a descriptor): it is public at once. */
	direct: boolean;
	protocol: ListenProtocol;
	/** Accepts public connections. */
	live: boolean;
}

export interface WorkerStatus {
	id: string;
	pid: number;
	/** held: takes no public connection, be it that the gate holds it or that it has not called listen() yet. */
	state: 'held' | 'live' | 'draining';
	listens: ListenStatus[];
	/** Public connections that are open. */
	sockets: number;
	openRequests: number;
	/** Requests answered on public listens since start; for a server that speaks no HTTP, connections that ended. */
	served: number;
	/** Texts of uncaught exceptions and unhandled rejections, at most ten, each at most 2,000 characters. */
	faults: string[];
	/** Ports on which worker threads of it tried to listen, at most ten. Earlier versions do not say. */
	threadPorts?: number[] | undefined;
	/** The app's script has begun; a CommonJS one has been run to its end. Earlier versions do not say. */
	started?: boolean | undefined;
	/** The app has said `process.send('ready')`. Earlier versions do not say. */
	ready?: boolean | undefined;
}

/** Bytes and ms; idle, active and utilization of the event loop since the last report. */
export interface WorkerReport {
	heapTotal: number;
	heapUsed: number;
	externalMemory: number;
	arrayBuffers: number;
	rss: number;
	/** Microseconds of processor time since start, user and system together. */
	cpuMicros: number;
	idle: number;
	active: number;
	utilization: number;
	/** Worst event-loop delay in ms since the last report. */
	loopDelayMaxMs: number;
	/** Only of a worker that counts its answers. Earlier versions do not. */
	traffic?: TrafficReport | undefined;
}

/** Users' requests, their answers of 5xx and those that came late, as a worker counts them; the questions of Rollcall itself are none. */
export interface TrafficReport {
	/** Since its process started. */
	requests: number;
	errors: number;
	/** Late answers, and from when on an answer is late; only of a worker that times them. Earlier versions do not. */
	slow?: number | undefined;
	slowMs?: number | undefined;
	/** The second that has begun, on the monotonic clock that all processes of the host share. */
	second: number;
	/** The finished seconds before it in which requests came; older ones than it has patience for are left out. */
	slices: TrafficSlice[];
}

/** The requests that began in one second. */
export interface TrafficSlice {
	second: number;
	requests: number;
	/** Answered 5xx before the patience with them ended. */
	errors: number;
	/** Answered late, or not answered at all by then. */
	slow?: number | undefined;
	/** Not answered yet. */
	open: number;
}
