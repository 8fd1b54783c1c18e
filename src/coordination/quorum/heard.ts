/** What the holder of the lease knows of the others: who is heard, and who has stored what. */
import type { CoordinationState, Leadership } from './state.js';
import { areMajority, isMajority, memberHashes } from './members/voters.js';
import { compareVersions, type NodeName } from '../epoch.js';
import type { Bodies, Entry, Report } from '../port.js';

export function heldLease<B extends Bodies>({ lease }: Pick<CoordinationState<B>, 'lease'>): Leadership<B> | null {
	return lease?.kind === 'held' ? lease : null;
}

/** A coordinator that has not heard a majority for a lease lets its lease run out. */
export function isLive(state: CoordinationState, lease: Leadership | null, now: number): boolean {
	if (!lease) return false;
	return now - lease.majorityAt < state.settings.leaseMs;
}

/** A peer's last report in this epoch. */
export function reportOf<B extends Bodies>(state: CoordinationState<B>, node: NodeName): Report<B> | undefined {
	return heldLease(state)?.reports[node]?.report;
}

/** A peer is heard by a report of the own epoch within the last third of a lease, over a live link. */
export function isHeard(state: CoordinationState, node: NodeName, now: number): boolean {
	if (node === state.settings.self) return true;
	const heard = heldLease(state)?.reports[node];
	const link = state.links[node];
	if (!heard || !link || link.refused !== null) return false;
	if (link.stranger) return false;
	if (!isMemberHash(state, heard.report.memberHash)) return false;
	return now - heard.at <= state.settings.leaseMs / 3;
}

/** While a change of members runs, the old and the new hash are both right. */
function isMemberHash(state: CoordinationState, hash: string): boolean {
	if (hash === state.memberHash) return true;
	return memberHashes(state).includes(hash);
}

export function heardMembers(state: CoordinationState, now: number): NodeName[] {
	return state.members.map((member) => member.name).filter((name) => isHeard(state, name, now));
}

export function hearsMajority(state: CoordinationState, now: number): boolean {
	return areMajority(state, (node) => isHeard(state, node, now));
}

/** The present version is on the disks of a majority, under the own epoch. */
export function isConfirmed(state: CoordinationState, open: Entry): boolean {
	return isMajority(state, { has: (node) => knows(state, open, node) });
}

export function knows(state: CoordinationState, { spec, flags }: Entry, node: NodeName): boolean {
	if (node === state.settings.self) return true;
	const have = reportOf(state, node)?.have.find((one) => one.rollout === spec.id);
	return have !== undefined && compareVersions(have.version, flags.version) === 0;
}
