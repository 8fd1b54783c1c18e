/** What the own majority does with each event: the one door into this engine. */
import { admitSelf, beginToVote, onGreeting, onLinkUp, unmet, voteOnceMet } from './members/admission.js';
import {
	onLeaseTimer,
	onNack,
	onPrepare,
	onPrepareTimer,
	onPromise,
	prepareLimitMs,
	startPrepare,
	takeoverAt,
} from './campaign.js';
import { expectsLeader, leaderHeard, onEnded, onHandover, onHeartbeat, onStore } from './follow.js';
import { greetAll } from './members/greeting.js';
import { heardMembers, hearsMajority, heldLease, isConfirmed, isHeard, isLive, knows } from './heard.js';
import {
	callOff,
	close,
	hearReport,
	heartbeatEveryMs,
	noteHeard,
	onHeartbeatTimer,
	put,
	resign,
	spread,
	transfer,
} from './lead.js';
import type { Message } from './messages.js';
import { leavesAt, tellIfLeft } from './members/leaving.js';
import { hasOtherMembers, noteMajority, whoIsNotHeard, whyNotHeard } from './members/minority.js';
import { changingItself, isMajority, isOfThisFleet } from './members/voters.js';
import { admits, loseLease, refuseBelow } from './promise.js';
import { storeEndings, tellEndings } from './replicate.js';
import { reportToCoordinator } from './report.js';
import { type CoordinationState, createCoordination, type Founding, type Leadership } from './state.js';
import { type CoordinationTimer, OwnTurn, peerOf, peersOf, type QuorumTypes, type Turn } from './turn.js';
import type { Engine, EngineTurn, Input as EngineInput } from '../engine.js';
import type { Epoch, NodeName } from '../epoch.js';
import type { Bodies, Command, Coordination } from '../port.js';

type Input = EngineInput<QuorumTypes>;

/** The door: what a coordinator says comes in only past the fence, and nothing behind it compares epochs again. */
function mayEnter(turn: Turn, from: NodeName, message: Message): boolean {
	switch (message.kind) {
		case 'prepare':
		case 'handover':
			return !refuseBelow(turn, from, message.epoch);
		case 'heartbeat':
		case 'store':
			return admits(turn, from, message.epoch);
		default:
			return true;
	}
}

export function onInput(turn: Turn, input: Input): void {
	const { state, now } = turn;
	switch (input.kind) {
		case 'started':
			state.durable = input.kept;
			onStarted(turn, input.process);
			return;
		case 'link_up':
			onLinkUp(turn, input.hello);
			return;
		case 'link_down':
			delete state.links[input.node];
			if (Object.keys(state.links).length === 0) state.aloneSince ??= now;
			return;
		case 'message':
			if (mayEnter(turn, input.from, input.message)) onMessage(turn, input.from, input.message);
			return;
		case 'timer':
			onTimer(turn, input.name);
			return;
		case 'members':
			state.members = input.members;
			state.memberHash = input.memberHash;
			// No other member is left to hear first.
			if (input.members.length === 1) beginToVote(turn);
			greetAll(turn);
			reportToCoordinator(turn);
			return;
		case 'readiness':
			greetAll(turn);
			reportToCoordinator(turn);
			return;
	}
}

function onStarted(turn: Turn, process: string): void {
	const { state, now } = turn;
	const { durable } = state;
	state.process = process;
	state.leaseFrom = now;
	state.aloneSince = now;
	state.highest = durable.promised;
	turn.store({ kind: 'boot', boot: durable.boot + 1 });
	const alone = state.members.length === 1;
	if (durable.instance === null) turn.store({ kind: 'instance', instance: process, voting: alone });
	else if (alone && !durable.voting) turn.store({ kind: 'instance', instance: durable.instance, voting: true });
}

function onMessage(turn: Turn, from: NodeName, message: Message): void {
	switch (message.kind) {
		case 'greeting':
			onGreeting(turn, from, message);
			return;
		case 'prepare':
			onPrepare(turn, from, message);
			return;
		case 'promise':
			onPromise(turn, from, message);
			return;
		case 'nack':
			onNack(turn, from, message);
			return;
		case 'heartbeat':
			onHeartbeat(turn, message);
			return;
		case 'report':
			hearReport(turn, from, message.epoch, message.report);
			return;
		case 'store':
			onStore(turn, from, message);
			return;
		case 'handover':
			onHandover(turn, message);
			return;
		case 'ended':
			onEnded(turn, message);
			return;
	}
}

function onTimer(turn: Turn, name: CoordinationTimer): void {
	switch (name) {
		case 'heartbeat':
			onHeartbeatTimer(turn);
			return;
		case 'lease':
			onLeaseTimer(turn);
			return;
		case 'prepare':
			onPrepareTimer(turn);
			return;
	}
}

/** true: it was done. A leader may leave a transfer undone, since no peer can be asked now. */
export function onCommand(turn: Turn, command: Command): boolean {
	const lease = heldLease(turn.state);
	switch (command.kind) {
		case 'campaign':
			startPrepare(turn, command.purpose, command.rollout);
			return true;
		case 'withdraw':
			if (turn.state.lease?.kind === 'candidate') turn.state.lease = null;
			return true;
		case 'step_down':
			loseLease(turn, turn.state.durable.promised);
			return true;
		case 'keep':
			storeEndings(turn, [command.ending]);
			return true;
		case 'tell':
			tellEndings(turn, command.to, command.endings);
			return true;
		case 'report':
			reportToCoordinator(turn);
			return true;
		case 'admit':
			return admitSelf(turn);
		case 'put':
			if (lease) put(turn, lease, command.entry);
			break;
		case 'close':
			if (lease) close(turn, lease, command.ending);
			break;
		case 'transfer':
			return lease !== null && transfer(turn, lease, command.to);
		case 'call_off':
			if (lease) callOff(lease);
			break;
		case 'resign':
			if (lease) resign(turn);
			break;
	}
	return lease !== null;
}

