/** Days that bring together what chance alone seldom does: each makes the absence of some rule show. */
import { Random } from '../support/random.js';
import { type Action, type Ask, askOf, type Plan, settledMs, wordOf } from './plan.js';

const roll: Ask = {
	type: 'restart_service',
	service: 'http_workers',
	replicated: true,
	maxUnavailable: 1,
	onFailure: 'halt',
};

function workersOf(random: Random, plan: Plan): Ask {
	const { maxUnavailable, onFailure } = askOf(random, plan.nodes.length, false);
	return { ...roll, maxUnavailable, onFailure };
}

export function scenariosOf(random: Random, plan: Plan, changing: boolean): Action[] {
	const count = plan.nodes.length;
	const actions: Action[] = [];
	if (changing) {
		if (random.chance(0.6)) actions.push(...changeStruck(random, plan));
	} else if (count > 2) {
		if (random.chance(0.08)) actions.push(...successorMissedIt(random, plan));
		if (count === 4 && random.chance(0.2)) actions.push(...heardByOneOnly(random, plan));
		if (random.chance(0.04)) actions.push(...deafAndAsked(random, plan));
	}
	if (count === 2 && random.chance(0.2)) actions.push(...askingInStep(random, plan));
	if (!changing && random.chance(count === 2 ? 0.4 : 0.1)) actions.push(...majorityGone(random, plan));
	return actions;
}

/** A node that the change takes out is dead before it begins, for good or for a while. Drawn apart, as for operators who look first. */
export function leaverAway(plan: Plan): Action[] {
	const random = new Random(plan.seed ^ 0x1ea5);
	const files = plan.actions.flatMap((action) => (action.kind === 'file' ? [action] : []));
	return files.flatMap(({ at, members }) => {
		const leaving = plan.nodes.filter((node) => !members.includes(node));
		if (leaving.length === 0 || !random.chance(0.3)) return [];
		const backAfter = random.chance(0.4) ? null : random.between(1500, 9000);
		return [{ at: at + random.between(0, 400), kind: 'kill', node: random.pick(leaving), backAfter, cold: false }];
	});
}

/** In the middle of a change of members a node dies or is cut off, or the fleet falls apart into two. */
function changeStruck(random: Random, plan: Plan): Action[] {
	const { nodes } = plan;
	const actions: Action[] = [];
	for (let i = random.between(1, 2); i > 0; i -= 1) {
		const at = random.between(settledMs + 200, settledMs + 3500);
		const ms = random.between(1000, 6000);
		const node = random.pick(nodes);
		const kind = random.weighted({ kill: 4, isolate: 2, split: 4 });
		if (kind === 'kill') actions.push({ at, kind, node, backAfter: ms, cold: false });
		if (kind === 'isolate') actions.push({ at, kind, node, ms });
		if (kind === 'split') actions.push(...split(random, [...nodes, ...plan.newcomers], at, ms));
	}
	return actions;
}

function split(random: Random, all: readonly string[], at: number, ms: number): Action[] {
	const one = all.filter(() => random.chance(0.5));
	const other = all.filter((name) => !one.includes(name));
	return one.flatMap((from) => other.map((to): Action => ({ at, kind: 'cut', from, to, both: true, ms })));
}

/** Of four nodes the coordinator hears one only, which the other two need for a majority. */
function heardByOneOnly(random: Random, plan: Plan): Action[] {
	const node = random.pick(plan.nodes);
	const [, ...lost] = plan.nodes.filter((name) => name !== node);
	const at = settledMs + 100;
	plan.chaosMs = Math.max(plan.chaosMs, 16_000);
	const ask = workersOf(random, plan);
	return [
		{ at, kind: 'ask', node, ask },
		...lost.map((to): Action => ({ at: at + 100, kind: 'cut', from: node, to, both: true, ms: 12_000 })),
	];
}

