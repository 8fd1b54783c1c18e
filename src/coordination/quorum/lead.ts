/** What holding the lease means: heartbeats out, reports in, and everyone told what a majority has to know. */
import { reopenEndedHere, storeEndings } from './replicate.js';
import { heardMembers, hearsMajority, heldLease, isHeard, isLive, knows } from './heard.js';
import type { MessageOf } from './messages.js';
import type { Candidacy, CoordinationState, Leadership } from './state.js';
import { broadcast, peersOf, type Turn } from './turn.js';
import { areMajority, type Left } from './members/voters.js';
import { compareVersions, type Epoch, type NodeName, sameEpoch } from '../epoch.js';
import { type Ending, type Entry, type EntryId, type Report, hasEnded, openShared, toldEndings } from '../port.js';

/** Merges the entries of the promises; returns the open ones, newest first. */
export function gather(turn: Turn, lease: Leadership, candidacy: Candidacy, left: readonly Left[]): Entry[] {
	const { state } = turn;
	const told = Object.values(candidacy.promises);
	const open = told.flatMap((one) => one.open);
	storeEndings(
		turn,
		told.flatMap((one) => one.ended),
	);
	reopenEndedHere(turn, open);
	for (const { spec } of open)
		if (hasEnded(state, spec.id) && !lease.spreading.includes(spec.id)) lease.spreading.push(spec.id);
	return mergeOpen(state, open).map((one) => withLeft(one, left));
}

/** Stores the nodes that refused because they have left by this rollout: they may not be heard again. */
function withLeft({ spec, flags }: Entry, left: readonly Left[]): Entry {
	const own = left.filter((one) => one.rollout === spec.id).map((one) => one.node);
	return { spec, flags: { ...flags, left: [...new Set([...flags.left, ...own])].sort() } };
}

/** Of each rollout the newest flags; the newest rollout first. */
function mergeOpen(state: CoordinationState, told: readonly Entry[]): Entry[] {
	const merged = new Map<EntryId, Entry>();
	for (const one of [...openShared(state), ...told]) {
		if (hasEnded(state, one.spec.id)) continue;
		const known = merged.get(one.spec.id);
		if (!known || compareVersions(one.flags.version, known.flags.version) > 0) merged.set(one.spec.id, one);
	}
	return [...merged.values()].sort((a, b) => compareVersions(b.flags.version, a.flags.version));
}

/** The entry that was put last under the own epoch: the one that is to be stored by all. */
export function putUnder(state: CoordinationState, { epoch }: Leadership): Entry | undefined {
	const own = openShared(state).filter(({ flags }) => sameEpoch(flags.version.epoch, epoch));
	return own.reduce<Entry | undefined>(
		(last, one) => (last && last.flags.version.n >= one.flags.version.n ? last : one),
		undefined,
	);
}

/** Stores a new version of it here, and tells all; {@link isConfirmed} says when a majority has it. */
export function put(turn: Turn, lease: Leadership, { spec, flags }: Entry): void {
	const { state } = turn;
	const known = openShared(state).find((one) => one.spec.id === spec.id);
	const isOwn = known !== undefined && sameEpoch(known.flags.version.epoch, lease.epoch);
	// Above what else is open under this epoch, so that a successor takes it for the newest.
	const last = isOwn ? known : putUnder(state, lease);
	const version = { epoch: lease.epoch, n: last ? last.flags.version.n + 1 : 0 };
	const next = { ...flags, version };
	if (isOwn) turn.store({ kind: 'flags', rollout: spec.id, flags: next });
	else turn.store({ kind: 'open', spec, flags: next });
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
	const message: MessageOf<'store'> = { kind: 'store', epoch: lease.epoch, open: active ? [active] : [], ended };
	for (const peer of peers) turn.send(peer, message);
}

const endingOf = (state: CoordinationState, id: EntryId): Ending[] => toldEndings(state, [id]);

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
	turn.arm('heartbeat', now + heartbeatEveryMs(state));
}

/** With the heartbeat: sends entries again to peers that lack them. */
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
	if (!sameEpoch(epoch, lease.epoch)) return;
	const before = lease.reports[from];
	if (!isNewer(before?.report, report)) return;
	const sentAt = lease.sent[report.echo] ?? Number.NEGATIVE_INFINITY;
	const wasHeard = isHeard(state, from, now);
	const at = Math.max(before?.at ?? Number.NEGATIVE_INFINITY, sentAt);
	lease.reports[from] = { at, report, decided: true };
	turn.quiet = wasHeard && before?.decided === true && turn.saysTheSame(before.report, report);
	turn.tell({ kind: 'reported', from, report });
}

/** Whether `report` is newer than the last one (boot, then sequence). */
function isNewer(before: Report | undefined, report: Report): boolean {
	if (!before) return true;
	return report.boot > before.boot || (report.boot === before.boot && report.sequence > before.sequence);
}

/** Endings go out until a majority has them, and for a while to the rest. */
export function spread({ state, now }: Turn, lease: Leadership): void {
	if (lease.spreading.length === 0) return;
	const { self, leaseMs } = state.settings;
	const heard = heardMembers(state, now);
	lease.spreading = lease.spreading.filter((id) => {
		const have = (name: NodeName): boolean => name === self || lease.reports[name]?.report.ended.includes(id) === true;
		if (!areMajority(state, have)) return true;
		return !heard.every(have) && now < lease.spreadSince + 2 * leaseMs;
	});
}

/** Lets go of the lease once everyone was told what ended under it. */
export function resign({ state }: Turn): void {
	if (heldLease(state)?.spreading.length === 0) state.lease = null;
}

/** Takes a transfer back that no peer has taken up yet. */
export function callOff(lease: Leadership): void {
	lease.transfer = null;
}

/** After every event: whether a majority is heard. */
export function noteHeard({ state, now }: Turn, lease: Leadership): boolean {
	const majority = hearsMajority(state, now);
	if (majority) lease.majorityAt = now;
	return majority;
}

/**
 * Asks the first of these peers that was not asked yet to prepare the next epoch, and again after a third of a lease; until
 * one holds that, this node leads. true: a peer was asked just now.
 */
export function transfer(turn: Turn, lease: Leadership, able: readonly NodeName[]): boolean {
	const { state, now } = turn;
	if (lease.transfer && now < lease.transfer.at + state.settings.leaseMs / 3) return false;
	const tried = lease.transfer?.tried ?? [];
	const to = able.find((node) => !tried.includes(node)) ?? able[0];
	const entry = putUnder(state, lease);
	lease.transfer = null;
	if (to === undefined || !entry) return false;
	lease.transfer = { to, at: now, tried: [...tried, to] };
	turn.note('handover', { rollout: entry.spec.id, to });
	turn.send(to, { kind: 'handover', epoch: lease.epoch, rollout: entry.spec.id });
	return true;
}
