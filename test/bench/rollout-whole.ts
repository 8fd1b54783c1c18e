/** A whole roll beside its floor: the sum of what the nodes' own restarts took, one after the other. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { makeFleet, type RealNode, webApp } from '../support/fleet/nodes.js';
import { StubFleet } from '../support/fleet/stub-fleet.js';
import { type Figure, median } from './figures.js';
import { rollOnce, stepsOf } from './rollout-gap.js';

const stubStepMs = 250;

interface Roll {
	wholeMs: number;
	/** What each node's own restart took. */
	steps: number[];
}

const numbered = (count: number): string[] =>
	Array.from({ length: count }, (_, index) => `n${String(index + 1).padStart(3, '0')}`);

/** Daemons as an operator runs them, each with one worker of PM2's. */
export async function wholeOfReal(count: number, rolls: number): Promise<Figure[]> {
	const fleet = await makeFleet(numbered(count).map((name) => ({ name })));
	try {
		for (const node of fleet.nodes) {
			const { cluster } = parse(readFileSync(node.configFile, 'utf8')) as { cluster: Record<string, unknown> };
			node.configure({ cluster, http_workers: [{ ...webApp(node.ports.app, node.name), instances: 1 }] });
		}
		await fleet.start();
		const measured: Roll[] = [];
		for (let roll = 0; roll < rolls; roll++) {
			const coordinator = fleet.nodes[roll % count];
			if (coordinator) measured.push(await rollReal(fleet.nodes, coordinator));
		}
		return figuresOf(`${count} real nodes`, measured);
	} finally {
		await fleet.end();
	}
}

async function rollReal(nodes: readonly RealNode[], coordinator: RealNode): Promise<Roll> {
	const asked = Date.now();
	const { status, json } = await coordinator.call('restart_service', { service: 'http_workers', replicated: true });
	if (status !== 200) throw new Error(JSON.stringify(json));
	const id = String(json['job_id']);
	for (const node of nodes) {
		const view = await node.rollout(id);
		if (view.state !== 'completed') throw new Error(JSON.stringify(view));
	}
	const wholeMs = timeOf(coordinator, 'rollout_ended', id) - asked;
	return { wholeMs, steps: nodes.map((node) => timeOf(node, 'step_done', id) - timeOf(node, 'step_begun', id)) };
}

/** When the daemon logged this of the rollout, ms since 1970. */
function timeOf(node: RealNode, event: string, rollout: string): number {
	const line = node
		.log()
		.split('\n')
		.find((text) => text.includes(`"${event}"`) && text.includes(rollout));
	if (line === undefined) throw new Error(`${node.name} never logged ${event} of ${rollout}`);
	return Date.parse((JSON.parse(line) as { time: string }).time);
}

/** Processes with real links and record files, their workers stubs. */
export async function wholeOfStubs(count: number, rolls: number): Promise<Figure[]> {
	const fleet = await StubFleet.make(numbered(count), stubStepMs);
	try {
		await fleet.start();
		const measured: Roll[] = [];
		for (let roll = 0; roll < rolls; roll++) {
			const { wholeMs, told } = await rollOnce(fleet, fleet.names[roll % count] ?? '');
			const steps = stepsOf(told);
			const took = steps.flatMap(({ node, news }) => {
				const end = steps.find((one) => one.node === node && one.news.news === 'ended');
				return news.news === 'began' && end ? [end.news.at - news.at] : [];
			});
			measured.push({ wholeMs, steps: took });
		}
		return figuresOf(`${count} nodes with stub workers`, measured);
	} finally {
		await fleet.close();
	}
}

function figuresOf(which: string, rolls: readonly Roll[]): Figure[] {
	const floors = rolls.map(({ steps }) => steps.reduce((sum, ms) => sum + ms, 0));
	return [
		{ what: `${which}: whole roll`, value: median(rolls.map(({ wholeMs }) => wholeMs)), unit: 'ms' },
		{ what: `${which}: its floor`, value: median(floors), unit: 'ms' },
		{
			what: `${which}: whole roll / floor`,
			value: median(rolls.map(({ wholeMs }, index) => wholeMs / (floors[index] ?? Number.NaN))),
			unit: '',
		},
		{
			what: `${which}: over the floor, a node`,
			value: median(rolls.map(({ wholeMs, steps }, index) => (wholeMs - (floors[index] ?? 0)) / steps.length)),
			unit: 'ms',
		},
	];
}
