import { RollcallError } from '../../errors.js';
import { clockOffsetNamedMs } from '../../fleet/links/clock-offset.js';
import type { ClusterNode } from '../../fleet/types.js';
import type { RolloutView } from '../../rollout/types.js';
import type { PutBackBy, Release, WorkerRow } from '../../workers/types.js';
import { rotationNote } from '../certificates/rotation.js';
import type { Client } from '../client/client.js';
import type { Context } from '../context.js';
import { fleetText, isOver, rolloutText, subject, workersText } from '../output/render.js';
import { connect } from '../client/connect.js';
import { paint } from '../output/table.js';
import { clean, fit, indent, indented, plainPage, writeResult } from '../output/terminal.js';
import { count, forPeople, span } from '../output/format.js';

export interface AppStatus {
	app: string;
	wanted: number;
	healthy: number;
	degraded: string | null;
	listens?: false;
	release?: Release | null;
	pinned?: PutBackBy | null;
}

/** What `status --json` prints. */
export interface Status {
	/** What an operator should look at, the worst first; empty when all is well. */
	wrong: string[];
	node: {
		name: string;
		boot: number;
		ready: boolean;
		/** Why it is not ready. */
		reasons: string[];
		/** What an operator should know though it makes nothing unready. */
		notes: string[];
		apps: AppStatus[];
	};
	workers: WorkerRow[];
	fleet: { coordinator: string | null; nodes: ClusterNode[] };
	/** The rollout that has not ended (running, paused or halted), null if there is none. */
	rollout: RolloutView | null;
}

interface ClusterAnswer {
	node: string;
	boot: number;
	coordinator: string | null;
	nodes: ClusterNode[];
}

export async function status({ options, terminal, session }: Context): Promise<number> {
	const { client, words } = await connect(options, session.signal);
	try {
		const now = Date.now();
		const document = await gather(client, words, now);
		writeResult(terminal, document, (page) => statusText(document, now, page));
		return 0;
	} finally {
		client.close();
	}
}

/** How many of the last rollouts are looked at: the one that has not ended is among the newest. */
const rolloutsLookedAt = 10;

/** A node whose records cannot be written knows of no rollout; its notes say so. */
function noneKnown(error: unknown): RolloutView[] {
	if (error instanceof RollcallError && error.code === 'unavailable') return [];
	throw error;
}

async function gather(client: Client, words: string, now: number): Promise<Status> {
	const [cluster, rows, rollouts, page] = await Promise.all([
		client.operation('cluster_status') as Promise<ClusterAnswer>,
		client.operation('list_workers') as Promise<WorkerRow[]>,
		(client.operation('list_rollouts', { limit: rolloutsLookedAt }) as Promise<RolloutView[]>).catch(noneKnown),
		client.get('/readyz'),
	]);
	const readiness = (page.body ?? {}) as { ready?: boolean; reasons?: string[]; notes?: string[]; apps?: AppStatus[] };
	const rollout =
		rollouts.find(({ state }) => !isOver(state)) ?? rollouts.find(({ state }) => state === 'halted') ?? null;
	const document: Omit<Status, 'wrong'> = {
		node: {
			name: cluster.node,
			boot: cluster.boot,
			ready: readiness.ready === true,
			reasons: readiness.reasons ?? [],
			notes: readiness.notes ?? [],
			apps: readiness.apps ?? [],
		},
		workers: rows,
		fleet: { coordinator: cluster.coordinator, nodes: cluster.nodes },
		rollout,
	};
	return { wrong: findWrong(document, words, now), ...document };
}

/** The faults in what was gathered, the worst first, each with what to do where that is known. */
export function findWrong(found: Omit<Status, 'wrong'>, words: string, now: number): string[] {
	const { node, workers, fleet, rollout } = found;
	return [
		...(node.ready ? [] : [`${node.name} is not ready: ${node.reasons.join('; ') || 'no reason given'}`]),
		...node.apps.flatMap(wrongWithApp),
		...node.notes,
		...workers.filter(({ state }) => state === 'failed').map(wrongWithWorker),
		...fleet.nodes.flatMap((row) => wrongWithNode(row, now)),
		...[rotationNote(fleet.nodes)].filter((note) => note !== null),
		...(rollout === null ? [] : wrongWithRollout(rollout, words)),
	];
}

