/**
 * Links, and nodes that lost their state: such a node has forgotten what it promised, so it does not vote before it
 * has heard all others and taken over the highest promise, or an operator admits it. A new node is no different.
 */
import { greetAll, greet } from './greeting.js';
import { loseLease, promise } from '../promise.js';
import { storeEndings, storeOpen } from '../replicate.js';
import { heldLease } from '../heard.js';
import type { Hello, KnownPeer, MessageOf } from '../messages.js';
import type { CoordinationState } from '../state.js';
import type { Turn } from '../turn.js';
import { compareEpochs, type NodeName } from '../../epoch.js';
import { toldEndings } from '../../port.js';

export function onLinkUp(turn: Turn, hello: Hello): void {
	const { state } = turn;
	const refused = whyRefused(state, hello);
	state.aloneSince = null;
	const knew = state.durable.peers[hello.node] ?? null;
	const stranger = knew !== null && isStranger(knew, hello);
	state.links[hello.node] = { hello, refused, greeting: null, stranger, knew, said: '' };
	if (refused !== null) {
		turn.note('peer_refused', { node: hello.node, reason: refused });
		return;
	}
	if (stranger) turn.note('peer_lost_state', { node: hello.node });
	else remember(turn, hello.node, { instance: hello.instance, boot: hello.boot, process: hello.process });
	greet(turn, hello.node);
}

function whyRefused(state: CoordinationState, hello: Hello): string | null {
	const own = state.settings.protocol;
	const theirs = hello.protocol;
	if (theirs.max >= own.min && own.max >= theirs.min) return null;
	return `speaks protocol ${theirs.min} to ${theirs.max}, this node ${own.min} to ${own.max}; upgrade the older one`;
}

/** Another state folder; or the same one with an older boot: it was put back from a copy. */
function isStranger(knew: KnownPeer, hello: Hello): boolean {
	if (knew.instance !== hello.instance) return true;
	return hello.boot < knew.boot || (hello.boot === knew.boot && hello.process !== knew.process);
}

function remember(turn: Turn, node: NodeName, peer: KnownPeer): void {
	const knew = turn.state.durable.peers[node];
	if (knew?.instance === peer.instance && knew.boot === peer.boot && knew.process === peer.process) return;
	turn.store({ kind: 'peer', node, peer });
}

export function onGreeting(turn: Turn, from: NodeName, message: MessageOf<'greeting'>): void {
	const { state } = turn;
	const link = state.links[from];
	if (!link) return;
	const { voting, memberHash, readiness, promised } = message;
	link.greeting = { voting, memberHash, readiness, promised };
	if (compareEpochs(promised, state.highest) > 0) state.highest = promised;
	if (link.stranger && voting && message.instance !== link.knew?.instance) acceptAgain(turn, from, message.instance);
	if (message.stranger && state.durable.voting && state.durable.instance !== state.process) demoteSelf(turn);
	if (!state.durable.voting) meet(turn, from, message);
	// A peer that does not vote gets what it may have forgotten, unless it has got it.
	if (!voting) greet(turn, from);
	const endings = toldEndings(state, message.open);
	if (endings.length > 0) turn.send(from, { kind: 'ended', endings });
}

/** The peer has caught up, or an operator admitted it: it counts from here, starting with its next report. */
function acceptAgain(turn: Turn, node: NodeName, instance: string): void {
	const { state } = turn;
	const link = state.links[node];
	if (!link) return;
	link.stranger = false;
	remember(turn, node, { instance, boot: link.hello.boot, process: link.hello.process });
	const lease = heldLease(state);
	if (lease) delete lease.reports[node];
	turn.note('node_admitted', { node });
	greet(turn, node);
}

/** A peer knows a later boot of this node: the state folder was put back, so what it says of promises is too old. */
function demoteSelf(turn: Turn): void {
	const { state } = turn;
	turn.note('peer_lost_state', { node: state.settings.self });
	turn.store({ kind: 'instance', instance: state.process, voting: false });
	state.metSinceNew = [];
	loseLease(turn, state.durable.promised);
	greetAll(turn);
}

/**
 * One more peer is heard; after the last one this node votes. The promise alone is not enough to take over: a majority
 * may have counted on what this node had stored of a rollout, and its vote must not hide that.
 */
function meet(turn: Turn, from: NodeName, message: MessageOf<'greeting'>): void {
	const { state } = turn;
	if (!message.catchUp) return;
	const isFirst = !state.metSinceNew.includes(from);
	promise(turn, message.promised);
	storeEndings(turn, message.catchUp.ended);
	storeOpen(turn, from, message.catchUp.open);
	if (isFirst && message.stranger) turn.tell({ kind: 'caught_up', entries: message.catchUp.open });
	if (isFirst) state.metSinceNew.push(from);
}

/** After every event, once what came of it is stored: with all others met, this node votes. */
export function voteOnceMet(turn: Turn): void {
	if (!turn.state.durable.voting && unmet(turn.state).length === 0) beginToVote(turn);
}

export function unmet({ members, metSinceNew, settings }: CoordinationState): NodeName[] {
	return members.map(({ name }) => name).filter((name) => name !== settings.self && !metSinceNew.includes(name));
}

export function beginToVote(turn: Turn): void {
	const { state } = turn;
	if (state.durable.voting) return;
	turn.store({ kind: 'instance', instance: state.durable.instance ?? state.process, voting: true });
	state.leaseFrom = turn.now;
	turn.note('node_admitted', { node: state.settings.self });
	greetAll(turn);
}

/** An operator vouches for what this node has forgotten; it still has to hear a majority, and takes over its promise. */
export function admitSelf(turn: Turn): boolean {
	const { state } = turn;
	const isVouchedFor = unmet(state).length * 2 < state.members.length;
	if (isVouchedFor) beginToVote(turn);
	return state.durable.voting;
}
