/** What holding the lease means: heartbeats out, reports in, and everyone told what a majority has to know. */
import { openAgain } from './reopen.js';
import { endedView } from '../../rollout/views/view-parts.js';
import { toldEndings, storeEndings } from './replicate.js';
import { isHeard } from '../../rollout/targets/budget.js';
import { compareVersions, sameEpoch } from '../epoch.js';
import { isNewer, isLive, leftOf } from './campaign.js';
import type { Left } from './voters.js';
import type { Ending, OpenRollout, PeerMessage, Report } from '../../rollout/messages.js';
import { isEqual } from '../../rollout/equal.js';
import type { Candidacy, CoreState, Lease } from '../../rollout/state.js';
import { knows } from '../../rollout/targets/targets.js';
import {
	arm,
	broadcast,
	hasEnded,
	heldLease,
	note,
	openOf,
	openReplicated,
	peersOf,
	send,
	store,
	type Turn,
} from '../../rollout/outbox.js';
import type { Epoch, NodeName, NodeRecord, RolloutId, RolloutView } from '../../rollout/types.js';
import { viewOf } from '../../rollout/views/view.js';

/** Gathers what the promises told, takes up the rollout that is open, ends what it superseded. */
export function beginToDrive(turn: Turn, lease: Lease, candidacy: Candidacy): void {
	const { state } = turn;
	const told = Object.values(candidacy.promises);
	storeEndings(
		turn,
		told.flatMap((one) => one.ended),
	);
	openAgain(
		turn,
		told.flatMap((one) => one.open),
	);
	const open = mergeOpen(
		state,
		told.flatMap((one) => one.open),
	);
	const [active, ...older] = open;
	for (const one of older) {
		store(turn, { kind: 'open', spec: one.spec, flags: one.flags });
		endRollout(turn, lease, one, 'aborted', `superseded by ${active?.spec.id ?? 'another rollout'}`);
	}
	for (const one of told.flatMap((promise) => promise.open))
		if (hasEnded(state, one.spec.id) && !lease.spreading.includes(one.spec.id)) lease.spreading.push(one.spec.id);
	if (active) takeUp(turn, lease, withLeft(active, leftOf(candidacy)));
}

/** Who refused its promise because it has left by this rollout is written down with it: nobody may hear of it again. */
function withLeft({ spec, flags }: OpenRollout, left: readonly Left[]): OpenRollout {
	const own = left.filter((one) => one.rollout === spec.id).map((one) => one.node);
	return { spec, flags: { ...flags, left: [...new Set([...flags.left, ...own])].sort() } };
}

/** Of each rollout the newest flags; the newest rollout first. */
function mergeOpen(state: CoreState, told: readonly OpenRollout[]): OpenRollout[] {
	const merged = new Map<RolloutId, OpenRollout>();
	for (const one of [...openReplicated(state), ...told]) {
		if (hasEnded(state, one.spec.id)) continue;
		const known = merged.get(one.spec.id);
		if (!known || compareVersions(one.flags.version, known.flags.version) > 0) merged.set(one.spec.id, one);
	}
	return [...merged.values()].sort((a, b) => compareVersions(b.flags.version, a.flags.version));
}

/** Drives this rollout from now on; its flags are written anew under the own epoch, and confirmed before any step. */
export function takeUp(turn: Turn, lease: Lease, rollout: OpenRollout): void {
	const { state, now } = turn;
	const flags = { ...rollout.flags, version: { epoch: lease.epoch, n: 0 } };
	store(turn, { kind: 'open', spec: rollout.spec, flags });
	lease.rollout = rollout.spec.id;
	lease.idleSince = null;
	const seen = state.views[rollout.spec.id]?.view;
	for (const node of seen?.nodes ?? []) lease.times[node.node] = { started: node.started_at, back: node.back_at };
	lease.begun = (seen?.order ?? []).filter((name) => lease.times[name]?.started != null);
	if (seen?.nodes.some((node) => node.state === 'back')) lease.backAt = now;
	tellStore(turn, lease, peersOf(state));
}

/** A new version of what changes; steps wait until a majority has it. */
export function changeFlags(turn: Turn, lease: Lease, open: OpenRollout, change: Partial<OpenRollout['flags']>): void {
	const { version } = open.flags;
	const flags = { ...open.flags, ...change, version: { epoch: lease.epoch, n: version.n + 1 } };
	store(turn, { kind: 'flags', rollout: open.spec.id, flags });
	tellStore(turn, lease, peersOf(turn.state));
}

