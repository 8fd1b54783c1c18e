/** Judges hooks: each is on disk before it runs and runs once, and nothing follows one that did not go well. */
import type { CoreEffect } from '../../src/fleet/core/events.js';
import { hasHooks } from '../../src/rollout/controller/hooks.js';
import type { RolloutFlags } from '../../src/rollout/messages.js';
import type { HookName, NodeRecord, RolloutHook, RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Evidence } from './evidence.js';
import { lackingMajority } from './majority.js';

type RunHook = Extract<CoreEffect, { kind: 'run_hook' }>;

const isRolloutHook = (name: HookName): name is RolloutHook => name === 'before_rollout' || name === 'after_rollout';

export function judgeHook(evidence: Evidence, node: SimNode, { hook, rollout, attempt }: RunHook): void {
	const isOfRollout = isRolloutHook(hook);
	const key = isOfRollout ? `${rollout} ${hook}` : `${rollout} ${hook} ${node.name} ${attempt}`;
	const again = evidence.hooks.has(key);
	evidence.hooks.add(key);
	if (again) evidence.fail('I14', `${node.name} runs ${key} again`);
	if (isOfRollout) judgeRecorded(evidence, node, rollout, hook);
	else {
		const record = recordOf(node, rollout);
		if (record?.attempt !== attempt || record.hooks?.[hook]?.state !== 'running')
			evidence.fail('I14', `${node.name} runs ${key} before it is on disk`);
	}
}

/** On the disks of a majority, where the rollout is the fleet's. */
function judgeRecorded(evidence: Evidence, node: SimNode, rollout: string, hook: RolloutHook): void {
	const isOn = (name: string): boolean => {
		const durable = evidence.nodes.get(name)?.disk.durable;
		if (evidence.forgetful.has(name) || durable?.ended.some((one) => one.rollout === rollout)) return true;
		return durable?.open.find((one) => one.spec.id === rollout)?.flags.hooks?.[hook] !== undefined;
	};
	const known = evidence.rollouts.get(rollout);
	const lacking = known ? lackingMajority(evidence.nodes, known.spec, isOn) : isOn(node.name) ? null : 'its own disk';
	if (lacking !== null)
		evidence.fail('I14', `${node.name} runs ${hook} of ${rollout} while ${lacking} have recorded it`);
}

const recordOf = (node: SimNode, rollout: string): NodeRecord | undefined =>
	node.disk.durable.records.find((one) => one.rollout === rollout);

/** No node is touched before before_rollout has gone well, or an operator has let it pass. */
export function judgePrepared(evidence: Evidence, { id, hooks }: RolloutSpec, flags: RolloutFlags): void {
	if (!hooks?.includes('before_rollout')) return;
	const run = flags.hooks?.before_rollout;
	if (run?.state !== 'done' && run?.accepted === undefined)
		evidence.fail('I14', `a step of ${id} is granted while its before_rollout is ${run?.state ?? 'not run'}`);
	if (run?.accepted !== undefined && !evidence.resumed.has(id))
		evidence.fail('I14', `before_rollout of ${id} was let pass, and no operator has resumed it`);
}

/** What a node does in its step, by what its own disk says of its hook. */
export function judgeReplaced(evidence: Evidence, node: SimNode, spec: RolloutSpec): void {
	if (!node.settings.core.hooks?.includes('before_node') || !hasHooks(spec)) return;
	const state = recordOf(node, spec.id)?.hooks?.before_node?.state;
	if (state !== 'done') evidence.fail('I14', `${node.name} replaces in ${spec.id}; its before_node is ${state}`);
}

export function judgeBackAfterHook(evidence: Evidence, node: SimNode, { rollout, hooks }: NodeRecord): void {
	const spec = evidence.rollouts.get(rollout)?.spec;
	if (!spec || !node.settings.core.hooks?.includes('after_node') || !hasHooks(spec)) return;
	const state = hooks?.after_node?.state;
	if (state !== 'done') evidence.fail('I14', `${node.name} is back in ${rollout}; its after_node is ${state}`);
}

/** A rollout that is completed or aborted has run its after_rollout, unless another one took its place, or it never began. */
export function judgeEndHook(evidence: Evidence, spec: RolloutSpec, { state, hooks }: RolloutView): void {
	if (state !== 'completed' || !spec.hooks?.includes('after_rollout')) return;
	const run = hooks?.after_rollout;
	if (!run || run.state === 'running') evidence.fail('I14', `${spec.id} completed; its after_rollout is ${run?.state}`);
}
