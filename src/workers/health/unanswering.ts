/** What to make of a worker that may not answer any more. */
import { readProcessStat } from '../../system/proc/process.js';
import type { Worker } from '../pool/worker.js';

/** A program that is stopped (SIGSTOP) hears of no signal but SIGKILL, and finishes nothing. */
export function isStopped({ identity }: Pick<Worker, 'identity'>): boolean {
	return identity !== null && readProcessStat(identity.pid)?.state === 'T';
}

/** Its probes fail, or it was never proven: if it does not answer it has nothing to finish. An orphan was proven once. */
export function isInDoubt({ hasJoined, healthy, approved, pmId }: Worker): boolean {
	return hasJoined ? !healthy : !approved && pmId !== null;
}
