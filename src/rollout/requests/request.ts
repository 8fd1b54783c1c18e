/** What a request is called, why it is refused at once, and the spec that it becomes. */
import type { CheckResult, CoreRequest, OpenRollout, Refusal } from '../messages.js';
import type { CoreState, PendingStart } from '../state.js';
import { rolloutHooksOf } from '../controller/hooks.js';
import { holdAfterOf, onFailureOf, selectionFault, selectionInTheWay, unselectedBy } from './selection.js';
import { passedOver } from './undo.js';
import { revertedBy } from '../views/view-parts.js';
import { wayOut } from '../views/way-out.js';
import { inTheWayHere, isAtRestHere, type Turn } from '../outbox.js';
import { appsOf, namesOf, type Scope, scopeOf } from '../targets/scope.js';
import type { NodeName, RolloutId, RolloutSpec } from '../types.js';

/** `restart_service http_workers`, `restart` */
export function requestText(request: Pick<CoreRequest, 'type' | 'service' | 'reverts'> & Scope): string {
	if (request.reverts !== undefined) return `undo of ${request.reverts}`;
	const apps = appsOf(request);
	const of = apps === null ? '' : ` of ${namesOf(apps)}`;
	return request.type === 'restart' ? 'restart' : `restart_service ${request.service ?? ''}${of}`;
}

export function conflictWith(open: OpenRollout, turn: Pick<Turn, 'state' | 'now'>): Refusal {
	const { spec, flags } = open;
	const by = flags.version.epoch?.node ?? turn.state.settings.self;
	return {
		code: 'conflict',
		message: `Rollout ${spec.id} (${requestText(spec)}, coordinated by ${by}) ${inTheWayText(open)}${wayOut(turn, spec.id)}`,
		extra: { job_id: spec.id, ...(flags.halted === null ? {} : { state: 'halted' }) },
	};
}

/** How it stands, and what may be done about it. */
function inTheWayText(open: OpenRollout): string {
	const undo = revertedBy(open);
	if (undo !== null)
		return `halted, and rollout ${undo} is about to put its nodes back; wait for that one, or abort_rollout it`;
	if (open.flags.halted !== null)
		return 'halted half-way; correct what halted it, then resume_rollout it or send restart_service service=clustering_config replicated=true again, before anything else';
	if (open.flags.paused) return 'is paused; resume_rollout or abort_rollout it';
	return 'is running; wait for it, or abort_rollout it';
}

/** Why a replicated request is refused before anybody is asked. */
export function refuseStart(turn: Turn, request: CoreRequest, maxUnavailable: number | null): Refusal | null {
	const { state } = turn;
	if (maxUnavailable === null)
		return {
			code: 'invalid',
			message: "'max_unavailable' must be a number of nodes, at least 1, or per cent of them, 1% to 100%",
			extra: {},
		};
	const fault = selectionFault(state, request);
	if (fault !== null) return { code: 'invalid', message: fault, extra: {} };
	const inTheWay = conflictingRollout(turn, null);
	if (inTheWay) return inTheWay;
	if (state.start)
		return {
			code: 'conflict',
			message: `${requestText(state.start.request)} is being started here; wait for its answer`,
			extra: { job_id: state.start.id },
		};
	return selectionInTheWay(state, request);
}

/** A rollout that forbids this node to ask for a lease, so as to start the one of this id; null: none does. */
export function conflictingRollout(turn: Turn, id: RolloutId | null): Refusal | null {
	const { state } = turn;
	const change = state.coordination.changingItself();
	const running = inTheWayHere(state);
	if (running && running.spec.id !== id && running !== change) return conflictWith(running, turn);
	if (!change || isAtRestHere(state, change.spec.id)) return null;
	const { members, membersNext } = change.spec;
	const staying = members.filter(({ name }) => membersNext?.some((one) => one.name === name)).map(({ name }) => name);
	return {
		code: 'conflict',
		message: `Rollout ${change.spec.id}, a change of members that takes ${state.settings.self} in or out, has not ended; ask ${staying.join(', ')}, which are members before and after it${wayOut(turn, change.spec.id)}`,
		extra: { job_id: change.spec.id, state: 'unfinished' },
	};
}

/** Why this node may not coordinate yet; null: it may. It may soon, if all it lacks is a greeting that is under way. */
export function whyNoVote(state: CoreState): string | null {
	const { self } = state.settings;
	if (state.coordination.votes()) return null;
	const missing = state.coordination.unmet();
	return `${self} is new or lost its state and may not vote before it has heard ${missing.join(', ')}; start them, or admit_node ${self}`;
}

/** Nodes that have no such app, as their files say. */
export function lackingApp({ request, checks }: Pick<PendingStart, 'request' | 'checks'>): NodeName[] {
	if (appsOf(request) === null || !request.replicated) return [];
	return Object.keys(checks)
		.filter((node) => checks[node]?.lacksApp)
		.sort();
}

