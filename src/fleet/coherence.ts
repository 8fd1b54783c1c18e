import { compareEpochs } from '../rollout/epoch.js';
import type { Ending, OpenRollout, PeerMessage } from '../rollout/protocol.js';
import type { Epoch, NodeName } from '../rollout/types.js';

/**
 * What no honest member ever says, though each part of it fits the schema: a coordinator's word under an epoch that
 * another node made, or flags of a rollout that are newer than the epoch they are told under. Believed, the latter would
 * outrank every later coordinator. Answers what is wrong, or null.
 */
export function incoherence(from: NodeName, message: PeerMessage): string | null {
	const bound = boundOf(message);
	const open = openIn(message);
	if (bound !== null && open.some(({ flags }) => flags.version.epoch && compareEpochs(flags.version.epoch, bound) > 0))
		return 'a rollout is told under a lower epoch than its own';
	if (endedIn(message).some(({ rollout, view }) => view.id !== rollout)) return 'an ending shows another rollout';
	const { node } = coordinatorsEpoch(message) ?? { node: from };
	return node === from ? null : `${from} speaks as the coordinator of an epoch of ${node}`;
}

/** The epoch under which the sender itself coordinates; null: it answers, or says nothing of the kind. */
function coordinatorsEpoch(message: PeerMessage): Epoch | null {
	switch (message.kind) {
		case 'prepare':
		case 'heartbeat':
		case 'store':
		case 'check':
		case 'restart':
		case 'handover':
		case 'view':
			return message.epoch;
		default:
			return null;
	}
}

function boundOf(message: PeerMessage): Epoch | null {
	if (message.kind === 'store' || message.kind === 'promise') return message.epoch;
	return message.kind === 'greeting' ? message.promised : null;
}

function openIn(message: PeerMessage): readonly OpenRollout[] {
	if (message.kind === 'store' || message.kind === 'promise') return message.open;
	return message.kind === 'greeting' ? (message.catchUp?.open ?? []) : [];
}

function endedIn(message: PeerMessage): readonly Ending[] {
	if (message.kind === 'ended') return message.endings;
	if (message.kind === 'store' || message.kind === 'promise') return message.ended;
	return message.kind === 'greeting' ? (message.catchUp?.ended ?? []) : [];
}
