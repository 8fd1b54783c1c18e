/** What the files of the nodes say of a change of members, before anything of it begins. */
import type { CheckResult, Member } from '../messages.js';
import type { Turn } from '../outbox.js';
import type { CoreState, PendingStart } from '../state.js';
import type { NodeName } from '../types.js';
import { appNowhere, lackingApp, meetAgain } from './request.js';
import { findDistrust } from './trust.js';

type Asked = Pick<PendingStart, 'checks' | 'request'>;

/** A node that the new members lack and that has no link is taken for dead: it has to be taken out, not asked. */
export function isTakenForDead(state: CoreState, { checks }: Pick<Asked, 'checks'>, node: NodeName): boolean {
	const next = checks[state.settings.self]?.members;
	return next?.every(({ name }) => name !== node) === true && state.coordination.peer(node) === undefined;
}

/** The members whose file is still to be looked at, though the change depends on it. */
export function notAsked(state: CoreState, start: Asked, now: number): NodeName[] {
	const heard = state.coordination.heard(now);
	return state.members
		.map(({ name }) => name)
		.filter((name) => !heard.includes(name) && !isTakenForDead(state, start, name));
}

/** Why a change of members did not begin in time although this node leads; with the way out. */
export function unaskedText({ state, now }: Turn, start: Asked): string {
	const missing = notAsked(state, start, now);
	if (missing.length === 0) return 'answers were too slow; nothing was started';
	const { coordination } = state;
	const texts = missing.map((node) => `${node} ${coordination.whyNotHeard(node) ?? 'answers too slowly'}`);
	const away = missing.filter((node) => coordination.peer(node) === undefined);
	const ways = [
		...(away.length > 0
			? [`Start ${away.join(', ')}, or take what is gone for good out of cluster.peers of every other node`]
			: []),
		...(missing.some((node) => coordination.hasOtherMembers(node)) ? [meetAgain] : []),
	];
	const all = 'every node that stays is asked for its file first, so nothing was started';
	return [`${texts.join(', ')}; ${all}`, ...(ways.length > 0 ? ways : ['Try again'])].join('. ');
}

/** What a file does not check for, or where the files disagree about the members. */
export function faultOf(state: CoreState, start: Asked): string | null {
	const checks = Object.entries(start.checks).sort(([a], [b]) => (a < b ? -1 : 1));
	const lacking = lackingApp(start);
	const isNowhere = checks.every(([node]) => lacking.includes(node));
	for (const [node, check] of checks)
		if (check?.fault && (isNowhere || !lacking.includes(node))) return `${node}: ${check.fault}`;
	const nowhere = appNowhere(start.request, Object.values(start.checks));
	if (nowhere !== null) return nowhere;
	if (start.request.service !== 'clustering_config') return null;
	const own = start.checks[state.settings.self];
	const next = own?.members ?? [];
	const known = next.filter((one) => state.members.some((member) => member.name === one.name)).length;
	if (known * 2 <= next.length)
		return `only ${known} of the ${next.length} members in the file of ${state.settings.self} are members now; they have to be more than half, so add fewer at a time; nothing was applied`;
	const staying = checks.filter(([node]) => node !== state.settings.self && next.some((one) => one.name === node));
	if (staying.length > 0 && staying.every(([, check]) => isWithout(check, state.settings.self)))
		return `${state.settings.self} leaves the fleet by the other files; send the request to a node that stays`;
	const remaining = checks.filter(([node]) => next.some((member) => member.name === node));
	for (const [node, check] of remaining)
		if (check?.memberHash !== own?.memberHash)
			return `the file of ${node} names other members than the file of ${state.settings.self}${differenceOf(check?.members ?? [], next)}; make cluster.peers the same on every node; nothing was applied`;
	return movedTogether(remaining) ?? findDistrust(remaining);
}

/**
 * Two nodes that change their addresses in one change lose each other: each calls the other where it does not listen yet, or
 * not any more. One alone calls the others from its new place.
 */
function movedTogether(checks: readonly (readonly [NodeName, CheckResult | null | undefined])[]): string | null {
	const moving = checks.filter(([, check]) => check?.moves).map(([node]) => node);
	if (moving.length < 2) return null;
	return `${moving.join(', ')} change cluster.listen at once, so they would lose each other; change one node's address at a time: its cluster.listen, and its url in cluster.peers of every node; nothing was applied`;
}

/**
 * Why a file with other members is not applied by this node alone; null: it may be. While a majority is linked a change goes over
 * the fleet: applied here alone it would leave peers that still count this node. Where the members differ already it may be the way out.
 */
export function whyNotAlone({ state }: Turn, { memberHash, members }: CheckResult): string | null {
	if (memberHash === null || memberHash === state.memberHash) return null;
	const { self } = state.settings;
	const linked = state.coordination.peers();
	if (linked.length === 0 || !state.coordination.isMajority([self, ...linked])) return null;
	if (linked.some((node) => state.coordination.hasOtherMembers(node))) return null;
	return `the file of ${self} names other members than the fleet has${differenceOf(members ?? [], state.members)}; ${linked.join(', ')} would still count ${self}, so a change of members goes over the fleet: restart_service service=clustering_config replicated=true; nothing was applied`;
}

function differenceOf(there: readonly Member[], here: readonly Member[]): string {
	const without = (some: readonly Member[], others: readonly Member[]): string =>
		some.flatMap(({ name }) => (others.some((one) => one.name === name) ? [] : [name])).join(', ');
	const more = without(there, here);
	const less = without(here, there);
	const differences = [more === '' ? [] : [`it has ${more}`], less === '' ? [] : [`it lacks ${less}`]].flat();
	return differences.length === 0 ? '' : `: ${differences.join(', ')}`;
}

const isWithout = (check: CheckResult | null | undefined, node: NodeName): boolean =>
	check?.members?.every((member) => member.name !== node) ?? false;
