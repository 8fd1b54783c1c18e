/** What a node does for a coordinator, besides restarting: promise, store, report, look at its file. */
import { compareEpochs, compareVersions, sameEpoch } from './epoch.js';
import { openAgain } from './ended-here.js';
import { loseLease, startPrepare } from './lease.js';
import type { DurableEntry, Ending, OpenRollout, PeerMessage } from './protocol.js';
import { reportToCoordinator } from './report.js';
import { hasEnded, heldLease, isAtRestHere, openOf, openReplicated, send, store, type Turn } from './turn.js';
import type { CoreState } from './state.js';
import type { Epoch, NodeName, RolloutId, RolloutView } from './types.js';

type Message<Kind extends PeerMessage['kind']> = Extract<PeerMessage, { kind: Kind }>;

/** Answers a command of a lower epoch than the promised one with the promise; true: it was refused. */
export function refuseBelow(turn: Turn, from: NodeName, epoch: Epoch): boolean {
	const { promised } = turn.state.durable;
	if (compareEpochs(epoch, promised) >= 0) return false;
	send(turn, from, { kind: 'nack', epoch, promised, reason: { kind: 'promised' } });
	return true;
}

/** Promises never to obey a lower epoch. On disk before any answer, since a store is a barrier. */
export function promise(turn: Turn, epoch: Epoch): void {
	const { state } = turn;
	if (compareEpochs(epoch, state.highest) > 0) state.highest = epoch;
	if (compareEpochs(epoch, state.durable.promised) <= 0) return;
	if (state.lease && compareEpochs(epoch, state.lease.epoch) > 0) loseLease(turn, epoch);
	store(turn, { kind: 'promised', epoch });
	state.follows = { epoch, echo: 0, heardAt: null };
	state.leaseFrom = turn.now;
}

export function onHeartbeat(turn: Turn, from: NodeName, message: Message<'heartbeat'>): void {
	const { state } = turn;
	if (refuseBelow(turn, from, message.epoch)) return;
	promise(turn, message.epoch);
	if (!sameEpoch(state.follows.epoch, message.epoch)) state.follows = { epoch: message.epoch, echo: 0, heardAt: null };
	state.follows.echo = Math.max(state.follows.echo, message.number);
	if (message.live) {
		state.follows.heardAt = turn.now;
		state.tries = 0;
		state.leaseFrom = turn.now;
	}
	reportToCoordinator(turn);
}

export function onStore(turn: Turn, from: NodeName, message: Message<'store'>): void {
	if (refuseBelow(turn, from, message.epoch)) return;
	promise(turn, message.epoch);
	storeEndings(turn, message.ended);
	storeOpen(turn, from, message.open);
	reportToCoordinator(turn);
}

/** An honest fleet has one or two open at a time, some more while nodes are away; a hostile member must not fill the disk. */
const openMax = 32;

/** Keeps what is newer of these rollouts, unless they have ended. */
export function storeOpen(turn: Turn, from: NodeName, rollouts: readonly OpenRollout[]): void {
	const { state } = turn;
	openAgain(turn, rollouts);
	const entries: DurableEntry[] = [];
	for (const { spec, flags } of rollouts) {
		if (hasEnded(state, spec.id)) {
			tellEnded(turn, from, [spec.id]);
			continue;
		}
		const known = openOf(state, spec.id);
		if (!known) {
			if (openReplicated(state).length + entries.length < openMax) entries.push({ kind: 'open', spec, flags });
		} else if (compareVersions(flags.version, known.flags.version) > 0)
			entries.push({ kind: 'flags', rollout: spec.id, flags });
	}
	if (entries.length > 0) store(turn, ...entries);
}

/** How these rollouts ended, as far as it may be told: what a node ended for itself alone is its own. */
export function toldEndings(state: CoreState, rollouts: readonly RolloutId[]): Ending[] {
	return state.durable.ended.filter((one) => one.epoch !== null && rollouts.includes(one.rollout));
}

export function tellEnded(turn: Turn, to: NodeName, rollouts: readonly RolloutId[]): void {
	const endings = toldEndings(turn.state, rollouts);
	if (endings.length > 0) send(turn, to, { kind: 'ended', endings });
}

/** Keeps how rollouts ended; of two endings of one rollout the one under the higher epoch stays. */
export function storeEndings(turn: Turn, endings: readonly Ending[]): void {
	const { state } = turn;
	const fresh = endings.filter((ending) => {
		const known = state.durable.ended.find((one) => one.rollout === ending.rollout);
		if (!known) return true;
		if (ending.epoch !== null && known.epoch === null) return true;
		return ending.epoch !== null && known.epoch !== null && compareEpochs(ending.epoch, known.epoch) > 0;
	});
	if (fresh.length === 0) return;
	store(turn, ...fresh.map((ending): DurableEntry => ({ kind: 'ending', ending })));
	for (const ending of fresh) {
		delete state.views[ending.rollout];
		turn.effects.push({ kind: 'changed', view: ending.view });
	}
}

/** Of a rollout that this node does not know nobody asks, and views of such would pile up. */
export function onView(turn: Turn, message: Message<'view'>): void {
	if (openOf(turn.state, message.view.id)) keepView(turn, message.epoch, message.number, message.view);
}

export function keepView(turn: Turn, epoch: Epoch, number: number, view: RolloutView): void {
	const { state } = turn;
	if (hasEnded(state, view.id)) return;
	const known = state.views[view.id];
	if (known && (compareEpochs(epoch, known.epoch) || number - known.number) <= 0) return;
	state.views[view.id] = { epoch, number, view };
	if (isAtRestHere(state, view.id)) return;
	turn.effects.push({ kind: 'changed', view });
}

export function onCheck(turn: Turn, from: NodeName, message: Message<'check'>): void {
	if (refuseBelow(turn, from, message.epoch)) return;
	promise(turn, message.epoch);
	const { rollout, service, app } = message;
	turn.effects.push({ kind: 'check', rollout, service, app });
}

/** The coordinator is about to restart itself and asks this node, which is back, to go on. */
export function onHandover(turn: Turn, from: NodeName, message: Message<'handover'>): void {
	const { state } = turn;
	if (refuseBelow(turn, from, message.epoch)) return;
	if (!sameEpoch(state.durable.promised, message.epoch) || state.lease !== null) return;
	if (!openOf(state, message.rollout) || !state.durable.voting) return;
	startPrepare(turn, 'handover', message.rollout);
}

export function onEnded(turn: Turn, message: Message<'ended'>): void {
	const { state } = turn;
	storeEndings(turn, message.endings);
	const lease = heldLease(state);
	if (!lease) return;
	for (const ending of message.endings) {
		if (lease.rollout === ending.rollout) lease.rollout = null;
		if (!lease.spreading.includes(ending.rollout)) lease.spreading.push(ending.rollout);
	}
	lease.spreadSince = turn.now;
}
