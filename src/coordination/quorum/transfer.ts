/** The lease is given to a peer: it is asked to prepare the next epoch, and until it holds that, this node leads. */
import type { NodeName } from '../epoch.js';
import { putUnder } from './lead.js';
import type { Leadership } from './state.js';
import { note, send, type Turn } from '../../rollout/outbox.js';

/** Asks the first of these that was not asked yet; again after a third of a lease. true: it was asked just now. */
export function transfer(turn: Turn, lease: Leadership, able: readonly NodeName[]): boolean {
	const { state, now } = turn;
	if (lease.transfer && now < lease.transfer.at + state.settings.leaseMs / 3) return false;
	const tried = lease.transfer?.tried ?? [];
	const to = able.find((node) => !tried.includes(node)) ?? able[0];
	const entry = putUnder(state, lease);
	lease.transfer = null;
	if (to === undefined || !entry) return false;
	lease.transfer = { to, at: now, tried: [...tried, to] };
	note(turn, 'handover', { rollout: entry.spec.id, to });
	send(turn, to, { kind: 'handover', epoch: lease.epoch, rollout: entry.spec.id });
	return true;
}
