import { setTimeout as delay } from 'node:timers/promises';
import type { RolloutView } from '../../src/rollout/types.js';
import { DaemonLog } from '../support/daemon-log.js';
import type { LoadReport } from '../support/workers/load.js';
import { isOver, type RealNode, waitFor } from '../support/fleet/nodes.js';
import { type Sighting, Witness } from '../support/fleet/witness.js';
import { type Fault, type Scene, takeoverMs } from './faults.js';
import { type FaultFleet, leaseMs } from './fleet.js';
import type { Phase } from './phases.js';

export interface Outcome {
	phase: string;
	fault: string;
	/** What did not hold; empty: everything did. */
	broken: string[];
	/** How the rollout ended, or why there was none. */
	text: string;
	durationMs: number;
}

export const workersWanted = 2;
/** A step's deadline, a takeover and a step: within it every rollout has ended or halted, on a busy machine too. */
const boundMs = 90_000;
/** What an operator does about what halted, until nothing is open. */
const wordsMax = 3;

type Asked = { status: number; error: string };

/** An operation, as an operator calls it. */
export interface Call {
	operation: string;
	fields: Record<string, unknown>;
}

/** What is asked of the fleet, in which phases it is struck, and what has to hold then. */
export interface Table {
	/** The first is asked, and coordinates. */
	names: readonly string[];
	phases: readonly Phase[];
	/** Before it is asked. */
	prepare(fleet: FaultFleet): void;
	asks: Call;
	/** What an operator does about a rollout that halted. */
	wayOut(halted: RolloutView): Call;
	judgeViews(views: readonly RolloutView[]): string[];
	/** Of a node whose workers the fault itself did not end (`spoiled`) also what was started and ended. */
	judgeNode(seen: Sighting, views: readonly RolloutView[], spoiled: boolean): string[];
}

/** What a table asks for, struck by one fault in one phase, judged by what clients and the kernel saw. */
export async function runScenario(fleet: FaultFleet, table: Table, phase: Phase, fault: Fault): Promise<Outcome> {
	const startedAt = performance.now();
	const [coordinator, second] = fleet.nodes as [RealNode, RealNode];
	const third = fleet.nodes.at(-1) as RealNode;
	const outcome: Outcome = { phase: phase.name, fault: fault.name, broken: [], text: '', durationMs: 0 };
	const logs = new Map(fleet.nodes.map((node) => [node.name, new DaemonLog(node.logFile)]));
	let witness: Witness | null = null;
	try {
		await fleet.settled();
		witness = await Witness.begin(fleet.nodes);
		const known = new Set((await roll(coordinator)).map(({ id }) => id));
		const step = fleet.node(phase.step);
		const scene: Scene = { fleet, coordinator, target: step === coordinator ? second : step, third, witness };
		table.prepare(fleet);
		const asked = ask(coordinator, table.asks);
		await phase.reached({ coordinator, target: step, logs, witness });
		const struck = await fault.strike(scene);
		let views = await followed({ scene, fault, asked, known });
		outcome.text = describe(await asked, views, struck);
		for (let words = 0; words < wordsMax && views.some(isHalted); words++) {
			for (const halted of views.filter(isHalted)) {
				const { operation, fields } = table.wayOut(halted);
				await third.call(operation, fields).catch(() => undefined);
				outcome.text += `; then ${operation}`;
			}
			views = await over(fleet.nodes, known, asked);
		}
		await fleet.settled();
		await witness.answered(4 * workersWanted);
		await calm(witness, fleet.nodes);
		outcome.broken = judge(table, scene, fault, views, await witness.end());
	} catch (error) {
		outcome.broken.push(error instanceof Error ? error.message : String(error));
	} finally {
		for (const log of logs.values()) log.close();
		await witness?.end();
	}
	outcome.durationMs = performance.now() - startedAt;
	return outcome;
}

const isHalted = ({ state }: RolloutView): boolean => state === 'halted';

/** A lost worker host is noticed a little later than it is lost; what never comes to rest is told by the judgement. */
async function calm(witness: Witness, nodes: readonly RealNode[]): Promise<void> {
	const isCalm = ({ alive, answering }: Sighting): boolean =>
		alive.length === workersWanted && answering.length === workersWanted;
	const all = (): boolean => nodes.every(({ name }) => isCalm(witness.sighting(name)));
	await waitFor('the workers to be as many as wanted', all).catch(() => undefined);
}

