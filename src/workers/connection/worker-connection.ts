import type { EventEmitter } from 'node:events';
import type { WorkerReport } from './control.js';
import type { HealthCheck } from '../health/health-check.js';
import type { SeenListener } from '../health/listeners.js';

/** The answer to "are you well?", in words for an operator where it is no. */
export interface Probe {
	healthy: boolean;
	detail: string;
	/** Where it listens; of a program without preload nothing is known. */
	listeners?: SeenListener[];
	/** The ports that this answer proves. */
	ports?: number[];
}

/** What a worker says of itself. */
export interface ConnectionStatus {
	/** Takes public connections. */
	joined: boolean;
	/** It called listen() at all. */
	listening: boolean;
	/** Public requests answered since its start. */
	served: number;
	/** Texts of uncaught errors. */
	faults: readonly string[];
	listeners: SeenListener[];
}

export type JoinResult = { ok: true } | { ok: false; code: string | null; detail: string };

export interface ConnectionEvents {
	listening: [];
	/** An exception or rejection was not caught. */
	fault: [string];
	report: [WorkerReport];
	/** Its drain ended; so many requests or connections had to be cut off. */
	drained: [number];
	/** The process is gone. */
	closed: [];
}

/** The supervisor's line to one running process, be it a Node worker with the preload or any other program. */
export interface WorkerConnection extends EventEmitter<ConnectionEvents> {
	probe(check: HealthCheck): Promise<Probe>;
	status(): Promise<ConnectionStatus>;
	/** Lets it take public connections; programs without a gate do so by themselves. */
	join(): Promise<JoinResult>;
	/** Asks it to drain; returns false if it cannot be asked, and a signal is needed instead. */
	drain(timeoutMs: number): Promise<boolean>;
	close(): void;
}
