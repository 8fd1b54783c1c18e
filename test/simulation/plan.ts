/** What a seed makes of a fleet and of its day: settings, and actions in the order of time. Plain data, so that it can be shrunk and kept. */
import type { NetworkSettings } from '../support/rollout/fake-network.js';
import type { StepFate } from '../support/rollout/fake-executor.js';
import { Random } from '../support/random.js';
import { type Hooks, withHooks } from './hooks.js';
import { lookingFirst } from './looking-first.js';
import { leaverAway, scenariosOf } from './scenarios.js';
import { undoing } from './undoing.js';

export type Ask = {
	type: 'restart' | 'restart_service';
	service: 'http_workers' | 'clustering' | 'clustering_config' | null;
	replicated: boolean;
	maxUnavailable: number;
	onFailure: 'halt' | 'continue' | 'revert';
	holdAfter?: number;
	nodes?: string[];
	zone?: string;
};

export type Action = { at: number } & (
	| { kind: 'ask'; node: string; ask: Ask }
	| { kind: 'pause-rollout' | 'abort-rollout' | 'end-here'; node: string }
	| { kind: 'resume-rollout'; node: string; skip: string | null }
	| { kind: 'admit'; node: string; who: string }
	| { kind: 'kill'; node: string; backAfter: number | null; cold: boolean }
	| { kind: 'freeze'; node: string; ms: number }
	| { kind: 'cut'; from: string; to: string; both: boolean; ms: number }
	| { kind: 'isolate' | 'deafen'; node: string; ms: number }
	| { kind: 'reset'; from: string; to: string }
	| { kind: 'disk-full'; node: string; ms: number }
	| { kind: 'lose-state'; node: string }
	| { kind: 'back-up' | 'put-back'; node: string }
	| { kind: 'unhealthy'; node: string; ms: number | null }
	| { kind: 'flap'; node: string; ms: number; times: number }
	| { kind: 'availability'; node: string; ms: number }
	| { kind: 'fate'; node: string; fates: StepFate[]; stepMs: number }
	| { kind: 'clock-jump'; node: string; ms: number }
	/** The file of this node, or of every one, names another release. */
	| { kind: 'deploy'; node?: string; revision: string }
	/** The files of a release go away, unless it is in use. */
	| { kind: 'discard'; node: string; revision: string }
	/** Of the newest rollout of workers that the node knows. */
	| { kind: 'undo'; node: string }
	| { kind: 'file'; fault: boolean; members: string[] }
);

export interface Plan {
	seed: number;
	nodes: string[];
	/** Started later, named only by a new file. */
	newcomers: string[];
	leaseMs: number;
	deadlineMs: number;
	waitBetweenMs: number;
	syncMs: Record<string, number>;
	clockRate: Record<string, number>;
	network: NetworkSettings;
	protocols: Record<string, { min: number; max: number }>;
	/** Until when actions happen; from then on everything is mended. */
	chaosMs: number;
	/** Left out: none are configured. */
	hooks?: Hooks;
	actions: Action[];
}

const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta'];
const leaseMs = 1200;
const deadlineMs = 5000;

/**
 * The first are the members, the next the newcomers; of the members the last ones leave. In every other fleet those who come and
 * go are the first by name, so that they would be the first to take over.
 */
function poolOf(seed: number, count: number): string[] {
	const isReversed = new Random(seed ^ 0x3d1c).chance(0.5);
	return isReversed
		? names
				.slice(0, count + 2)
				.sort()
				.reverse()
		: names;
}

