/** How this node stands, as its answers to a coordinator say. */
import { outOf } from '../records.js';
import { isEqual } from '../equal.js';
import type { Report, Status } from '../messages.js';
import type { CoreState } from '../state.js';
import type { NodeRecord, RolloutId } from '../types.js';
import { isShared } from '../../coordination/port.js';

export function statusOf(state: CoreState): Status {
	const { open, records, endedHere } = state.durable;
	const isOpen = (id: RolloutId): boolean => open.some(({ spec }) => spec.id === id && isShared(spec));
	const status: Status = {
		readiness: state.readiness,
		out: outOf(records),
		records: records.filter((record) => isOpen(record.rollout)),
		progress: state.execution?.progress ?? null,
	};
	// Left out if there is none: a build that does not know the field would turn the report away.
	if (endedHere.length > 0)
		status.endedHere = endedHere.map(({ rollout, view }) => ({ rollout, reason: view.reason ?? '' }));
	return status;
}

export function saysTheSame(a: Report, b: Report): boolean {
	return (
		a.boot === b.boot &&
		a.memberHash === b.memberHash &&
		a.progress === b.progress &&
		isEqual(a.readiness, b.readiness) &&
		isEqual(a.out, b.out) &&
		isEqual(a.have, b.have) &&
		isEqual(a.ended, b.ended) &&
		isEqual(a.endedHere, b.endedHere) &&
		sameSteps(a, b)
	);
}

/** Of each record the step alone: its evidence never changes while that stays. */
function sameSteps({ records: a }: Report, { records: b }: Report): boolean {
	return a.length === b.length && a.every((one, at) => isSameStep(one, b[at]));
}

function isSameStep(a: NodeRecord, b: NodeRecord | undefined): boolean {
	if (b === undefined || !isEqual(a.hooks, b.hooks)) return false;
	return a.rollout === b.rollout && a.state === b.state && a.attempt === b.attempt;
}
