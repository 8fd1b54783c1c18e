import { compareEpochs, zeroEpoch } from '../../coordination/epoch.js';
import type { Ending, OpenRollout } from '../../rollout/messages.js';
import type { Epoch, NodeName } from '../../rollout/types.js';
import type { FleetMessage } from '../messages.js';

/**
 * What no honest member ever says, though each part of it fits the schema: a coordinator's word under an epoch that
 * another node made, or flags of a rollout that are newer than the epoch they are told under. Believed, the latter would
 * outrank every later coordinator. Answers what is wrong, or null.
 */
export function incoherence(from: NodeName, message: FleetMessage): string | null {
	const { under, open, ended } = toldIn(message);
	if (open.some(({ flags }) => flags.version.epoch && compareEpochs(flags.version.epoch, under) > 0))
		return 'a rollout is told under a lower epoch than its own';
	if (ended.some(({ rollout, view }) => view.id !== rollout)) return 'an ending shows another rollout';
	const { node } = coordinatorsEpoch(message) ?? { node: from };
	return node === from ? null : `${from} speaks as the coordinator of an epoch of ${node}`;
}

/** The epoch under which the sender itself coordinates; null: it answers, or says nothing of the kind. */
function coordinatorsEpoch(message: FleetMessage): Epoch | null {
	switch (message.kind) {
		case 'prepare':
		case 'heartbeat':
		case 'store':
		case 'check':
		case 'restart':
		case 'handover':
		case 'view':
		case 'view_change':
			return message.epoch;
		default:
			return null;
	}
}

interface Told {
	/** The epoch that bounds those of the open ones. */
	under: Epoch;
	open: readonly OpenRollout[];
	ended: readonly Ending[];
}

/** The rollouts that a message tells of. */
function toldIn(message: FleetMessage): Told {
	switch (message.kind) {
		case 'store':
		case 'promise':
			return { under: message.epoch, open: message.open, ended: message.ended };
		case 'greeting':
			return { under: message.promised, open: message.catchUp?.open ?? [], ended: message.catchUp?.ended ?? [] };
		case 'ended':
			return { under: zeroEpoch, open: [], ended: message.endings };
		default:
			return { under: zeroEpoch, open: [], ended: [] };
	}
}
