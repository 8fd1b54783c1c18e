/** Bounded time: while a majority has been able to talk for long enough, a running rollout has a coordinator that hears one. */
import type { RolloutSpec } from '../../src/rollout/types.js';
import type { FakeNetwork } from '../support/rollout/fake-network.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import { lackingMajority } from './majority.js';
import type { VirtualTime } from '../support/rollout/virtual-time.js';
import { isShared } from '../../src/coordination/port.js';

/** Leases in which somebody has to take over, ranks and failed tries included. */
const leasesMax = 7;

export class MajorityWatch {
	/** When a node, or a pair of nodes, was last seen in trouble. */
	readonly #trouble = new Map<string, number>();
	#ledAt = 0;

	constructor(
		private readonly nodes: ReadonlyMap<string, SimNode>,
		private readonly network: FakeNetwork,
		private readonly time: VirtualTime,
		private readonly leaseMs: number,
	) {}

	/** What is wrong; null: nothing. Looked at again and again. */
	leaderless(): string | null {
		const all = [...this.nodes.values()];
		for (const node of all) if (!isWell(node)) this.#trouble.set(node.name, this.time.now);
		for (const a of all)
			for (const b of all)
				if (a.name < b.name && !this.#canTalk(a, b)) this.#trouble.set(`${a.name}|${b.name}`, this.time.now);
		const running = all
			.flatMap((node) => node.disk.durable.open)
			.find((one) => isShared(one.spec) && one.flags.halted === null);
		if (!running || all.some((node) => this.#leads(node))) this.#ledAt = this.time.now;
		const limit = leasesMax * this.leaseMs;
		if (this.time.now - this.#ledAt < limit) return null;
		if (!running) return null;
		const able = majorities(all).some(
			(group) => this.#mayDecide(group, running.spec) && this.#wellSince(group, this.time.now - limit),
		);
		return able ? `${running.spec.id} has had no coordinator that hears a majority for ${leasesMax} leases` : null;
	}

	/** A majority, also of both fleets while the members change, one of whom knows the rollout. */
	#mayDecide(group: readonly SimNode[], spec: RolloutSpec): boolean {
		const names = new Set(group.map((node) => node.name));
		const knows = group.some((node) => node.disk.durable.open.some((one) => one.spec.id === spec.id));
		return knows && lackingMajority(this.nodes, spec, (name) => names.has(name)) === null;
	}

	#canTalk(a: SimNode, b: SimNode): boolean {
		if (!a.links().has(b.name) || !b.links().has(a.name)) return false;
		return !this.network.isCut(a.name, b.name) && !this.network.isCut(b.name, a.name);
	}

	/** Holds the lease and has heard a majority within the last one. */
	#leads(node: SimNode): boolean {
		const lease = node.alive && !node.paused ? node.quorum?.lease : null;
		return lease?.kind === 'held' && node.now() - lease.majorityAt < this.leaseMs;
	}

	#wellSince(group: readonly SimNode[], since: number): boolean {
		const names = group.map((node) => node.name);
		const keys = [...names, ...names.flatMap((a) => names.filter((b) => a < b).map((b) => `${a}|${b}`))];
		return keys.every((key) => (this.#trouble.get(key) ?? 0) < since);
	}
}

function isWell(node: SimNode): boolean {
	return (
		node.alive && !node.paused && !node.disk.full && node.core?.durable.voting === true && node.settings.syncMs < 40
	);
}

/** Every set of nodes that is just a majority. */
function majorities(nodes: readonly SimNode[]): SimNode[][] {
	const needed = Math.floor(nodes.length / 2) + 1;
	const groups: SimNode[][] = [];
	for (let bits = 0; bits < 1 << nodes.length; bits += 1) {
		const group = nodes.filter((_, at) => (bits >> at) % 2 === 1);
		if (group.length === needed) groups.push(group);
	}
	return groups;
}
