/** What a request would do now, for `dry_run`: nobody is asked, nothing is stored. */
import { budgetOf, isDown } from '../targets/budget.js';
import { mayBegin, orderOf } from '../targets/order.js';
import type { CoreRequest } from '../messages.js';
import { requestText } from './request.js';
import type { CoreState } from '../state.js';
import { inTheWayHere } from '../outbox.js';
import type { NodeName, RolloutPlan } from '../types.js';

/** For a node of which nothing is known. */
const estimateDefaultMs = 10_000;

/** `medians`: ms that a node's step took in earlier rollouts of this kind. */
export function estimateOf(
	state: CoreState,
	request: CoreRequest,
	medians: Readonly<Record<NodeName, number>> = {},
): RolloutPlan {
	const { self } = state.settings;
	const fleet = request.replicated && state.members.length > 1;
	const members = fleet ? state.members : state.members.filter((member) => member.name === self);
	const budget = budgetOf(request.maxUnavailable ?? state.settings.maxUnavailable, members.length);
	const down = members.filter((member) => isDownNow(state, member.name)).map((member) => member.name);
	const unhealthy = new Set(down.filter((name) => name === self || state.links[name]));
	const order = awayLast(state, orderOf(members, unhealthy, self));
	const size = Math.max(1, (budget ?? 1) - down.filter((name) => !unhealthy.has(name)).length);
	const known = Object.values(medians).sort((a, b) => a - b);
	const usual = known[Math.floor(known.length / 2)] ?? estimateDefaultMs;
	const steps = stepsOf(order, fleet ? size : 1).map((nodes) => ({
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
		refused: whyRefused(state, request, budget, order, down, unhealthy),
	};
}

/** A node that is away is waited for once nothing else can go on; the coordinator goes last all the same. */
function awayLast(state: CoreState, order: readonly NodeName[]): NodeName[] {
	const { self } = state.settings;
	const isLast = order.at(-1) === self;
	const rank = (name: NodeName): number => (name === self ? (isLast ? 2 : 0) : state.links[name] ? 0 : 1);
	return [...order].sort((a, b) => rank(a) - rank(b));
}

function isDownNow(state: CoreState, node: NodeName): boolean {
	if (node === state.settings.self) return isDown(state.readiness);
	const greeting = state.links[node]?.greeting;
	return !greeting || isDown(greeting.readiness);
}

/** The coordinator goes alone and last. */
function stepsOf(order: readonly NodeName[], size: number): NodeName[][] {
	const steps: NodeName[][] = [];
	const last = order.at(-1);
	const rest = order.slice(0, -1);
	for (let at = 0; at < rest.length; at += size) steps.push(rest.slice(at, at + size));
	if (last !== undefined) steps.push([last]);
	return steps;
}

function whyRefused(
	state: CoreState,
	request: CoreRequest,
	budget: number | null,
	order: readonly NodeName[],
	down: readonly NodeName[],
	unhealthy: ReadonlySet<NodeName>,
): string | null {
	if (budget === null)
		return "'max_unavailable' must be a number of nodes, at least 1, or per cent of them, 1% to 100%";
	const running = inTheWayHere(state);
	if (running) return `Rollout ${running.spec.id} (${requestText(running.spec)}) is running or paused`;
	if (!request.replicated || state.members.length === 1) return null;
	const used = new Map(down.map((name) => [name, 'is down']));
	const heard = new Set(order.filter((name) => !down.includes(name) || unhealthy.has(name)));
	if (heard.size * 2 <= order.length)
		return `${[...down].join(', ')} not linked; ${Math.floor(order.length / 2) + 1} of ${order.length} nodes are needed`;
	const maybeOut = new Set(down.filter((name) => !unhealthy.has(name)));
	const may = order.some((name) => heard.has(name) && mayBegin(name, { heard, used, maybeOut }, budget).ok);
	return may ? null : `${down.join(', ')} down; max_unavailable is ${budget}, so no node may be taken out`;
}
