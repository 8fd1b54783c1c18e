/**
 * The decision core of a rollout: what came in and when goes into {@link step}, what is to be done comes out.
 * It knows no clock, no randomness, no timer, no file and no socket. The state is changed in place; whoever needs the
 * old one copies it first.
 */
import { heldLease } from '../coordination/quorum/heard.js';
import { greetAll } from '../coordination/quorum/greeting.js';
import {
	heartbeatEveryMs,
	hearReport,
	onHeartbeatTimer,
	heartbeat,
	gather,
	noteHeard,
	spread,
} from '../coordination/quorum/lead.js';
import { onInquiry, onOngoing, type Request, settledInquiries, waitsForInquiry } from './requests/inquiry.js';
import { advanceDrive, grantAgain, needsLease } from './controller/drive.js';
import { onLeading, onReported } from './controller/outcome.js';
import { type Drive, driveOf, forgetShown } from './controller/state.js';
import { onProgress, onRestart, onSnapshot, onStepEnded, nextStep } from './agent/execution.js';
import { onEnded, onHandover, onHeartbeat, onStore } from '../coordination/quorum/follow.js';
import {
	onLeaseTimer,
	onNack,
	onPrepare,
	onPrepareTimer,
	onPromise,
	prepareLimitMs,
	takeoverAt,
} from '../coordination/quorum/campaign.js';
import { settleEndedHere } from './agent/ended-here.js';
import { endIfLeft, leavesAt } from './agent/leaving.js';
import { advanceLocal, onLocalChecked, onLocalRequest, localStepEnded } from './agent/local-rollouts.js';
import { onCheck, advanceDryRuns, onDryRun, onDryRunAnswer, onPeerDryRun, tookOwnCheck } from './requests/dry-run.js';
import { noteMajority } from '../coordination/quorum/minority.js';
import {
	advanceCommands,
	onAnswer,
	onForward,
	onOperator,
	commandsAfterLinkDown,
	commandsAfterLostLease,
} from './requests/operator-command.js';
import type { CheckResult, CoreEffect, CoreEvent, CoreSettings, PeerMessage, TimerName } from './messages.js';
import { reportToCoordinator } from './agent/report.js';
import {
	localRuns,
	onChecked,
	onReplicatedRequest,
	onStartTimer,
	startTimerAt,
	tryStart,
	startLostLease,
	driveStart,
	startHeld,
	leaseRefused,
} from './requests/start.js';
import { type CoreState, createState } from './state.js';
import { beginToVote, onGreeting, onLinkUp } from '../coordination/quorum/admission.js';
import { arm, isDriven, send, store, type Turn, type Fact } from './outbox.js';
import type { NodeName, RolloutId, RolloutView } from './types.js';
import { onClosed, onView, onViewChange } from './views/follow-view.js';
import { isToShow, onViewWanted, showAfterMs, showChanges, tellLeaderless } from './views/show.js';
import { viewOf } from './views/view.js';

export function createCore(settings: CoreSettings): CoreState {
	return createState(settings);
}

/** Does what one event asks for. The effects are to be carried out in order; see messages.ts. */
export function step(state: CoreState, event: CoreEvent): { state: CoreState; effects: CoreEffect[] } {
	const turn: Turn = { state, now: event.now, wall: event.wall, effects: [], facts: [] };
	onEvent(turn, event);
	settleFacts(turn);
	if (state.started && !turn.quiet) afterwards(turn);
	return { state, effects: turn.effects };
}

function onEvent(turn: Turn, event: CoreEvent): void {
	switch (event.kind) {
		case 'started':
			onStarted(turn, event);
			return;
		case 'request':
			if (!waitsForInquiry(turn, event)) onRequest(turn, event);
			return;
		case 'look':
			onDryRun(turn, event);
			return;
		case 'operator':
			onOperator(turn, event);
			return;
		case 'link_up':
			forgetShown(turn.state, event.hello.node);
			onLinkUp(turn, event.hello);
			return;
		case 'link_down':
			delete turn.state.links[event.node];
			if (Object.keys(turn.state.links).length === 0) turn.state.aloneSince ??= turn.now;
			commandsAfterLinkDown(turn.state, event.node);
			return;
		case 'message':
			if (turn.state.links[event.from]?.refused === null) onMessage(turn, event.from, event.message);
			return;
		case 'timer':
			onTimer(turn, event.name);
			return;
		case 'readiness':
			onReadiness(turn, event);
			return;
		case 'snapshot':
			onSnapshot(turn, event.rollout, event.attempt, event.snapshot);
			return;
		case 'checked':
			onOwnCheck(turn, event.rollout, event.result);
			return;
		case 'progress':
			onProgress(turn, event.rollout, event.attempt, event.text);
			return;
		case 'step_ended':
			onStepEnded(turn, event.rollout, event.attempt, event.result);
			return;
		case 'members':
			turn.state.members = event.members;
			turn.state.memberHash = event.memberHash;
			// There is nobody left to hear first.
			if (event.members.length === 1) beginToVote(turn);
			greetAll(turn);
			reportToCoordinator(turn);
			return;
	}
}