export function planOf(seed: number): Plan {
	const random = new Random(seed);
	const count = Number(random.weighted({ 2: 10, 3: 55, 4: 10, 5: 25 }));
	const pool = poolOf(seed, count);
	const nodes = pool.slice(0, count);
	const calm = random.chance(0.1);
	const wild = !calm && random.chance(0.4);
	const chaosMs = calm ? 8_000 : random.between(6_000, 20_000);
	const changing = random.chance(0.16);
	const plan: Plan = {
		seed,
		nodes,
		newcomers: changing ? pool.slice(count, count + random.between(1, 2)) : [],
		leaseMs,
		deadlineMs,
		waitBetweenMs: random.chance(0.2) ? 300 : 0,
		syncMs: record(nodes, () => (random.chance(0.1) ? random.between(50, 300) : random.between(1, 10))),
		clockRate: record(nodes, () => 0.98 + random.next() * 0.04),
		network: {
			latencyMs: random.between(1, 15),
			jitterMs: random.chance(0.3) ? random.between(20, 150) : random.between(0, 10),
			silenceMs: leaseMs,
			reconnectMs: random.between(10, 200),
			duplicate: wild ? 0.03 : 0,
			overtake: wild ? 0.05 : 0,
			slow: wild && random.chance(0.5) ? 0.004 : 0,
			reset: wild ? 0.002 : 0,
		},
		// In every fourth fleet one node is of the build before.
		protocols: record(nodes, (node) => ({ min: 1, max: seed % 4 === 0 && node === nodes[0] ? 1 : 2 })),
		chaosMs,
		actions: [],
	};
	if (!calm && random.chance(0.02)) plan.protocols[random.pick(nodes)] = { min: 3, max: 3 };
	plan.actions.push(...operatorsOf(random, plan, changing));
	if (!calm) plan.actions.push(...faultsOf(random, plan));
	if (!calm) plan.actions.push(...scenariosOf(random, plan, changing));
	plan.actions.push(...lookingFirst(plan, calm));
	if (!calm) plan.actions.push(...leaverAway(plan));
	plan.actions.push(...withHooks(plan, calm));
	plan.actions.push(...undoing(plan, calm));
	plan.actions.sort((a, b) => a.at - b.at);
	return plan;
}

function record<T>(keys: readonly string[], value: (key: string) => T): Record<string, T> {
	return Object.fromEntries(keys.map((key) => [key, value(key)]));
}

/** When a fleet has found together and is asked for something. */
export const settledMs = 1500;

function operatorsOf(random: Random, plan: Plan, changing: boolean): Action[] {
	const actions: Action[] = [];
	const { nodes, chaosMs } = plan;
	const at = (): number => random.between(settledMs, chaosMs);
	const asks = random.between(1, 4);
	for (let i = 0; i < asks; i += 1) {
		const ask = askOf(random, nodes.length, changing && i === 0);
		const when = i === 0 ? random.between(settledMs, settledMs + 1500) : at();
		actions.push({ at: when, kind: 'ask', node: random.pick(nodes), ask });
		// Two operators at once.
		if (random.chance(0.15))
			actions.push({
				at: when + random.between(0, 30),
				kind: 'ask',
				node: random.pick(nodes),
				ask: askOf(random, nodes.length, false),
			});
	}
	if (changing) {
		actions.push(fileOf(random, plan));
		for (const who of plan.newcomers)
			if (random.chance(0.3)) actions.push({ at: at(), kind: 'admit', node: random.pick(nodes), who });
	}
	for (let i = random.between(0, 3); i > 0; i -= 1) actions.push(...wordOf(random, nodes, at()));
	return actions;
}

/** What an operator says to a rollout; most pauses end. */
export function wordOf(random: Random, nodes: readonly string[], at: number): Action[] {
	const node = random.pick(nodes);
	const kind = random.weighted({ 'pause-rollout': 3, 'resume-rollout': 5, 'abort-rollout': 1 });
	if (kind === 'resume-rollout') return [{ at, kind, node, skip: random.chance(0.4) ? random.pick(nodes) : null }];
	if (kind === 'abort-rollout' || random.chance(0.3)) return [{ at, kind, node }];
	const later = at + random.between(200, 3000);
	return [
		{ at, kind, node },
		{ at: later, kind: 'resume-rollout', node: random.pick(nodes), skip: null },
	];
}

