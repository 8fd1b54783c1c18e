/** What this node says of itself to whoever holds the lease. */
import { outOf } from '../durable.js';
import { zeroEpoch } from '../../coordination/epoch.js';
import type { Report } from '../messages.js';
import type { CoreState } from '../state.js';
import { openReplicated, send, type Turn } from '../outbox.js';

const endedInReportMax = 16;

export function buildReport(state: CoreState): Report {
	state.sequence += 1;
	const open = openReplicated(state);
	return {
		boot: state.durable.boot,
		sequence: state.sequence,
		echo: state.follows.echo,
		readiness: state.readiness,
		memberHash: state.memberHash,
		out: outOf(state.durable.records),
		records: state.durable.records.filter((record) => open.some((one) => one.spec.id === record.rollout)),
		have: open.map((one) => ({ rollout: one.spec.id, version: one.flags.version })),
		ended: state.durable.ended
			.filter((one) => one.epoch !== null)
			.slice(-endedInReportMax)
			.map((one) => one.rollout),
		progress: state.execution?.progress ?? null,
		...toldEndedHere(state),
	};
}

/** Left out if there is none: a build that does not know the field would turn the report away. */
function toldEndedHere({ durable }: CoreState): Pick<Report, 'endedHere'> {
	const endedHere = durable.endedHere.map(({ rollout, view }) => ({ rollout, reason: view.reason ?? '' }));
	return endedHere.length > 0 ? { endedHere } : {};
}

/** To the holder of the promised epoch; nothing if that is this node, or nobody yet. */
export function reportToCoordinator(turn: Turn): void {
	const { state } = turn;
	const { promised } = state.durable;
	if (promised.node === zeroEpoch.node || promised.node === state.settings.self) return;
	if (!state.durable.voting || !state.links[promised.node]) return;
	send(turn, promised.node, { kind: 'report', epoch: promised, report: buildReport(state) });
}
