/** What a node tells each peer of itself, whenever it has changed. */
import { newestEndings } from './replicate.js';
import type { PeerMessage } from '../../rollout/messages.js';
import { openReplicated, peersOf, send, type Turn } from '../../rollout/outbox.js';
import type { NodeName } from '../../rollout/types.js';

/** Says what a peer has to know, unless it was just said. */
export function greet(turn: Turn, peer: NodeName): void {
	const { state } = turn;
	const link = state.links[peer];
	if (!link) return;
	const forgetful = link.stranger || link.knew === null || link.greeting?.voting === false;
	const message: PeerMessage = {
		kind: 'greeting',
		promised: state.durable.promised,
		voting: state.durable.voting,
		instance: state.durable.instance ?? '',
		memberHash: state.memberHash,
		readiness: state.readiness,
		open: openReplicated(state).map((one) => one.spec.id),
		stranger: link.stranger,
		catchUp: forgetful ? { open: openReplicated(state), ended: newestEndings(state) } : null,
	};
	const { voting, instance, memberHash, readiness, stranger } = message;
	const text = JSON.stringify([voting, instance, memberHash, readiness, stranger, forgetful]);
	if (link.said === text) return;
	link.said = text;
	send(turn, peer, message);
}

export function greetAgain(turn: Turn, peer: NodeName): void {
	const link = turn.state.links[peer];
	if (link) link.said = '';
	greet(turn, peer);
}

export function greetAll(turn: Turn): void {
	for (const peer of peersOf(turn.state)) greet(turn, peer);
}
