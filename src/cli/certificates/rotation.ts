/** How far the fleet is in the change from one authority to another, by what its nodes accept and present, and by nothing else. */
import { type Authority, byAge } from '../../config/checks/authorities.js';
import type { ClusterNode } from '../../fleet/types.js';

export const rotationSteps = 3;

/** The rows of `cluster_status`, as far as a rotation goes by them. */
export type NodeRow = Pick<ClusterNode, 'name' | 'link' | 'reason'> & Partial<Pick<ClusterNode, 'authorities'>>;

export interface Rotation {
	/** 1: all accept the new authority too; 2: all present a certificate of it; 3: none accepts another. */
	step: 1 | 2 | 3;
	newest: Authority;
	/** The nodes that are not there yet; `authority`: which one they do not accept, or still present or accept. */
	lacking: { node: string; authority: string }[];
}

/** Null when the nodes that say it accept one authority, the same; or none says it. */
export function rotationOf(rows: readonly NodeRow[]): Rotation | null {
	const known = authoritiesOfAll(rows);
	const newest = known.at(-1);
	if (newest === undefined || known.length < 2) return null;
	return stepTo(newest, known, rows);
}

/** Null: nothing is left to do. */
export function stepTo(newest: Authority, known: readonly Authority[], rows: readonly NodeRow[]): Rotation | null {
	const told = rows.flatMap(({ name, authorities }) => (authorities ? [{ node: name, ...authorities }] : []));
	const namesOf = (ids: readonly string[]): string =>
		ids.map((id) => nameOfAuthority(known.find((one) => one.id === id) ?? null, known)).join(' and ');
	const others = (accepts: readonly Authority[]): string[] =>
		accepts.map(({ id }) => id).filter((id) => id !== newest.id);
	const first = told.filter(({ accepts }) => !accepts.some(({ id }) => id === newest.id));
	const second = told.filter(({ presents }) => !presents.includes(newest.id));
	const third = told.filter(({ accepts }) => others(accepts).length > 0);
	const name = namesOf([newest.id]);
	if (first.length > 0) return { step: 1, newest, lacking: first.map(({ node }) => ({ node, authority: name })) };
	if (second.length > 0) {
		const lacking = second.map(({ node, presents }) => ({ node, authority: namesOf(presents) || 'another one' }));
		return { step: 2, newest, lacking };
	}
	if (third.length === 0) return null;
	const lacking = third.map(({ node, accepts }) => ({ node, authority: namesOf(others(accepts)) }));
	return { step: 3, newest, lacking };
}

/** Every authority that a node accepts, the oldest first. */
export function authoritiesOfAll(rows: readonly NodeRow[]): Authority[] {
	const byId = new Map<string, Authority>();
	for (const { authorities } of rows) for (const one of authorities?.accepts ?? []) byId.set(one.id, one);
	return [...byId.values()].sort(byAge);
}

/** Two authorities may have the same name. */
export function nameOfAuthority(authority: Authority | null, known: readonly Authority[]): string {
	if (authority === null) return 'an authority that no node accepts';
	const { id, name } = authority;
	return known.some((one) => one.name === name && one.id !== id) ? `${name} (${id.slice(0, 8)})` : name;
}

/** `step 2 of 3: gamma still presents a certificate of Rollcall fleet 1a2b3c4d` */
export function rotationText({ step, lacking }: Rotation): string {
	const nodesOf = new Map<string, string[]>();
	for (const { node, authority } of lacking) nodesOf.set(authority, [...(nodesOf.get(authority) ?? []), node]);
	const clauses = [...nodesOf].map(([authority, nodes]) => clauseOf(step, nodes, authority));
	return `step ${step} of ${rotationSteps}: ${clauses.join('; ')}`;
}

function clauseOf(step: Rotation['step'], nodes: readonly string[], authority: string): string {
	const isOne = nodes.length === 1;
	if (step === 1) return `${listed(nodes)} ${isOne ? 'does' : 'do'} not accept ${authority} yet`;
	if (step === 2)
		return `${listed(nodes)} still ${isOne ? 'presents a certificate' : 'present certificates'} of ${authority}`;
	return `${listed(nodes)} still ${isOne ? 'accepts' : 'accept'} ${authority}`;
}

const nodesNamed = 5;

export function listed(names: readonly string[]): string {
	const more = names.length - nodesNamed;
	return more > 1 ? `${names.slice(0, nodesNamed).join(', ')} and ${more} more` : names.join(', ');
}

const whatToDo: Readonly<Record<Rotation['step'], string>> = {
	1: 'bring them a cluster.tls.ca that holds the old and the new authority',
	2: 'bring them certificates of the new authority',
	3: 'bring them a cluster.tls.ca that holds the new authority alone',
};

/** One line for `status`. */
export function rotationNote(rows: readonly NodeRow[]): string | null {
	const rotation = rotationOf(rows);
	if (rotation === null) return null;
	return `new authority, ${rotationText(rotation)}; ${whatToDo[rotation.step]}: rollcall ca rotate at home (rollcall help certificates)`;
}
