/** What a request would do now, for `dry_run`: asks no peer and stores nothing. */
import { budgetOf, noRoom, whatIsDown } from '../targets/budget.js';
import { mayBegin, orderOf } from '../targets/order.js';
import type { CoreRequest } from '../messages.js';
import { requestText } from './request.js';
import { holdAfterOf, selectionFault, selectionInTheWay, unselectedBy } from './selection.js';
import type { CoreState } from '../state.js';
import { inTheWayHere } from '../outbox.js';
import type { NodeName, Readiness, RolloutPlan } from '../types.js';

/** For a node of which nothing is known. */
const estimateDefaultMs = 10_000;

/** `medians`: ms that a node's step took in earlier rollouts of this kind. */
export function estimateOf(
	state: CoreState,
	request: CoreRequest,
	medians: Readonly<Record<NodeName, number>> = {},
	without: readonly NodeName[] = [],
): RolloutPlan {
	const { self } = state.settings;
	const fleet = request.replicated && state.members.length > 1;
	const members = fleet ? state.members : state.members.filter((member) => member.name === self);
	const budget = budgetOf(request.maxUnavailable ?? state.settings.maxUnavailable, members.length);
	const counted = members.filter(({ name }) => !without.includes(name));
	const unselected = unselectedBy(state, request);
	const targets = counted.filter(({ name }) => !unselected.includes(name));
	const down = counted.filter((member) => isDownNow(state, member.name)).map((member) => member.name);
	const unhealthy = new Set(down.filter((name) => name === self || state.coordination.peer(name)));
	const order = awayLast(state, orderOf(targets, unhealthy, self));
	const mended = (name: NodeName): boolean => unhealthy.has(name) && !unselected.includes(name);
	const size = Math.max(1, (budget ?? 1) - down.filter((name) => !mended(name)).length);
	const holdAfter = holdAfterOf(state, request);
	const known = Object.values(medians).sort((a, b) => a - b);
	const usual = known[Math.floor(known.length / 2)] ?? estimateDefaultMs;
	const steps = stepsOf(order, fleet ? size : 1, holdAfter, self).map((nodes) => ({
		nodes,
		estimate_ms: Math.round(Math.max(...nodes.map((name) => medians[name] ?? usual))),
	}));
	const pauses = Math.max(0, steps.length - 1) * (fleet ? state.settings.waitBetweenMs : 0);
	return {
		order,
		max_unavailable: budget ?? 1,
		down,
		steps,
		estimate_ms: steps.reduce((sum, one) => sum + one.estimate_ms, pauses),
		guess: known.length === 0,
		...whyRefused(state, request, budget, order, down, unhealthy),
		...(holdAfter > 0 ? { hold_after: holdAfter } : {}),
		...(without.length > 0 ? { without: [...without] } : {}),
		...(unselected.length > 0 ? { unselected } : {}),
		...remarksOn(targets.filter(({ name }) => readinessOf(state, name)?.availability === 'Unavailable')),
	};
}

/** A node that an operator keeps out of service is rolled, but nothing follows it before it is back in service (I6). */
function remarksOn(outOfService: readonly { name: NodeName }[]): Pick<RolloutPlan, 'remarks'> {
	if (outOfService.length === 0) return {};
	const names = outOfService.map(({ name }) => name).join(', ');
	return {
		remarks: [
			`${names}: out of service by an operator (Unavailable). Nothing follows such a node's step before ready_node puts it back`,
		],
	};
}

/** An absent node is waited for once no other can begin; the coordinator still goes last. */
function awayLast(state: CoreState, order: readonly NodeName[]): NodeName[] {
	const { self } = state.settings;
	const isLast = order.at(-1) === self;
	const rank = (name: NodeName): number => (name === self ? (isLast ? 2 : 0) : state.coordination.peer(name) ? 0 : 1);
	return [...order].sort((a, b) => rank(a) - rank(b));
}

const readinessOf = (state: CoreState, node: NodeName): Readiness | null =>
	node === state.settings.self ? state.readiness : (state.coordination.peer(node)?.readiness ?? null);

function isDownNow(state: CoreState, node: NodeName): boolean {
	const readiness = readinessOf(state, node);
	return !readiness || whatIsDown(readiness) !== null;
}

/** The coordinator goes alone and last; no step reaches beyond the hold. */
function stepsOf(order: readonly NodeName[], size: number, holdAfter: number, self: NodeName): NodeName[][] {
	const steps: NodeName[][] = [];
	const isLast = order.at(-1) === self;
	const rest = isLast ? order.slice(0, -1) : order;
	for (let at = 0; at < rest.length; ) {
		const end = at < holdAfter ? Math.min(at + size, holdAfter) : at + size;
		steps.push(rest.slice(at, end));
		at = end;
	}
	if (isLast) steps.push([self]);
	return steps;
}

function whyRefused(
	state: CoreState,
	request: CoreRequest,
	budget: number | null,
	order: readonly NodeName[],
	down: readonly NodeName[],
	unhealthy: ReadonlySet<NodeName>,
): Pick<RolloutPlan, 'refused' | 'refused_as'> {
	const as = (fault: 'conflict' | 'invalid' | 'unavailable', refused: string) => ({ refused, refused_as: fault });
	const nothing = { refused: null, refused_as: null };
	if (budget === null)
		return as('invalid', "'max_unavailable' must be a number of nodes, at least 1, or per cent of them, 1% to 100%");
	const fault = selectionFault(state, request);
	if (fault !== null) return as('invalid', fault);
	const running = inTheWayHere(state);
	if (running) return as('conflict', `Rollout ${running.spec.id} (${requestText(running.spec)}) is running or paused`);
	const refusal = selectionInTheWay(state, request);
	if (refusal) return as('unavailable', refusal.message);
	if (!request.replicated || state.members.length === 1) return nothing;
	const used = new Map(down.map((name) => [name, 'is down']));
	const heard = new Set(order.filter((name) => !down.includes(name) || unhealthy.has(name)));
	const { self } = state.settings;
	const all = state.members.map(({ name }) => name);
	const away = all.filter((name) => name !== self && !state.coordination.peer(name));
	if ((all.length - away.length) * 2 <= all.length)
		return as(
			'unavailable',
			`${away.join(', ')} not linked; ${Math.floor(all.length / 2) + 1} of ${all.length} nodes are needed`,
		);
	// It takes no node out.
	if (request.service === 'clustering_config') return nothing;
	const maybeOut = new Set(down.filter((name) => !unhealthy.has(name)));
	const may = order.some((name) => heard.has(name) && mayBegin(name, { heard, used, maybeOut }, budget));
	if (may || order.length === 0) return nothing;
	return as('unavailable', `${down.join(', ')} down; ${noRoom(down.length, budget)}`);
}
