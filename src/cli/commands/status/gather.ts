import { RollcallError } from '../../../errors.js';
import type { ClusterNode } from '../../../fleet/types.js';
import type { RolloutView } from '../../../rollout/types.js';
import type { WorkerRow } from '../../../workers/types.js';
import type { Client } from '../../client/client.js';
import { withTraffic } from '../../client/traffic.js';
import { isOver, type NodeRow } from '../../output/render.js';
import { type AskedNode, isSilent, type Standing, type Status } from './types.js';
import { findWrong } from './wrong.js';

interface ClusterAnswer {
	node: string;
	boot: number;
	coordinator: string | null;
	nodes: ClusterNode[];
}

/** How many of the last rollouts are looked at: the one that has not ended is among the newest. */
const rolloutsLookedAt = 10;

/** A node whose records cannot be written knows of no rollout; its notes say so. */
function noneKnown(error: unknown): RolloutView[] {
	if (error instanceof RollcallError && error.code === 'unavailable') return [];
	throw error;
}

/** `asked`: a node, or all; undefined: the daemon's own. */
export async function gather(
	client: Client,
	{ words, asked }: { words: string; asked: string | undefined },
	now: number,
): Promise<Status> {
	const [cluster, rollouts, own, others] = await Promise.all([
		client.operation('cluster_status') as Promise<ClusterAnswer>,
		(client.operation('list_rollouts', { limit: rolloutsLookedAt }) as Promise<RolloutView[]>).catch(noneKnown),
		asked === undefined ? ownNode(client) : null,
		asked === undefined ? null : askedNodes(client, asked),
	]);
	const nodes = (others ?? []).map((one) => withBoot(one, cluster));
	const first = nodes.find(({ name }) => name === cluster.node) ?? nodes[0];
	const { workers, ...node } = own === null ? nodeOf(first) : { name: cluster.node, boot: cluster.boot, ...own };
	const rollout = rollouts.find((view) => !isOver(view)) ?? rollouts.find(({ state }) => state === 'halted') ?? null;
	const document: Omit<Status, 'wrong'> = {
		node,
		workers,
		...(asked === undefined ? {} : { nodes }),
		fleet: { coordinator: cluster.coordinator, nodes: cluster.nodes },
		rollout: rollout && (await withTraffic(client, rollout)),
	};
	return { wrong: findWrong(document, words, now), ...document };
}

async function ownNode(client: Client): Promise<Standing & { workers: WorkerRow[] }> {
	const [workers, page] = await Promise.all([
		client.operation('list_workers') as Promise<WorkerRow[]>,
		client.get('/readyz'),
	]);
	const { ready, reasons, notes, apps } = (page.body ?? {}) as Partial<Standing>;
	return { ready: ready === true, reasons: reasons ?? [], notes: notes ?? [], apps: apps ?? [], workers };
}

type Row<Value> = NodeRow<Value>;
type Asked = (Standing & { name: string; workers: WorkerRow[] }) | { name: string; error: string };

async function askedNodes(client: Client, node: string): Promise<Asked[]> {
	const [standings, rows] = await Promise.all([
		client.operation('node_status', { node }) as Promise<Row<Standing>[]>,
		client.operation('list_workers', { node }) as Promise<Row<WorkerRow>[]>,
	]);
	return standings.map((row) => {
		const { node: name } = row;
		const ofNode = rows.filter((one) => one.node === name);
		const silent = [row, ...ofNode].find((one) => 'error' in one);
		if ('error' in row) return { name, error: row.error };
		if (silent !== undefined && 'error' in silent) return { name, error: silent.error };
		const { ready, reasons, notes, apps } = row;
		const workers = ofNode.flatMap((one) => ('error' in one ? [] : [withoutNode(one)]));
		return { name, ready, reasons, notes, apps, workers };
	});
}

function withoutNode({ node: _, ...row }: WorkerRow & { node: string }): WorkerRow {
	return row;
}

const withBoot = (one: Asked, { nodes }: ClusterAnswer): AskedNode =>
	'error' in one ? one : { ...one, boot: nodes.find(({ name }) => name === one.name)?.boot ?? 0 };

/** Of one that does not answer nothing is known but that. */
function nodeOf(one: AskedNode | undefined): Status['node'] & { workers: WorkerRow[] } {
	if (one === undefined) throw new RollcallError('internal', 'The daemon named no node.');
	if (!isSilent(one)) return one;
	const reasons = [`it does not answer: ${one.error}`];
	return { name: one.name, boot: 0, ready: false, reasons, notes: [], apps: [], workers: [] };
}