export function endRollout(
	turn: Turn,
	lease: Lease,
	open: OpenRollout,
	result: 'completed' | 'aborted',
	reason: string | null,
): void {
	const { state } = turn;
	const view = viewOf(state, open.spec.id, turn) as RolloutView;
	if (lease.rollout === open.spec.id) {
		lease.rollout = null;
		// What runs here shows in the own record; no report would ever take this node off the list.
		for (const node of Object.keys(lease.grants)) if (node !== state.settings.self) lease.stale[node] = open.spec.id;
		lease.grants = {};
		lease.deadlines = {};
		lease.overdue = {};
		lease.handover = null;
	}
	endAs(turn, lease, view, result, reason);
}

/** Keeps and tells how a rollout ended; also one that was never opened, so that nobody can take it up. */
export function endAs(
	turn: Turn,
	lease: Lease,
	last: RolloutView,
	result: 'completed' | 'aborted',
	reason: string | null,
): void {
	const view = endedView(last, result, reason, turn.wall);
	storeEndings(turn, [{ rollout: last.id, epoch: lease.epoch, view }]);
	lease.spreading.push(last.id);
	lease.spreadSince = turn.now;
	note(turn, 'rollout_ended', { rollout: last.id, state: result, reason });
	tellStore(turn, lease, peersOf(turn.state));
}

function tellStore(turn: Turn, lease: Lease, peers: readonly NodeName[]): void {
	const { state } = turn;
	const active = openOf(state, lease.rollout);
	const ended = lease.spreading.flatMap((id) => endingOf(state, id));
	if (!active && ended.length === 0) return;
	const message: PeerMessage = { kind: 'store', epoch: lease.epoch, open: active ? [active] : [], ended };
	for (const peer of peers) send(turn, peer, message);
}

const endingOf = (state: CoreState, id: RolloutId): Ending[] => toldEndings(state, [id]);

export const heartbeatEveryMs = (state: CoreState): number => state.settings.leaseMs / 9;
const heartbeatsRemembered = 12;

export function heartbeat(turn: Turn, lease: Lease): void {
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
	const active = openOf(state, lease.rollout);
	if (!active || active.flags.halted !== null || active.flags.paused || active.flags.aborting) return;
	for (const [node, grant] of Object.entries(lease.grants)) {
		if (grant.begun || compareVersions(grant.version, active.flags.version) !== 0) continue;
		const { version, attempt } = grant;
		send(turn, node, { kind: 'restart', epoch: lease.epoch, rollout: active.spec.id, version, attempt });
	}
}

function lacks(state: CoreState, lease: Lease, peer: NodeName): boolean {
	const report = lease.reports[peer]?.report;
	if (!report) return true;
	const active = openOf(state, lease.rollout);
	if (active && !knows(state, lease, active, peer)) return true;
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
	const wasHeard = isHeard(state, lease, from, now);
	lease.reports[from] = { at: Math.max(before?.at ?? Number.NEGATIVE_INFINITY, sentAt), report, decided: true };
	turn.quiet = wasHeard && before?.decided === true && saysTheSame(before.report, report);
	const stale = lease.stale[from];
	if (stale !== undefined && report.ended.includes(stale)) delete lease.stale[from];
	endOrphans(turn, lease, from, report);
}

/** Of a record the step alone: its evidence never changes while that stays. */
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
		a.records.length === b.records.length &&
		a.records.every((one, at) => isSameStep(one, b.records[at]))
	);
}

function isSameStep(a: NodeRecord, b: NodeRecord | undefined): boolean {
	return b !== undefined && a.rollout === b.rollout && a.state === b.state && a.attempt === b.attempt;
}

/**
 * A rollout that no promise told of was never stored by a majority, so none of its steps began; or it ended so long
 * ago that it is forgotten. Either way it ends.
 */
function endOrphans(turn: Turn, lease: Lease, from: NodeName, report: Report): void {
	const { state } = turn;
	const ended: Ending[] = [];
	for (const { rollout } of report.have) {
		if (rollout === lease.rollout || openOf(state, rollout)) continue;
		const known = endingOf(state, rollout);
		ended.push(...(known.length > 0 ? known : [orphan(turn, lease, rollout)]));
	}
	if (ended.length > 0) send(turn, from, { kind: 'ended', endings: ended });
}

function orphan(turn: Turn, lease: Lease, rollout: RolloutId): Ending {
	return {
		rollout,
		epoch: lease.epoch,
		view: {
			id: rollout,
			type: 'restart_service',
			service: null,
			app: null,
			replicated: true,
			user: '',
			state: 'aborted',
			reason: 'it was never stored by a majority of the nodes, so nothing of it began',
			waiting_for: null,
			coordinator: lease.epoch.node,
			epoch: `${lease.epoch.counter}@${lease.epoch.node}`,
			max_unavailable: 1,
			order: [],
			nodes: [],
			created_at: turn.wall,
			ended_at: turn.wall,
		},
	};
}
