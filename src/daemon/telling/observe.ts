import type { Fleet } from '../../fleet/types.js';
import type { Logger } from '../../log.js';
import type { RolloutView } from '../../rollout/types.js';
import type { Metrics } from '../../system/metrics.js';
import type { Supervisor } from '../../workers/types.js';

/** Most rollouts whose last change is remembered, so that each end is logged once. */
const seenMax = 200;

/** Tells log and metrics what the rooms say happened. */
export function observe(parts: { fleet: Fleet; supervisor: Supervisor; metrics: Metrics; logger: Logger }): void {
	const { fleet, supervisor, metrics } = parts;
	const rollouts = parts.logger.child({ room: 'rollout' });
	const records = parts.logger.child({ room: 'fleet' });
	const workers = parts.logger.child({ room: 'workers' });
	const seen = new Map<string, RolloutView>();
	fleet.on('rollout', (view) => {
		tellChanges(seen.get(view.id), view, metrics, rollouts);
		seen.delete(view.id);
		seen.set(view.id, view);
		for (const id of seen.keys()) {
			if (seen.size <= seenMax) break;
			seen.delete(id);
		}
	});
	fleet.on('recordError', ({ file, reason }) => {
		metrics.recordError('records');
		records.error({ event: 'record_error', file, reason });
	});
	supervisor.on('crashed', ({ worker, app, reason }) =>
		workers.warn({ event: 'worker_crashed', app, worker: worker.id, worker_pid: worker.pid, reason }),
	);
	supervisor.on('restarted', ({ app, id, reason }) => {
		metrics.workerRestarted(app, reason);
		workers.info({ event: 'worker_restarted', app, worker: id, reason });
	});
	supervisor.on('host', ({ user, up, reason }) =>
		workers[up ? 'info' : 'error']({ event: up ? 'host_up' : 'host_down', user, reason }),
	);
	supervisor.on('readiness', (apps) => {
		for (const { app, wanted, healthy, degraded } of apps) {
			if (degraded !== null) workers.warn({ event: 'app_degraded', app, wanted, healthy, reason: degraded });
		}
	});
}

/** How many of the last rollouts are looked at: the one that has not ended is among the newest. */
const rolloutsLookedAt = 10;
const unendedStates: readonly string[] = ['running', 'paused', 'halted'];

/** The one of these that has not ended. */
const unendedIn = (rollouts: readonly RolloutView[]): RolloutView | undefined =>
	rollouts.find(({ state }) => unendedStates.includes(state));

/** The rollout that has not ended. Throws as {@link Fleet.list} does. */
export const unendedRollout = (fleet: Pick<Fleet, 'list'>): RolloutView | undefined =>
	unendedIn(fleet.list(rolloutsLookedAt));

/** The rollout that has not ended, else the newest, for the metrics; null while there is none, or its records cannot be read. */
export function currentRollout(fleet: Pick<Fleet, 'complaint' | 'list'>): { state: string; nodes: string[] } | null {
	if (fleet.complaint() !== null) return null;
	const rollouts = fleet.list(rolloutsLookedAt);
	const rollout = unendedIn(rollouts) ?? rollouts[0];
	return rollout === undefined ? null : { state: rollout.state, nodes: rollout.nodes.map(({ state }) => state) };
}

const levels: Readonly<Partial<Record<RolloutView['state'], 'error' | 'warn'>>> = { halted: 'error', aborted: 'warn' };

function tellChanges(before: RolloutView | undefined, view: RolloutView, metrics: Metrics, logger: Logger): void {
	const base = { rollout: view.id, coordinator: view.coordinator, epoch: view.epoch };
	for (const node of view.nodes) {
		const was = before?.nodes.find((row) => row.node === node.node)?.state ?? 'pending';
		if (node.state === was || node.state === 'pending') continue;
		logger.info({ event: 'node_state', ...base, target: node.node, state: node.state, reason: node.reason });
		if (node.started_at === null || node.state === 'restarting' || node.state === 'skipped') continue;
		const endedAt = node.back_at ?? node.ended_at ?? Date.now();
		metrics.stepEnded(node.state, Math.max(0, (endedAt - node.started_at) / 1000));
	}
	if (before?.state === view.state) return;
	// Aborted: by an operator, or by a fault in a file, which is the only word of it that a reload leaves.
	const level = levels[view.state] ?? 'info';
	const { type, service, user, state, reason } = view;
	logger[level]({ event: 'rollout_state', ...base, type, service, user, state, reason });
	if (view.state === 'completed' || view.state === 'halted' || view.state === 'aborted') {
		metrics.rolloutEnded(view.type, view.state);
	}
}
