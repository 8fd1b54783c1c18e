/** This node's report to the holder of the lease. */
import { zeroEpoch } from '../epoch.js';
import { type EntryId, type Report, openShared } from '../port.js';
import type { CoordinationState } from './state.js';
import type { Turn } from './turn.js';

const endedInReportMax = 16;

export function buildReport(turn: Turn): Report {
	const { state } = turn;
	state.sequence += 1;
	return {
		boot: state.durable.boot,
		sequence: state.sequence,
		echo: state.follows.echo,
		memberHash: state.memberHash,
		have: openShared(state).map((one) => ({ rollout: one.spec.id, version: one.flags.version })),
		ended: lastEnded(state),
		...turn.status(),
	};
}

function lastEnded({ durable }: CoordinationState): EntryId[] {
	const ids: EntryId[] = [];
	for (let at = durable.ended.length - 1; at >= 0 && ids.length < endedInReportMax; at -= 1) {
		const ending = durable.ended[at];
		if (ending && ending.epoch !== null) ids.push(ending.rollout);
	}
	return ids.reverse();
}

/** To the holder of the promised epoch; not sent if that is this node, or none yet. */
export function reportToCoordinator(turn: Turn): void {
	const { state } = turn;
	const { promised } = state.durable;
	if (promised.node === zeroEpoch.node || promised.node === state.settings.self) return;
	if (!state.durable.voting || !state.links[promised.node]) return;
	turn.send(promised.node, { kind: 'report', epoch: promised, report: buildReport(turn) });
}
