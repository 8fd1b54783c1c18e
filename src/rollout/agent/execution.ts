/**
 * What a node does with a grant: store `restarting` and the set before, do the step, judge its evidence, store that,
 * tell the coordinator. One step at a time; after a crash in the middle it goes forward.
 */
import { beginHook, onHookEnded, recoverHook, type StepParts } from './hooks.js';
import { nextBegun } from '../records.js';
import { compareEpochs, compareVersions } from '../../coordination/epoch.js';
import type { Version, OpenRollout, RolloutEvent, RolloutMessage } from '../messages.js';
import { judge } from '../targets/proof.js';
import { isSelected } from '../targets/selection.js';
import { endedHereOf, note, recordOf, store, type Turn } from '../outbox.js';
import type { Epoch, NodeName, NodeRecord, RolloutId, RolloutSpec, Snapshot, StepResult } from '../types.js';
import type { Execution } from '../state.js';
import { timeOf } from '../times.js';
import { hasEnded, isShared, openOf, toldEndings } from '../../coordination/port.js';

interface GrantReceived {
	rollout: RolloutId;
	epoch: Epoch;
	version: Version;
	attempt: number;
}

/** A grant from a coordinator, this node itself included. */
export function onRestart(turn: Turn, from: NodeName, message: Extract<RolloutMessage, { kind: 'restart' }>): void {
	const { state } = turn;
	if (!state.coordination.votes()) return;
	if (hasEnded(state, message.rollout) && from !== state.settings.self) {
		turn.command({ kind: 'tell', to: from, endings: toldEndings(state, [message.rollout]) });
	}
	// A step that begins is reported once that is on disk.
	if (!takeGrant(turn, message)) turn.command({ kind: 'report' });
}

/** Begins if everything allows it; false: it did not. */
function takeGrant(turn: Turn, grant: GrantReceived): boolean {
	const { state } = turn;
	const open = openOf(state, grant.rollout);
	if (!open || !isAllowed(turn, open, grant)) return false;
	if (state.execution) {
		if (state.execution.rollout !== grant.rollout) state.deferred = grant;
		return false;
	}
	state.execution = {
		...grant,
		phase: 'snapshot',
		since: turn.now,
		sinceWall: timeOf(turn, grant.rollout),
		progress: null,
	};
	turn.effects.push({ kind: 'take_snapshot', rollout: grant.rollout, attempt: grant.attempt });
	return true;
}

function isAllowed(turn: Turn, open: OpenRollout, grant: GrantReceived): boolean {
	const { state } = turn;
	if (compareEpochs(grant.epoch, state.coordination.fence()) < 0) return false;
	if (compareVersions(grant.version, open.flags.version) !== 0) return false;
	if (open.flags.halted !== null || open.flags.paused || open.flags.aborting) return false;
	if (open.flags.skipped.includes(state.settings.self)) return false;
	if (!isSelected(open.spec, state.settings.self)) return false;
	if (endedHereOf(state, grant.rollout)) return false;
	const record = recordOf(state, grant.rollout);
	if (!record) return true;
	return ['refused', 'failed', 'lost'].includes(record.state) && record.attempt < grant.attempt;
}

/** The set before is known: from here on the node is out, and says so on disk first. */
export function onSnapshot(turn: Turn, rollout: RolloutId, attempt: number, snapshot: Snapshot): void {
	const { state } = turn;
	const execution = state.execution;
	const open = openOf(state, rollout);
	if (!execution || execution.rollout !== rollout || execution.attempt !== attempt) return;
	if (execution.phase !== 'snapshot') return;
	const { epoch, version } = execution;
	if (!open || (epoch && version && !isAllowed(turn, open, { rollout, attempt, epoch, version }))) {
		state.execution = null;
		turn.command({ kind: 'report' });
		return;
	}
	const before = withFirstReleases(snapshot, recordOf(state, rollout));
	begin(turn, open.spec, { rollout, attempt, epoch, before });
	execution.phase = 'running';
	turn.command({ kind: 'report' });
}

function replace(turn: Turn, record: NodeRecord, how: { recovered: boolean; refused?: string }): void {
	const spec = specOf(turn, record.rollout);
	const { attempt, before } = record;
	if (spec && before) turn.effects.push({ kind: 'run_step', spec, attempt, before, ...how });
}

/** What ran before the first attempt: one that failed may have left workers of the new release. */
export function withFirstReleases(snapshot: Snapshot, earlier: Pick<NodeRecord, 'before'> | undefined): Snapshot {
	const releases = earlier?.before?.releases;
	return releases ? { ...snapshot, releases } : snapshot;
}

function begin(
	turn: Turn,
	spec: RolloutSpec,
	step: { rollout: RolloutId; attempt: number; epoch: Epoch | null; before: Snapshot },
): void {
	const begun = nextBegun(turn.state.durable.records);
	const times = { startedAt: turn.state.execution?.sinceWall ?? turn.wall, endedAt: null };
	const record: NodeRecord = { ...step, ...times, state: 'restarting', begun, result: null };
	const isHooked = beginHook(turn, spec, record, 'before_node');
	if (!isHooked) store(turn, { kind: 'record', record });
	note(turn, 'step_begun', { rollout: spec.id, attempt: step.attempt });
	if (!isHooked) replace(turn, record, { recovered: false });
}

