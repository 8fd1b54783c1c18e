/** Rollouts of this node alone: one after the other, no lease, also in a minority; never beside a replicated one. */
import { endedView, revertedBy } from '../views/view-parts.js';
import {
	acceptHooks,
	endingOf,
	endsLater,
	hookHaltReason,
	isPrepared,
	type Keeper,
	runsHook,
	settleHooks,
} from '../controller/hooks.js';
import { firstFlags } from '../records.js';
import { nextStep } from './execution.js';
import { judge } from '../targets/proof.js';
import type { CheckResult, RolloutEvent, ForwardedWord, OpenRollout, Refusal } from '../messages.js';
import { appNowhere, conflictWith, requestText, specOf } from '../requests/request.js';
import { whyNotAlone } from '../requests/member-change.js';
import { selectionFault } from '../requests/selection.js';
import { isUndo, passedOver, putBackFor, revertRequest, nothingLeft, undoNow } from '../requests/undo.js';
import { notRevertedReason, revertedReason } from '../controller/reasons.js';
import type { Execution, PendingLocal } from '../state.js';
import { clause, mayStillRestart } from '../views/text.js';
import { arm, inTheWayHere, recordOf, store, type Turn } from '../outbox.js';
import { scopeOf } from '../targets/scope.js';
import type { RolloutId, RolloutSpec } from '../types.js';
import { beginTime, timeOf } from '../times.js';
import { viewOf } from '../views/view.js';
import { hasEnded, isShared, openOf } from '../../coordination/port.js';

/** Rollouts of this node alone that may wait. */
export const localQueueMax = 64;

const locals = (turn: Turn): OpenRollout[] => turn.state.durable.open.filter((one) => !isShared(one.spec));

function whyRefused(turn: Turn): Refusal | null {
	const { state } = turn;
	const running = inTheWayHere(state);
	if (running) return conflictWith(running, turn);
	if (state.start)
		return {
			code: 'conflict',
			message: `${requestText(state.start.request)}, replicated, is being started here; wait for its answer`,
			extra: { job_id: state.start.id },
		};
	const waiting = locals(turn).length + state.locals.length;
	if (waiting >= localQueueMax)
		return {
			code: 'unavailable',
			message: `${waiting} rollouts of this node wait already; wait for them, or abort_rollout some`,
			extra: {},
		};
	return null;
}

/** The file is looked at first: a fault is answered, and nothing is started. */
export function onLocalRequest(turn: Turn, event: Extract<RolloutEvent, { kind: 'request' }>): void {
	const { token, id, revertAs } = event;
	const undo = undoNow(turn, event.request);
	const request = isUndo(undo) ? undo.request : event.request;
	const fault = selectionFault(turn.state, request);
	const inTheWay: Refusal | null = fault === null ? whyRefused(turn) : { code: 'invalid', message: fault, extra: {} };
	const refusal = inTheWay ?? (isUndo(undo) ? null : undo);
	if (refusal) turn.effects.push({ kind: 'refuse', token, refusal });
	else lookFirst(turn, { token, id, revertAs, request, undo: isUndo(undo) ? undo.undo : null });
}

function lookFirst(turn: Turn, pending: PendingLocal): void {
	const { state } = turn;
	const { id, request, undo } = pending;
	state.locals.push(pending);
	const about = { service: request.service, ...scopeOf(request), ...putBackFor(undo, state.settings.self) };
	const says = about.putBack ? { dryRun: true as const } : {};
	turn.effects.push({ kind: 'check', rollout: id, ...about, ...says, local: true });
}

export function onLocalChecked(turn: Turn, rollout: RolloutId, result: CheckResult): void {
	const { state } = turn;
	const pending = state.locals.find((one) => one.id === rollout);
	if (!pending) return;
	state.locals = state.locals.filter((one) => one !== pending);
	const { id, request, undo } = pending;
	const { self } = state.settings;
	const isConfig = request.service === 'clustering_config';
	const fault = result.fault ?? appNowhere(request, [result]) ?? (isConfig ? whyNotAlone(turn, result) : null);
	const checks = { [self]: result };
	const isSame = passedOver(undo, checks).includes(self);
	const refusal: Refusal | null =
		fault !== null && !isConfig
			? { code: 'unavailable', message: `${self}: ${fault}`, extra: {} }
			: isSame
				? { code: 'invalid', message: nothingLeft([self]), extra: {} }
				: whyRefused(turn);
	if (refusal) {
		refuse(turn, pending, refusal);
		return;
	}
	const halted = locals(turn).filter((one) => one.flags.halted !== null);
	const full = specOf(state, { ...pending, maxUnavailable: 1, wall: turn.wall, checks });
	const own = full.members.filter((member) => member.name === self);
	const spec = { ...full, members: own, maxUnavailable: 1, membersNext: null, memberHashNext: null };
	beginTime(turn, id, spec.createdAt);
	store(turn, { kind: 'open', spec, flags: firstFlags(null) });
	const open = openOf(state, id);
	if (open && fault !== null) end(turn, open, 'aborted', `${self}: ${fault}`);
	for (const one of halted) endSuperseded(turn, one, spec);
	const { token } = pending;
	if (token !== null) turn.effects.push({ kind: 'answer', token, view: viewOf(state, id, turn) ?? null });
}

