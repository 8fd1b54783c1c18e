/**
 * The hooks of a rollout itself: once for the fleet, on the node that leads. A hook is recorded with the rollout and stored by a
 * majority before its command starts. So a later coordinator finds it recorded, and never starts it again: if it has not recorded
 * how the command ended, an operator decides.
 */
import { sameEpoch } from '../../coordination/epoch.js';
import { openOf } from '../../coordination/port.js';
import type { CoreRequest, CoreSettings, Halt, OpenRollout, RecordedHook, RolloutFlags } from '../messages.js';
import { note, type Turn } from '../outbox.js';
import type { CoreState, OwnHook } from '../state.js';
import type { Epoch, HookName, HookResult, RolloutHook, RolloutId, RolloutSpec } from '../types.js';
import { clause } from '../views/text.js';

/** How the flags of a rollout are changed, and when that is safe against the loss of this node. */
export interface Keeper {
	epoch: Epoch | null;
	/** Whether what was put last is stored by so many that every later coordinator knows it. */
	isSafe(open: OpenRollout): boolean;
	put(open: OpenRollout, change: Partial<RolloutFlags>): void;
}

const rolloutHooks: readonly RolloutHook[] = ['before_rollout', 'after_rollout'];

/** Hooks belong to what restarts workers. */
export const hasHooks = ({ type, service }: Pick<RolloutSpec, 'type' | 'service'>): boolean =>
	type === 'restart' || service === 'http_workers';

/** The hooks of its own that a rollout has which is asked for here. */
export function rolloutHooksOf(
	{ hooks = [] }: CoreSettings,
	request: Pick<CoreRequest, 'type' | 'service'>,
): RolloutHook[] {
	return hasHooks(request) ? rolloutHooks.filter((name) => hooks.includes(name)) : [];
}

const keyOf = (rollout: RolloutId, name: RolloutHook): string => `${rollout} ${name}`;

/** The hook that this very core has recorded; undefined: another one did, or an earlier core of this node. */
function ownOf(state: CoreState, { spec }: OpenRollout, name: RolloutHook, run: RecordedHook): OwnHook | undefined {
	const own = state.hooks[keyOf(spec.id, name)];
	if (!own || run.node !== state.settings.self) return undefined;
	return sameEpoch(own.epoch, run.epoch) ? own : undefined;
}

/** A command of one of its hooks runs here. */
export function runsHook(state: CoreState, rollout: RolloutId): boolean {
	return rolloutHooks.some((name) => state.hooks[keyOf(rollout, name)]?.phase === 'running');
}

/** Takes note of how hooks ended, or that this is not known. Answers the rollout as it is then. */
export function settleHooks(turn: Turn, open: OpenRollout, keeper: Keeper): OpenRollout {
	let known = open;
	for (const name of rolloutHooks) {
		const run = known.flags.hooks?.[name];
		if (run?.state !== 'running') continue;
		const own = ownOf(turn.state, known, name, run);
		if (own && !own.result) {
			if (name === 'before_rollout' && own.phase === 'recorded' && isStopped(known)) forget(turn, known, keeper);
		} else {
			const result = own?.result ?? { state: 'unknown' as const, detail: null };
			note(turn, 'hook_ended', { rollout: open.spec.id, hook: name, state: result.state });
			delete turn.state.hooks[keyOf(open.spec.id, name)];
			putHook(known, keeper, name, { ...run, ...result });
		}
		known = openOf(turn.state, open.spec.id) ?? known;
	}
	return known;
}

const isStopped = ({ flags }: OpenRollout): boolean => flags.paused || flags.aborting !== null || flags.halted !== null;

/** Its command was not started, and will not be: as if it had not been recorded. */
function forget(turn: Turn, open: OpenRollout, keeper: Keeper): void {
	delete turn.state.hooks[keyOf(open.spec.id, 'before_rollout')];
	const { before_rollout: _, ...others } = open.flags.hooks ?? {};
	keeper.put(open, { hooks: others });
}

function putHook(open: OpenRollout, keeper: Keeper, name: RolloutHook, run: RecordedHook): void {
	keeper.put(open, { hooks: { ...open.flags.hooks, [name]: run } });
}

/** Whether steps may begin as far as before_rollout is concerned; it is run first. */
export function isPrepared(turn: Turn, open: OpenRollout, keeper: Keeper): boolean {
	if (!open.spec.hooks?.includes('before_rollout')) return true;
	const run = open.flags.hooks?.before_rollout;
	if (!run) record(turn, open, keeper, 'before_rollout');
	else if (run.state === 'running') runOnceSafe(turn, open, keeper, 'before_rollout', run);
	return run !== undefined && (run.state === 'done' || run.accepted !== undefined);
}

