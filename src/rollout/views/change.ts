/** What differs between two views of a rollout: all that followers are sent of the second one. */
import { isEqual } from '../equal.js';
import type { NodeName, RolloutView } from '../types.js';
import type { ViewNode } from './view-parts.js';

/** A piece of the list before, `[from, count]`, or a name of its own. */
export type Run = NodeName | [from: number, count: number];

/** Of what it leaves out nothing has changed. */
export interface ViewChange {
	state?: RolloutView['state'] | undefined;
	reason?: string | null | undefined;
	waiting_for?: string | null | undefined;
	coordinator?: NodeName | undefined;
	epoch?: string | null | undefined;
	held?: boolean | undefined;
	reverted_by?: RolloutView['reverted_by'];
	hooks?: RolloutView['hooks'];
	order?: Run[] | undefined;
	nodes: ({ node: NodeName } & { [Key in keyof ViewNode]?: ViewNode[Key] | undefined })[];
}

const headKeys = ['state', 'reason', 'waiting_for', 'coordinator', 'epoch', 'held', 'reverted_by', 'hooks'] as const;
const nodeKeys = [
	'state',
	'attempt',
	'before',
	'after',
	'release',
	'started_at',
	'back_at',
	'ended_at',
	'reason',
	'hooks',
] as const;

/** What of `before` has changed in `after`, of the same rollout. */
export function changeOf(before: RolloutView, after: RolloutView): ViewChange {
	const known = nodesOf(before);
	const change: ViewChange = { nodes: after.nodes.flatMap((node) => nodeChange(known.get(node.node), node)) };
	Object.assign(change, changed(headKeys, before, after));
	if (!isEqual(before.order, after.order)) change.order = runsOf(before.order, after.order);
	return change;
}

function nodeChange(before: ViewNode | undefined, after: ViewNode): ViewChange['nodes'] {
	if (before === after) return [];
	const fields = before ? changed(nodeKeys, before, after) : after;
	return fields ? [{ ...fields, node: after.node }] : [];
}

function changed<Key extends string, Part extends { [Name in Key]?: unknown }>(
	keys: readonly Key[],
	before: Part,
	after: Part,
): Partial<Part> | null {
	let fields: Partial<Part> | null = null;
	for (const key of keys) {
		const value = after[key];
		if (isEqual(before[key], value)) continue;
		fields ??= {};
		fields[key] = value;
	}
	return fields;
}

/** The view with the change made to it; null: the change is not one of this view. */
export function withChange(view: RolloutView, change: ViewChange): RolloutView | null {
	const { nodes: changes, order: runs, ...head } = change;
	const nodes = new Map(nodesOf(view));
	for (const fields of changes) {
		const known = nodes.get(fields.node);
		if (!known) return null;
		nodes.set(fields.node, changedBy(known, fields));
	}
	const names = runs ? namesInOrder(view, runs) : view.nodes.map(({ node }) => node);
	const sorted = names?.flatMap((name) => nodes.get(name) ?? []);
	if (!sorted || sorted.length !== view.nodes.length || nodes.size !== sorted.length) return null;
	const order = runs && names ? names.slice(0, view.order.length) : view.order;
	return { ...changedBy(view, head), order, nodes: sorted };
}

/** Those that were not selected stand in no order, and last. null: the runs do not name the same nodes as before. */
function namesInOrder(view: RolloutView, runs: readonly Run[]): NodeName[] | null {
	const order = fromRuns(view.order, runs);
	const ordered = new Set(order);
	if (order === null || ordered.size !== order.length || order.length !== view.order.length) return null;
	return [...order, ...view.nodes.map(({ node }) => node).filter((name) => !ordered.has(name))];
}

function changedBy<Whole extends object>(whole: Whole, part: { [Key in keyof Whole]?: Whole[Key] | undefined }): Whole {
	const made = { ...whole };
	for (const key in part) {
		const value = part[key];
		if (value !== undefined) made[key] = value;
	}
	return made;
}

function runsOf(before: readonly NodeName[], after: readonly NodeName[]): Run[] {
	const places = new Map(before.map((name, index) => [name, index]));
	const runs: Run[] = [];
	for (const name of after) {
		const place = places.get(name);
		const last = runs.at(-1);
		if (place === undefined) runs.push(name);
		else if (typeof last === 'object' && last[0] + last[1] === place) last[1] += 1;
		else runs.push([place, 1]);
	}
	return runs;
}

/** null: a run reaches beyond the list before, or all together are longer than it. */
function fromRuns(before: readonly NodeName[], runs: readonly Run[]): NodeName[] | null {
	const names: NodeName[] = [];
	for (const run of runs) {
		const piece = typeof run === 'string' ? [run] : before.slice(run[0], run[0] + run[1]);
		if (typeof run === 'object' && piece.length !== run[1]) return null;
		if (names.length + piece.length > before.length) return null;
		names.push(...piece);
	}
	return names;
}

const byName = new WeakMap<RolloutView, ReadonlyMap<NodeName, ViewNode>>();

/** The nodes of a view by name. */
export function nodesOf(view: RolloutView): ReadonlyMap<NodeName, ViewNode> {
	const known = byName.get(view);
	if (known) return known;
	const made = new Map(view.nodes.map((node) => [node.node, node]));
	byName.set(view, made);
	return made;
}
