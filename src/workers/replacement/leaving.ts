import { sharesPorts } from '../pool/worker-description.js';
import { portOf } from '../pool/places.js';
import type { AppReadiness, ProvenWorker, ReplacementResult, WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';

/** The workers of an app that the configuration no longer has. */
export interface LeavingSet {
	readonly name: string;
	readonly workers: readonly Worker[];
	identities(): ProvenWorker[];
	readiness(): AppReadiness;
	/** Drains every worker; resolves when all have exited, or could not be ended. */
	leave(onProgress: (text: string) => void): Promise<ReplacementResult>;
}

/** Why an app cannot start beside these workers: it has a port for itself, and one of them holds it. null: it can. */
export function portInTheWay(app: WorkerApp, leavers: readonly Worker[]): string | null {
	if (sharesPorts(app)) return null;
	const ports = Array.from({ length: app.instances }, (_, slot) => portOf(app, slot));
	const holder = leavers.find(({ port }) => port !== null && ports.includes(port));
	if (!holder) return null;
	const { name } = holder.app;
	return `port ${holder.port} is held by ${holder.id}, and ${app.interpreter} programs cannot share one: take ${name}, which http_workers no longer has, away first with restart_service service=http_workers app=${name}, or let ${app.name} have another port`;
}
