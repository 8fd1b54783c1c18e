/** What holding the lease means: heartbeats out, reports in, and everyone told what a majority has to know. */
import { openAgain, toldEndings, storeEndings } from './replicate.js';
import { heardMembers, hearsMajority, heldLease, isHeard, isLive, knows } from './heard.js';
import { compareVersions, sameEpoch, type Epoch, type NodeName } from '../epoch.js';
import { isNewer, leftOf } from './campaign.js';
import { isMajority, type Left } from './voters.js';
import type { Candidacy, CoordinationState, Leadership } from './state.js';
import type { Ending, OpenRollout, PeerMessage, Report } from '../../rollout/messages.js';
import { isEqual } from '../../rollout/equal.js';
import { arm, broadcast, hasEnded, openReplicated, peersOf, send, store, type Turn } from '../../rollout/outbox.js';
import type { NodeRecord, RolloutId } from '../../rollout/types.js';

/** Gathers what the promises told; answers what is open, the newest first. */
export function gather(turn: Turn, lease: Leadership, candidacy: Candidacy): OpenRollout[] {
	const { state } = turn;
	const told = Object.values(candidacy.promises);
	const open = told.flatMap((one) => one.open);
	storeEndings(
		turn,
		told.flatMap((one) => one.ended),
	);
	openAgain(turn, open);
	for (const { spec } of open)
		if (hasEnded(state, spec.id) && !lease.spreading.includes(spec.id)) lease.spreading.push(spec.id);
	const left = leftOf(candidacy);
	return mergeOpen(state, open).map((one) => withLeft(one, left));
}

/** Who refused its promise because it has left by this rollout is written down with it: nobody may hear of it again. */
function withLeft({ spec, flags }: OpenRollout, left: readonly Left[]): OpenRollout {
	const own = left.filter((one) => one.rollout === spec.id).map((one) => one.node);
	return { spec, flags: { ...flags, left: [...new Set([...flags.left, ...own])].sort() } };
}

/** Of each rollout the newest flags; the newest rollout first. */
function mergeOpen(state: CoordinationState, told: readonly OpenRollout[]): OpenRollout[] {
	const merged = new Map<RolloutId, OpenRollout>();
	for (const one of [...openReplicated(state), ...told]) {
		if (hasEnded(state, one.spec.id)) continue;
		const known = merged.get(one.spec.id);
		if (!known || compareVersions(one.flags.version, known.flags.version) > 0) merged.set(one.spec.id, one);
	}
	return [...merged.values()].sort((a, b) => compareVersions(b.flags.version, a.flags.version));
}

/** What is open under the own epoch; a leader has one at a time. */
export function putUnder(state: CoordinationState, { epoch }: Leadership): OpenRollout | undefined {
	return openReplicated(state).find(({ flags }) => sameEpoch(flags.version.epoch, epoch));
}

/** Stores a new version of it here, and tells all; {@link isConfirmed} says when a majority has it. */
export function put(turn: Turn, lease: Leadership, { spec, flags }: OpenRollout): void {
	const { state } = turn;
	const known = openReplicated(state).find((one) => one.spec.id === spec.id);
	const isOwn = known !== undefined && sameEpoch(known.flags.version.epoch, lease.epoch);
	const version = { epoch: lease.epoch, n: isOwn ? known.flags.version.n + 1 : 0 };
	const next = { ...flags, version };
	if (isOwn) store(turn, { kind: 'flags', rollout: spec.id, flags: next });
	else store(turn, { kind: 'open', spec, flags: next });
	tellStore(turn, lease, peersOf(state));
}

/** Stores its last version, which wins over every open one, and tells all; also of one that was never open. */
export function close(turn: Turn, lease: Leadership, ending: Omit<Ending, 'epoch'>): void {
	storeEndings(turn, [{ rollout: ending.rollout, epoch: lease.epoch, view: ending.view }]);
	lease.spreading.push(ending.rollout);
	lease.spreadSince = turn.now;
	tellStore(turn, lease, peersOf(turn.state));
}

