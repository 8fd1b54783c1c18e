/** The views that this node is shown by a coordinator, or shows itself. */
import { compareEpochs, sameEpoch } from '../../coordination/epoch.js';
import type { Ending, RolloutMessage } from '../messages.js';
import { isAtRestHere, send, type Turn } from '../outbox.js';
import type { Epoch, NodeName, RolloutView } from '../types.js';
import { withChange } from './change.js';
import { emptyView } from './view-parts.js';
import { hasEnded, openOf } from '../../coordination/port.js';

type Message<Kind extends RolloutMessage['kind']> = Extract<RolloutMessage, { kind: Kind }>;

/** Views of rollouts that this node does not know are dropped: they would pile up, unread. */
export function onView(turn: Turn, message: Message<'view'>): void {
	if (openOf(turn.state, message.view.id)) keepView(turn, message.epoch, message.number, message.view);
}

/** A change of a view that this node was not shown, since it did not know the rollout then, has the whole view sent again. */
export function onViewChange(turn: Turn, from: NodeName, message: Message<'view_change'>): void {
	const { epoch, number, rollout, change } = message;
	const before = viewBefore(turn, message);
	if (before === undefined) return;
	const view = before && withChange(before, change);
	if (view) keepView(turn, epoch, number, view);
	else send(turn, from, { kind: 'view_wanted', rollout });
}

/** The view that the message changes; null: it is not known here. undefined: the rollout is not, or not as open. */
function viewBefore({ state }: Turn, { epoch, rollout, base }: Message<'view_change'>): RolloutView | null | undefined {
	const open = openOf(state, rollout);
	if (!open) return undefined;
	if (base === 0) return emptyView(open.spec, epoch.node);
	const known = state.views[rollout];
	return known && known.number === base && sameEpoch(known.epoch, epoch) ? known.view : null;
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

/** It has ended: from here on its end is shown. */
export function onClosed(turn: Turn, { rollout, view }: Ending): void {
	delete turn.state.views[rollout];
	turn.effects.push({ kind: 'changed', view });
}
