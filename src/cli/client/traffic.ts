/** While a rollout stands still, an operator looks at what its nodes answer beside those that it has not reached. */
import type { RolloutView } from '../../rollout/types.js';
import type { WorkerRow } from '../../workers/types.js';
import type { AppTraffic, ShownRollout } from '../output/rollout-shapes.js';
import type { Client } from './client.js';

/** Nodes of either side that are asked, so that a look costs a large fleet no more. */
const askedMax = 8;

type Row = (WorkerRow & { node: string }) | { node: string; error: string };
type Side = 'new' | 'old';

/** The rollout with `traffic`, where there is something to compare. */
export async function withTraffic(client: Client, view: RolloutView): Promise<ShownRollout> {
	const sides = sidesOf(view);
	if (sides.new.length === 0 || sides.old.length === 0) return view;
	const [news, olds] = await Promise.all([workersOn(client, sides.new), workersOn(client, sides.old)]);
	const apps = [view.apps ?? view.app ?? [...new Set(news.map(({ app }) => app))].sort()].flat();
	const traffic = apps.flatMap((app): AppTraffic[] => {
		const compared = { app, new: seenOf(news, app), old: seenOf(olds, app) };
		return compared.new.nodes.length + compared.old.nodes.length > 0 ? [compared] : [];
	});
	return traffic.length > 0 ? { ...view, traffic } : view;
}

/** Those that are back run the new release, those that it has not touched the old one. */
function sidesOf(view: RolloutView): Record<Side, string[]> {
	const stands = view.state === 'paused' || (view.state === 'halted' && !view.reverted_by);
	if (!stands || view.service !== 'http_workers' || !view.replicated) return { new: [], old: [] };
	const names = (states: readonly string[]): string[] =>
		view.nodes.filter(({ state }) => states.includes(state)).map(({ node }) => node);
	return { new: names(['back']).slice(0, askedMax), old: names(['pending', 'refused', 'skipped']).slice(0, askedMax) };
}

/** Of one that does not answer nothing is known. */
async function workersOn(client: Client, nodes: readonly string[]): Promise<(WorkerRow & { node: string })[]> {
	const answers = await Promise.all(
		nodes.map((node) => client.operation('list_workers', { node }).catch(() => []) as Promise<Row[]>),
	);
	return answers.flat().flatMap((row) => ('error' in row || row.state !== 'serving' ? [] : [row]));
}

function seenOf(rows: readonly (WorkerRow & { node: string })[], app: string): AppTraffic[Side] {
	const seen: AppTraffic[Side] = { nodes: [], ms: 0, total: 0, errors: 0 };
	for (const row of rows) {
		const recent = row.app === app ? row.requests?.recent : undefined;
		if (recent === undefined) continue;
		if (!seen.nodes.includes(row.node)) seen.nodes.push(row.node);
		seen.ms = Math.max(seen.ms, recent.ms);
		seen.total += recent.total;
		seen.errors += recent.errors;
		if (recent.slow !== undefined) seen.slow = (seen.slow ?? 0) + recent.slow;
	}
	return seen;
}