/** Of what is undone its own reason stays. */
function endSuperseded(turn: Turn, open: OpenRollout, by: RolloutSpec): void {
	if (by.reverts !== open.spec.id) end(turn, open, 'aborted', `superseded by ${by.id}`);
	else end(turn, open, 'aborted', revertedReason(open, by.id), by.id);
}

function refuse(turn: Turn, { token, request }: PendingLocal, refusal: Refusal): void {
	if (token !== null) {
		turn.effects.push({ kind: 'refuse', token, refusal });
		return;
	}
	const open = openOf(turn.state, request.reverts ?? null);
	if (open && revertedBy(open) !== null) giveUp(turn, open, refusal.message);
}

function giveUp(turn: Turn, open: OpenRollout, why: string): void {
	change(turn, open, { ...notRevertedReason(open, [turn.state.settings.self], why), revert: 'given_up' });
}

/** A rollout of this node alone that failed, and is to be put back. */
function revertHere(turn: Turn, open: OpenRollout): void {
	const { state } = turn;
	const id = revertedBy(open);
	if (id === null || state.execution || state.locals.some((one) => one.id === id)) return;
	const known = openOf(state, id);
	if (known) {
		// The daemon died once that was stored.
		endSuperseded(turn, open, known.spec);
		return;
	}
	const undo = undoNow(turn, revertRequest(open));
	if (hasEnded(state, id)) giveUp(turn, open, `rollout ${id}, which was to do that, has ended`);
	else if (isUndo(undo)) lookFirst(turn, { token: null, id, revertAs: null, ...undo });
	else giveUp(turn, open, undo?.message ?? '');
}

/** Begins the next one if this node is free; called after every event. */
export function advanceLocal(turn: Turn): void {
	const { state } = turn;
	for (const open of locals(turn)) settleLocalHooks(turn, open);
	const execution = state.execution;
	if (execution) {
		watchExecution(turn, execution);
		return;
	}
	arm(turn, 'local', null);
	for (const open of locals(turn)) if (isUnsettled(turn, open)) localStepEnded(turn, open.spec.id);
	for (const open of locals(turn)) revertHere(turn, open);
	if (state.durable.records.some((record) => record.state === 'restarting')) {
		nextStep(turn);
		return;
	}
	if (inTheWayHere(state) || state.start?.phase === 'open') return;
	if (locals(turn).some((one) => runsHook(state, one.spec.id))) return;
	const next = locals(turn).find((one) => mayRun(turn, one));
	if (!next || !isPrepared(turn, next, keeperOf(turn))) return;
	state.execution = {
		rollout: next.spec.id,
		attempt: next.flags.attempt,
		epoch: null,
		version: null,
		phase: 'snapshot',
		since: turn.now,
		sinceWall: timeOf(turn, next.spec.id),
		progress: null,
	};
	turn.effects.push({ kind: 'take_snapshot', rollout: next.spec.id, attempt: next.flags.attempt });
}

/** What the own disk has is safe: no other node runs its hooks. */
const keeperOf = (turn: Turn): Keeper => ({
	epoch: null,
	isSafe: () => true,
	put: (open, flags) => change(turn, open, flags),
});

function settleLocalHooks(turn: Turn, known: OpenRollout): void {
	const { state } = turn;
	if (!known.spec.hooks) return;
	const keeper = keeperOf(turn);
	const open = settleHooks(turn, known, keeper);
	const { id } = open.spec;
	const last = endingOf(turn, open, keeper);
	if (last?.isDue) end(turn, open, last.ending.state, last.ending.reason);
	if (last || runsHook(state, id) || state.execution?.rollout === id) return;
	const { aborting, halted } = open.flags;
	const fault = hookHaltReason(open);
	if (aborting && recordOf(state, id)?.state !== 'restarting')
		finish(turn, open, 'aborted', `aborted by ${aborting.by}`);
	else if (fault !== null && halted === null) change(turn, open, fault);
}

/** The daemon died after the step's end was stored and before what follows from it. */
function isUnsettled(turn: Turn, { spec, flags }: OpenRollout): boolean {
	const record = recordOf(turn.state, spec.id);
	if (!record || record.state === 'restarting' || flags.halted !== null || flags.hooks?.after_rollout) return false;
	return record.state === 'back' || record.attempt >= flags.attempt;
}

