/**
 * Judges majorities, from the disks and from the promises that were really given: of the members, and while these
 * change, of the old ones and of the new ones.
 */
import type { Epoch, RolloutSpec } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import { type Evidence, textOf } from './evidence.js';
import { hasLeft, lackingMajority, tooFew } from './majority.js';

/** I10: who votes has on its disk what a majority counts it for. */
export function judgeVoter(evidence: Evidence, name: string): void {
	const forgotten = evidence.forgotten(name);
	if (forgotten !== null) evidence.fail('I10', `${name} votes and has forgotten what it had stored of ${forgotten}`);
}

/** Nothing is said to a peer that has no version of the protocol in common. */
export function judgeVersion(evidence: Evidence, node: SimNode, to: string): void {
	const own = node.settings.core.protocol;
	const theirs = evidence.nodes.get(to)?.settings.core.protocol;
	if (theirs && (theirs.max < own.min || own.max < theirs.min))
		evidence.fail('version', `${node.name} speaks to ${to}, which has no version in common with it`);
}

/** Who asked for the epoch knows the same members, before or after a change that is open here. */
function judgeMembers(evidence: Evidence, { name, applied, disk }: SimNode, epoch: string): void {
	const changing = disk.durable.open.flatMap(({ spec }) => [spec.memberHash, spec.memberHashNext]);
	const own = [applied.memberHash, ...changing];
	const asked = evidence.prepared.get(epoch);
	if (asked && !asked.some((hash) => own.includes(hash)))
		evidence.fail('members', `${name} promises ${epoch}, which was asked for by a fleet of ${asked.join(' or ')}`);
}

/** A promise goes out: not from one that has not met all others yet, nor from one that has left. */
export function judgePromise(evidence: Evidence, node: SimNode, epoch: Epoch): void {
	const { name, disk } = node;
	judgeMembers(evidence, node, textOf(epoch));
	const unmet = [...(evidence.unmet.get(name) ?? [])];
	if (unmet.length > 0) evidence.fail('I13', `${name} votes before it has met ${unmet.join(', ')}`);
	judgeVoter(evidence, name);
	const left = disk.durable.open.find(
		({ spec }) => spec.membersNext?.every((one) => one.name !== name) && hasLeft(evidence.nodes, name, spec.id),
	);
	if (left) evidence.fail('quorum', `${name} votes although it has left by ${left.spec.id}`);
	const voters = evidence.promised.get(textOf(epoch)) ?? new Set();
	evidence.promised.set(textOf(epoch), voters.add(name));
}

/** A promise or its refusal came in: a lease that is held now was given by a majority. */
export function judgeQuorum(evidence: Evidence, { name: self, core, quorum }: SimNode): void {
	if (!core || quorum?.lease?.kind !== 'held') return;
	const epoch = textOf(quorum.lease.epoch);
	if (evidence.leases.has(epoch)) return;
	evidence.leases.add(epoch);
	const has = (name: string): boolean => name === self || evidence.promised.get(epoch)?.has(name) === true;
	const changes = [...evidence.rollouts.values()].filter(
		({ spec, confirmed, ended }) => spec.membersNext && confirmed && !ended && concerns(spec, self),
	);
	for (const { spec } of changes) {
		const lacking = lackingMajority(evidence.nodes, spec, has);
		if (lacking !== null) evidence.fail('quorum', `${epoch} is held during ${spec.id} while ${lacking} promised`);
		if (core.drive?.rollout === spec.id && !isStaying(spec, self))
			evidence.fail('stayers', `${self} coordinates ${spec.id}, which takes it in or out`);
	}
	if (changes.length > 0 || core.durable.open.some((one) => one.spec.membersNext)) return;
	const names = core.members.map((one) => one.name);
	const lacking = tooFew(names, has);
	if (lacking !== null) evidence.fail('quorum', `${epoch} is held while ${lacking} promised`);
}

function isStaying({ members, membersNext }: RolloutSpec, name: string): boolean {
	return [members, membersNext ?? []].every((group) => group.some((one) => one.name === name));
}

export function concerns({ members, membersNext }: RolloutSpec, name: string): boolean {
	return [...members, ...(membersNext ?? [])].some((one) => one.name === name);
}