/** After every event: whether a leader hears a majority, and may have its commands carried out. */
export function mayLead(turn: Turn): boolean {
	const lease = heldLease(turn.state);
	return lease !== null && noteHeard(turn, lease);
}

/** After every event, once the leader has given its commands: stops sending endings that all peers have. */
export function settleEndings(turn: Turn): void {
	const lease = heldLease(turn.state);
	if (lease) spread(turn, lease);
}

/** After every event, once the facts of it were heard. */
export function settle(turn: Turn, votesMayDiffer: boolean): void {
	voteOnceMet(turn);
	if (votesMayDiffer) noteMajority(turn);
}

export function armTimers(turn: Turn): void {
	const { state, now } = turn;
	if (!heldLease(state)) turn.arm('heartbeat', null);
	else if (!turn.isArmed('heartbeat')) turn.arm('heartbeat', now + heartbeatEveryMs(state));
	turn.arm('lease', leavesAt(state) ?? takeoverAt(state));
	const candidate = state.lease?.kind === 'candidate' ? state.lease : null;
	turn.arm('prepare', candidate ? candidate.sentAt + prepareLimitMs(state) : null);
}

/** What the own majority answers from memory. */
export function ask<B extends Bodies>(state: CoordinationState<B>): Coordination<B> {
	const lease = (): Leadership<B> | null => heldLease(state);
	return {
		leads: () => lease()?.epoch ?? null,
		asksToStart: () => state.lease?.kind === 'candidate' && state.lease.purpose === 'start',
		follows: () => leaderHeard(state),
		expectsLeader: (now) => expectsLeader(state, now),
		takeoverAt: () => takeoverAt(state),
		fence: () => state.durable.promised,
		votes: () => state.durable.voting,
		unmet: () => unmet(state),
		isMajority: (names) => isMajority(state, new Set(names)),
		minoritySince: () => state.minoritySince,
		whoIsNotHeard: () => whoIsNotHeard(state),
		whyNotHeard: (node) => whyNotHeard(state, node),
		hasOtherMembers: (node) => hasOtherMembers(state, node),
		isOfThisFleet: (spec) => isOfThisFleet(state, spec),
		changingItself: () => changingItself(state),
		peer: (node) => peerOf(state, node),
		peers: () => peersOf(state),
		isLive: (now) => isLive(state, lease(), now),
		hearsMajority: (now) => hearsMajority(state, now),
		heard: (now) => heardMembers(state, now),
		isHeard: (node, now) => isHeard(state, node, now),
		report: (node) => lease()?.reports[node]?.report,
		knows: (entry, node) => knows(state, entry, node),
		isConfirmed: (entry) => isConfirmed(state, entry),
		isSpreading: (id) => lease()?.spreading.includes(id) ?? false,
		successor: () => lease()?.transfer?.to ?? null,
	};
}

/** Most events of a large fleet are answers to a leader, which say nothing of links, members or votes. */
const mayChangeVotes = (input: Input): boolean =>
	input.kind !== 'timer' &&
	!(input.kind === 'message' && (input.message.kind === 'report' || input.message.kind === 'heartbeat'));

/** The own majority, as the loop of events holds it. */
export class Quorum<B extends Bodies> implements Engine<QuorumTypes<B>, B> {
	readonly state: CoordinationState<B>;
	readonly coordination: Coordination<B>;
	#turn: OwnTurn | null = null;
	/** Something happened by which a majority may be heard that was not, or the other way round. */
	#votesMayDiffer = true;

	constructor(founding: Founding) {
		this.state = createCoordination<B>(founding);
		this.coordination = ask(this.state);
	}

	input(turn: EngineTurn<QuorumTypes<B>, B>, input: EngineInput<QuorumTypes<B>>): void {
		this.#votesMayDiffer ||= mayChangeVotes(input);
		onInput(this.#own(turn), input);
	}

	admits(turn: EngineTurn<QuorumTypes<B>, B>, from: NodeName, epoch: Epoch): boolean {
		return admits(this.#own(turn), from, epoch);
	}

	command(turn: EngineTurn<QuorumTypes<B>, B>, command: Command<B>): boolean {
		return onCommand(this.#own(turn), command);
	}

	settle(turn: EngineTurn<QuorumTypes<B>, B>): void {
		settle(this.#own(turn), this.#votesMayDiffer || turn.hasStored);
		this.#votesMayDiffer = false;
	}

	settleLeft(turn: EngineTurn<QuorumTypes<B>, B>): void {
		tellIfLeft(this.#own(turn));
	}

	mayLead(turn: EngineTurn<QuorumTypes<B>, B>): boolean {
		return mayLead(this.#own(turn));
	}

	settleEndings(turn: EngineTurn<QuorumTypes<B>, B>): void {
		settleEndings(this.#own(turn));
	}

	armTimers(turn: EngineTurn<QuorumTypes<B>, B>): void {
		armTimers(this.#own(turn));
		if (turn.hasStored) this.#votesMayDiffer = true;
	}

	/** One event calls the engine several times. */
	#own(out: EngineTurn<QuorumTypes<B>, B>): OwnTurn {
		if (this.#turn?.out !== out) this.#turn = new OwnTurn(this.state, out);
		return this.#turn;
	}
}
