import type { ClusterNode } from '../../fleet/types.js';
import type { HookRun, RolloutPlan, RolloutState, RolloutView } from '../../rollout/types.js';
import type { AppChanges, WorkerRow } from '../../workers/types.js';
import { clean, cleanLines, fit, indent, type Page, plainPage } from './terminal.js';
import { type Column, paint, table, type Tone } from './table.js';
import { planReleases, releaseChange, releasesAfter } from './releases.js';
import type { AppTraffic, ShownRollout } from './rollout-shapes.js';
import { bytes, count, forPeople, moment, shortId, shortRevision, span, wrapWords } from './format.js';

/** A row of an operation that was asked for a node, or all. */
export type NodeRow<Row> = (Row & { node: string }) | { node: string; error: string };

/** The rows, and a sentence for each node that does not answer. */
export function nodeRows<Row extends object>(
	answer: readonly (Row | NodeRow<Row>)[],
): { rows: (Row & { node?: string })[]; silent: string[] } {
	const rows: (Row & { node?: string })[] = [];
	const silent: string[] = [];
	for (const row of answer) {
		if ('error' in row && 'node' in row)
			silent.push(`${clean(String(row.node))} does not answer: ${clean(String(row.error))}`);
		else rows.push(row as Row & { node?: string });
	}
	return { rows, silent };
}

/** Only where some worker counts them. */
const requestsColumn: Column<WorkerRow> = {
	title: '5XX',
	value: ({ requests }) => (requests === null ? null : `${requests.errors} of ${requests.total}`),
	align: 'right',
	leaveOff: 6,
};

export function workersText(
	answer: readonly (WorkerRow | NodeRow<WorkerRow>)[],
	now: number,
	page = plainPage,
): string {
	const { rows, silent } = nodeRows<WorkerRow>(answer);
	if (rows.length === 0) return [...(silent.length === 0 ? ['no workers'] : []), ...silent, ''].join('\n');
	const columns: Column<(typeof rows)[number]>[] = [
		...(rows.some(({ node }) => node) ? [{ title: 'NODE', value: ({ node }: { node?: string }) => node ?? null }] : []),
		{ title: 'APP', value: (row) => row.app, leaveOff: 1 },
		{ title: 'WORKER', value: (row) => row.id },
		{ title: 'PID', value: (row) => row.pid, align: 'right' },
		{ title: 'STATE', value: (row) => row.state, tone: (row) => toneOf(row.state) },
		{ title: 'HEALTHY', value: (row) => row.healthy },
		{ title: 'UP', value: (row) => (row.started_at === null ? null : span(now - row.started_at)), align: 'right' },
		{ title: 'RESTARTS', value: (row) => row.restarts, align: 'right', leaveOff: 4 },
		{ title: 'MEMORY', value: (row) => (row.memory === null ? null : bytes(row.memory)), align: 'right', leaveOff: 3 },
		{ title: 'CPU', value: (row) => (row.cpu === null ? null : `${row.cpu.toFixed(1)}%`), align: 'right', leaveOff: 2 },
		...(rows.some(({ requests }) => requests) ? [requestsColumn] : []),
		{ title: 'REVISION', value: (row) => shortRevision(row.revision), leaveOff: 5 },
		{ title: 'RELEASE', value: (row) => row.release, cut: 'start' },
	];
	return [table(rows, columns, page), ...pinnedLines(rows), ...silent].join('\n');
}

/** Once for each app of a node: what its workers run is not what the file says. */
function pinnedLines(rows: readonly (WorkerRow & { node?: string })[]): string[] {
	const lines = rows.flatMap(({ node, app, pinned }) => {
		// A daemon of an earlier version does not say.
		if (!pinned) return [];
		const where = node === undefined ? '' : `${node}: `;
		const text = `${where}${app} stays on this release until its next rollout (rollout ${shortId(pinned.rollout)}: ${pinned.reason})`;
		return [clean(text)];
	});
	return [...new Set(lines)];
}

