/** Judges that a rollout begins what it selects alone, and no more than it may before an operator has looked. */
import type { RolloutFlags } from '../../src/rollout/messages.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Evidence, Known, Witnessed } from './evidence.js';
import { zoneOf } from './looking-first.js';
import type { Ask } from './plan.js';

const selects = ({ nodes, zone }: Ask, name: string): boolean =>
	(nodes?.includes(name) ?? true) && (zone === undefined || zoneOf(name) === zone);

/** By what was asked for; the rollout itself may have forgotten it. */
export function judgeSelected(evidence: Evidence, node: SimNode, rollout: string): void {
	const ask = evidence.asked.get(rollout);
	if (ask && !selects(ask, node.name))
		evidence.fail('selected', `${node.name} begins in ${rollout}, which does not select it`);
}

/** What the coordinator was told to be back, and what it has granted, before an operator resumes it. */
export function judgeHoldGrant(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	{ spec }: Known,
	{ held, skipped }: RolloutFlags,
	target: string,
): void {
	const holdAfter = evidence.asked.get(spec.id)?.holdAfter ?? 0;
	if (holdAfter === 0 || held === 'over') return;
	const had = spec.members.filter(({ name }) => {
		if (name === target || skipped.includes(name)) return false;
		const records = name === node.name ? node.disk.durable.records : seen.reports.get(name)?.report.records;
		const isBack = records?.find((one) => one.rollout === spec.id)?.state === 'back';
		const grant = seen.grants.get(name);
		return isBack || (grant?.rollout === spec.id && node.eventNow - grant.at < spec.deadlineMs);
	});
	if (had.length >= holdAfter)
		evidence.fail('hold', `${node.name} grants ${target} in ${spec.id} although it holds after ${holdAfter}`);
}

/** What really happened: with `halt` no step ever overtakes one that is over its deadline. */
export function judgeHoldBegun(evidence: Evidence, node: SimNode, { spec }: Known): void {
	const holdAfter = evidence.asked.get(spec.id)?.holdAfter ?? 0;
	const flags = node.disk.durable.open.find((one) => one.spec.id === spec.id)?.flags;
	if (holdAfter === 0 || spec.onFailure !== 'halt' || !flags || flags.held === 'over') return;
	const had = spec.members.filter(({ name }) => {
		if (name === node.name || flags.skipped.includes(name)) return false;
		const records = evidence.nodes.get(name)?.disk.durable.records;
		const state = records?.find((one) => one.rollout === spec.id)?.state;
		return state === 'back' || state === 'restarting';
	});
	if (had.length >= holdAfter)
		evidence.fail('hold', `${node.name} begins in ${spec.id}, which holds after ${holdAfter}; nobody has resumed it`);
}

/** Only an operator ends a hold. */
export function judgeHoldOver(evidence: Evidence, rollout: string, { held }: RolloutFlags): void {
	if (held === 'over' && !evidence.resumed.has(rollout))
		evidence.fail('hold', `the hold of ${rollout} is over, and nobody has resumed it`);
}
