/**
 * The decision core, where coordination and rollouts meet: what came in and when goes into {@link step}, what is to be done
 * comes out. It knows no clock, no randomness, no timer, no file and no socket. The state is changed in place; callers that need
 * the old one copy it first.
 */
import { advanceDrive, grantAgain, needsLease } from '../../rollout/controller/drive.js';
import { onLeading, onReported } from '../../rollout/controller/outcome.js';
import { beginRevert, onNotReverted } from '../../rollout/controller/revert.js';
import { type Drive, driveOf, forgetShown } from '../../rollout/controller/state.js';
import {
	onInquiry,
	onOngoing,
	type Request,
	settledInquiries,
	waitsForInquiry,
} from '../../rollout/requests/inquiry.js';
import {
	onHookEnd,
	onProgress,
	onRestart,
	onSnapshot,
	onStepEnded,
	nextStep,
	noteLostTurns,
} from '../../rollout/agent/execution.js';
import { settleEndedHere } from '../../rollout/agent/ended-here.js';
import { endLeft } from '../../rollout/agent/leaving.js';
import { advanceLocal, onLocalChecked, onLocalRequest, localStepEnded } from '../../rollout/agent/local-rollouts.js';
import {
	advanceDryRuns,
	onCheck,
	onDryRun,
	onDryRunAnswer,
	onPeerDryRun,
	tookOwnCheck,
} from '../../rollout/requests/dry-run.js';
import {
	advanceCommands,
	onAnswer,
	onForward,
	onOperator,
	commandsAfterLinkDown,
	commandsAfterLostLease,
} from '../../rollout/requests/operator-command.js';
import type { CheckResult, RolloutMessage } from '../../rollout/messages.js';
import type { CoreEffect, CoreEvent, PeerMessage, TimerName } from './events.js';
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
} from '../../rollout/requests/start.js';
import type { CoreState } from './state.js';
import { CoreTurn as Turn } from './turn.js';
import { arm, type Fact, send } from '../../rollout/outbox.js';
import type { NodeName, RolloutId, RolloutView } from '../../rollout/types.js';
import { onClosed, onView, onViewChange } from '../../rollout/views/follow-view.js';
import { isToShow, onViewWanted, showAfterMs, showChanges, tellLeaderless } from '../../rollout/views/show.js';
import { viewOf } from '../../rollout/views/view.js';
import { resumeTimes } from '../../rollout/times.js';
import { compareEpochs, type Epoch, sameEpoch } from '../../coordination/epoch.js';
import { isShared } from '../../coordination/port.js';

/** Does what one event asks for. The effects are to be carried out in order; see events.ts. */
export function step(state: CoreState, event: CoreEvent): { state: CoreState; effects: CoreEffect[] } {
	const turn = new Turn(state, event.now, event.wall);
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
			turn.state.engine.input(turn, event);
			return;
		case 'link_down':
			turn.state.engine.input(turn, event);
			commandsAfterLinkDown(turn.state, event.node);
			return;
		case 'message':
			if (turn.state.coordination.peer(event.from)?.refused === null) onMessage(turn, event.from, event.message);
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
		case 'hook_ended':
			onHookEnd(turn, event);
			return;
		case 'members':
			turn.state.members = event.members;
			turn.state.memberHash = event.memberHash;
			turn.state.engine.input(turn, event);
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
		case 'leading': {
			if (sameEpoch(state.coordination.leads(), fact.epoch)) startHeld(turn, onLeading(turn, fact.epoch, fact.entries));
			return;
		}
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
		case 'reported':
			onReported(turn, fact.from, fact.report);
			return;
		case 'closed':
			onClosed(turn, fact.ending);
			return;
		case 'caught_up':
			noteLostTurns(turn, fact.entries);
			return;
		case 'left':
			endLeft(turn, fact.entry);
			return;
		case 'local_step_ended':
			localStepEnded(turn, fact.rollout);
			nextStep(turn);
			return;
		case 'not_reverted':
			onNotReverted(turn, fact.rollout, fact.refusal);
			return;
		case 'order':
			onGrant(turn, state.settings.self, fact.message);
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
	resumeTimes(turn);
	state.readiness = event.readiness;
	state.started = true;
	turn.state.engine.input(turn, { kind: 'started', process: event.process, kept: state.durable });
	turn.effects.push({ kind: 'booted', boot: state.durable.boot, instance: state.durable.instance ?? event.process });
	nextStep(turn);
}

function onReadiness(turn: Turn, event: Extract<CoreEvent, { kind: 'readiness' }>): void {
	turn.state.readiness = event.readiness;
	turn.state.engine.input(turn, { kind: 'readiness' });
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
	const epoch = state.coordination.fence();
	send(turn, epoch.node, { kind: 'checked', epoch, rollout, result });
}

