/**
 * The hooks of a node's own step: before_node before anything of it is replaced, after_node once its new workers are proven. Each is
 * recorded on the own disk before its command starts, and runs once for an attempt: a daemon that died meanwhile does not start it
 * again, and fails the step instead.
 */
import { hasHooks, hookFault, onRolloutHookEnded } from '../controller/hooks.js';
import type { RolloutEvent } from '../messages.js';
import { note, recordOf, store, type Turn } from '../outbox.js';
import type { HookResult, HookRun, NodeHook, NodeRecord, RolloutSpec, StepResult } from '../types.js';

/** What follows a hook in the step. */
export interface StepParts {
	/** Replaces the workers; with `refused` it only gives evidence of those that run. */
	replace(record: NodeRecord, how: { recovered: boolean; refused?: string }): void;
	/** Judges the step by its evidence, and stores its end. */
	settle(record: NodeRecord, result: StepResult): void;
}

/**
 * Stores the record with the hook in it, and starts the hook, if this node has it for this rollout; false: it has not. One entry, so
 * that no torn write tells of the step without its hook.
 */
export function beginHook(turn: Turn, spec: RolloutSpec, record: NodeRecord, name: NodeHook): boolean {
	const { settings, execution } = turn.state;
	if (!hasHooks(spec) || settings.hooks?.includes(name) !== true) return false;
	putRun(turn, record, name, { state: 'running', node: settings.self, detail: null });
	if (execution) execution.progress = `${name} runs`;
	note(turn, 'hook_begun', { rollout: spec.id, hook: name, attempt: record.attempt });
	const state = name === 'before_node' ? 'running' : 'back';
	const { attempt } = record;
	turn.effects.push({ kind: 'run_hook', hook: name, rollout: spec.id, attempt, state, note: spec.note ?? null });
	return true;
}

function putRun(turn: Turn, record: NodeRecord, name: NodeHook, run: HookRun): NodeRecord {
	const next = { ...record, hooks: { ...record.hooks, [name]: run } };
	store(turn, { kind: 'record', record: next });
	return next;
}

/** A hook of this node's step, or of a rollout that it leads, has ended. */
export function onHookEnded(turn: Turn, event: Extract<RolloutEvent, { kind: 'hook_ended' }>, parts: StepParts): void {
	const { rollout, hook: name, attempt, result } = event;
	if (name === 'before_rollout' || name === 'after_rollout') {
		onRolloutHookEnded(turn, rollout, name, result);
		return;
	}
	const record = recordOf(turn.state, rollout);
	const run = record?.hooks?.[name];
	const { execution } = turn.state;
	if (!record || run?.state !== 'running' || record.attempt !== attempt) return;
	if (execution?.rollout !== rollout || execution.attempt !== attempt) return;
	execution.progress = null;
	endHook(turn, record, { name, run, result, recovered: false }, parts);
}

/** The daemon died while a hook of its step ran, or before the step followed from it; false: none was under way. */
export function recoverHook(turn: Turn, record: NodeRecord, parts: StepParts): boolean {
	const { before_node: before, after_node: after } = record.hooks ?? {};
	if (after)
		endHook(turn, record, { name: 'after_node', run: after, result: lastKnown(after), recovered: true }, parts);
	if (after || !before || before.state === 'done') return after !== undefined;
	endHook(turn, record, { name: 'before_node', run: before, result: lastKnown(before), recovered: true }, parts);
	return true;
}

const lastKnown = ({ state, detail }: HookRun): HookResult =>
	state === 'running' ? { state: 'unknown', detail: null } : { state, detail };

interface Ended {
	name: NodeHook;
	run: HookRun;
	result: HookResult;
	recovered: boolean;
}

function endHook(turn: Turn, record: NodeRecord, { name, run, result, recovered }: Ended, parts: StepParts): void {
	const ended = { ...run, ...result };
	const next = putRun(turn, record, name, ended);
	const { rollout, attempt } = record;
	note(turn, 'hook_ended', { rollout, hook: name, attempt, state: result.state });
	const fault = result.state === 'done' ? null : hookFault(name, ended);
	if (name === 'before_node') {
		const refused = fault === null ? {} : { refused: `${fault}; no worker was touched` };
		parts.replace(next, { recovered, ...refused });
	} else if (record.result) {
		const failed = { outcome: 'failed' as const, reason: `${fault}; its new workers run and are healthy` };
		parts.settle(next, fault === null ? record.result : { ...record.result, ...failed });
	}
}
