/** What a node has promised: the fence that every command meets at the door. */
import type { Turn } from './turn.js';
import { compareEpochs, type Epoch, type NodeName, textOfEpoch } from '../epoch.js';

/** The door: a command under a lower epoch than the promised one is refused, and a higher one is promised before it is obeyed. */
export function admits(turn: Turn, from: NodeName, epoch: Epoch): boolean {
	if (refuseBelow(turn, from, epoch)) return false;
	promise(turn, epoch);
	return true;
}

/** Answers a command of a lower epoch than the promised one with the promise; true: it was refused. */
export function refuseBelow(turn: Turn, from: NodeName, epoch: Epoch): boolean {
	const { promised } = turn.state.durable;
	if (compareEpochs(epoch, promised) >= 0) return false;
	turn.send(from, { kind: 'nack', epoch, promised, reason: { kind: 'promised' } });
	return true;
}

/** Promises never to obey a lower epoch. On disk before any answer, since a store is a barrier. */
export function promise(turn: Turn, epoch: Epoch): void {
	const { state } = turn;
	if (compareEpochs(epoch, state.highest) > 0) state.highest = epoch;
	if (compareEpochs(epoch, state.durable.promised) <= 0) return;
	if (state.lease && compareEpochs(epoch, state.lease.epoch) > 0) loseLease(turn, epoch);
	turn.store({ kind: 'promised', epoch });
	state.follows = { epoch, echo: 0, heardAt: null };
	state.leaseFrom = turn.now;
}

/** Another epoch is promised somewhere: what this node granted and heard under its own is forgotten. */
export function loseLease(turn: Turn, to: Epoch): void {
	const { state } = turn;
	const lease = state.lease;
	if (!lease) return;
	state.lease = null;
	if (lease.kind === 'held') turn.note('lease_lost', { epoch: textOfEpoch(lease.epoch), to: textOfEpoch(to) });
	turn.tell({ kind: 'lost' });
}
