import { findMarked, type ProcessIdentity } from '../system/marked-processes.js';
import type { HostHome } from './home.js';
import type { WorkerIdentity } from './types.js';

/** A worker whose host died. */
export interface Orphan extends WorkerIdentity {
	/** The resolved script that it was started with. */
	release: string;
	/** It has no preload. */
	fork: boolean;
	/** Where it listens, as it was told; null for one with a preload. */
	port: number | null;
}

/**
 * Workers of this home that live without its host, as their own environment says. To be asked by a process of the
 * workers' user: nobody else may look.
 */
export function findOrphans(home: Pick<HostHome, 'pids'>, hostPid: number | null): Orphan[] {
	const isOurs = ({ pm2_env: description, pm_pid_path: pidFile = '' }: Record<string, string>): boolean =>
		description?.includes(`${home.pids}/`) ?? pidFile.startsWith(`${home.pids}/`);
	return findMarked(isOurs, hostPid).flatMap(({ pid, started, command, environment }) => {
		const description = environment['pm2_env'];
		const orphan = { pid, started, ...(description === undefined ? forked(environment) : clustered(description)) };
		// What an app itself has started inherits its variables, but runs something else.
		return isWhole(orphan) && (!orphan.fork || command.includes(orphan.release)) ? [orphan] : [];
	});
}

/** A cluster worker is told what it is in one variable, which it keeps from those that it starts. */
function clustered(description: string): Partial<Orphan> {
	try {
		const { name, pm_exec_path } = JSON.parse(description) as Record<string, string>;
		return { ...(name && pm_exec_path ? { id: name, release: pm_exec_path } : {}), fork: false, port: null };
	} catch {
		return {};
	}
}

function forked({ name, pm_exec_path, PORT }: Record<string, string>): Partial<Orphan> {
	const port = Number(PORT);
	return {
		...(name && pm_exec_path ? { id: name, release: pm_exec_path } : {}),
		fork: true,
		port: Number.isInteger(port) && port > 0 ? port : null,
	};
}

const isWhole = (orphan: Partial<Orphan>): orphan is Orphan =>
	orphan.id !== undefined && orphan.release !== undefined && orphan.fork !== undefined;

/** What a control plane says when it wants an orphan of another user ended. */
export interface OrphanSignal {
	orphan: ProcessIdentity;
	signal: NodeJS.Signals;
}

export function isOrphanSignal(request: unknown): request is OrphanSignal {
	const { orphan, signal } = (request ?? {}) as { orphan?: { pid?: unknown; started?: unknown }; signal?: unknown };
	return (
		Number.isSafeInteger(orphan?.pid) &&
		Number(orphan?.pid) > 1 &&
		Number.isSafeInteger(orphan?.started) &&
		(signal === 'SIGTERM' || signal === 'SIGKILL')
	);
}
