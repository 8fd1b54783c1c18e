/** Which nodes a request covers, after how many it holds, and what it says that the fleet cannot do. */
import { rolloutHooksOf } from '../controller/hooks.js';
import type { CoreRequest, Member, Refusal } from '../messages.js';
import type { CoreState } from '../state.js';
import type { NodeName, OnFailureAsked } from '../types.js';

/** The version of the messages that has selections and holds: an earlier peer would coordinate without them. */
const selectionVersion = 2;

/** How much of what was asked for an answer repeats. */
const namesShownMax = 10;
const nameCharactersMax = 63;

type Asked = Pick<
	CoreRequest,
	'type' | 'service' | 'apps' | 'replicated' | 'nodes' | 'zone' | 'holdAfter' | 'onFailure' | 'reverts'
>;

/** The nodes that a request could cover: the fleet, or this node alone. */
function concerned({ settings, members }: CoreState, { replicated }: Asked): readonly Member[] {
	if (replicated && settings.clustered && members.length > 1) return members;
	const own = members.filter(({ name }) => name === settings.self);
	return own.length > 0 ? own : [{ name: settings.self, zone: null }];
}

const isChosen = ({ nodes, zone }: Asked, member: Member): boolean =>
	(nodes?.includes(member.name) ?? true) && (zone === undefined || member.zone === zone);

/** The nodes that the request does not select. */
export function unselectedBy(state: CoreState, asked: Asked): NodeName[] {
	return concerned(state, asked)
		.filter((member) => !isChosen(asked, member))
		.map(({ name }) => name);
}

/** After how many nodes that are back the rollout pauses: as asked, else as configured; 0: it does not. */
export function holdAfterOf({ settings }: CoreState, { type, service, replicated, holdAfter }: Asked): number {
	if (holdAfter !== undefined) return holdAfter;
	return isRoll({ type, service, replicated }) ? (settings.holdAfter ?? 0) : 0;
}

/** Of http_workers over the fleet: what the configuration says of such rollouts is not said of others. */
const isRoll = ({ type, service, replicated }: Pick<Asked, 'type' | 'service' | 'replicated'>): boolean =>
	type === 'restart_service' && service === 'http_workers' && replicated;

/** What a failed step does to the rest; nothing but a roll can be put back. */
export function onFailureOf({ settings }: CoreState, asked: Asked): OnFailureAsked {
	const wanted = asked.onFailure ?? settings.onFailure;
	return wanted === 'revert' && !isRoll(asked) ? 'halt' : wanted;
}

/** Faults of the request itself, whatever the state of the fleet. */
export function selectionFault(state: CoreState, asked: Asked): string | null {
	const members = concerned(state, asked);
	const chosen = members.filter((member) => isChosen(asked, member));
	const fault = unknownNodes(members, asked) ?? unknownZone(state, members, asked) ?? otherZone(state, members, asked);
	if (fault !== null) return fault;
	if (asked.onFailure === 'revert' && !isRoll(asked))
		return "'on_failure' may be revert for http_workers over the fleet alone: it puts back releases, one node after the other";
	const { holdAfter = 0 } = asked;
	if (chosen.length === 0 || holdAfter <= chosen.length) return null;
	const targets = chosen.length === 1 ? '1 node' : `${chosen.length} nodes`;
	return `'hold_after' is ${holdAfter}, but the rollout has ${targets}; it must be at most ${chosen.length}, or 0 not to hold`;
}

function unknownNodes(members: readonly Member[], { nodes = [] }: Asked): string | null {
	const known = members.map(({ name }) => name);
	const unknown = [...new Set(nodes)].filter((name) => !known.includes(name));
	if (unknown.length === 0) return null;
	const are = unknown.length === 1 ? 'which is no member' : 'which are no members';
	const names = unknown.slice(0, namesShownMax).map((name) => name.slice(0, nameCharactersMax));
	const more = unknown.length > names.length ? ` and ${unknown.length - names.length} more` : '';
	return `'nodes' names ${names.join(', ')}${more}, ${are}; the members are ${known.join(', ')}`;
}

function unknownZone(state: CoreState, members: readonly Member[], { zone }: Asked): string | null {
	if (zone === undefined || members.some((member) => member.zone === zone)) return null;
	if (members.some((member) => hasUnknownZone(state, member))) return null;
	const zones = [...new Set(members.flatMap((member) => member.zone ?? []))].sort();
	const known = zones.length === 0 ? 'no node has a zone (node.zone)' : `the zones are ${zones.join(', ')}`;
	return `'zone' names ${zone}, in which no node is; ${known}`;
}

/** Both were given, and disagree: no guess which of them was meant. */
function otherZone(state: CoreState, members: readonly Member[], { nodes, zone }: Asked): string | null {
	if (nodes === undefined || zone === undefined) return null;
	const apart = members.find(
		(member) => nodes.includes(member.name) && member.zone !== zone && !hasUnknownZone(state, member),
	);
	if (!apart) return null;
	const where = apart.zone === null ? 'no zone' : `zone ${apart.zone}`;
	return `'nodes' names ${apart.name}, which is in ${where}, not in ${zone}`;
}

/** Why the selection or the hold cannot be kept now: a node is too old for it, or its zone is not known. */
export function selectionInTheWay(state: CoreState, asked: Asked): Refusal | null {
	const field = fieldOf(state, asked);
	const members = concerned(state, asked);
	if (field === null || members.length === 1) return null;
	const old = members.filter(({ name }) => {
		const peer = state.coordination.peer(name);
		return peer?.refused === null && peer.protocolMax < selectionVersion;
	});
	if (old.length > 0) {
		const names = old.map(({ name }) => name).join(', ');
		const message = `'${field}' needs a version of Rollcall that speaks protocol ${selectionVersion} on every node; upgrade ${names} first`;
		return { code: 'unavailable', message, extra: {} };
	}
	const unknown = asked.zone === undefined ? [] : members.filter((member) => hasUnknownZone(state, member));
	if (unknown.length === 0) return null;
	const names = unknown.map(({ name }) => name).join(', ');
	const message = `the zone of ${names} is not known, since there was no link yet; start ${names}, or name the nodes with 'nodes'`;
	return { code: 'unavailable', message, extra: {} };
}

/** Nodes say their zones themselves when a link is made. */
const hasUnknownZone = ({ settings, coordination }: CoreState, { name, zone }: Member): boolean =>
	zone === null && name !== settings.self && coordination.peer(name) === undefined;

function fieldOf(state: CoreState, asked: Asked): string | null {
	if (asked.reverts !== undefined) return 'undo_rollout';
	if (onFailureOf(state, asked) === 'revert') return 'on_failure';
	if (asked.apps !== undefined) return 'app';
	if (asked.nodes !== undefined) return 'nodes';
	if (asked.zone !== undefined) return 'zone';
	if (holdAfterOf(state, asked) > 0) return 'hold_after';
	const [hook] = rolloutHooksOf(state.settings, asked);
	return hook === undefined ? null : `rollout.hooks.${hook}`;
}
