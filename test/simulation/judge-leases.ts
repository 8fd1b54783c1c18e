/** Judges answers and leases: I9, I10, and that an operator's word is answered once a majority has stored it. */
import { compareEpochs, compareVersions } from '../../src/coordination/epoch.js';
import type { PeerMessage } from '../../src/fleet/core/events.js';
import type { RolloutFlags } from '../../src/rollout/messages.js';
import type { RolloutView } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import { type Evidence, textOf } from './evidence.js';
import { concerns } from './judge-quorums.js';
import { lackingMajority } from './majority.js';

/** An operator's word and an answered request are on the disks of a majority. */
export function judgeAnswer(evidence: Evidence, node: SimNode, view: RolloutView | null): void {
	const known = view && evidence.rollouts.get(view.id);
	// As of this answer: what the same turn changes after it is not on the disk yet.
	const version = node.disk.durable.open.find((one) => one.spec.id === view?.id)?.flags.version;
	if (!known || !version || known.spec.members.length < 2) return;
	const lease = node.quorum?.lease;
	if (lease?.kind !== 'held' || node.core?.drive?.rollout !== known.spec.id) return;
	// What an earlier coordinator answered is only passed on.
	if (view.epoch !== textOf(lease.epoch)) return;
	const { spec } = known;
	evidence.confirm(known, version);
	const lacking = lackingMajority(evidence.nodes, spec, (name) => evidence.holds(name, spec.id, version));
	if (lacking !== null) evidence.fail('answer', `a word on ${spec.id} is answered while ${lacking} have stored it`);
}

/** I10: whoever holds the lease knows every rollout that has not ended, as a majority last stored it. */
export function judgeLease(evidence: Evidence, node: SimNode): void {
	const { core, quorum } = node;
	if (!core || quorum?.lease?.kind !== 'held') return;
	const { epoch } = quorum.lease;
	for (const [id, known] of evidence.rollouts) {
		if (!known.confirmed || known.ended || !concerns(known.spec, node.name)) continue;
		const open = core.durable.open.find((one) => one.spec.id === id);
		const { confirmed, opened } = known;
		// One that was deposed without knowing it yet cannot know what was begun, or said, since.
		if (opened?.epoch && compareEpochs(opened.epoch, epoch) > 0) continue;
		if (!open && !core.durable.ended.some((one) => one.rollout === id))
			evidence.fail('I10', `${node.name} holds the lease and does not know ${id}`);
		if (confirmed.epoch && compareEpochs(confirmed.epoch, epoch) > 0) continue;
		if (!open || compareVersions(open.flags.version, { epoch, n: 0 }) !== 0) continue;
		const could = known.history.filter((one) => compareVersions(one.version, confirmed) >= 0);
		if (!could.some((one) => saysTheSame(one.flags, open.flags)))
			evidence.fail('I10', `${node.name} holds the lease and does not know what was last said about ${id}`);
	}
}

/** I9: what the coordinator counts is of its own epoch and newer than what it counted before. */
export function judgeReport(
	evidence: Evidence,
	node: SimNode,
	from: string,
	message: Extract<PeerMessage, { kind: 'report' | 'promise' }>,
): void {
	const lease = node.quorum?.lease;
	if (lease?.kind !== 'held' || lease.reports[from]?.report !== message.report) return;
	// Where every node has lost its state, epochs begin anew.
	const key = `${node.name} ${from} ${textOf(lease.epoch)} ${node.core?.durable.instance}`;
	if (compareEpochs(message.epoch, lease.epoch) !== 0)
		evidence.fail(
			'I9',
			`${node.name} counts a report of ${from} of ${textOf(message.epoch)} under ${textOf(lease.epoch)}`,
		);
	const before = evidence.counted.get(key);
	const { boot, sequence } = message.report;
	const older = before && !isNewer(before, { boot, sequence });
	if (older && before.report !== message.report) evidence.fail('I9', `${node.name} counts an old report of ${from}`);
	evidence.counted.set(key, { boot, sequence, report: message.report });
}

const isNewer = (a: { boot: number; sequence: number }, b: { boot: number; sequence: number }): boolean =>
	b.boot > a.boot || (b.boot === a.boot && b.sequence > a.sequence);

/** All but the version, which a new holder of the lease writes anew. */
function saysTheSame(a: RolloutFlags, b: RolloutFlags): boolean {
	const said = ({ attempt, skipped, paused, aborting, halted }: RolloutFlags): string =>
		JSON.stringify([attempt, skipped, paused, aborting, halted]);
	return said(a) === said(b);
}