/** Of several apps one that no node has, as far as their files were looked at; null: each is somewhere. */
export function appNowhere({ apps = [] }: Scope, checks: readonly (CheckResult | null | undefined)[]): string | null {
	const known = new Set(checks.flatMap((check) => [...(check?.appNames ?? []), ...(check?.apps?.removed ?? [])]));
	const unknown = apps.filter((app) => !known.has(app));
	if (unknown.length === 0) return null;
	const names = [...known].sort().join(', ') || 'none';
	return `http_workers has no app '${unknown.join("' or '")}' on any node; the apps are: ${names}`;
}

/** The spec of a request; of a change of members with what the files say. */
export function specOf(
	state: CoreState,
	start: Pick<PendingStart, 'id' | 'revertAs' | 'request' | 'undo' | 'maxUnavailable' | 'wall' | 'checks'>,
): RolloutSpec {
	const { request } = start;
	const own = start.checks[state.settings.self];
	const changing = request.service === 'clustering_config';
	const without = lackingApp(start);
	const holdAfter = holdAfterOf(state, request);
	const same = passedOver(start.undo, start.checks);
	const unselected = [...new Set([...unselectedBy(state, request), ...same])].sort();
	const hooks = rolloutHooksOf(state.settings, request);
	const { note, from } = request;
	const configHashes: Record<string, string> = {};
	for (const [node, check] of Object.entries(start.checks))
		if (check?.configHash) configHashes[node] = check.configHash;
	return {
		id: start.id,
		type: request.type,
		service: request.service,
		...scopeOf(request),
		replicated: request.replicated,
		user: request.user,
		maxUnavailable: start.maxUnavailable,
		onFailure: onFailureOf(state, request) === 'continue' ? 'continue' : 'halt',
		waitBetweenMs: state.settings.waitBetweenMs,
		deadlineMs: state.settings.deadlineMs,
		members: state.members.map((member) => ({ name: member.name, zone: member.zone })),
		memberHash: state.memberHash,
		membersNext: changing && own?.members ? own.members.map((one) => ({ name: one.name, zone: one.zone })) : null,
		memberHashNext: changing ? (own?.memberHash ?? null) : null,
		configHashes: changing ? configHashes : null,
		...(without.length > 0 ? { without } : {}),
		...(note === undefined ? {} : { note }),
		...(from === undefined ? {} : { from }),
		...(holdAfter === 0 ? {} : { holdAfter }),
		...selectedBy(request),
		...(unselected.length > 0 ? { unselected } : {}),
		...undoing(state, start),
		...(hooks.length > 0 ? { hooks } : {}),
		createdAt: start.wall,
	};
}

/** The nodes of an undo follow from the rollout that it undoes: no one has selected them. */
function selectedBy({ nodes, zone, reverts }: CoreRequest): Pick<RolloutSpec, 'selected'> {
	if (reverts !== undefined || !(nodes ?? zone)) return {};
	return { selected: { nodes: nodes ? [...new Set(nodes)] : null, zone: zone ?? null } };
}

function undoing(
	state: CoreState,
	{ request, undo, revertAs }: Pick<PendingStart, 'request' | 'undo' | 'revertAs'>,
): Pick<RolloutSpec, 'reverts' | 'putBack' | 'revertAs'> {
	if (request.reverts !== undefined) return { reverts: request.reverts, putBack: undo?.putBack ?? {} };
	return onFailureOf(state, request) === 'revert' && revertAs !== null ? { revertAs } : {};
}

/** Names who did not give its promise, or did not store the rollout, and why; with the way out where there is one. */
export function whoIsMissing(turn: Turn, start: PendingStart): string {
	const { state } = turn;
	const missing = state.members
		.map(({ name }) => name)
		.filter((name) => name !== state.settings.self && !state.coordination.report(name));
	const texts = missing.map((name) => {
		const reason = start.refusals[name];
		if (reason?.kind === 'left') return `${name} has left the fleet`;
		if (reason?.kind === 'live') return `${name} hears ${reason.coordinator} coordinate`;
		return `${name} ${state.coordination.whyNotHeard(name) ?? 'answers too slowly'}`;
	});
	const needed = Math.floor(state.members.length / 2) + 1;
	const who = texts.length > 0 ? texts.join(', ') : 'answers were too slow';
	const way = missing.some((name) => state.coordination.hasOtherMembers(name)) ? `. ${meetAgain}` : '';
	return `${who}; ${needed} of ${state.members.length} nodes are needed, and nothing was started${way}`;
}

/** The way out where nodes have other members in force: they take no part in what the others decide. */
export const meetAgain =
	'Make cluster.peers the same on every node, then run on each: rollcall restart_service service=clustering_config';
