/** Judges that a rollout is ended on one node alone only when a majority is gone for good. */
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Evidence } from './evidence.js';
import { isPassedOver } from './judge-grants.js';
import { tooFew } from './majority.js';
import { isShared } from '../../src/coordination/port.js';
import type { RolloutSpec } from '../../src/rollout/types.js';

/** Leases without a majority; a little less, since the links are looked at from outside. */
const leasesMin = 5;
const toleranceMs = 1;

/** Called after every event of the node: the peers that its core knows to be linked, and that vote. */
export function noteMajority({ heardMajority }: Evidence, { name, core, quorum, eventNow }: SimNode): void {
	if (!core || !quorum) return;
	const votes = (peer: string): boolean =>
		peer === name ? core.durable.voting : quorum.links[peer]?.greeting?.voting === true && !quorum.links[peer].stranger;
	const hears = tooFew(
		core.members.map((one) => one.name),
		votes,
	);
	if (hears === null || !heardMajority.has(name)) heardMajority.set(name, eventNow);
}

export function judgeEndedHere(evidence: Evidence, node: SimNode, rollout: string): void {
	const { name, disk, eventNow } = node;
	const open = disk.durable.open.find((one) => one.spec.id === rollout);
	if (!open || !isShared(open.spec))
		evidence.fail('ended-here', `${name} ends ${rollout} for itself, which is not open`);
	const alone = eventNow - (evidence.heardMajority.get(name) ?? eventNow);
	if (alone < leasesMin * evidence.leaseMs - toleranceMs)
		evidence.fail('gone-for-good', `${name} ends ${rollout} for itself after ${alone} ms without a majority`);
}

/** How it went on a leaver that was away from the start, or that this coordinator has never heard. */
export const isUntold = (
	{ witnessed }: Evidence,
	{ name: leader }: SimNode,
	spec: RolloutSpec,
	name: string,
): boolean => isPassedOver(spec, name) || (name !== leader && witnessed.get(leader)?.reports.has(name) !== true);
