/** Rollouts of this node alone: one after the other, no lease, also in a minority; never beside a replicated one. */
import { endedView } from '../views/view-parts.js';
import { firstFlags } from '../records.js';
import { nextStep } from './execution.js';
import { judge } from '../targets/proof.js';
import type { CheckResult, RolloutEvent, ForwardedWord, OpenRollout, Refusal } from '../messages.js';
import { appNowhere, conflictWith, requestText, specOf } from '../requests/request.js';
import { selectionFault } from '../requests/selection.js';
import type { Execution } from '../state.js';
import { clause, mayStillRestart } from '../views/text.js';
import { arm, inTheWayHere, recordOf, store, type Turn } from '../outbox.js';
import { scopeOf } from '../targets/scope.js';
import type { RolloutId } from '../types.js';
import { beginTime, timeOf } from '../times.js';
import { viewOf } from '../views/view.js';
import { isShared, openOf } from '../../coordination/port.js';

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
	const { token, id, request } = event;
	const fault = selectionFault(turn.state, request);
	const refusal: Refusal | null = fault === null ? whyRefused(turn) : { code: 'invalid', message: fault, extra: {} };
	if (refusal) {
		turn.effects.push({ kind: 'refuse', token, refusal });
		return;
	}
	turn.state.locals.push({ token, id, request });
	turn.effects.push({ kind: 'check', rollout: id, service: request.service, ...scopeOf(request), local: true });
}

export function onLocalChecked(turn: Turn, rollout: RolloutId, result: CheckResult): void {
	const { state } = turn;
	const pending = state.locals.find((one) => one.id === rollout);
	if (!pending) return;
	state.locals = state.locals.filter((one) => one !== pending);
	const { token, id, request } = pending;
	const isConfig = request.service === 'clustering_config';
	const fault = result.fault ?? appNowhere(request, [result]);
	const refusal: Refusal | null =
		fault !== null && !isConfig
			? { code: 'unavailable', message: `${state.settings.self}: ${fault}`, extra: {} }
			: whyRefused(turn);
	if (refusal) {
		turn.effects.push({ kind: 'refuse', token, refusal });
		return;
	}
	for (const halted of locals(turn).filter((one) => one.flags.halted !== null))
		end(turn, halted, 'aborted', `superseded by ${id}`);
	const { self } = state.settings;
	const full = specOf(state, { id, request, maxUnavailable: 1, wall: turn.wall, checks: { [self]: result } });
	const own = full.members.filter((member) => member.name === self);
	const spec = { ...full, members: own, maxUnavailable: 1, membersNext: null, memberHashNext: null };
	beginTime(turn, id, spec.createdAt);
	store(turn, { kind: 'open', spec, flags: firstFlags(null) });
	const open = openOf(state, id);
	if (open && result.fault !== null) end(turn, open, 'aborted', `${self}: ${result.fault}`);
	turn.effects.push({ kind: 'answer', token, view: viewOf(state, id, turn) ?? null });
}

/** Begins the next one if this node is free; called after every event. */
export function advanceLocal(turn: Turn): void {
	const { state } = turn;
	const execution = state.execution;
	if (execution) {
		watchExecution(turn, execution);
		return;
	}
	arm(turn, 'local', null);
	for (const open of locals(turn)) if (isUnsettled(turn, open)) localStepEnded(turn, open.spec.id);
	if (state.durable.records.some((record) => record.state === 'restarting')) {
		nextStep(turn);
		return;
	}
	if (inTheWayHere(state) || state.start?.phase === 'open') return;
	const next = locals(turn).find((one) => mayRun(turn, one));
	if (!next) return;
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

/** The daemon died after the step's end was stored and before what follows from it. */
function isUnsettled(turn: Turn, { spec, flags }: OpenRollout): boolean {
	const record = recordOf(turn.state, spec.id);
	if (!record || record.state === 'restarting' || flags.halted !== null) return false;
	return record.state === 'back' || record.attempt >= flags.attempt;
}

function mayRun(turn: Turn, open: OpenRollout): boolean {
	if (open.flags.halted !== null || open.flags.paused) return false;
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
				: `rollout ${execution.rollout}, which runs on ${self} before it, is over its deadline; resume_rollout when it has ended`,
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
		end(turn, open, 'aborted', `aborted by ${open.flags.aborting.by}`);
		return;
	}
	if (record.state === 'back') {
		end(turn, open, 'completed', null);
		return;
	}
	const reason = judge(open.spec, state.settings.self, record).reason ?? record.state;
	change(turn, open, {
		halted: `${state.settings.self} ${record.state}: ${clause(reason)}. resume_rollout tries again, a new rollout supersedes this one`,
	});
}

function change(turn: Turn, open: OpenRollout, flags: Partial<OpenRollout['flags']>): void {
	const version = { epoch: null, n: open.flags.version.n + 1 };
	store(turn, { kind: 'flags', rollout: open.spec.id, flags: { ...open.flags, ...flags, version } });
}

function end(turn: Turn, open: OpenRollout, result: 'completed' | 'aborted', reason: string | null): void {
	const known = viewOf(turn.state, open.spec.id, turn);
	if (!known) return;
	const view = endedView(known, result, reason, timeOf(turn, open.spec.id));
	turn.command({ kind: 'keep', ending: { rollout: open.spec.id, epoch: null, view } });
}

/** An operator's word on a rollout of this node alone is done at once. */
export function localWord(turn: Turn, open: OpenRollout, word: Exclude<ForwardedWord, { kind: 'admit' }>): void {
	const { state } = turn;
	const runs = state.execution?.rollout === open.spec.id;
	switch (word.kind) {
		case 'pause':
			change(turn, open, { paused: true });
			return;
		case 'abort':
			if (!runs) end(turn, open, 'aborted', `aborted by ${word.user}`);
			else if (open.flags.halted === null) change(turn, open, { aborting: { by: word.user }, paused: false });
			// Over its deadline: it is unknown whether that step ever ends.
			else end(turn, open, 'aborted', `aborted by ${word.user}; ${mayStillLive(turn)}`);
			return;
		case 'resume':
			if (word.skip.includes(state.settings.self) && !runs) {
				end(turn, open, 'completed', `${state.settings.self} was skipped by ${word.user}`);
				return;
			}
			change(turn, open, {
				paused: false,
				halted: null,
				attempt: open.flags.halted === null || runs ? open.flags.attempt : open.flags.attempt + 1,
			});
			return;
	}
}