/** The node that will take over is cut off while an operator's word is stored, and the coordinator dies when it is back. */
function successorMissedIt(random: Random, plan: Plan): Action[] {
	const [successor = '', ...others] = plan.nodes;
	const node = random.pick(others);
	const at = random.between(settledMs, plan.chaosMs - 3000);
	const ask = workersOf(random, plan);
	const said = at + random.between(60, 700);
	return [
		{ at, kind: 'ask', node, ask },
		{ at: at + random.between(20, 60), kind: 'cut', from: node, to: successor, both: random.chance(0.5), ms: 1500 },
		...wordOf(random, [node], said),
		{ at: said + random.between(30, 600), kind: 'kill', node, backAfter: random.between(2000, 8000), cold: false },
	];
}

/** A coordinator hears nobody any more, its halted rollout is taken over and resumed; then it is asked for another one. */
function deafAndAsked(random: Random, plan: Plan): Action[] {
	const node = random.pick(plan.nodes);
	const other = random.pick(plan.nodes.filter((name) => name !== node));
	const at = random.between(settledMs, settledMs + 1000);
	plan.chaosMs = Math.max(plan.chaosMs, 16_000);
	const deafAt = at + random.between(2500, 4500);
	return [
		{ at: 0, kind: 'fate', node, fates: ['refused', 'good'], stepMs: random.between(50, 400) },
		{ at, kind: 'ask', node, ask: roll },
		{ at: deafAt, kind: 'deafen', node, ms: 9000 },
		{ at: deafAt + random.between(0, 300), kind: 'resume-rollout', node: other, skip: null },
		{ at: deafAt + random.between(1500, 3500), kind: 'unhealthy', node, ms: 6000 },
		{ at: deafAt + random.between(3500, 7000), kind: 'ask', node, ask: roll },
	];
}

/** Of two nodes one syncs slowly, and both begin to take over at the same time. */
function askingInStep(random: Random, plan: Plan): Action[] {
	const [slow = '', quick = ''] = plan.nodes;
	plan.syncMs[slow] = random.between(380, 400);
	const rates = plan.nodes.map((name) => plan.clockRate[name] ?? 1).sort((a, b) => b - a);
	for (const [at, name] of [slow, quick].entries()) plan.clockRate[name] = rates[at] ?? 1;
	const at = random.between(settledMs, settledMs + 500);
	const killedAt = at + random.between(700, 1500);
	const backAt = killedAt + random.between(2000, 8000);
	return [
		{ at, kind: 'ask', node: quick, ask: roll },
		{ at: killedAt, kind: 'kill', node: quick, backAfter: backAt - killedAt, cold: false },
		{
			at: backAt + random.between(0, 1500),
			kind: 'kill',
			node: slow,
			backAfter: random.between(500, 2000),
			cold: false,
		},
	];
}

/** Amid a rollout all others are away for so long that an operator ends it on the one that is left, and rolls that one alone. */
function majorityGone(random: Random, plan: Plan): Action[] {
	const node = random.pick(plan.nodes);
	const others = plan.nodes.filter((name) => name !== node);
	const at = random.between(settledMs, settledMs + 800);
	const goneAt = at + random.between(100, 1000);
	const endedAt = goneAt + 6.5 * plan.leaseMs + random.between(-1500, 2500);
	const backAt = endedAt + random.between(-300, 3000);
	plan.chaosMs = Math.max(plan.chaosMs, backAt + 4000);
	const cold = random.chance(0.2);
	const gone = others.map((name): Action => {
		const ms = Math.max(1, Math.round(backAt - goneAt + random.between(0, 400)));
		if (random.chance(0.4)) return { at: goneAt, kind: 'cut', from: node, to: name, both: true, ms };
		return { at: goneAt, kind: 'kill', node: name, backAfter: ms, cold };
	});
	const again = random.chance(0.3) ? [{ at: endedAt + 1500, kind: 'end-here', node } as const] : [];
	const slow: Action[] = random.chance(0.3)
		? [{ at: 0, kind: 'fate', node, fates: ['slow', 'good'], stepMs: 300 }]
		: [];
	return [
		...slow,
		{ at, kind: 'ask', node: random.pick(plan.nodes), ask: workersOf(random, plan) },
		...gone,
		{ at: endedAt, kind: 'end-here', node },
		...again,
		{ at: endedAt + random.between(50, 2000), kind: 'ask', node, ask: { ...roll, replicated: random.chance(0.3) } },
		...(random.chance(0.3) ? wordOf(random, plan.nodes, backAt + random.between(500, 2500)) : []),
	];
}