/** Hands on what the lower rooms have found out, until they find out nothing more. */
function settleFacts(turn: Turn): void {
	for (let fact = turn.facts.shift(); fact !== undefined; fact = turn.facts.shift()) onFact(turn, fact);
}

function onFact(turn: Turn, fact: Fact): void {
	const { state } = turn;
	switch (fact.kind) {
		case 'held':
			if (state.lease !== fact.lease) return;
			startHeld(turn, onLeading(turn, fact.lease, gather(turn, fact.lease, fact.candidacy)));
			heartbeat(turn, fact.lease);
			return;
		case 'lost':
			commandsAfterLostLease(state);
			startLostLease(turn);
			return;
		case 'denied':
			startLostLease(turn);
			return;
		case 'refused':
			leaseRefused(turn, fact.from, fact.reason);
			return;
		case 'late_report':
			hearReport(turn, fact.from, fact.epoch, fact.report);
			return;
		case 'reported':
			onReported(turn, fact.from, fact.report);
			return;
		case 'closed':
			onClosed(turn, fact.ending);
			return;
		case 'local_step_ended':
			localStepEnded(turn, fact.rollout);
			nextStep(turn);
			return;
		case 'order':
			onRestart(turn, state.settings.self, fact.message);
			return;
	}
}

function onRequest(turn: Turn, event: Request): void {
	const { settings, members } = turn.state;
	const isForFleet = event.request.replicated && settings.clustered && members.length > 1;
	if (isForFleet) onReplicatedRequest(turn, event);
	else onLocalRequest(turn, event);
}

function onStarted(turn: Turn, event: Extract<CoreEvent, { kind: 'started' }>): void {
	const { state } = turn;
	state.durable = event.durable;
	state.process = event.process;
	state.readiness = event.readiness;
	state.started = true;
	state.leaseFrom = turn.now;
	state.aloneSince = turn.now;
	state.highest = event.durable.promised;
	store(turn, { kind: 'boot', boot: event.durable.boot + 1 });
	const alone = state.members.length === 1;
	if (event.durable.instance === null) store(turn, { kind: 'instance', instance: event.process, voting: alone });
	else if (alone && !event.durable.voting)
		store(turn, { kind: 'instance', instance: event.durable.instance, voting: true });
	turn.effects.push({ kind: 'booted', boot: state.durable.boot, instance: state.durable.instance ?? event.process });
	nextStep(turn);
}

function onReadiness(turn: Turn, event: Extract<CoreEvent, { kind: 'readiness' }>): void {
	turn.state.readiness = event.readiness;
	greetAll(turn);
	reportToCoordinator(turn);
}

/** The own file was looked at: for a local request, for this node's own start, or for another coordinator. */
function onOwnCheck(turn: Turn, rollout: RolloutId, result: CheckResult): void {
	const { state } = turn;
	if (tookOwnCheck(turn, rollout, result)) return;
	if (state.locals.some((one) => one.id === rollout)) {
		onLocalChecked(turn, rollout, result);
		return;
	}
	if (state.start?.id === rollout) {
		onChecked(turn, state.settings.self, rollout, result);
		return;
	}
	const { promised } = state.durable;
	send(turn, promised.node, { kind: 'checked', epoch: promised, rollout, result });
}

function onMessage(turn: Turn, from: NodeName, message: PeerMessage): void {
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
			onHeartbeat(turn, from, message);
			return;
		case 'report':
			hearReport(turn, from, message.epoch, message.report);
			return;
		case 'store':
			onStore(turn, from, message);
			return;
		case 'check':
			onCheck(turn, from, message);
			return;
		case 'checked':
			onChecked(turn, from, message.rollout, message.result);
			return;
		case 'restart':
			onRestart(turn, from, message);
			return;
		case 'handover':
			onHandover(turn, from, message);
			return;
		case 'forward':
			onForward(turn, from, message);
			return;
		case 'answer':
			onAnswer(turn, message);
			return;
		case 'view':
			onView(turn, message);
			return;
		case 'view_change':
			onViewChange(turn, from, message);
			return;
		case 'view_wanted':
			onViewWanted(turn, from, message.rollout);
			return;
		case 'ended':
			onEnded(turn, message);
			return;
		case 'look':
			onPeerDryRun(turn, from, message);
			return;
		case 'looked':
			onDryRunAnswer(turn.state, from, message);
			return;
		case 'inquiry':
			onInquiry(turn, from, message.rollout);
			return;
		case 'ongoing':
			onOngoing(turn.state, message.rollout);
			return;
	}
}

