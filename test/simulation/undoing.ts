/**
 * Releases come and go: a rollout of workers finds another one in the files, some rollouts are put back when they fail, and
 * operators undo some. Drawn apart, so that a seed keeps the rest of its day.
 */
import { listRollouts } from '../../src/fleet/core/core.js';
import type { CoreState } from '../../src/fleet/core/state.js';
import type { CoreRequest } from '../../src/rollout/messages.js';
import { Random } from '../support/random.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Action, Plan } from './plan.js';

/** Days on which releases change. Beside a node of the build before an undo is refused, which few days are enough for. */
const share = 0.4;
const shareBesideOld = 0.1;

/** Among so many of the newest rollouts is the one that an operator undoes. */
const undoableMax = 20;

/** What an operator asks for who undoes the newest rollout of workers that this node knows; null: it knows none. */
export function newestUndone(node: SimNode, core: CoreState): CoreRequest | null {
	const known = listRollouts(core, undoableMax, { now: node.now(), wall: 0 });
	const meant = known.find(({ service, replicated }) => service === 'http_workers' && replicated);
	if (!meant) return null;
	const { type, service, app, replicated, id } = meant;
	const asked = { type, service, app, replicated, user: 'admin', maxUnavailable: null, onFailure: null };
	return { ...asked, reverts: id };
}

export function undoing(plan: Plan, calm: boolean): Action[] {
	const random = new Random(plan.seed ^ 0x0d01);
	const isOldThere = Object.values(plan.protocols).some(({ max }) => max < 2);
	if (!random.chance(isOldThere ? shareBesideOld : share)) return [];
	const actions: Action[] = [];
	let releases = 1;
	const next = (): string => {
		releases += 1;
		return `v${releases}`;
	};
	for (const action of plan.actions) {
		if (action.kind !== 'ask' || !action.ask.replicated || action.ask.service !== 'http_workers') continue;
		if (random.chance(0.85)) actions.push({ at: Math.max(0, action.at - 1), kind: 'deploy', revision: next() });
		if (random.chance(0.7)) action.ask = { ...action.ask, onFailure: 'revert' };
		if (random.chance(0.5)) actions.push(...undoOf(random, plan, action.at + random.between(300, 6000)));
		// By then the files name another one, which no rollout has asked for.
		if (random.chance(0.3)) {
			const at = action.at + random.between(100, 4000);
			const where = random.chance(0.3) ? { node: random.pick(plan.nodes) } : {};
			actions.push({ at, kind: 'deploy', revision: next(), ...where });
		}
		if (!calm) actions.push(...badOn(random, plan, action.at));
	}
	return actions.map((action) => ({ ...action, at: Math.min(plan.chaosMs, action.at) }));
}

function undoOf(random: Random, { nodes }: Plan, at: number): Action[] {
	const asked: Action[] = [{ at, kind: 'undo', node: random.pick(nodes) }];
	if (random.chance(0.2)) asked.push({ at: at + random.between(0, 3000), kind: 'undo', node: random.pick(nodes) });
	return asked;
}

/** The release is bad on some node, and a node, or a host with all on it, dies about when that shows. */
function badOn(random: Random, { nodes }: Plan, at: number): Action[] {
	const actions: Action[] = [];
	if (random.chance(0.7)) {
		const fate = random.weighted({ refused: 4, failed: 4, hangs: 2, 'too-few': 1, 'old-remains': 1 });
		const fates = random.chance(0.2) ? [fate, fate, 'good' as const] : [fate, 'good' as const];
		const stepMs = random.between(20, 500);
		actions.push({ at: Math.max(0, at - 1), kind: 'fate', node: random.pick(nodes), fates, stepMs });
	}
	if (random.chance(0.5)) {
		const when = at + random.between(100, 2500);
		const backAfter = random.between(300, 4000);
		actions.push({ at: when, kind: 'kill', node: random.pick(nodes), backAfter, cold: random.chance(0.4) });
	}
	if (random.chance(0.15)) {
		const when = at + random.between(0, 2000);
		actions.push({ at: when, kind: 'discard', node: random.pick(nodes), revision: random.pick(['v1', 'v2']) });
	}
	// Where a node was put back shows when its host starts anew.
	if (random.chance(0.3)) {
		const when = at + random.between(3000, 9000);
		actions.push({ at: when, kind: 'kill', node: random.pick(nodes), backAfter: 500, cold: true });
	}
	return actions;
}
