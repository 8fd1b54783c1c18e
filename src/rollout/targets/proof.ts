/** What a step's facts prove. An acknowledgement, an open port, a callback or a timer prove nothing. */
import type { ProvenWorker, RequiredPorts, WorkerIdentity } from '../../workers/types.js';
import { coversApp, type Scope } from './scope.js';
import type { NodeName, NodeRecord, RolloutSpec, Service, Snapshot, StepResult } from '../types.js';

export interface Verdict {
	state: 'back' | 'refused' | 'failed';
	/** What is missing, or failed; null for back. */
	reason: string | null;
}

/** Judges a step by its record: `before` is what the node stored, `result` what its executor found at the end. */
export function judge(spec: RolloutSpec, node: NodeName, record: Pick<NodeRecord, 'before' | 'result'>): Verdict {
	const { before, result } = record;
	if (!result) return { state: 'failed', reason: 'there is no evidence' };
	if (!before) return { state: 'failed', reason: 'what ran before was not stored' };
	switch (result.outcome) {
		case 'back': {
			const missing = missingForBack(spec, node, before, result);
			return missing === null ? { state: 'back', reason: null } : { state: 'failed', reason: missing };
		}
		case 'refused': {
			const missing = missingForRefused(spec, before, result);
			const reason = result.reason ?? 'refused without a reason';
			return missing === null ? { state: 'refused', reason } : { state: 'failed', reason: `${reason}; and ${missing}` };
		}
		case 'failed':
			return { state: 'failed', reason: result.reason ?? 'failed without a reason' };
	}
}

type Kind = Service | 'restart';

const kindOf = (spec: RolloutSpec): Kind => (spec.type === 'restart' ? 'restart' : (spec.service ?? 'http_workers'));

function missingForBack(spec: RolloutSpec, node: NodeName, before: Snapshot, result: StepResult): string | null {
	const after = result.after;
	if (!after) return 'there is no evidence of what runs now';
	const kind = kindOf(spec);
	switch (kind) {
		case 'http_workers':
			return missingWorkers(spec, before, result);
		case 'restart':
			if (after.boot <= before.boot) return `the daemon did not restart: boot is ${after.boot}, was ${before.boot}`;
			return missingWorkers(spec, before, result);
		case 'clustering':
			return missingLinks(before, after) ?? changedWorkers(before, after.workers);
		case 'clustering_config': {
			const wanted = spec.configHashes?.[node];
			if (after.configHash === null) return 'no configuration is applied';
			if (wanted !== undefined && after.configHash !== wanted)
				return `the applied configuration (${after.configHash}) is not the one that was checked (${wanted})`;
			return null;
		}
	}
}

function missingWorkers(spec: RolloutSpec, before: Snapshot, result: StepResult): string | null {
	const after = inScope(spec, result.after?.workers ?? []);
	const old = inScope(spec, before.workers);
	const same = after.find((worker) => old.some((one) => sameProcess(one, worker)));
	if (same) return `worker ${same.id} (process ${same.pid}) is not new`;
	if (after.length !== result.wanted) return `${after.length} of ${result.wanted} workers run`;
	const unproven = after.find((worker) => !worker.proven);
	if (unproven) return `worker ${unproven.id} was not proven healthy`;
	const apart = after.find((worker) => !worker.joined);
	if (apart) return `worker ${apart.id} has not joined`;
	const unreached = missingPort(after, result.required ?? []);
	if (unreached !== null) return unreached;
	return result.oldGone ? null : 'workers of the old set still live';
}

/** What users reach: each worker must have been proven on every port that its app needs. */
function missingPort(workers: readonly ProvenWorker[], required: readonly RequiredPorts[]): string | null {
	for (const { app, ports } of required) {
		for (const worker of inScope({ app }, workers)) {
			const missing = ports.find((port) => !worker.ports?.includes(port));
			if (missing !== undefined) return `worker ${worker.id} was not proven on port ${missing}`;
		}
	}
	return null;
}

function missingForRefused(spec: RolloutSpec, before: Snapshot, result: StepResult): string | null {
	const after = result.after;
	if (!after) return 'there is no evidence of what runs now';
	switch (kindOf(spec)) {
		case 'http_workers':
		case 'restart': {
			const healthy = inScope(spec, after.workers).filter((worker) => worker.proven && worker.joined).length;
			if (healthy < result.wanted) return `${healthy} of ${result.wanted} workers are healthy`;
			return result.oldGone ? null : 'workers of the refused set still live';
		}
		case 'clustering':
			return changedWorkers(before, after.workers);
		case 'clustering_config':
			return after.configHash === before.configHash ? null : 'the configuration is neither the old nor the new one';
	}
}

function missingLinks(before: Snapshot, after: Pick<Snapshot, 'links'>): string | null {
	const missing = before.links.find((link) => !after.links.some((one) => one.node === link.node && one.id !== link.id));
	return missing ? `the link to ${missing.node} is not up again` : null;
}

function changedWorkers(before: Snapshot, after: readonly WorkerIdentity[]): string | null {
	const gone = before.workers.find((old) => !after.some((one) => one.pid === old.pid && one.started === old.started));
	return gone ? `worker ${gone.id} (process ${gone.pid}) is gone, although links alone were to be renewed` : null;
}

/** A process id alone is used again by the kernel; together with the start time it is not. */
function sameProcess(a: WorkerIdentity, b: WorkerIdentity): boolean {
	return a.pid === b.pid && a.started === b.started;
}

/** The workers that a rollout covers: all, or those of some apps, whose ids are `<app>-<number>`. */
export function inScope<T extends WorkerIdentity>(spec: Scope, workers: readonly T[]): T[] {
	return workers.filter((worker) => coversApp(spec, worker.id.slice(0, worker.id.lastIndexOf('-'))));
}