export function fleetText(
	nodes: readonly ClusterNode[],
	coordinator: string | null,
	now: number,
	page = plainPage,
): string {
	const seen = ({ link, last_seen }: ClusterNode) => {
		if (link === 'self') return 'here';
		return last_seen === null ? 'never' : `${span(now - last_seen)} ago`;
	};
	const columns: Column<ClusterNode>[] = [
		{ title: 'NODE', value: (row) => (row.name === coordinator ? `${row.name} (coordinator)` : row.name) },
		{ title: 'ZONE', value: (row) => row.zone, leaveOff: 3 },
		{ title: 'LINK', value: (row) => row.link, tone: (row) => (row.link === 'down' ? 'bad' : null) },
		{ title: 'READY', value: (row) => row.ready, tone: (row) => (row.ready === false ? 'bad' : null) },
		{ title: 'AVAILABILITY', value: (row) => row.availability, leaveOff: 5 },
		{ title: 'BOOT', value: (row) => row.boot, align: 'right', leaveOff: 2 },
		{ title: 'VERSION', value: (row) => row.version, leaveOff: 4 },
		{
			title: 'RTT',
			value: (row) => (row.rtt_ms === null ? null : `${row.rtt_ms.toFixed(1)} ms`),
			align: 'right',
			leaveOff: 1,
		},
		{ title: 'SEEN', value: seen, align: 'right' },
	];
	return table(nodes, columns, page);
}

/** The colour of a state, of a worker, a node or a rollout. */
export function toneOf(state: WorkerRow['state'] | RolloutState | NodeView['state']): Tone | null {
	if (['back', 'serving', 'completed'].includes(state)) return 'good';
	if (['refused', 'failed', 'halted', 'aborted'].includes(state)) return 'bad';
	return state === 'pending' || state === 'skipped' ? null : 'moving';
}

/** Nothing more is waited for in such a state. */
export const isEnded = (state: RolloutState): boolean => ['completed', 'aborted', 'halted'].includes(state);

/** The rollout does not continue without a command; one that is about to be undone does. */
export const isOver = ({ state, reverted_by: revertedBy }: Pick<RolloutView, 'state' | 'reverted_by'>): boolean =>
	state === 'completed' || state === 'aborted' || (state === 'halted' && !revertedBy);

/** What a rollout restarts, in a word or two: `http_workers`, `http_workers (web, api)`, `restart`. */
export function subject(view: Pick<RolloutView, 'type' | 'service' | 'app' | 'apps' | 'reverts'>): string {
	const what = view.type === 'restart' ? 'restart' : (view.service ?? view.type);
	const apps = view.apps ?? view.app;
	const scope = apps === null ? what : `${what} (${[apps].flat().join(', ')})`;
	return clean(view.reverts ? `undo of ${shortId(view.reverts)}, ${scope}` : scope);
}

/** How long it took, or runs: no shorter than its steps show, should the clock have been set back meanwhile. */
export function tookMs({ created_at, ended_at, nodes }: RolloutView, now: number): number {
	const stamps = nodes.map((node) => node.back_at ?? node.started_at ?? 0);
	return (ended_at ?? Math.max(now, ...stamps)) - created_at;
}

/** One rollout in full: what became of it first, then a line a node, then what to do. */
export function rolloutText(view: ShownRollout, now: number, page = plainPage): string {
	const back = view.nodes.filter(({ state }) => state === 'back').length;
	const took = span(tookMs(view, now));
	const state = paint(view.state, toneOf(view.state), page);
	const lines = [`${state}: ${subject(view)}, ${back} of ${count(view.order.length, 'node')} back, ${took}`];
	const prose = (title: string, text: string): number =>
		lines.push(
			wrapWords(`${title}: ${indent(text, ' '.repeat(title.length + 2)).trimStart()}`, page.columns, '        '),
		);
	if (view.reason !== null) prose('reason', cleanLines(forPeople(view.reason, now)));
	if (view.waiting_for !== null && !isOver(view)) prose('waiting for', clean(forPeople(view.waiting_for, now)));
	for (const one of view.traffic ?? []) prose('traffic', trafficText(one));
	if (view.reverts) prose('puts back', `what ran before rollout ${clean(view.reverts)}`);
	if (view.note) prose('note', clean(view.note));
	lines.push('', nodesText(view, now, page));
	const hooks = [view.hooks ?? {}, ...targetsOf(view).map((node) => node.hooks ?? {})].flatMap(hookLines);
	if (hooks.length > 0) lines.push('', ...hooks);
	const untouched = view.nodes.filter((node) => !isTarget(view, node)).map(({ node }) => clean(node));
	if (untouched.length > 0) lines.push('', `${view.reverts ? 'not touched' : 'not selected'}: ${untouched.join(', ')}`);
	for (const { node, reason } of targetsOf(view)) {
		// The rollout's own reason mostly is that of the node that it stopped at.
		if (reason !== null && view.reason?.includes(reason) !== true)
			lines.push('', `${clean(node)}:`, indent(cleanLines(forPeople(reason, now))));
	}
	const from = view.asked_by?.from ?? null;
	const who = from === null ? clean(view.user) : `${clean(view.user)} from ${clean(from)}`;
	const starter = `${who} at ${moment(view.created_at)}, coordinator ${clean(view.coordinator)}`;
	const hold = view.hold_after ? `, holds after ${view.hold_after}` : '';
	lines.push('', `rollout ${clean(view.id)}, at most ${view.max_unavailable} out${hold}`, `started by ${starter}`);
	return lines.join('\n');
}

