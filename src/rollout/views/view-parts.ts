/** The parts that every view of a rollout is made of. */
import { coversApp, scopeOf } from '../targets/scope.js';
import { orderOf } from '../targets/order.js';
import { inScope } from '../targets/proof.js';
import { isSelected, whyUntouched } from '../targets/selection.js';
import { haltText } from './text.js';
import type { OpenRollout, RolloutFlags } from '../messages.js';
import type { Releases } from '../../workers/types.js';
import type {
	HookRun,
	NodeName,
	NodeRecord,
	NodeReleases,
	RolloutHooks,
	RolloutId,
	RolloutSpec,
	RolloutState,
	RolloutView,
	Snapshot,
} from '../types.js';

export type ViewNode = RolloutView['nodes'][number];

export function stateOf(open: OpenRollout): RolloutState {
	if (open.flags.halted !== null) return 'halted';
	return open.flags.paused ? 'paused' : 'running';
}

export function emptyView(spec: RolloutSpec, coordinator: string): RolloutView {
	const all = orderOf(spec.members, new Set(), coordinator);
	const order = all.filter((node) => isSelected(spec, node));
	const untouched = all.filter((node) => !isSelected(spec, node));
	const nodes = [
		...order.map((node) => emptyNode(node, { state: 'pending', reason: null })),
		...untouched.map((node) => emptyNode(node, { state: 'skipped', reason: whyUntouched(spec, node) })),
	];
	return { ...headOf(spec, coordinator), order, nodes };
}

const emptyNode = (node: NodeName, stands: Pick<ViewNode, 'state' | 'reason'>): ViewNode => ({
	node,
	attempt: 1,
	before: null,
	after: null,
	release: { before: null, after: null },
	started_at: null,
	back_at: null,
	ended_at: null,
	...stands,
});

/** Why it makes no progress, by its stored flags; null if it does. */
export function reasonOf({ spec, flags }: OpenRollout): string | null {
	if (flags.halted !== null) return haltText(flags);
	if (flags.aborting) return `being aborted by ${flags.aborting.by}`;
	if (!isHeld(flags)) return null;
	const targets = spec.members.length - (spec.unselected?.length ?? 0);
	return `held after ${spec.holdAfter ?? 0} of ${targets} nodes, as hold_after asked; resume_rollout continues with the others, abort_rollout ends the rollout`;
}

/** The rollout that is about to undo it; null: none is. */
export function revertedBy({ spec, flags }: OpenRollout): RolloutId | null {
	const isDue = flags.revert === 'due' && flags.halted !== null && flags.aborting === null;
	return isDue ? (spec.revertAs ?? null) : null;
}

export const isHeld = ({ paused, held, halted, aborting }: RolloutFlags): boolean =>
	paused && held === 'on' && halted === null && aborting === null;

/** As a rollout is kept once it has ended: nothing is waited for any more, and what had not begun never will. */
export function endedView(
	last: RolloutView,
	state: 'completed' | 'aborted',
	reason: string | null,
	wall: number,
	revertedBy: RolloutId | null = null,
): RolloutView {
	const nodes = last.nodes.map((node) => (node.state === 'pending' ? { ...node, state: 'skipped' as const } : node));
	const hooks = last.hooks ? { hooks: endedHooks(last.hooks) } : {};
	return {
		...last,
		nodes,
		state,
		reason,
		waiting_for: null,
		held: false,
		reverted_by: revertedBy,
		ended_at: wall,
		...hooks,
	};
}

/** One that still runs is not waited for, so how it ends is not known. */
function endedHooks({ before_rollout: before, after_rollout: after }: RolloutHooks): RolloutHooks {
	const ended = (run: HookRun): HookRun => (run.state === 'running' ? { ...run, state: 'unknown' } : run);
	return { ...(before ? { before_rollout: ended(before) } : {}), ...(after ? { after_rollout: ended(after) } : {}) };
}

/** Those that were recorded, without what only a coordinator needs; left out if there is none. */
export function hooksOf({ hooks }: RolloutFlags): Pick<RolloutView, 'hooks'> {
	if (!hooks) return {};
	const { before_rollout: before, after_rollout: after } = hooks;
	return {
		hooks: {
			...(before ? { before_rollout: shownRun(before) } : {}),
			...(after ? { after_rollout: shownRun(after) } : {}),
		},
	};
}

const shownRun = ({ state, node, detail, accepted }: HookRun): HookRun => ({
	state,
	node,
	detail,
	...(accepted === undefined ? {} : { accepted }),
});

/** What does not change, and what a rollout is shown with before anything is known of it. */
export function headOf(spec: RolloutSpec, coordinator: string): RolloutView {
	return {
		id: spec.id,
		type: spec.type,
		service: spec.service,
		...scopeOf(spec),
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
		note: spec.note ?? null,
		hold_after: spec.holdAfter ?? 0,
		held: false,
		selected: spec.selected ?? { nodes: null, zone: null },
		asked_by: { user: spec.user, from: spec.from ?? null },
		reverts: spec.reverts ?? null,
		reverted_by: null,
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

/** Of the apps that the rollout concerns. */
export function releasesOf(spec: RolloutSpec, record: NodeRecord): NodeReleases {
	const inScope = (releases: Releases | undefined): Releases | null => {
		if (!releases) return null;
		return Object.fromEntries(Object.entries(releases).filter(([name]) => coversApp(spec, name)));
	};
	return { before: inScope(record.before?.releases), after: inScope(record.result?.after?.releases) };
}

export function afterOf(spec: RolloutSpec, record: NodeRecord): ViewNode['after'] {
	return processesOf(spec, record.result?.after ?? null);
}
