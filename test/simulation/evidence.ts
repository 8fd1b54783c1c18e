/**
 * What was seen from outside: what is on the disks, what messages were delivered, what the executors really did.
 * The invariants are judged by it; see oracle.ts for how it is gathered.
 */
import { compareVersions } from '../../src/coordination/epoch.js';
import type { Version, Report, RolloutFlags } from '../../src/rollout/messages.js';
import type { Epoch, NodeRecord, RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import type { Truth } from '../support/rollout/fake-executor.js';
import type { Runs } from './judge-releases.js';
import { lackingMajority } from './majority.js';
import type { Ask } from './plan.js';
import type { SimNode } from '../support/rollout/sim-node.js';

export class Violation extends Error {
	constructor(
		readonly invariant: string,
		message: string,
	) {
		super(`${invariant}: ${message}`);
	}
}

/** What the oracle has seen one coordinator receive under one epoch. */
export interface Witnessed {
	epoch: Epoch;
	/** When each heartbeat was sent, on the coordinator's clock; 0 is the prepare. */
	sent: Map<number, number>;
	reports: Map<string, { at: number; report: Report }>;
	/** Grants that no report has answered for. */
	grants: Map<string, { rollout: string; attempt: number; version: Version; at: number }>;
	/** The last step that it granted and was told to be back. */
	lastBack: { rollout: string; at: number } | null;
}

export interface Out {
	rollout: string;
	attempt: number;
}

export interface Known {
	spec: RolloutSpec;
	/** A 200 was answered. */
	accepted: boolean;
	begun: boolean;
	skipped: Set<string>;
	ended: boolean;
	/** Every version of the flags that was stored anywhere, and the newest that a majority is known to have. */
	history: { version: Version; flags: RolloutFlags }[];
	confirmed: Version | null;
	/** The first version that a majority had. */
	opened: Version | null;
}

export class Evidence {
	readonly out = new Map<string, Out>();
	readonly rollouts = new Map<string, Known>();
	readonly violations: Violation[] = [];
	/** What operators asked for, by the rollout's id, and the rollouts that they told to resume. */
	readonly asked = new Map<string, Ask>();
	readonly resumed = new Set<string>();
	/** Requests and words that were answered, by token. */
	/** Hooks that were run, by rollout and name, those of nodes also by node and attempt. */
	readonly hooks = new Set<string>();
	readonly answers = new Map<string, { ok: boolean; view: RolloutView | null; message: string }>();
	readonly witnessed = new Map<string, Witnessed>();
	/** Steps begun, as `node rollout attempt`, and nodes whose record said back. */
	readonly begun = new Set<string>();
	readonly back = new Set<string>();
	/** Rollouts that an operator has ended on one node alone, as `node rollout`. */
	readonly endedHere = new Set<string>();
	/** When each node was last linked with a majority that votes, on its own clock. */
	readonly heardMajority = new Map<string, number>();
	/** The last attempt whose record was lost with its disk, by `node rollout`; null where a copy hides even that. */
	readonly lost = new Map<string, number | null>();
	/** Nodes that had been back when they lost their disk, as `node rollout`. */
	readonly backBefore = new Set<string>();
	readonly truth = new Map<string, Truth>();
	/** Nodes whose disk was lost or put back: it no longer shows what they stored. */
	readonly forgetful = new Set<string>();
	/** The newest flags that a node ever had on its disk, as `node rollout`. */
	readonly stored = new Map<string, Version>();
	/** Nodes for which an operator vouched before they had met all others. */
	readonly vouched = new Set<string>();
	/** Who promised an epoch, and the epochs whose lease was held. */
	readonly promised = new Map<string, Set<string>>();
	readonly leases = new Set<string>();
	/** Hashes of the members, as whoever asked for an epoch said them. */
	readonly prepared = new Map<string, readonly string[]>();
	readonly unmet = new Map<string, Set<string>>();
	/** What each node runs, and may start. */
	readonly runs = new Map<string, Runs>();
	/** Rollouts that the fleet itself has undone, and by which. */
	readonly reverted = new Map<string, string>();
	/** Why a node cannot go back, as it told the coordinator of an undo, by `node rollout`. */
	readonly faults = new Map<string, string>();
	readonly counted = new Map<string, { boot: number; sequence: number; report: Report }>();

	constructor(
		readonly nodes: Map<string, SimNode>,
		readonly leaseMs: number,
	) {}

	fail(invariant: string, message: string): void {
		this.violations.push(new Violation(invariant, message));
	}

	/** Whether some version that may still count says that it halted. */
	everHalted(known: Known): boolean {
		const { confirmed } = known;
		return known.history.some(
			({ version, flags }) => flags.halted !== null && (!confirmed || compareVersions(version, confirmed) >= 0),
		);
	}

	isHeard(node: SimNode, seen: Witnessed, name: string): boolean {
		if (name === node.name) return true;
		const heard = seen.reports.get(name);
		// By the links that it was told of: what came in during a sync is not known to it yet.
		return (
			heard !== undefined &&
			node.quorum?.links[name] !== undefined &&
			node.eventNow - heard.at <= this.leaseMs / 3 + 0.01
		);
	}

	isDown(node: SimNode, seen: Witnessed, name: string): boolean {
		const readiness = name === node.name ? node.core?.readiness : seen.reports.get(name)?.report.readiness;
		if (!readiness) return true;
		return (
			readiness.availability === 'Unavailable' ||
			readiness.draining ||
			readiness.apps.some((app) => app.healthy < app.wanted)
		);
	}

	confirm(known: Known, version: Version): void {
		known.opened ??= version;
		if (!known.confirmed || compareVersions(version, known.confirmed) > 0) known.confirmed = version;
	}

	/** What a majority counts this node for, and its disk has forgotten; null: nothing. */
	forgotten(name: string): string | null {
		const durable = this.nodes.get(name)?.disk.durable;
		if (!durable || this.vouched.has(name)) return null;
		for (const [id, { confirmed, ended }] of this.rollouts) {
			const stored = this.stored.get(`${name} ${id}`);
			if (ended || !confirmed || !stored || durable.ended.some((one) => one.rollout === id)) continue;
			const counted = compareVersions(stored, confirmed) < 0 ? stored : confirmed;
			const open = durable.open.find((one) => one.spec.id === id);
			if (!open || compareVersions(open.flags.version, counted) < 0) return id;
		}
		return null;
	}

	holds(name: string, rollout: string, version: Version): boolean {
		const durable = this.nodes.get(name)?.disk.durable;
		if (this.forgetful.has(name)) return true;
		if (durable?.ended.some((one) => one.rollout === rollout)) return true;
		const open = durable?.open.find((one) => one.spec.id === rollout);
		return open !== undefined && compareVersions(open.flags.version, version) >= 0;
	}

	/** The newest version that a majority has on its disks now. */
	stillConfirmed({ spec, history }: Known): Version | null {
		const has = (name: string, version: Version): boolean => {
			const durable = this.nodes.get(name)?.disk.durable;
			if (durable?.ended.some((one) => one.rollout === spec.id)) return true;
			const open = durable?.open.find((one) => one.spec.id === spec.id);
			return open !== undefined && compareVersions(open.flags.version, version) >= 0;
		};
		const kept = history
			.map((one) => one.version)
			.filter((version) => lackingMajority(this.nodes, spec, (name) => has(name, version)) === null);
		return kept.sort(compareVersions).at(-1) ?? null;
	}

	/** What every node that had stored it has lost with its disk cannot be told to anyone again, so it is counted for no more. */
	forgetWhatIsNowhere(id: string, known: Known): void {
		const open = [...this.nodes.values()].flatMap(({ disk }) => disk.durable.open.filter((one) => one.spec.id === id));
		const newest = open
			.map((one) => one.flags.version)
			.sort(compareVersions)
			.at(-1);
		if (newest === undefined) return;
		const atMost = (version: Version): Version => (compareVersions(version, newest) > 0 ? newest : version);
		if (known.confirmed) known.confirmed = atMost(known.confirmed);
		for (const name of this.nodes.keys()) {
			const stored = this.stored.get(`${name} ${id}`);
			if (stored) this.stored.set(`${name} ${id}`, atMost(stored));
		}
	}

	/** false: whoever had stored it lost its disk, and nobody is left to tell of it. */
	isAnywhere(rollout: string): boolean {
		const knows = ({ durable }: SimNode['disk']): boolean =>
			durable.open.some((one) => one.spec.id === rollout) || durable.ended.some((one) => one.rollout === rollout);
		return [...this.nodes.values()].some((node) => knows(node.disk));
	}

	isHalted(rollout: string): boolean {
		for (const node of this.nodes.values()) {
			const open = node.disk.durable.open.find((one) => one.spec.id === rollout);
			if (open?.flags.halted != null) return true;
		}
		return false;
	}
}

/** Its last step has not brought it back. */
export function isOutOnDisk(node: SimNode): boolean {
	const { records } = node.disk.durable;
	const last = records.reduce<NodeRecord | null>((a, b) => (a && a.begun > b.begun ? a : b), null);
	return records.some((one) => one.state === 'restarting') || last?.state === 'failed';
}

export const textOf = (epoch: Epoch): string => `${epoch.counter}@${epoch.node}`;
