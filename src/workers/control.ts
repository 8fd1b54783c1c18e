/**
 * The words spoken on a worker's control socket: JSON lines, one object a line, over the private unix socket that the
 * preload opens inside every Node worker. The supervisor asks with a sequence number, the worker answers with the same
 * number; what happens in between is pushed. Losing the connection means that the process is gone.
 */

/** Handed to a worker in the environment variable {@link preloadVariable} as JSON; the preload takes it out again. */
export interface PreloadSettings {
	/** Worker id, `<app>-<number>`. */
	id: string;
	/** Folder of the private sockets and approvals; short, since a socket path has at most 107 bytes. */
	directory: string;
	/** false: the app listens at once (`gate: false`); drain and report still work. */
	gate: boolean;
	/** Host port → inherited listening descriptor is the host's business; nothing of it here. */
	reportIntervalMs: number;
}

export const preloadVariable = 'ROLLCALL_WORKER';

/** `<directory>/<id>.<pid>.ctl`: control socket. `<directory>/<id>.<pid>.<n>.sock`: the private probe socket of its n-th listen. */
export const controlSocketPath = (directory: string, id: string, pid: number): string =>
	`${directory}/${id}.${pid}.ctl`;
/** A file that exists once this worker id was proven with this release; a worker that PM2 restarts then joins by itself. */
export const approvalPath = (directory: string, id: string): string => `${directory}/${id}.ok`;

export type ControlCommand =
	| { seq: number; command: 'status' }
	/** Join the public listening. Answers when every listen is up, or with the error (EADDRINUSE included). */
	| { seq: number; command: 'live' }
	/** Stop accepting, finish what is open, leave. After `timeoutMs` what is left is ended and counted. */
	| { seq: number; command: 'drain'; timeoutMs: number; handOver: boolean };

export type ControlAnswer =
	| { seq: number; ok: true; status: WorkerStatus }
	| { seq: number; ok: false; error: string; code: string | null; status: WorkerStatus };

export type ControlPush =
	/** The app called listen() and is held (or live). */
	| { event: 'listening'; status: WorkerStatus }
	/** Uncaught exception or unhandled rejection: an ESM app that failed to load stays alive as a zombie. */
	| { event: 'fault'; message: string; status: WorkerStatus }
	| { event: 'report'; report: WorkerReport; status: WorkerStatus }
	/** Last words before the process leaves by its own will. */
	| { event: 'drained'; cutOff: number; handedOver: number };

export interface WorkerStatus {
	id: string;
	pid: number;
	state: 'held' | 'live' | 'draining';
	listens: { port: number | null; host: string | null; path: string | null; probe: string | null; live: boolean }[];
	sockets: number;
	openRequests: number;
	/** Requests answered on public listens since start. */
	served: number;
	/** Texts of uncaught exceptions and unhandled rejections, at most ten, each at most 2,000 characters. */
	faults: string[];
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
}