function onTimer(turn: Turn, name: TimerName): void {
	delete turn.state.timers[name];
	switch (name) {
		case 'heartbeat': {
			onHeartbeatTimer(turn);
			const drive = driveOf(turn.state);
			if (drive) grantAgain(turn, drive);
			return;
		}
		case 'lease':
			onLeaseTimer(turn);
			return;
		case 'prepare':
			onPrepareTimer(turn);
			return;
		case 'start':
			onStartTimer(turn);
			return;
		case 'show':
			turn.showing = true;
			return;
		case 'drive':
		case 'operator':
		case 'local':
		case 'doubt':
		case 'look':
			return;
	}
}

/** After every event: whoever holds the lease decides, what waits goes on, whoever follows is told a little later, timers are set. */
function afterwards(turn: Turn): void {
	const { state } = turn;
	noteMajority(turn);
	settleEndedHere(turn);
	settleFacts(turn);
	if (state.commands.length > 0) advanceCommands(turn);
	for (const request of settledInquiries(turn)) onRequest(turn, request);
	settleFacts(turn);
	advanceDryRuns(turn);
	endIfLeft(turn);
	settleFacts(turn);
	const drive = driveOf(state);
	if (drive) lead(turn, drive);
	// It may have been given back just now, everything being told: a word that ended the rollout was its last.
	if (drive && state.lease === null && state.commands.length > 0) advanceCommands(turn, drive);
	if (state.start?.phase === 'waiting' && !localRuns(state)) tryStart(turn, state.start);
	settleFacts(turn);
	advanceLocal(turn);
	settleFacts(turn);
	if (turn.showing) showChanges(turn);
	tellLeaderless(turn);
	setTimers(turn);
}

/** What the holder of the lease does: it gives the lease back once everyone was told, and nothing needs it. */
function lead(turn: Turn, drive: Drive): void {
	const { state } = turn;
	driveStart(turn, drive);
	const lease = heldLease(state);
	if (lease) advanceDrive(turn, drive, noteHeard(turn, lease));
	if (lease && state.lease === lease) {
		spread(turn, lease);
		if (lease.spreading.length === 0 && !needsLease(state)) state.lease = null;
	}
	settleFacts(turn);
}

function setTimers(turn: Turn): void {
	const { state } = turn;
	const lease = heldLease(state);
	if (!lease) {
		arm(turn, 'heartbeat', null);
		arm(turn, 'drive', null);
	} else if (state.timers.heartbeat === undefined) arm(turn, 'heartbeat', turn.now + heartbeatEveryMs(state));
	if (isToShow(turn)) arm(turn, 'show', turn.now + showAfterMs(state));
	arm(turn, 'lease', leavesAt(state) ?? takeoverAt(state));
	const candidate = state.lease?.kind === 'candidate' ? state.lease : null;
	arm(turn, 'prepare', candidate ? candidate.sentAt + prepareLimitMs(state) : null);
	arm(turn, 'start', startTimerAt(state));
	const words = state.commands.map((one) => one.until);
	arm(turn, 'operator', words.length > 0 ? Math.min(...words) : null);
}

/** The coordinator that this node knows: itself, or the one it follows; null: none. */
export function coordinatorOf(state: CoreState): NodeName | null {
	if (heldLease(state)) return state.settings.self;
	const { epoch, heardAt } = state.follows;
	const known = state.durable.open.some((one) => isDriven(one.spec));
	return known && heardAt !== null ? epoch.node : null;
}

/** What a question needs to know of the time: own monotonic ms, and ms since 1970. */
export interface Instant {
	now: number;
	wall: number;
}

/** A rollout as this node knows it; undefined if it does not. */
export function getRollout(state: CoreState, id: RolloutId, at: Instant): RolloutView | undefined {
	return viewOf(state, id, { state, ...at, effects: [], facts: [] });
}

/** Newest first, at most `limit`. */
export function listRollouts(state: CoreState, limit: number, at: Instant): RolloutView[] {
	const ids = [...state.durable.open.map(({ spec }) => spec.id), ...state.durable.ended.map(({ rollout }) => rollout)];
	const views = ids.flatMap((id) => getRollout(state, id, at) ?? []);
	return views.sort((a, b) => b.created_at - a.created_at).slice(0, limit);
}
