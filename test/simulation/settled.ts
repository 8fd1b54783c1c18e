/** Whether a mended fleet has come to rest: everything has ended, or halted with a reason. */
import { getRollout } from '../../src/fleet/core/core.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import { lackingMajority } from './majority.js';
import { isShared } from '../../src/coordination/port.js';

/** What is not as it should be in the end; null: all is well. */
export function unsettled(nodes: Iterable<SimNode>): string | null {
	const all = [...nodes];
	const alive = all.filter((node) => node.alive);
	const coreless = alive.find((node) => node.core === null);
	if (coreless) return `the disk of ${coreless.name} takes writes, and no core was started on it`;
	if (isSplit(alive)) return null;
	const members = alive[0]?.applied.members ?? [];
	const voters = alive.filter(
		(node) =>
			node.core?.durable.voting &&
			node.settings.core.protocol.min === 1 &&
			alive.every((other) => other.applied.members.some((member) => member.name === node.name)),
	);
	if (voters.length * 2 <= members.length || !canChange(all, voters)) return null;
	// What a node that left ended for itself is told to nobody.
	const told = voters.flatMap((node) => node.disk.durable.ended.filter((one) => one.epoch !== null));
	const ended = new Set(told.map((one) => one.rollout));
	for (const node of voters) {
		const left = unsettledOn(node, ended);
		if (left !== null) return left;
	}
	return null;
}

/** A change of members needs a majority of the old ones and of the new ones. */
function canChange(nodes: readonly SimNode[], voters: readonly SimNode[]): boolean {
	const all = new Map(nodes.map((node) => [node.name, node]));
	const names = new Set(voters.map((node) => node.name));
	const changes = voters.flatMap((node) => node.disk.durable.open).filter((one) => one.spec.membersNext);
	return changes.every(({ spec }) => lackingMajority(all, spec, (name) => names.has(name)) === null);
}

/** A change of members that was aborted half-way leaves nodes that cannot talk; only another change mends that. */
function isSplit(alive: readonly SimNode[]): boolean {
	const hashes = new Set(alive.map((node) => node.applied.memberHash));
	const changing = alive.some((node) => node.disk.durable.open.some((one) => one.spec.memberHashNext !== null));
	return hashes.size > 1 && !changing;
}

function unsettledOn(node: SimNode, ended: ReadonlySet<string>): string | null {
	const { core } = node;
	if (!core) return null;
	const behind = core.durable.open.find((one) => ended.has(one.spec.id));
	if (behind) return `${behind.spec.id} is open on ${node.name} and has ended elsewhere`;
	if (core.start) return `${node.name} still owes an answer to a request`;
	for (const open of core.durable.open) {
		const view = getRollout(core, open.spec.id, { now: node.now(), wall: 0 });
		if (view?.reverted_by != null) return `${open.spec.id} is to be undone on ${node.name}, and is not`;
		if (open.flags.paused && open.flags.halted === null && !open.flags.aborting) continue;
		if (view?.state === 'halted' && view.reason && !open.flags.aborting) continue;
		if (!isShared(open.spec) && view?.state === 'planned' && core.durable.open.some(isPausedReplicated)) continue;
		return `${open.spec.id} is ${view?.state} on ${node.name}, waiting for ${view?.waiting_for}`;
	}
	return null;
}

const isPausedReplicated = (open: { spec: { replicated: boolean }; flags: { paused: boolean } }): boolean =>
	open.spec.replicated && open.flags.paused;
