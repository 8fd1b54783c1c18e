/** The parts that every view of a rollout is made of. */
import { orderOf } from '../targets/order.js';
import { inScope } from '../targets/proof.js';
import type { OpenRollout } from '../messages.js';
import type { NodeRecord, RolloutSpec, RolloutState, RolloutView, Snapshot } from '../types.js';

export type ViewNode = RolloutView['nodes'][number];

export function stateOf(open: OpenRollout): RolloutState {
	if (open.flags.halted !== null) return 'halted';
	return open.flags.paused ? 'paused' : 'running';
}

export function emptyView(spec: RolloutSpec, coordinator: string): RolloutView {
	const order = orderOf(spec.members, new Set(), coordinator);
	const nodes = order.map(
		(node): ViewNode => ({
			node,
			state: 'pending',
			attempt: 1,
			before: null,
			after: null,
			started_at: null,
			back_at: null,
			ended_at: null,
			reason: null,
		}),
	);
	return { ...headOf(spec, coordinator), order, nodes };
}

/** As a rollout is kept once it has ended: nothing is waited for any more, and what had not begun never will. */
export function endedView(
	last: RolloutView,
	state: 'completed' | 'aborted',
	reason: string | null,
	wall: number,
): RolloutView {
	const nodes = last.nodes.map((node) => (node.state === 'pending' ? { ...node, state: 'skipped' as const } : node));
	return { ...last, nodes, state, reason, waiting_for: null, ended_at: wall };
}

/** What does not change, and what a rollout is shown with before anything is known of it. */
export function headOf(spec: RolloutSpec, coordinator: string): RolloutView {
	return {
		id: spec.id,
		type: spec.type,
		service: spec.service,
		app: spec.app,
		replicated: spec.replicated,
		user: spec.user,
		state: 'running',
		reason: null,
		waiting_for: null,
		coordinator,
		epoch: null,
		max_unavailable: spec.maxUnavailable,
		order: [],
		nodes: [],
		created_at: spec.createdAt,
		ended_at: null,
	};
}

export function processesOf(
	spec: RolloutSpec,
	snapshot: Pick<Snapshot, 'boot' | 'workers'> | null,
): ViewNode['before'] {
	if (!snapshot) return null;
	const workers = inScope(spec, snapshot.workers).map(({ id, pid, started }) => ({ id, pid, started }));
	return { boot: snapshot.boot, workers };
}

export function afterOf(spec: RolloutSpec, record: NodeRecord): ViewNode['after'] {
	return processesOf(spec, record.result?.after ?? null);
}
