/**
 * A rollout's own time, in which its steps and its end are stamped: it begins with the moment that is stamped as its creation and
 * runs by this node's monotonic clock. A wall clock that is set meanwhile changes neither what came first nor how long it took.
 */
import type { Turn } from './outbox.js';
import type { CoreState } from './state.js';
import type { NodeRecord, RolloutId, RolloutSpec, RolloutView } from './types.js';

/** The same moment in the rollout's time and on the own monotonic clock. */
export interface Anchor {
	wall: number;
	now: number;
}

type At = Pick<Turn, 'state' | 'now' | 'wall'>;

/** Beyond this those of rollouts that are not open are forgotten. */
const anchorsMax = 64;

/** From here on the rollout's time is known; it does not change what was known. */
export function beginTime({ state, now }: Pick<Turn, 'state' | 'now'>, id: RolloutId, wall: number): void {
	if (state.anchors[id]) return;
	if (Object.keys(state.anchors).length >= anchorsMax) forgetEnded(state);
	state.anchors[id] = { wall, now };
}

function forgetEnded({ anchors, durable, start }: CoreState): void {
	for (const id of Object.keys(anchors))
		if (id !== start?.id && !durable.open.some(({ spec }) => spec.id === id)) delete anchors[id];
}

/** A rollout that this node has heard of just now; one that has had a change since it began is older than that. */
export function hearOfTime(
	at: At,
	{ spec, flags }: { spec: RolloutSpec; flags: { attempt: number; version: { n: number } } },
): void {
	const isNew = flags.attempt === 1 && flags.version.n === 0;
	beginTime(at, spec.id, isNew ? spec.createdAt : Math.max(spec.createdAt, at.wall));
}

/** What was open when the daemon ended: its time goes on behind all that is known of it, with the wall clock if that is later. */
export function resumeTimes(at: At): void {
	const { open, records } = at.state.durable;
	for (const { spec } of open) {
		const record = records.find(({ rollout }) => rollout === spec.id);
		const known = [spec.createdAt, record?.startedAt ?? 0, record?.endedAt ?? 0];
		beginTime(at, spec.id, Math.max(at.wall, ...known));
	}
}

/** Nothing is stamped with an earlier time than what was shown of the rollout. */
export function catchUpTime(at: At, view: RolloutView): void {
	const stamps = view.nodes.flatMap(({ started_at: started, back_at: back }) => [started ?? 0, back ?? 0]);
	const latest = Math.max(view.created_at, ...stamps);
	if (timeOf(at, view.id) < latest) at.state.anchors[view.id] = { wall: latest, now: at.now };
}

/** ms since 1970 in the rollout's own time. */
export function timeOf({ state, now, wall }: At, id: RolloutId): number {
	const anchor = state.anchors[id];
	return anchor ? Math.round(anchor.wall + (now - anchor.now)) : wall;
}

/** When a step that began at `started` was over: the node that took it knows how long that was, its clock may be another. */
export function stepEnd(
	started: number | null,
	{ startedAt, endedAt }: Pick<NodeRecord, 'startedAt' | 'endedAt'>,
): number | null {
	if (started === null || endedAt === null) return endedAt;
	return started + Math.max(0, endedAt - startedAt);
}
