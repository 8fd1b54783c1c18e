import { findMarked } from '../../system/proc/process-tree.js';
import type { ProcessIdentity } from '../../system/proc/process.js';
import type { HostHome } from './home.js';
import type { WorkerIdentity } from '../types.js';
import { isWorkerId } from '../pool/worker-id.js';
import { pathCharactersMax, revisionVariable } from './releases.js';

/** A worker whose host died. */
export interface Orphan extends WorkerIdentity {
	/** The resolved script that it was started with. */
	release: string;
	/** Not told by a host of an earlier version, nor of a worker that such a host started. */
	revision?: string | null | undefined;
	/** It has no preload. */
	fork: boolean;
	/** Where it listens, as it was told; null for one with a preload. */
	port: number | null;
}

/**
 * Workers of this home that live without its host, as their own environment says. To be asked by a process of the
 * workers' user: no other may look.
 */
export function findOrphans(home: Pick<HostHome, 'pids'>, hostPid: number | null): Orphan[] {
	const isOurs = ({ pm2_env: description, pm_pid_path: pidFile = '' }: Record<string, string>): boolean =>
		description?.includes(`${home.pids}/`) ?? pidFile.startsWith(`${home.pids}/`);
	return findMarked(isOurs, hostPid).flatMap(({ pid, started, command, environment }) => {
		const description = environment['pm2_env'];
		const orphan = { pid, started, ...(description === undefined ? forked(environment) : clustered(description)) };
		// What an app itself has started inherits its variables, but runs something else.
		return isWhole(orphan) && (!orphan.fork || runs(command, orphan.release)) ? [orphan] : [];
	});
}

/** By its path, or, where another Node is the interpreter, by way of PM2's container. */
const runs = (command: readonly string[], script: string): boolean =>
	command.some((word) => word === script || word.endsWith('/pm2/lib/ProcessContainerFork.js'));

/** The variable that marks a cluster worker; the worker does not pass it to its own children. */
function clustered(description: string): Partial<Orphan> {
	try {
		return { ...started(JSON.parse(description) as Record<string, string>), fork: false, port: null };
	} catch {
		return {};
	}
}

function forked(environment: Record<string, string>): Partial<Orphan> {
	const port = Number(environment['PORT']);
	return {
		...started(environment),
		fork: true,
		port: Number.isInteger(port) && port > 0 ? port : null,
	};
}

/** What PM2 has told the process of itself. */
function started({ name, pm_exec_path, [revisionVariable]: revision }: Record<string, string>): Partial<Orphan> {
	if (!name || !pm_exec_path) return {};
	return { id: name, release: pm_exec_path, ...(revision === undefined ? {} : { revision }) };
}

const isWhole = (orphan: Partial<Orphan>): orphan is Orphan =>
	orphan.id !== undefined && orphan.release !== undefined && orphan.fork !== undefined;

/** What a control plane says when it wants an orphan of another user ended. */
export interface OrphanSignal {
	orphan: ProcessIdentity;
	signal: 'SIGTERM' | 'SIGKILL';
}

/** What it asks when it may not see which sockets another user's process holds. */
export interface SocketQuestion {
	holder: ProcessIdentity;
	inodes: readonly number[];
}

export function isOrphan(value: unknown): value is Orphan {
	const { id, release, port, fork } = fieldsOf(value);
	if (typeof id !== 'string' || !isWorkerId(id) || typeof release !== 'string' || typeof fork !== 'boolean')
		return false;
	if (release.length > pathCharactersMax) return false;
	return (port === null || isPort(port)) && isIdentity(value);
}

export function isOrphanSignal(request: unknown): request is OrphanSignal {
	const { orphan, signal } = fieldsOf(request);
	return isIdentity(orphan) && (signal === 'SIGTERM' || signal === 'SIGKILL');
}

export function isSocketQuestion(request: unknown): request is SocketQuestion {
	const { holder, inodes } = fieldsOf(request);
	return isIdentity(holder) && Array.isArray(inodes) && inodes.every((inode) => Number.isSafeInteger(inode));
}

const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) > 0 && Number(value) <= 65_535;

/** Process 1 is no worker. */
function isIdentity(value: unknown): value is ProcessIdentity {
	const { pid, started } = fieldsOf(value);
	return Number.isSafeInteger(pid) && Number(pid) > 1 && Number.isSafeInteger(started);
}

function fieldsOf(value: unknown): Record<string, unknown> {
	return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
