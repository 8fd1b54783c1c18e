/** How each target of a rollout stands, as the holder of the lease knows. */
import { standingOf } from './budget.js';
import type { Drive } from '../controller/state.js';
import { judge, type Verdict } from './proof.js';
import { appsOf } from './scope.js';
import { isSelected, whyUntouched } from './selection.js';
import { isLeaving } from '../../coordination/port.js';
import type { OpenRollout, Report } from '../messages.js';
import type { CoreState } from '../state.js';
import type { NodeName, NodeRecord, NodeState, RolloutId, RolloutSpec } from '../types.js';
import { nodesOf } from '../views/change.js';
import type { ViewNode } from '../views/view-parts.js';

export interface TargetStatus {
	node: NodeName;
	state: NodeState;
	/** Of the record, or of the grant. */
	attempt: number;
	reason: string | null;
	/** Its step takes longer than the deadline. */
	overdue: boolean;
	heard: boolean;
	/** Known only from what an earlier coordinator showed. */
	hearsay: boolean;
	record: NodeRecord | null;
}

export function targetsOf(state: CoreState, drive: Drive, open: OpenRollout, now: number): TargetStatus[] {
	return open.spec.members.map(({ name }) => statusOf(state, drive, open, name, now));
}

function statusOf(state: CoreState, drive: Drive, open: OpenRollout, node: NodeName, now: number): TargetStatus {
	const heard = state.coordination.isHeard(node, now);
	if (!isSelected(open.spec, node)) return untouched(open.spec, node, heard);
	const standing = standingOf(state, node);
	const record = standing?.records.find((one) => one.rollout === open.spec.id) ?? null;
	const judged = standing ? judgedOf(state, drive, open, node, record) : hearsayOf(state, open, node);
	if (['refused', 'failed'].includes(judged.state) && isPassedOver(open.spec, node))
		return passedOver(open.spec, node, heard, record);
	const skipped = judged.state !== 'back' && open.flags.skipped.includes(node);
	const apart = judged.state === 'pending' ? endedThere(standing?.endedHere, open.spec.id) : null;
	return {
		node,
		state: skipped || apart !== null ? 'skipped' : judged.state,
		attempt: judged.attempt,
		reason: skipped ? whySkipped(open.spec, node) : (apart ?? judged.reason),
		overdue: !skipped && drive.overdue[node] !== undefined && !isGone(open, { node, heard }),
		heard,
		hearsay: !standing,
		record,
	};
}

const untouched = (spec: RolloutSpec, node: NodeName, heard: boolean): TargetStatus => ({
	node,
	state: 'skipped',
	attempt: 1,
	reason: whyUntouched(spec, node),
	overdue: false,
	heard,
	hearsay: false,
	record: null,
});

/** It leaves and was not linked when the change began, so its file was not looked at: nothing depends on how it goes there. */
export function isPassedOver({ membersNext, configHashes }: RolloutSpec, node: NodeName): boolean {
	if (!membersNext || !configHashes) return false;
	return configHashes[node] === undefined && membersNext.every(({ name }) => name !== node);
}

/** It leaves and is not heard: it was dead before, or is not linked any more with those that have applied the change. */
export const isGone = (open: OpenRollout, { node, heard }: Pick<TargetStatus, 'node' | 'heard'>): boolean =>
	isLeaving(open, node) && !heard;

const passedOver = (spec: RolloutSpec, node: NodeName, heard: boolean, record: NodeRecord | null): TargetStatus => ({
	...untouched(spec, node, heard),
	reason: 'it was not linked when the change that takes it out began',
	record,
});

const whySkipped = (spec: RolloutSpec, node: NodeName): string =>
	spec.without?.includes(node) ? `has no app ${appsOf(spec)?.join(', ')}` : 'skipped by an operator';