/** `web: the new release on alpha answered 5xx to 1 of 812 requests (0.1 %) in 2 min 0 s, the old one on beta to 0 of 790 (0.0 %) in 10 min 0 s` */
function trafficText({ app, new: fresh, old }: AppTraffic): string {
	const side = ({ nodes, ms, total, errors }: AppTraffic['new'], what: string): string =>
		`${errors} of ${total}${what}${shareOf(errors, total)} in ${span(ms)}, on ${nodes.map(clean).join(', ')}`;
	const parts = [
		fresh.nodes.length === 0
			? 'what the new release answers is not counted'
			: `the new release answered 5xx to ${side(fresh, ' requests')}`,
		old.nodes.length === 0 ? 'what the old one answers is not counted' : `the old one to ${side(old, '')}`,
	];
	if (fresh.slow !== undefined && old.slow !== undefined) {
		const late = ({ slow = 0, total }: AppTraffic['new']): string => `${slow}${shareOf(slow, total)}`;
		parts.push(`late were ${late(fresh)}, of the old one ${late(old)}`);
	}
	return `${clean(app)}: ${parts.join('; ')}`;
}

const shareOf = (part: number, total: number): string =>
	total === 0 ? '' : ` (${((100 * part) / total).toFixed(1)} %)`;

/** `before_node on beta: failed, exited with 1: no such server` */
function hookLines(hooks: Partial<Record<string, HookRun>>): string[] {
	return Object.entries(hooks).flatMap(([name, run]) => {
		if (!run) return [];
		const { state, node, detail, accepted } = run;
		const how = detail === null ? state : `${state}, ${detail}`;
		return [clean(`${name} on ${node}: ${how}${accepted === undefined ? '' : `, accepted by ${accepted}`}`)];
	});
}

type NodeView = RolloutView['nodes'][number];

/** The nodes in the rollout's order; one that stands in no order comes last. */
export function nodesInOrder(view: RolloutView): NodeView[] {
	const place = (name: string) => {
		const index = view.order.indexOf(name);
		return index < 0 ? view.order.length : index;
	};
	return [...view.nodes].sort((one, other) => place(one.node) - place(other.node));
}

/** Those that were not selected stand in no order. */
export const isTarget = ({ order }: RolloutView, { node, state }: NodeView): boolean =>
	state !== 'skipped' || order.includes(node);

/** The nodes that the rollout selects, in its order. */
export const targetsOf = (view: RolloutView): NodeView[] => nodesInOrder(view).filter((node) => isTarget(view, node));

/** How long a node took, or has been at it, in ms; null before it began. */
export function elapsedMs(node: NodeView, now: number): number | null {
	if (node.started_at === null) return null;
	const ended = node.back_at ?? node.ended_at ?? null;
	if (ended !== null && node.state !== 'restarting') return Math.max(0, ended - node.started_at);
	return node.state === 'restarting' ? Math.max(0, now - node.started_at) : null;
}

function nodesText(view: RolloutView, now: number, page: Page): string {
	const took = (node: NodeView) => {
		const ms = elapsedMs(node, now);
		return ms === null ? null : span(ms);
	};
	const columns: Column<NodeView>[] = [
		{ title: 'NODE', value: (node) => node.node },
		{ title: 'STATE', value: phase, tone: (node) => toneOf(node.state) },
		{ title: 'TOOK', value: took, align: 'right' },
		{ title: 'WORKERS', value: workersOf, cut: 'end' },
		{ title: 'RELEASE', value: (node) => releaseChange(node.release), cut: 'end', leaveOff: 1 },
	];
	return table(targetsOf(view), columns, page);
}

/** Its state, and which attempt it is where it is not the first. */
export const phase = ({ state, attempt }: NodeView): string => (attempt > 1 ? `${state} (attempt ${attempt})` : state);

function workersOf({ before, after }: NodeView): string | null {
	const pids = (set: NodeView['before']) => set?.workers.map(({ pid }) => pid).join(' ') || 'none';
	if (after !== null) return `${pids(before)} -> ${pids(after)}`;
	return before === null ? null : pids(before);
}

/** `rollout status ID` has the whole reason. */
const reasonColumns = 80;
const noteColumns = 40;

const noteColumn: Column<RolloutView> = {
	title: 'NOTE',
	value: ({ note }) => (note ? fit(clean(note), noteColumns) : null),
	cut: 'end',
	leaveOff: 4,
};