/** Why no step may begin until an operator resumes; null: nothing went wrong. */
export function hookHaltReason({ flags }: OpenRollout): Halt | null {
	const run = flags.hooks?.before_rollout;
	if (!run || run.accepted !== undefined || (run.state !== 'failed' && run.state !== 'unknown')) return null;
	return {
		halted: hookFault('before_rollout', run),
		advice:
			'No node was touched; resume_rollout continues as if it had gone well and does not run it again, abort_rollout ends the rollout',
	};
}

/** `before_rollout on alpha exited with 1: no such server` */
export function hookFault(
	name: HookName,
	{ state, node, detail }: Pick<RecordedHook, 'state' | 'node' | 'detail'>,
): string {
	const why = detail === null ? '' : ` (${clause(detail)})`;
	if (state === 'unknown') return `${name} was started on ${node}, and how it ended is not known${why}`;
	return `${name} on ${node} ${clause(detail ?? 'failed')}`;
}

/** An operator resumes the rollout: what did not go well is let pass. */
export function acceptHooks({ flags }: OpenRollout, user: string): Pick<RolloutFlags, 'hooks'> {
	const run = flags.hooks?.before_rollout;
	if (run?.state !== 'failed' && run?.state !== 'unknown') return {};
	return { hooks: { ...flags.hooks, before_rollout: { ...run, accepted: user } } };
}

type RolloutEnd = NonNullable<RecordedHook['ending']>;

/** Runs after_rollout before the rollout ends so; false: it has none, or has run it. */
export function endsLater(turn: Turn, open: OpenRollout, keeper: Keeper, ending: RolloutEnd): boolean {
	if (!open.spec.hooks?.includes('after_rollout') || open.flags.hooks?.after_rollout) return false;
	record(turn, open, keeper, 'after_rollout', ending);
	return true;
}

/** The end that after_rollout was recorded with, if that is all there is to do; `isDue`: the hook has ended. */
export function endingOf(turn: Turn, open: OpenRollout, keeper: Keeper): { ending: RolloutEnd; isDue: boolean } | null {
	const run = open.flags.hooks?.after_rollout;
	if (!run?.ending) return null;
	if (run.state === 'running') {
		runOnceSafe(turn, open, keeper, 'after_rollout', run);
		return { ending: run.ending, isDue: false };
	}
	if (run.state === 'done') return { ending: run.ending, isDue: true };
	const { state, reason } = run.ending;
	const fault = hookFault('after_rollout', run);
	return { ending: { state, reason: reason === null ? fault : `${reason}; ${fault}` }, isDue: true };
}

function record(turn: Turn, open: OpenRollout, keeper: Keeper, name: RolloutHook, ending?: RolloutEnd): void {
	const { state } = turn;
	for (const key of Object.keys(state.hooks))
		if (!state.durable.open.some(({ spec }) => key.startsWith(`${spec.id} `))) delete state.hooks[key];
	state.hooks[keyOf(open.spec.id, name)] = { epoch: keeper.epoch, phase: 'recorded', result: null };
	const run = { state: 'running', node: state.settings.self, detail: null, epoch: keeper.epoch } as const;
	putHook(open, keeper, name, { ...run, ...(ending ? { ending } : {}) });
	const known = openOf(state, open.spec.id);
	const recorded = known?.flags.hooks?.[name];
	if (known && recorded) runOnceSafe(turn, known, keeper, name, recorded);
}

function runOnceSafe(turn: Turn, open: OpenRollout, keeper: Keeper, name: RolloutHook, run: RecordedHook): void {
	const own = ownOf(turn.state, open, name, run);
	if (own?.phase !== 'recorded' || !keeper.isSafe(open)) return;
	own.phase = 'running';
	const { id, note: text = null } = open.spec;
	note(turn, 'hook_begun', { rollout: id, hook: name });
	const state = run.ending?.state ?? 'running';
	turn.effects.push({ kind: 'run_hook', hook: name, rollout: id, attempt: 0, state, note: text });
}

export function onRolloutHookEnded(turn: Turn, rollout: RolloutId, name: RolloutHook, result: HookResult): void {
	const own = turn.state.hooks[keyOf(rollout, name)];
	if (own?.phase === 'running') own.result = result;
}

/** What the rollout waits for, as far as that is one of its hooks; null: it is not. */
export function awaitedHook({ flags }: OpenRollout): string | null {
	const name = rolloutHooks.find((one) => flags.hooks?.[one]?.state === 'running');
	return name === undefined ? null : `${name} on ${flags.hooks?.[name]?.node}`;
}
