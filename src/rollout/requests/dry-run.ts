/** What every target's file says, for a dry run: nothing is promised, stored or started for it. */
import type { Checked, CheckResult, RolloutEvent, NodeApps, RolloutMessage } from '../messages.js';
import { appNowhere, requestText } from './request.js';
import { unselectedBy } from './selection.js';
import { faultOf, isTakenForDead } from './member-change.js';
import type { CoreState, PendingDryRun } from '../state.js';
import { arm, send, type Turn } from '../outbox.js';
import { scopeOf } from '../targets/scope.js';
import type { NodeName, RolloutId } from '../types.js';
import { isUndo, passedOver, putBackFor, undoNow } from './undo.js';

/** Longest that an answer is waited for. */
const lookLimitMs = 1500;
const looksMax = 64;

/** Answered without a view if all files are valid; refused with the faults otherwise. */
export function onDryRun(turn: Turn, event: Extract<RolloutEvent, { kind: 'look' }>): void {
	const { state, now } = turn;
	const { token } = event;
	const undo = undoNow(turn, event.request);
	const request = isUndo(undo) ? undo.request : event.request;
	const puts = isUndo(undo) ? undo.undo : null;
	if (undo && !isUndo(undo)) {
		turn.effects.push({ kind: 'refuse', token, refusal: undo });
		return;
	}
	if (state.dryRuns.length >= looksMax) {
		refuse(turn, token, 'too many dry runs wait for an answer; try again');
		return;
	}
	const { service, replicated } = request;
	const scope = scopeOf(request);
	const checks: PendingDryRun['checks'] = {};
	const unselected = unselectedBy(state, request);
	const members = state.members.map((member) => member.name).filter((name) => !unselected.includes(name));
	if (!unselected.includes(state.settings.self)) {
		checks[state.settings.self] = null;
		const alone = replicated ? {} : { local: true as const };
		const own = putBackFor(puts, state.settings.self);
		turn.effects.push({ kind: 'check', rollout: token, service, ...scope, ...own, dryRun: true, ...alone });
	}
	for (const peer of replicated ? state.coordination.peers().filter((name) => members.includes(name)) : []) {
		checks[peer] = null;
		send(turn, peer, { kind: 'look', id: token, service, ...scope, ...putBackFor(puts, peer) });
	}
	state.dryRuns.push({ token, request, undo: puts, until: now + lookLimitMs, checks });
}

export function onPeerDryRun(turn: Turn, from: NodeName, message: Extract<RolloutMessage, { kind: 'look' }>): void {
	const { checkers: lookers } = turn.state;
	const { id } = message;
	if (Object.keys(lookers).length >= looksMax) return;
	lookers[id] = from;
	turn.effects.push({ kind: 'check', rollout: id, ...checkedOf(message), dryRun: true });
}

export function onDryRunAnswer(
	state: CoreState,
	from: NodeName,
	{ id, result }: Extract<RolloutMessage, { kind: 'looked' }>,
): void {
	const look = state.dryRuns.find((one) => one.token === id);
	if (look && look.checks[from] === null) look.checks[from] = result;
}

/** true: the own file was looked at for a dry run, here or on a peer. */
export function tookOwnCheck(turn: Turn, id: string, result: CheckResult): boolean {
	const { state } = turn;
	const look = state.dryRuns.find((one) => one.token === id);
	if (look) look.checks[state.settings.self] = result;
	const peer = state.checkers[id];
	if (peer === undefined) return look !== undefined;
	delete state.checkers[id];
	send(turn, peer, { kind: 'looked', id, result });
	return true;
}

export function advanceDryRuns(turn: Turn): void {
	const { state, now } = turn;
	for (const look of [...state.dryRuns]) {
		const silent = Object.keys(look.checks).filter((name) => look.checks[name] === null);
		if (silent.length > 0 && now < look.until) continue;
		state.dryRuns = state.dryRuns.filter((one) => one !== look);
		const fault = silent.length > 0 ? `${silent.join(', ')} did not check its file in time` : whatIsWrong(state, look);
		if (fault === null) turn.effects.push({ kind: 'answer', token: look.token, view: null, apps: changesOf(look) });
		else refuse(turn, look.token, fault);
	}
	arm(turn, 'look', state.dryRuns.length > 0 ? Math.min(...state.dryRuns.map((one) => one.until)) : null);
}

/** A change of members asks every node for its file; others roll without those that are away. */
function whatIsWrong(state: CoreState, look: PendingDryRun): string | null {
	const { request, checks } = look;
	const { self } = state.settings;
	if (!request.replicated || state.members.length === 1) {
		const fault = checks[self]?.fault ?? appNowhere(request, [checks[self]]);
		return fault === null ? null : `${self}: ${fault}`;
	}
	const names = state.members.map((member) => member.name);
	const away = names.filter((name) => checks[name] === undefined && !isTakenForDead(state, look, name));
	if (request.service === 'clustering_config' && away.length > 0)
		return `${requestText(request)} needs every node that stays in the fleet; not linked: ${away.join(', ')}`;
	return faultOf(state, look);
}

function changesOf({ undo, checks }: PendingDryRun): Record<NodeName, NodeApps> {
	const same = passedOver(undo, checks);
	const apps: Record<NodeName, NodeApps> = {};
	for (const [node, check] of Object.entries(checks)) {
		if (!check?.apps && !check?.lacksApp) continue;
		const { apps: changes = null, appNames: names = null, releases = null, lacksApp = false } = check;
		apps[node] = { changes, names, releases, lacksApp, ...(same.includes(node) ? { runsAlready: true } : {}) };
	}
	return apps;
}

function refuse(turn: Turn, token: string, message: string): void {
	turn.effects.push({ kind: 'refuse', token, refusal: { code: 'unavailable', message, extra: {} } });
}

/** A coordinator asks for a look at the own file before it starts anything. */
export function onCheck(turn: Turn, message: Extract<RolloutMessage, { kind: 'check' }>): void {
	lookHere(turn, message.rollout, checkedOf(message));
}

const checkedOf = (message: Checked): Checked => ({
	service: message.service,
	...scopeOf(message),
	...(message.putBack ? { putBack: message.putBack } : {}),
});

/** Before anything is started; a node that is to go back says what it runs, too. */
export function lookHere(turn: Turn, rollout: RolloutId, about: Checked): void {
	turn.effects.push({ kind: 'check', rollout, ...about, ...(about.putBack ? { dryRun: true } : {}) });
}