/** Why a node takes no step of the rollout any more: an operator has ended it there. null: it does. */
export function endedThere(told: Report['endedHere'], rollout: RolloutId): string | null {
	return told?.find((one) => one.rollout === rollout)?.reason ?? null;
}

type Judged = Pick<TargetStatus, 'state' | 'attempt' | 'reason'>;

/** A node that lost its state reports it; if its disk was restored from a copy, only others know. */
const lostText =
	'it lost its state while this rollout ran, so it is unknown whether it had its turn, or how far it came';

function judgedOf(
	state: CoreState,
	drive: Drive,
	open: OpenRollout,
	node: NodeName,
	record: NodeRecord | null,
): Judged {
	const grant = drive.grants[node];
	const waiting: Judged = { state: grant ? 'restarting' : 'pending', attempt: open.flags.attempt, reason: null };
	if (record?.state === 'restarting') return { state: 'restarting', attempt: record.attempt, reason: null };
	const isForgotten = record?.state !== 'back' && (record?.attempt ?? 0) < attemptSeen(state, drive, open, node);
	if (isForgotten) return { state: 'failed', attempt: open.flags.attempt, reason: lostText };
	if (!record || record.state === 'none') return waiting;
	if (record.state === 'lost' && record.attempt >= open.flags.attempt)
		return { state: 'failed', attempt: record.attempt, reason: lostText };
	const verdict = record.state === 'failed' || record.state === 'lost' ? null : verdictOf(open, node, record);
	if (verdict?.state === 'back') return { state: 'back', attempt: record.attempt, reason: null };
	if (record.attempt < open.flags.attempt) return waiting;
	const reason = verdict?.reason ?? verdictOf(open, node, record).reason;
	return { state: verdict?.state ?? 'failed', attempt: record.attempt, reason };
}

const verdicts = new WeakMap<NodeRecord, Verdict>();

/** A record is judged once: it is replaced, and never changed, when there is more to tell. */
function verdictOf({ spec }: OpenRollout, node: NodeName, record: NodeRecord): Verdict {
	const known = verdicts.get(record);
	if (known) return known;
	const verdict = judge(spec, node, record);
	verdicts.set(record, verdict);
	return verdict;
}

/**
 * The attempt that the node's record told of before, to this coordinator or to the last one, as long as nobody has raised
 * the attempt because of it; 0: none. A record never goes back by itself.
 */
function attemptSeen(state: CoreState, drive: Drive, open: OpenRollout, node: NodeName): number {
	const grant = drive.grants[node];
	if (grant?.begun && grant.attempt >= open.flags.attempt) return grant.attempt;
	const seen = shownNode(state, open, node);
	if (seen?.state === 'back') return seen.attempt;
	const settled = seen?.state === 'failed' || seen?.state === 'refused';
	return settled && seen.attempt >= open.flags.attempt ? seen.attempt : 0;
}

/** A target that has not reported yet: what the last coordinator showed of it, for the careful side only. */
function hearsayOf(state: CoreState, open: OpenRollout, node: NodeName): Judged {
	const seen = shownNode(state, open, node);
	const pending: Judged = { state: 'pending', attempt: open.flags.attempt, reason: null };
	// What a majority has stored is newer than any view.
	if (open.flags.left.includes(node)) {
		// Under which attempt only a view says; never more than its record does, or it would count as lost when it is heard.
		return { state: 'back', attempt: seen?.state === 'back' ? seen.attempt : 1, reason: null };
	}
	if (!seen || seen.state === 'skipped') return pending;
	const settled = seen.state === 'refused' || seen.state === 'failed';
	if (settled && seen.attempt < open.flags.attempt) return pending;
	return { state: seen.state, attempt: seen.attempt, reason: seen.reason };
}

/** The node as this coordinator, or the last one, showed it last. */
export function shownNode(state: CoreState, { spec }: OpenRollout, node: NodeName): ViewNode | undefined {
	const shown = state.views[spec.id];
	return shown && nodesOf(shown.view).get(node);
}
