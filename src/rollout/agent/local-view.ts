/** A rollout of this node alone, as everyone is shown it. */
import { awaitedHook } from '../controller/hooks.js';
import { afterOf, processesOf, emptyView, hooksOf, releasesOf, revertedBy } from '../views/view-parts.js';
import { judge } from '../targets/proof.js';
import type { OpenRollout } from '../messages.js';
import type { CoreState } from '../state.js';
import { haltText, remarkOn, timeOfDay } from '../views/text.js';
import { recordOf, type Turn } from '../outbox.js';
import type { NodeState, RolloutState, RolloutView } from '../types.js';

export function localViewOf(turn: Turn, open: OpenRollout): RolloutView {
	const { state } = turn;
	const { self } = state.settings;
	const { spec, flags } = open;
	const record = recordOf(state, spec.id);
	const runs = state.execution?.rollout === spec.id;
	const nodeState = localNodeState(open, record?.state ?? 'none', record?.attempt ?? 0);
	const verdict = record?.result ? judge(spec, self, record) : null;
	const hook = awaitedHook(open);
	const waiting = hook ?? (runs ? stepText(turn, open) : waitingFor(state, open));
	return {
		...emptyView(spec, self),
		state: localState(open, runs || record?.state === 'restarting' || hook !== null),
		reason: flags.halted === null ? null : haltText(flags),
		reverted_by: revertedBy(open),
		...hooksOf(flags),
		waiting_for: waiting,
		nodes: [
			{
				node: self,
				state: nodeState,
				attempt: flags.attempt,
				before: record ? processesOf(spec, record.before) : null,
				after: record ? afterOf(spec, record) : null,
				release: record ? releasesOf(spec, record) : { before: null, after: null },
				started_at: record?.startedAt ?? null,
				back_at: record?.state === 'back' ? record.endedAt : null,
				ended_at: record?.endedAt ?? null,
				reason: verdict?.reason ?? remarkOn(record),
				...(record?.hooks ? { hooks: record.hooks } : {}),
			},
		],
	};
}

function stepText({ state, now, wall }: Turn, { spec }: OpenRollout): string {
	const since = state.execution?.since;
	const until = since === undefined ? '' : `, until ${timeOfDay(wall + since + spec.deadlineMs - now)}`;
	return `${state.settings.self}: ${state.execution?.progress ?? 'restarting'}${until}`;
}

function localState(open: OpenRollout, runs: boolean): RolloutState {
	if (open.flags.halted !== null) return 'halted';
	if (open.flags.paused) return 'paused';
	return runs ? 'running' : 'planned';
}

function localNodeState(open: OpenRollout, state: string, attempt: number): NodeState {
	switch (state) {
		case 'restarting':
			return 'restarting';
		case 'back':
			return 'back';
		case 'refused':
		case 'failed':
			return attempt < open.flags.attempt ? 'pending' : state;
		default:
			return 'pending';
	}
}

function waitingFor(state: CoreState, open: OpenRollout): string | null {
	if (open.flags.halted !== null) return 'an operator: resume_rollout, abort_rollout, or a new rollout';
	if (open.flags.paused) return 'an operator: resume_rollout or abort_rollout';
	const before = state.execution?.rollout;
	return before && before !== open.spec.id ? `rollout ${before} before it` : null;
}