function mayRun(turn: Turn, open: OpenRollout): boolean {
	const { halted, paused, aborting, hooks } = open.flags;
	if (halted !== null || paused || aborting || hooks?.after_rollout) return false;
	const record = recordOf(turn.state, open.spec.id);
	return !record || ((record.state === 'refused' || record.state === 'failed') && record.attempt < open.flags.attempt);
}

/** A step that takes longer than its deadline halts its rollout, and those that wait behind it. */
function watchExecution(turn: Turn, execution: Execution): void {
	const { state, now } = turn;
	const concerned = locals(turn).filter((one) => one.flags.halted === null && !one.flags.paused);
	const at = execution.since + (openOf(state, execution.rollout)?.spec.deadlineMs ?? state.settings.deadlineMs);
	arm(turn, 'local', concerned.length > 0 && now < at ? at : null);
	if (now < at) return;
	const { self } = state.settings;
	for (const open of concerned) {
		const own = open.spec.id === execution.rollout;
		if (own && open.flags.aborting) {
			end(turn, open, 'aborted', `aborted by ${open.flags.aborting.by}; ${mayStillLive(turn)}`);
			continue;
		}
		change(turn, open, {
			halted: own
				? `${self} is not back within the deadline; ${mayStillLive(turn)}`
				: `rollout ${execution.rollout}, which runs on ${self} before it, is over its deadline`,
			advice: own ? null : 'resume_rollout when it has ended',
		});
	}
}

const mayStillLive = ({ state }: Turn): string => mayStillRestart([state.settings.self], 'workers');

export function localStepEnded(turn: Turn, rollout: RolloutId): void {
	const { state } = turn;
	const open = openOf(state, rollout);
	const record = recordOf(state, rollout);
	if (!open || !record) return;
	if (open.flags.aborting) {
		finish(turn, open, 'aborted', `aborted by ${open.flags.aborting.by}`);
		return;
	}
	if (record.state === 'back') {
		finish(turn, open, 'completed', null);
		return;
	}
	const reason = judge(open.spec, state.settings.self, record).reason ?? record.state;
	const halted = `${state.settings.self} ${record.state}: ${clause(reason)}`;
	if (open.spec.revertAs !== undefined) change(turn, open, { halted, advice: null, revert: 'due' });
	else change(turn, open, { halted, advice: 'resume_rollout tries again, a new rollout supersedes this one' });
}

function change(turn: Turn, open: OpenRollout, flags: Partial<OpenRollout['flags']>): void {
	const version = { epoch: null, n: open.flags.version.n + 1 };
	store(turn, { kind: 'flags', rollout: open.spec.id, flags: { ...open.flags, ...flags, version } });
}

/** Ends it once its after_rollout has. */
function finish(turn: Turn, open: OpenRollout, result: 'completed' | 'aborted', reason: string | null): void {
	if (!endsLater(turn, open, keeperOf(turn), { state: result, reason })) end(turn, open, result, reason);
}

function end(
	turn: Turn,
	open: OpenRollout,
	result: 'completed' | 'aborted',
	reason: string | null,
	revertedAs: RolloutId | null = null,
): void {
	const known = viewOf(turn.state, open.spec.id, turn);
	if (!known) return;
	const view = endedView(known, result, reason, timeOf(turn, open.spec.id), revertedAs);
	turn.command({ kind: 'keep', ending: { rollout: open.spec.id, epoch: null, view } });
}

/** An operator's word on a rollout of this node alone is done at once. */
export function localWord(turn: Turn, open: OpenRollout, word: Exclude<ForwardedWord, { kind: 'admit' }>): void {
	const { state } = turn;
	const runs = state.execution?.rollout === open.spec.id;
	// The end follows from it.
	if (open.flags.hooks?.after_rollout && word.kind !== 'pause') return;
	switch (word.kind) {
		case 'pause':
			change(turn, open, { paused: true });
			return;
		case 'abort':
			if (!runs && !runsHook(state, open.spec.id)) finish(turn, open, 'aborted', `aborted by ${word.user}`);
			else if (open.flags.halted === null) change(turn, open, { aborting: { by: word.user }, paused: false });
			// Over its deadline: it is unknown whether that step ever ends.
			else end(turn, open, 'aborted', `aborted by ${word.user}; ${mayStillLive(turn)}`);
			return;
		case 'resume':
			if (word.skip.includes(state.settings.self) && !runs) {
				finish(turn, open, 'completed', `${state.settings.self} was skipped by ${word.user}`);
				return;
			}
			change(turn, open, {
				paused: false,
				halted: null,
				advice: undefined,
				revert: undefined,
				attempt: open.flags.halted === null || runs ? open.flags.attempt : open.flags.attempt + 1,
				...acceptHooks(open, word.user),
			});
			return;
	}
}
