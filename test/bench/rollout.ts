/**
 * What a rollout costs beside the restarts themselves: `node dist/test/bench/rollout.js [--gap] [--takeover] [--whole]
 * [--links] [--cost] [--runs N]`; without a section all but `--cost`, which takes half an hour. Each figure is the median of its runs, but for `--cost`, whose
 * rolls of 300 and 1,000 nodes (`--nodes N`: of these alone) run once: `--build ROOT` measures the daemon of the build there as
 * well, `--window SECONDS` no more than that of each roll. Prints a table, then one line of JSON; exits 1 if a figure is
 * beyond what it may be.
 */
import { parseArgs } from 'node:util';
import { type Figure, isHeld, medianOf, table } from './figures.js';
import { costFigures, costRuns } from './rollout-cost.js';
import { gapRun } from './rollout-gap.js';
import { linkFigures } from './rollout-links.js';
import { takeoverRun } from './rollout-takeover.js';
import { wholeOfReal, wholeOfStubs } from './rollout-whole.js';

const rollsARun = 100;

const { values } = parseArgs({
	options: {
		gap: { type: 'boolean' },
		takeover: { type: 'boolean' },
		whole: { type: 'boolean' },
		links: { type: 'boolean' },
		cost: { type: 'boolean' },
		build: { type: 'string' },
		window: { type: 'string', default: '0' },
		nodes: { type: 'string' },
		runs: { type: 'string', default: '3' },
	},
});
const runs = Math.max(1, Number(values.runs));
const medians = `; median of ${runs} runs`;

async function repeated(run: () => Promise<Figure[]>): Promise<Figure[]> {
	const all: Figure[][] = [];
	for (let index = 0; index < runs; index++) all.push(await run());
	return medianOf(all);
}

const sections = [
	{
		name: 'gap',
		title: `evidence of one node to RESTART on the next, 3 processes, ${rollsARun} rolls a run${medians}`,
		figures: () => repeated(() => gapRun(rollsARun)),
	},
	{
		name: 'takeover',
		title: `SIGKILL of the coordinator to the lease in other hands, 3 processes${medians}`,
		figures: () => repeated(takeoverRun),
	},
	{
		name: 'whole',
		title: `whole roll beside its floor, the sum of the nodes' own restarts${medians}`,
		figures: async () => [
			...(await wholeOfReal(3, runs)),
			...(await wholeOfReal(10, runs)),
			...(await wholeOfStubs(30, runs)),
		],
	},
	{
		name: 'links',
		title: `processor time of an idle daemon${medians}`,
		figures: () => linkFigures([30, 100], runs),
	},
	{
		name: 'cost',
		title: 'what a roll costs its coordinator, each once',
		figures: async () => {
			const all: Figure[] = [];
			const windowMs = Number(values.window) * 1_000;
			for (const run of costRuns) {
				if (values.nodes !== undefined && Number(values.nodes) !== run.nodes) continue;
				if (values.build !== undefined) all.push(...(await costFigures(run, values.build, windowMs)));
				all.push(...(await costFigures(run, undefined, windowMs)));
			}
			return all;
		},
	},
] as const;

const wanted = sections.filter(({ name }) => values[name]);
const measured: Record<string, readonly Figure[]> = {};
for (const { name, title, figures } of wanted.length > 0 ? wanted : sections.filter(({ name }) => name !== 'cost')) {
	const found = await figures();
	measured[name] = found;
	process.stdout.write(`${title}\n${table(found)}\n\n`);
	if (!found.every(isHeld)) process.exitCode = 1;
}
process.stdout.write(`${JSON.stringify({ runs, ...measured })}\n`);