function tellStore(turn: Turn, lease: Leadership, peers: readonly NodeName[]): void {
	const { state } = turn;
	const active = putUnder(state, lease);
	const ended = lease.spreading.flatMap((id) => endingOf(state, id));
	if (!active && ended.length === 0) return;
	const message: PeerMessage = { kind: 'store', epoch: lease.epoch, open: active ? [active] : [], ended };
	for (const peer of peers) send(turn, peer, message);
}

const endingOf = (state: CoordinationState, id: RolloutId): Ending[] => toldEndings(state, [id]);

export const heartbeatEveryMs = (state: CoordinationState): number => state.settings.leaseMs / 9;
const heartbeatsRemembered = 12;

export function heartbeat(turn: Turn, lease: Leadership): void {
	const { state, now } = turn;
	lease.number += 1;
	lease.sent[lease.number] = now;
	delete lease.sent[lease.number - heartbeatsRemembered];
	broadcast(turn, {
		kind: 'heartbeat',
		epoch: lease.epoch,
		number: lease.number,
		live: isLive(state, lease, now),
	});
	arm(turn, 'heartbeat', now + heartbeatEveryMs(state));
}

/** Beside the heartbeat: whoever does not have what it should is told again. */
export function onHeartbeatTimer(turn: Turn): void {
	const { state } = turn;
	const lease = heldLease(state);
	if (!lease) return;
	heartbeat(turn, lease);
	tellStore(
		turn,
		lease,
		peersOf(state).filter((peer) => lacks(state, lease, peer)),
	);
}

function lacks(state: CoordinationState, lease: Leadership, peer: NodeName): boolean {
	const report = lease.reports[peer]?.report;
	if (!report) return true;
	const active = putUnder(state, lease);
	if (active && !knows(state, active, peer)) return true;
	return lease.spreading.some((id) => !report.ended.includes(id));
}

/** A report counts only with the own epoch and a greater (boot, sequence) than the last one. */
export function hearReport(turn: Turn, from: NodeName, epoch: Epoch, report: Report): void {
	const { state, now } = turn;
	const lease = heldLease(state);
	if (!lease) return;
	const own = sameEpoch(epoch, lease.epoch);
	if (!own) return;
	const before = lease.reports[from];
	if (!isNewer(before?.report, report)) return;
	const sentAt = own ? (lease.sent[report.echo] ?? Number.NEGATIVE_INFINITY) : now;
	const wasHeard = isHeard(state, from, now);
	// A record that is told again is the record that is known: what was found out of it holds.
	const records = before && sameSteps(before.report, report) ? before.report.records : report.records;
	const at = Math.max(before?.at ?? Number.NEGATIVE_INFINITY, sentAt);
	lease.reports[from] = { at, report: { ...report, records }, decided: true };
	turn.quiet = wasHeard && before?.decided === true && saysTheSame(before.report, report);
	turn.facts.push({ kind: 'reported', from, report });
}

function saysTheSame(a: Report, b: Report): boolean {
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
	return b !== undefined && a.rollout === b.rollout && a.state === b.state && a.attempt === b.attempt;
}

/** Endings go out until a majority has them, and for a while to the rest. */
export function spread({ state, now }: Turn, lease: Leadership): void {
	if (lease.spreading.length === 0) return;
	const { self, leaseMs } = state.settings;
	const heard = heardMembers(state, now);
	lease.spreading = lease.spreading.filter((id) => {
		const have = (name: NodeName): boolean => name === self || lease.reports[name]?.report.ended.includes(id) === true;
		const holders = state.members.map((one) => one.name).filter(have);
		if (!isMajority(state, new Set(holders))) return true;
		return !heard.every(have) && now < lease.spreadSince + 2 * leaseMs;
	});
}

/** Takes a transfer back that no peer has taken up yet. */
export function callOff(lease: Leadership): void {
	lease.transfer = null;
}

/** Whether a majority may not have its ending yet. */
export function isSpreading(state: CoordinationState, id: RolloutId): boolean {
	return heldLease(state)?.spreading.includes(id) ?? false;
}

/** After every event: whether a majority is heard. */
export function noteHeard({ state, now }: Turn, lease: Leadership): boolean {
	const majority = hearsMajority(state, now);
	if (majority) lease.majorityAt = now;
	return majority;
}
