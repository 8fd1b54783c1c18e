/** What a node tells each peer of itself, whenever it has changed. */
import { newestEndings } from '../replicate.js';
import { peersOf, type Turn } from '../turn.js';
import type { NodeName } from '../../epoch.js';
import { openShared } from '../../port.js';

/** Says what a peer has to know, unless it was just said. */
export function greet(turn: Turn, peer: NodeName): void {
	const { state } = turn;
	const link = state.links[peer];
	if (!link) return;
	const forgetful = link.stranger || link.knew === null || link.greeting?.voting === false;
	const { voting, promised } = state.durable;
	const { memberHash } = state;
	const { stranger } = link;
	const instance = state.durable.instance ?? '';
	const readiness = turn.readiness();
	const text = JSON.stringify([voting, instance, memberHash, readiness, stranger, forgetful]);
	if (link.said === text) return;
	link.said = text;
	const open = openShared(state);
	turn.send(peer, {
		kind: 'greeting',
		promised,
		voting,
		instance,
		memberHash,
		readiness,
		open: open.map((one) => one.spec.id),
		stranger,
		catchUp: forgetful ? { open, ended: newestEndings(state) } : null,
	});
}

export function greetAgain(turn: Turn, peer: NodeName): void {
	const link = turn.state.links[peer];
	if (link) link.said = '';
	greet(turn, peer);
}

export function greetAll(turn: Turn): void {
	for (const peer of peersOf(turn.state)) greet(turn, peer);
}