function wrongWithApp({ app, wanted, healthy, degraded }: AppStatus): string[] {
	if (healthy >= wanted && degraded === null) return [];
	const why = degraded === null ? '' : `: ${fit(clean(degraded), degradedColumns)}`;
	return [`${app} has ${healthy} of ${wanted} workers healthy${why}. See: rollcall logs ${app}`];
}

/** What a worker said last may be long; its log has all of it. */
const degradedColumns = 240;

const wrongWithWorker = ({ id, app, restarts }: WorkerRow): string =>
	`${id} failed after ${count(restarts, 'restart')}. See: rollcall logs ${app}`;

function wrongWithNode(
	{ name, link, last_seen, ready, availability, configuration, ...row }: ClusterNode,
	now: number,
): string[] {
	const wrong: string[] = [];
	const seen = last_seen === null ? 'never seen' : `last seen ${span(now - last_seen)} ago`;
	const { reason, clock_offset_ms: offsetMs } = row;
	if (link === 'down')
		wrong.push(`no link to ${name}, ${seen}${reason ? `: ${fit(clean(reason), linkReasonColumns)}` : ''}`);
	if (offsetMs && Math.abs(offsetMs) > clockOffsetNamedMs)
		wrong.push(
			`the clock of ${name} is ${span(Math.abs(offsetMs))} ${offsetMs > 0 ? 'ahead of' : 'behind'} that of this node; set the wrong one right (timedatectl)`,
		);
	if (link === 'up' && ready === false) wrong.push(`${name} is not ready`);
	if (link === 'up' && configuration === 'last_good')
		wrong.push(`${name} runs by its last good configuration: its file does not check, so it takes part in no rollout`);
	if (availability === 'Unavailable') wrong.push(`an operator has set ${name} Unavailable`);
	return wrong;
}

/** What both ends say of a link that is not made; `cluster_status` has all of it. */
const linkReasonColumns = 600;

/** The whole reason stands further below. */
const reasonColumns = 160;

function wrongWithRollout({ id, state, reason, ...view }: RolloutView, words: string): string[] {
	const stands = view.held ? `held after ${view.hold_after}` : 'paused';
	if (state === 'paused') return [`rollout ${id} is ${stands}. Go on: rollcall rollout resume ${id}${words}`];
	if (state !== 'halted') return [];
	const why = fit(clean(reason ?? 'no reason given'), reasonColumns);
	return [`rollout ${id} (${subject(view)}) is halted: ${why}. See: rollcall rollout status ${id}${words}`];
}

export function statusText({ wrong, node, workers, fleet, rollout }: Status, now: number, page = plainPage): string {
	const inner = indented(page);
	const own = fleet.nodes.find(({ link }) => link === 'self');
	const facts = [
		`boot ${node.boot}`,
		...(own?.version ? [`version ${own.version}`] : []),
		...(own?.zone ? [`zone ${own.zone}`] : []),
		...(own?.availability ? [`availability ${own.availability}`] : []),
	];
	const sections: string[] = [];
	if (wrong.length > 0)
		sections.push(
			[paint('WRONG', 'bad', page), ...wrong.map((line) => `  ! ${clean(forPeople(line, now))}`)].join('\n'),
		);
	const readiness = node.ready ? paint('ready', 'good', page) : paint('NOT READY', 'bad', page);
	sections.push(`${clean(node.name)} is ${readiness} (${clean(facts.join(', '))})`);
	sections.push(`Workers\n${indent(workersText(workers, now, inner).trimEnd())}`);
	if (fleet.nodes.length > 1) sections.push(`Fleet\n${indent(fleetText(fleet.nodes, fleet.coordinator, now, inner))}`);
	if (rollout !== null) sections.push(`Rollout\n${indent(rolloutText(rollout, now, inner))}`);
	return sections.join('\n\n');
}