export function askOf(random: Random, count: number, changing: boolean): Ask {
	const what = changing
		? 'clustering_config'
		: random.weighted({ http_workers: 60, restart: 20, clustering: 8, clustering_config: 4 });
	return {
		type: what === 'restart' ? 'restart' : 'restart_service',
		service: what === 'restart' ? null : what,
		replicated: changing || random.chance(0.85),
		maxUnavailable: random.chance(0.65) ? 1 : random.between(1, Math.max(1, count - 1)),
		onFailure: random.chance(0.7) ? 'halt' : 'continue',
	};
}

function fileOf(random: Random, plan: Plan): Action {
	const { nodes, newcomers } = plan;
	const kind = nodes.length < 3 ? 'grow' : random.weighted({ grow: 5, shrink: 4, replace: 2 });
	if (kind === 'shrink') plan.newcomers = [];
	const leaving = kind === 'grow' ? 0 : nodes.length > 3 && random.chance(0.4) ? 2 : 1;
	const members = [...nodes.slice(0, nodes.length - leaving), ...(kind === 'shrink' ? [] : newcomers)];
	return { at: settledMs - 200, kind: 'file', fault: random.chance(0.1), members };
}

function faultsOf(random: Random, plan: Plan): Action[] {
	const { nodes, chaosMs } = plan;
	const actions: Action[] = [];
	for (let i = random.between(1, 7); i > 0; i -= 1) {
		const at = random.between(random.chance(0.1) ? 0 : settledMs, chaosMs);
		const node = random.pick(nodes);
		const other = random.pick(nodes.filter((name) => name !== node));
		actions.push(...faultOf(random, at, node, other));
	}
	return actions;
}

const weights = {
	kill: 26,
	freeze: 10,
	cut: 16,
	isolate: 10,
	deafen: 5,
	reset: 5,
	'disk-full': 5,
	'lose-state': 3,
	'put-back': 2,
	unhealthy: 8,
	flap: 4,
	availability: 3,
	fate: 24,
	'clock-jump': 2,
};

function faultOf(random: Random, at: number, node: string, other: string): Action[] {
	const kind = random.weighted(weights);
	const ms = random.chance(0.5) ? random.between(50, 1500) : random.between(1000, 9000);
	switch (kind) {
		case 'kill':
			return [{ at, kind, node, backAfter: random.chance(0.1) ? null : ms, cold: random.chance(0.2) }];
		case 'freeze':
			return [{ at, kind, node, ms }];
		case 'cut':
			return [{ at, kind, from: node, to: other, both: random.chance(0.4), ms }];
		case 'isolate':
		case 'deafen':
			return [{ at, kind, node, ms: kind === 'deafen' ? ms + 6000 : ms }];
		case 'reset':
			return [{ at, kind, from: node, to: other }];
		case 'disk-full':
			return [{ at, kind, node, ms }];
		case 'lose-state':
			return random.chance(0.3)
				? [
						{ at, kind, node },
						{ at: at + ms, kind: 'admit', node: other, who: node },
					]
				: [{ at, kind, node }];
		case 'put-back':
			return [
				{ at: Math.max(0, at - ms), kind: 'back-up', node },
				{ at, kind, node },
			];
		case 'unhealthy':
			return [{ at, kind, node, ms: random.chance(0.2) ? null : ms }];
		case 'flap':
			return [{ at, kind, node, ms: random.between(20, 400), times: random.between(2, 8) }];
		case 'availability':
			return [{ at, kind, node, ms }];
		case 'fate':
			return [
				{ at: random.chance(0.5) ? 0 : at, kind, node, fates: fatesOf(random), stepMs: random.between(20, 1500) },
			];
		case 'clock-jump':
			return [{ at, kind, node, ms: random.between(-3_600_000, 3_600_000) }];
	}
}

function fatesOf(random: Random): StepFate[] {
	const one = (): StepFate =>
		random.weighted({
			good: 10,
			slow: 4,
			refused: 8,
			failed: 8,
			hangs: 4,
			'same-workers': 4,
			'old-remains': 3,
			'too-few': 3,
			'not-joined': 3,
		});
	const fates = [one()];
	if (random.chance(0.3)) fates.push(one());
	// Sooner or later a step goes well.
	if (random.chance(0.8)) fates.push('good');
	return fates;
}
