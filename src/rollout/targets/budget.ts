/** Who counts against max_unavailable, as the holder of a lease sees it. */
import { outOf } from '../records.js';
import type { Member, OpenRollout, Report } from '../messages.js';
import type { CoreState } from '../state.js';
import type { Drive } from '../controller/state.js';
import type { NodeName, Readiness, RolloutId } from '../types.js';

/** `1 of 2 workers healthy`, or what else is wrong; null: it is not down. */
export function whatIsDown(readiness: Readiness): string | null {
	if (readiness.availability === 'Unavailable') return 'availability is Unavailable';
	const app = readiness.apps.find((one) => one.healthy < one.wanted);
	if (app) return `${app.healthy} of ${app.wanted} workers of ${app.app} healthy`;
	return readiness.draining ? 'draining' : null;
}

/** A number of nodes, at least 1; per cent are of all members, rounded down. null: neither a number nor per cent. */
export function budgetOf(wanted: number | string, members: number): number | null {
	if (typeof wanted === 'number') return Number.isInteger(wanted) && wanted >= 1 ? Math.min(wanted, members) : null;
	const match = /^(\d{1,3})%$/.exec(wanted.trim());
	if (match) {
		const percent = Number(match[1]);
		return percent >= 1 && percent <= 100 ? Math.max(1, Math.floor((members * percent) / 100)) : null;
	}
	return /^\d{1,4}$/.test(wanted.trim()) ? budgetOf(Number(wanted), members) : null;
}

/** What a node says of itself, as far as a decision needs it. */
type Standing = Pick<
	Report,
	'readiness' | 'out' | 'records' | 'have' | 'ended' | 'endedHere' | 'progress' | 'memberHash'
>;

/** The own node needs no report; it is asked often, so each part is looked up when it is asked for. */
class OwnStanding implements Standing {
	constructor(private readonly state: CoreState) {}

	get readiness(): Readiness {
		return this.state.readiness;
	}
	get memberHash(): string {
		return this.state.memberHash;
	}
	get out(): RolloutId[] {
		return outOf(this.state.durable.records);
	}
	get records(): Report['records'] {
		const { open, records } = this.state.durable;
		return records.filter((record) => open.some((one) => one.spec.id === record.rollout));
	}
	get have(): Report['have'] {
		return this.state.durable.open.map((one) => ({ rollout: one.spec.id, version: one.flags.version }));
	}
	get ended(): RolloutId[] {
		return this.state.durable.ended.map((one) => one.rollout);
	}
	get endedHere(): Report['endedHere'] {
		return this.state.durable.endedHere.map(({ rollout, view }) => ({ rollout, reason: view.reason ?? '' }));
	}
	get progress(): string | null {
		return this.state.execution?.progress ?? null;
	}
}

/** A peer's last report in this epoch, or the own state. */
export function standingOf(state: CoreState, node: NodeName): Standing | null {
	if (node === state.settings.self) return new OwnStanding(state);
	return state.coordination.report(node) ?? null;
}

export interface Budget {
	heard: Set<NodeName>;
	/** Not heard, or heard and unhealthy, or out: each of these uses one slot. */
	used: Map<NodeName, string>;
	/** Out, or not known not to be. */
	maybeOut: Set<NodeName>;
}

/** Heard, and counted all the same: such a node's turn comes first. */
export function unhealthyIn({ used, heard }: Budget): Set<NodeName> {
	return new Set([...used.keys()].filter((name) => heard.has(name)));
}

/** Looks at every member anew. Nodes that an operator skipped in this rollout do not count. */
export function budgetUsed(
	state: CoreState,
	drive: Drive,
	rollout: Pick<OpenRollout, 'flags'> & { spec: { members: readonly Member[] } },
	now: number,
): Budget {
	const budget: Budget = { heard: new Set(), used: new Map(), maybeOut: new Set() };
	for (const { name } of rollout.spec.members) {
		if (state.coordination.isHeard(name, now)) budget.heard.add(name);
		if (rollout.flags.skipped.includes(name)) continue;
		const standing = standingOf(state, name);
		// Taken out by a grant whose slot is not given back, or by a step that it tells of.
		const isOut = drive.grants[name] !== undefined || drive.stale[name] !== undefined || isInAnyRecord(standing);
		const why = isOut ? outText : whyDown(state, name, budget.heard.has(name), standing);
		if (why !== null) budget.used.set(name, why);
		// A node that never answered in this epoch may have taken a grant of an earlier one.
		if (isOut || standing === null) budget.maybeOut.add(name);
	}
	return budget;
}

/** A step begins on this node. */
export function countOut(budget: Budget, node: NodeName): void {
	budget.used.set(node, outText);
	budget.maybeOut.add(node);
}

const outText = 'is out';

/** Restarting in any record, open or ended. */
const isInAnyRecord = (standing: Standing | null): boolean => (standing?.out ?? []).length > 0;

function whyDown(state: CoreState, node: NodeName, heard: boolean, standing: Standing | null): string | null {
	const refused = state.coordination.peer(node)?.refused ?? null;
	if (!heard && refused !== null) return `takes no part (${refused})`;
	if (!heard && state.coordination.hasOtherMembers(node)) return 'has other members in its configuration';
	if (!heard || !standing) return 'is not heard';
	return whatIsDown(standing.readiness);
}

/** Why no step may begin when so many nodes are out already, and what an operator can do. */
export const noRoom = (out: number, maxUnavailable: number): string =>
	`max_unavailable is ${maxUnavailable}, so no node may be taken out: repair what is out, or give max_unavailable=${out + 1} and the others are rolled`;