export function historyText(views: readonly RolloutView[], now: number, page = plainPage): string {
	if (views.length === 0) return 'no rollouts\n';
	const reason = (view: RolloutView) =>
		view.reason === null ? null : fit(clean(forPeople(view.reason, now)), reasonColumns);
	const back = (view: RolloutView) => view.nodes.filter(({ state }) => state === 'back').length;
	const columns: Column<RolloutView>[] = [
		{ title: 'ROLLOUT', value: (view) => view.id, cut: 'id' },
		{ title: 'STARTED', value: (view) => moment(view.created_at) },
		{ title: 'STATE', value: (view) => view.state, tone: (view) => toneOf(view.state) },
		{ title: 'WHAT', value: subject },
		{ title: 'BACK', value: (view) => `${back(view)}/${view.order.length}`, align: 'right' },
		{ title: 'TOOK', value: (view) => span(tookMs(view, now)), align: 'right', leaveOff: 2 },
		{ title: 'BY', value: (view) => view.user, leaveOff: 1 },
		...(views.some(({ note }) => note) ? [noteColumn] : []),
		{ title: 'RELEASE', value: releasesAfter, cut: 'end', leaveOff: 3 },
		{ title: 'REASON', value: reason, cut: 'end', leaveOff: 5 },
	];
	return table(views, columns, page);
}

export function planText(plan: RolloutPlan): string {
	const lines: string[] = [];
	if (plan.refused !== null) lines.push(`would be refused: ${clean(forPeople(plan.refused))}`);
	if (plan.down.length > 0) lines.push(`down now: ${plan.down.map(clean).join(', ')}`);
	if (plan.reverts) lines.push(`puts back what ran before rollout ${clean(plan.reverts)}`);
	lines.push(`at most ${count(plan.max_unavailable, 'node')} out at a time, about ${span(plan.estimate_ms)} in all`);
	if (plan.without?.length) lines.push(`passed over, without the app: ${plan.without.map(clean).join(', ')}`);
	if (plan.unselected?.length)
		lines.push(`${plan.reverts ? 'not touched' : 'not selected'}: ${plan.unselected.map(clean).join(', ')}`);
	for (const remark of plan.remarks ?? []) lines.push(`note: ${clean(forPeople(remark))}`);
	for (const [node, changes] of Object.entries(plan.apps ?? {})) {
		const text = changesText(changes);
		if (text !== null) lines.push(`${clean(node)} ${text}`);
	}
	lines.push(...planReleases(plan));
	if (plan.guess === true) lines.push('the times are a guess: nothing was rolled yet here');
	let planned = 0;
	plan.steps.forEach(({ nodes, estimate_ms }, index) => {
		lines.push(`${String(index + 1).padStart(3)}. ${nodes.map(clean).join(', ')}  about ${span(estimate_ms)}`);
		planned += nodes.length;
		if (planned === plan.hold_after && planned < plan.order.length) lines.push(holdLine);
	});
	return lines.join('\n');
}

const holdLine = '     then it holds, until rollcall rollout resume';

/** `adds site, removes web once all else is back`; null where nothing comes or goes. */
export function changesText({ added, removed }: AppChanges): string | null {
	const parts = [
		...(added.length > 0 ? [`adds ${added.map(clean).join(', ')}`] : []),
		...(removed.length > 0 ? [`removes ${removed.map(clean).join(', ')} once all else is back`] : []),
	];
	return parts.length === 0 ? null : parts.join(', ');
}

/** Any answer as text: a list of records as a table, a record as lines `key: value`, the rest as JSON. */
export function anyText(body: unknown, page = plainPage): string {
	if (isRecord(body) && typeof body['message'] === 'string' && Object.keys(body).length === 1) {
		return clean(body['message']);
	}
	if (isRecord(body) && Object.values(body).every(isScalar)) {
		return Object.entries(body)
			.map(([key, value]) => `${clean(key)}: ${clean(String(value))}`)
			.join('\n');
	}
	if (
		Array.isArray(body) &&
		body.length > 0 &&
		body.every((row) => isRecord(row) && Object.values(row).every(isScalar))
	) {
		const rows = body as Record<string, string | number | boolean | null>[];
		const titles = [...new Set(rows.flatMap((row) => Object.keys(row)))];
		return table(
			rows,
			titles.map((title) => ({ title: clean(title), value: (row) => row[title] ?? null, cut: 'end' })),
			page,
		);
	}
	return cleanLines(typeof body === 'string' ? body : JSON.stringify(body, null, 2));
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
	return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
