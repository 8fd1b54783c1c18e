import type { ClusterNode } from '../../fleet/types.js';
import type { RolloutPlan, RolloutState, RolloutView } from '../../rollout/types.js';
import type { AppChanges, WorkerRow } from '../../workers/types.js';
import { clean, cleanLines, fit, indent, table } from './terminal.js';
import { bytes, count, forPeople, moment, span } from './format.js';

export function workersText(rows: readonly WorkerRow[], now: number): string {
	if (rows.length === 0) return 'no workers\n';
	return table(rows, [
		{ title: 'APP', value: (row) => row.app },
		{ title: 'WORKER', value: (row) => row.id },
		{ title: 'PID', value: (row) => row.pid, align: 'right' },
		{ title: 'STATE', value: (row) => row.state },
		{ title: 'HEALTHY', value: (row) => row.healthy },
		{ title: 'UP', value: (row) => (row.started_at === null ? null : span(now - row.started_at)), align: 'right' },
		{ title: 'RESTARTS', value: (row) => row.restarts, align: 'right' },
		{ title: 'MEMORY', value: (row) => (row.memory === null ? null : bytes(row.memory)), align: 'right' },
		{ title: 'CPU', value: (row) => (row.cpu === null ? null : `${row.cpu.toFixed(1)}%`), align: 'right' },
		{ title: 'RELEASE', value: (row) => row.release },
	]);
}

export function fleetText(nodes: readonly ClusterNode[], coordinator: string | null, now: number): string {
	const seen = ({ link, last_seen }: ClusterNode) => {
		if (link === 'self') return 'here';
		return last_seen === null ? 'never' : `${span(now - last_seen)} ago`;
	};
	return table(nodes, [
		{ title: 'NODE', value: (row) => (row.name === coordinator ? `${row.name} (coordinator)` : row.name) },
		{ title: 'ZONE', value: (row) => row.zone },
		{ title: 'LINK', value: (row) => row.link },
		{ title: 'READY', value: (row) => row.ready },
		{ title: 'AVAILABILITY', value: (row) => row.availability },
		{ title: 'BOOT', value: (row) => row.boot, align: 'right' },
		{ title: 'VERSION', value: (row) => row.version },
		{ title: 'RTT', value: (row) => (row.rtt_ms === null ? null : `${row.rtt_ms.toFixed(1)} ms`), align: 'right' },
		{ title: 'SEEN', value: seen, align: 'right' },
	]);
}

/** Nothing more will happen by itself. */
export const isOver = (state: RolloutState): boolean =>
	state === 'completed' || state === 'halted' || state === 'aborted';

/** What a rollout restarts, in a word or two: `http_workers`, `http_workers (web)`, `restart`. */
export function subject(view: Pick<RolloutView, 'type' | 'service' | 'app'>): string {
	const what = view.type === 'restart' ? 'restart' : (view.service ?? view.type);
	return clean(view.app === null ? what : `${what} (${view.app})`);
}