export function onProgress(turn: Turn, rollout: RolloutId, attempt: number, text: string): void {
	const execution = turn.state.execution;
	if (!execution || execution.rollout !== rollout || execution.attempt !== attempt) return;
	if (execution.progress === text) return;
	execution.progress = text;
	turn.command({ kind: 'report' });
}

/** The executor has ended: the facts are judged here first, then stored, then told. */
export function onStepEnded(turn: Turn, rollout: RolloutId, attempt: number, result: StepResult): void {
	const { state } = turn;
	const record = recordOf(state, rollout);
	if (state.execution?.rollout !== rollout || state.execution.attempt !== attempt) return;
	if (!record || record.attempt !== attempt) return;
	const known = specOf(turn, rollout);
	const proven = { ...record, result };
	const isBack = judgeOwn(turn, known, proven) === 'back';
	if (isBack && known && beginHook(turn, known, proven, 'after_node')) turn.command({ kind: 'report' });
	else settle(turn, record, result);
}

/** The end of the step follows from its evidence. */
function settle(turn: Turn, record: NodeRecord, result: StepResult): void {
	const { state } = turn;
	if (!state.execution) return;
	const { rollout, attempt } = record;
	const known = specOf(turn, rollout);
	const endedAt = endOfStep(turn, state.execution, record);
	state.execution = null;
	const verdict = judgeOwn(turn, known, { ...record, result });
	store(turn, { kind: 'record', record: { ...record, result, state: verdict, endedAt } });
	note(turn, 'step_done', { rollout, attempt, state: verdict, cut_off: result.cutOff });
	turn.command({ kind: 'report' });
	// The end of a rollout comes before the next step begins.
	if (known && !isShared(known)) turn.facts.push({ kind: 'local_step_ended', rollout: known.id });
	else nextStep(turn);
}

const parts = (turn: Turn): StepParts => ({
	replace: (record, how) => replace(turn, record, how),
	settle: (record, result) => settle(turn, record, result),
});

/** A hook has ended: of this node's step, or of a rollout. */
export function onHookEnd(turn: Turn, event: Extract<RolloutEvent, { kind: 'hook_ended' }>): void {
	onHookEnded(turn, event, parts(turn));
	turn.command({ kind: 'report' });
}

/** As long after its beginning as it took by the monotonic clock, whatever became of the wall clock. */
const endOfStep = ({ now }: Turn, { since, sinceWall }: Execution, { startedAt }: NodeRecord): number =>
	Math.round(Math.max(startedAt, sinceWall + (now - since)));

function judgeOwn(turn: Turn, spec: RolloutSpec | undefined, record: NodeRecord): 'back' | 'refused' | 'failed' {
	const { state } = turn;
	if (!spec) return record.result?.outcome ?? 'failed';
	return judge(spec, state.settings.self, record).state;
}

/** After a step, or a start: what was left in the middle goes first, then a grant that had to wait. */
export function nextStep(turn: Turn): void {
	const { state } = turn;
	if (state.execution) return;
	const left = state.durable.records.find((record) => record.state === 'restarting');
	if (left && recover(turn, left)) return;
	const grant = state.deferred;
	if (!grant) return;
	state.deferred = null;
	takeGrant(turn, grant);
}

/** The daemon died during this step: its executor adopts the new workers and replaces the remaining old ones. */
function recover(turn: Turn, record: NodeRecord): boolean {
	const { state } = turn;
	const spec = specOf(turn, record.rollout);
	if (!spec || !record.before) return false;
	state.execution = {
		rollout: record.rollout,
		attempt: record.attempt,
		epoch: record.epoch,
		version: null,
		phase: 'running',
		since: turn.now,
		sinceWall: timeOf(turn, record.rollout),
		progress: null,
	};
	if (!recoverHook(turn, record, parts(turn))) replace(turn, record, { recovered: true });
	return true;
}

function specOf(turn: Turn, rollout: RolloutId): RolloutSpec | undefined {
	const { state } = turn;
	return openOf(state, rollout)?.spec ?? state.durable.unfinished.find((one) => one.id === rollout);
}

/**
 * This node lost its state while these were open, so it may have had its turn in them: a second one is never taken, and an
 * operator has to judge.
 */
export function noteLostTurns(turn: Turn, rollouts: readonly OpenRollout[]): void {
	const { durable, settings } = turn.state;
	for (const { spec } of rollouts) {
		const attempt = openOf(turn.state, spec.id)?.flags.attempt;
		const record = recordOf(turn.state, spec.id);
		const isTarget = spec.members.some((member) => member.name === settings.self) && isSelected(spec, settings.self);
		if (!isTarget || attempt === undefined || (record && (record.state !== 'lost' || record.attempt >= attempt)))
			continue;
		const when = { startedAt: turn.wall, endedAt: turn.wall, begun: nextBegun(durable.records) };
		const nothing = { epoch: null, before: null, result: null };
		store(turn, { kind: 'record', record: { rollout: spec.id, state: 'lost', attempt, ...when, ...nothing } });
		note(turn, 'turn_lost', { rollout: spec.id, attempt });
	}
}