function onMessage(turn: Turn, from: NodeName, message: PeerMessage): void {
	switch (message.kind) {
		case 'check':
			if (turn.state.engine.admits(turn, from, message.epoch)) onCheck(turn, message);
			return;
		case 'checked':
			onChecked(turn, from, message.rollout, message.result);
			return;
		case 'restart':
			onGrant(turn, from, message);
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
		default:
			turn.state.engine.input(turn, { kind: 'message', from, message });
	}
}

/** A grant, from a peer or from this node itself, passes the fence like any command. */
function onGrant(turn: Turn, from: NodeName, message: Extract<RolloutMessage, { kind: 'restart' }>): void {
	if (turn.state.engine.admits(turn, from, message.epoch)) onRestart(turn, from, message);
	else turn.note('command_refused', { from, rollout: message.rollout });
}

function onTimer(turn: Turn, name: TimerName): void {
	turn.state.timers[name] = null;
	switch (name) {
		case 'heartbeat': {
			turn.state.engine.input(turn, { kind: 'timer', name });
			const drive = driveOf(turn.state);
			if (drive) grantAgain(turn, drive);
			return;
		}
		case 'lease':
		case 'prepare':
			turn.state.engine.input(turn, { kind: 'timer', name });
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

/** After every event: the holder of the lease decides, waiting requests continue, followers are updated a little later, timers are set. */
function afterwards(turn: Turn): void {
	const { state } = turn;
	state.engine.settle(turn);
	settleEndedHere(turn);
	settleFacts(turn);
	if (state.commands.length > 0) advanceCommands(turn);
	for (const request of settledInquiries(turn)) onRequest(turn, request);
	settleFacts(turn);
	advanceDryRuns(turn);
	state.engine.settleLeft(turn);
	settleFacts(turn);
	const drive = driveOf(state);
	if (drive) lead(turn, drive);
	// It may have been given back just now, everything being told: a word that ended the rollout was its last.
	if (drive && !state.coordination.leads() && state.commands.length > 0) advanceCommands(turn, drive);
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
	beginRevert(turn, drive);
	driveStart(turn, drive);
	advanceDrive(turn, drive, state.engine.mayLead(turn));
	if (driveOf(state) === drive) {
		state.engine.settleEndings(turn);
		if (!needsLease(state)) turn.command({ kind: 'resign' });
	}
	settleFacts(turn);
}

function setTimers(turn: Turn): void {
	const { state } = turn;
	state.engine.armTimers(turn);
	if (!state.coordination.leads()) arm(turn, 'drive', null);
	if (isToShow(turn)) arm(turn, 'show', turn.now + showAfterMs(state));
	arm(turn, 'start', startTimerAt(state));
	const words = state.commands.map((one) => one.until);
	arm(turn, 'operator', words.length > 0 ? Math.min(...words) : null);
}

/** The coordinator that this node knows: itself, or the one it follows; null: none. */
export function coordinatorOf(state: CoreState): NodeName | null {
	if (state.coordination.leads()) return state.settings.self;
	const known = state.durable.open.some((one) => isShared(one.spec));
	return known ? (state.coordination.follows()?.leader ?? null) : null;
}

/** What a question needs to know of the time: own monotonic ms, and ms since 1970. */
export interface Instant {
	now: number;
	wall: number;
}

/** A rollout as this node knows it; undefined if it does not. */
export function getRollout(state: CoreState, id: RolloutId, at: Instant): RolloutView | undefined {
	return viewOf(state, id, new Turn(state, at.now, at.wall));
}

/**
 * By what happened, not by clocks: as this node heard of them, and the fleet's own by their epochs, since it may have heard late of
 * what it missed.
 */
function inOrder({ heard, open, ended }: CoreState['durable']): RolloutId[] {
	const epochs = new Map<RolloutId, Epoch | null>([
		...open.map(({ spec, flags }) => [spec.id, flags.version.epoch] as const),
		...ended.map(({ rollout, epoch }) => [rollout, epoch] as const),
	]);
	const known = heard.filter((id) => epochs.has(id));
	const shared = known.flatMap((id) => {
		const epoch = epochs.get(id);
		return epoch ? [{ id, epoch }] : [];
	});
	// The sort is stable: under one epoch it stays as heard.
	shared.sort((a, b) => compareEpochs(a.epoch, b.epoch));
	return known.map((id) => (epochs.get(id) ? (shared.shift()?.id ?? id) : id));
}

/** Newest first, at most `limit`. */
export function listRollouts(state: CoreState, limit: number, at: Instant): RolloutView[] {
	return inOrder(state.durable)
		.slice(-limit)
		.reverse()
		.flatMap((id) => getRollout(state, id, at) ?? []);
}
