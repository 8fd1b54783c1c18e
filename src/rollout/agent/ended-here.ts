/**
 * A majority that is gone for good leaves a way: an operator ends a rollout on one node alone. What holds then:
 *
 * - It is the word of an operator on this node's own socket, after five leases in which no majority was heard. It is on
 *   disk before it is answered, and it is told to nobody as the end of the rollout.
 * - As a target this node takes no further step of the rollout: it refuses every grant, whatever its epoch. A step that
 *   runs finishes; the node counts as out until there is evidence, as any other.
 * - As a voter it stays what it was: it keeps spec and flags, tells them with its promise, stores newer ones. So whoever
 *   gathers a majority later still knows the rollout, and no majority that was counted on goes missing.
 * - While no majority is heard the rollout is at rest here: shown as aborted, in the way of nothing that this node does alone.
 * - Once a majority is heard again the rollout is open again, for this node too: it stands in the way of others until it
 *   ends. Its coordinator reads in this node's report who ended it here, and counts a pending target as skipped.
 * - This node may coordinate it, but only while it hears a majority, and it takes over after all others.
 * - When the members change (the dead are taken out of the file), or one member is left, nobody here is going to ask for
 *   it any more: it ends on this node for good. A coordinator of the former members that tells it again opens it again, ended here.
 */
import { driveOf } from '../controller/state.js';
import { endedView } from '../views/view-parts.js';
import { endsHereAt, isGoneForGood } from '../views/way-out.js';
import type { OpenRollout, Refusal } from '../messages.js';
import { mayStillRestart, timeOfDay } from '../views/text.js';
import { endedHereOf, isAtRestHere, note, recordOf, store, type Turn } from '../outbox.js';
import type { RolloutSpec } from '../types.js';
import { timeOf } from '../times.js';
import { viewOf } from '../views/view.js';
import { openOf } from '../../coordination/port.js';

/** Ends the rollout on this node alone; answers why it does not, or null. Doing it twice changes nothing. */
export function endHere(turn: Turn, open: OpenRollout, user: string): Refusal | null {
	const { state, now, wall } = turn;
	const { id } = open.spec;
	if (endedHereOf(state, id)) return null;
	const early = whyTooEarly(turn, open.spec);
	if (early !== null) return { code: 'unavailable', message: early, extra: { job_id: id } };
	const last = viewOf(state, id, turn);
	if (!last) return null;
	const { self } = state.settings;
	const alone = Math.round((now - (state.coordination.minoritySince() ?? now)) / 1000);
	const by = `ended on ${self} alone by ${user} at ${timeOfDay(wall)}, after ${alone} s without a majority`;
	const runs = recordOf(state, id)?.state === 'restarting';
	const reason = runs ? `${by}; ${mayStillRestart([self], 'workers')}` : by;
	const view = endedView(last, 'aborted', reason, timeOf(turn, id));
	store(turn, { kind: 'ended_here', rollout: id, view });
	note(turn, 'rollout_ended_here', { rollout: id, user });
	turn.effects.push({ kind: 'changed', view });
	return null;
}

function whyTooEarly({ state, now, wall }: Turn, { id }: RolloutSpec): string | null {
	const { self } = state.settings;
	const at = endsHereAt(state);
	if (at === null)
		return `${self} hears a majority of the fleet, so rollout ${id} is ended for all of it: abort_rollout without local`;
	if (isGoneForGood(state, now)) return null;
	const seconds = Math.ceil((at - now) / 1000);
	return `Rollout ${id} can be ended on ${self} alone once no majority has been heard for five leases: in ${seconds} s, at ${timeOfDay(wall + at - now)}; ${state.coordination.whoIsNotHeard()}`;
}

/** Called after every event, once it is known whether a majority is heard. */
export function settleEndedHere(turn: Turn): void {
	const { state } = turn;
	for (const { rollout, view } of state.durable.endedHere) {
		const open = openOf(state, rollout);
		if (open && state.coordination.isOfThisFleet(open.spec)) continue;
		store(turn, { kind: 'ending', ending: { rollout, epoch: null, view } });
		delete state.views[rollout];
	}
	const driven = driveOf(state)?.rollout ?? null;
	if (driven !== null && isAtRestHere(state, driven)) turn.command({ kind: 'step_down' });
}