/** Lets the fault last, heals it, and waits until every node says the same end of every rollout. */
async function followed(run: {
	scene: Scene;
	fault: Fault;
	asked: Promise<Asked>;
	known: ReadonlySet<string>;
}): Promise<RolloutView[]> {
	const { scene, fault, asked, known } = run;
	const { coordinator, target, third, fleet } = scene;
	if (fault.lasts === 'takeover') await delay(takeoverMs);
	if (fault.lasts === 'over') await over([coordinator, third], known, asked);
	await fault.heal(scene);
	if (fault.lasts === 'over') await target.ready();
	return over(fleet.nodes, known, asked);
}

async function over(
	nodes: readonly RealNode[],
	known: ReadonlySet<string>,
	asked: Promise<Asked>,
): Promise<RolloutView[]> {
	await asked;
	let views: RolloutView[] = [];
	let told: RolloutView[][] = [];
	await waitFor(
		'the rollout to be over on every node',
		async () => {
			told = await Promise.all(nodes.map((node) => roll(node)));
			const fresh = told.map((all) => all.filter(({ id }) => !known.has(id)));
			views = fresh[0] ?? [];
			const texts = fresh.map((all) => all.map(({ id, state }) => `${id} ${state}`).sort());
			return fresh.every((all) => all.every(isAtRest)) && texts.every((all) => all.join() === texts[0]?.join());
		},
		() => JSON.stringify(told.map((all) => all.filter(({ id }) => !known.has(id)))),
		boundMs,
	);
	return views;
}

/** One that halted and is about to be put back is not over. */
const isAtRest = (view: RolloutView): boolean => isOver(view) && !(isHalted(view) && view.reverted_by);

/** Only replicated ones; a daemon that does not answer stands for an open rollout. */
async function roll(node: RealNode): Promise<RolloutView[]> {
	const answer = await node.call<RolloutView[]>('list_rollouts', { limit: 50 }).catch(() => null);
	if (answer?.status !== 200) return [{ id: `${node.name} does not answer`, state: 'running' } as RolloutView];
	return answer.json;
}

function ask(coordinator: RealNode, { operation, fields }: Call): Promise<Asked> {
	return coordinator.call(operation, fields).then(
		({ status, json }) => ({ status, error: String(json['error'] ?? '') }),
		(error: Error) => ({ status: 0, error: error.message }),
	);
}

function describe({ status, error }: Asked, views: readonly RolloutView[], struck: unknown): string {
	const answer = status === 0 ? `no answer (${error})` : status === 200 ? '' : `${status}: ${error}`;
	const ends = views.map(({ state, reason, coordinator }) =>
		state === 'completed' ? `completed, driven by ${coordinator}` : `${state}: ${reason?.replace(/\s+/g, ' ')}`,
	);
	const other = isAnswer(struck) ? [`the second operator got ${struck.status}`] : [];
	return [answer, ...(ends.length > 0 ? ends : ['nothing was started']), ...other].filter(Boolean).join('; ');
}

const isAnswer = (value: unknown): value is { status: number } =>
	typeof value === 'object' && value !== null && 'status' in value;

/** Whatever happened: the wanted number of workers, all of them answering. */
function judgeSet({ alive, answering }: Sighting): string[] {
	return [
		...(alive.length === workersWanted ? [] : [`not ${workersWanted} workers in the end`]),
		...(answering.length === alive.length ? [] : ['not every worker answers']),
	];
}

function judge(
	table: Table,
	scene: Scene,
	fault: Fault,
	views: readonly RolloutView[],
	reports: ReadonlyMap<string, LoadReport>,
): string[] {
	const broken = table.judgeViews(views);
	const spoiled = fault.spoils === 'none' ? null : scene[fault.spoils].name;
	for (const { id, state, reason } of views)
		if (state !== 'completed' && !reason) broken.push(`${id} ${state} without a reason`);
	for (const { name } of scene.fleet.nodes) {
		const seen = scene.witness.sighting(name);
		const faultsOfNode = [...judgeSet(seen), ...table.judgeNode(seen, views, name === spoiled)];
		if (name !== spoiled && seen.most > 2 * workersWanted) faultsOfNode.push('a surplus set');
		broken.push(...faultsOfNode.map((text) => `${text}: ${JSON.stringify(seen)}`));
	}
	for (const names of scene.witness.together) {
		const counted = names.filter((name) => name !== spoiled);
		if (counted.length > 1) broken.push(`out at once: ${counted.join(' and ')}`);
	}
	for (const [name, { lost, failures }] of reports)
		if (lost > 0 && !(fault.loses === 'target' && name === scene.target.name))
			broken.push(`${lost} requests lost on ${name}: ${failures.join('; ')}`);
	return broken;
}

export const settings = ({ names }: Table): string =>
	`${names.length} nodes, lease ${leaseMs} ms, ${workersWanted} workers a node, load on every node, coordinator ${names[0]}`;
