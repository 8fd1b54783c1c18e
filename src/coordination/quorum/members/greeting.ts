/** What a node tells each peer of itself, whenever it has changed. */
import { newestEndings } from '../replicate.js';
import type { MessageOf } from '../messages.js';
import { peersOf, type Turn } from '../turn.js';
import type { NodeName } from '../../epoch.js';
import { openShared } from '../../port.js';

/** Says what a peer has to know, unless it was just said. */
export function greet(turn: Turn, peer: NodeName): void {
	const { state } = turn;
	const link = state.links[peer];
	if (!link) return;
	const forgetful = link.stranger || link.knew === null || link.greeting?.voting === false;
	const message: MessageOf<'greeting'> = {
		kind: 'greeting',
		promised: state.durable.promised,
		voting: state.durable.voting,
		instance: state.durable.instance ?? '',
		memberHash: state.memberHash,
		readiness: turn.readiness(),
		open: openShared(state).map((one) => one.spec.id),
		stranger: link.stranger,
		catchUp: forgetful ? { open: openShared(state), ended: newestEndings(state) } : null,
	};
	const { voting, instance, memberHash, readiness, stranger } = message;
	const text = JSON.stringify([voting, instance, memberHash, readiness, stranger, forgetful]);
	if (link.said === text) return;
	link.said = text;
	turn.send(peer, message);
}

export function greetAgain(turn: Turn, peer: NodeName): void {
	const link = turn.state.links[peer];
	if (link) link.said = '';
	greet(turn, peer);
}

export function greetAll(turn: Turn): void {
	for (const peer of peersOf(turn.state)) greet(turn, peer);
}