/** One rollout in full: what became of it first, then a line a node, then what to do. */
export function rolloutText(view: RolloutView, now: number): string {
	const back = view.nodes.filter(({ state }) => state === 'back').length;
	const took = span((view.ended_at ?? now) - view.created_at);
	const lines = [`${view.state}: ${subject(view)}, ${back} of ${count(view.order.length, 'node')} back, ${took}`];
	if (view.reason !== null)
		lines.push(`reason: ${indent(cleanLines(forPeople(view.reason, now)), '        ').trimStart()}`);
	if (view.waiting_for !== null && !isOver(view.state))
		lines.push(`waiting for: ${clean(forPeople(view.waiting_for, now))}`);
	lines.push('', nodesText(view, now));
	for (const { node, reason } of view.nodes) {
		// The rollout's own reason mostly is that of the node that it stopped at.
		if (reason !== null && view.reason?.includes(reason) !== true)
			lines.push('', `${clean(node)}:`, indent(cleanLines(forPeople(reason, now))));
	}
	const starter = `${clean(view.user)} at ${moment(view.created_at)}, coordinator ${clean(view.coordinator)}`;
	lines.push('', `rollout ${clean(view.id)}, started by ${starter}, at most ${view.max_unavailable} out`);
	return lines.join('\n');
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

/** How long a node took, or has been at it, in ms; null before it began. */
export function elapsedMs(node: NodeView, now: number): number | null {
	if (node.started_at === null) return null;
	if (node.back_at !== null) return node.back_at - node.started_at;
	return node.state === 'restarting' ? Math.max(0, now - node.started_at) : null;
}

function nodesText(view: RolloutView, now: number): string {
	const took = (node: NodeView) => {
		const ms = elapsedMs(node, now);
		return ms === null ? null : span(ms);
	};
	return table(nodesInOrder(view), [
		{ title: 'NODE', value: (node) => node.node },
		{ title: 'STATE', value: (node) => (node.attempt > 1 ? `${node.state} (attempt ${node.attempt})` : node.state) },
		{ title: 'TOOK', value: took, align: 'right' },
		{ title: 'WORKERS', value: workersOf },
	]);
}

function workersOf({ before, after }: NodeView): string | null {
	const pids = (set: NodeView['before']) => set?.workers.map(({ pid }) => pid).join(' ') || 'none';
	if (after !== null) return `${pids(before)} -> ${pids(after)}`;
	return before === null ? null : pids(before);
}

/** `rollout status ID` has the whole reason. */
const reasonColumns = 80;

export function historyText(views: readonly RolloutView[], now: number): string {
	if (views.length === 0) return 'no rollouts\n';
	const back = (view: RolloutView) => view.nodes.filter(({ state }) => state === 'back').length;
	return table(views, [
		{ title: 'ROLLOUT', value: (view) => view.id },
		{ title: 'STARTED', value: (view) => moment(view.created_at) },
		{ title: 'STATE', value: (view) => view.state },
		{ title: 'WHAT', value: subject },
		{ title: 'BACK', value: (view) => `${back(view)}/${view.order.length}`, align: 'right' },
		{ title: 'TOOK', value: (view) => span((view.ended_at ?? now) - view.created_at), align: 'right' },
		{ title: 'BY', value: (view) => view.user },
		{
			title: 'REASON',
			value: (view) => (view.reason === null ? null : fit(clean(forPeople(view.reason, now)), reasonColumns)),
		},
	]);
}

export function planText(plan: RolloutPlan): string {
	const lines: string[] = [];
	if (plan.refused !== null) lines.push(`would be refused: ${clean(forPeople(plan.refused))}`);
	if (plan.down.length > 0) lines.push(`down now: ${plan.down.map(clean).join(', ')}`);
	lines.push(`at most ${count(plan.max_unavailable, 'node')} out at a time, about ${span(plan.estimate_ms)} in all`);
	for (const [node, changes] of Object.entries(plan.apps ?? {})) {
		const text = changesText(changes);
		if (text !== null) lines.push(`${clean(node)} ${text}`);
	}
	plan.steps.forEach(({ nodes, estimate_ms }, index) => {
		lines.push(`${String(index + 1).padStart(3)}. ${nodes.map(clean).join(', ')}  about ${span(estimate_ms)}`);
	});
	return lines.join('\n');
}

/** `adds site, removes web once all else is back`; null where nothing comes or goes. */
export function changesText({ added, removed }: AppChanges): string | null {
	const parts = [
		...(added.length > 0 ? [`adds ${added.map(clean).join(', ')}`] : []),
		...(removed.length > 0 ? [`removes ${removed.map(clean).join(', ')} once all else is back`] : []),
	];
	return parts.length === 0 ? null : parts.join(', ');
}

/** Any answer as text: a list of records as a table, a record as lines `key: value`, the rest as JSON. */
export function anyText(body: unknown): string {
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
			titles.map((title) => ({ title: clean(title), value: (row) => row[title] ?? null })),
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
