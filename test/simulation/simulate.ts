/**
 * `npm run simulate -- [--seeds N] [--seed S] [--threads T] [--mutants] [--rule RULE,…] [--log]`
 *
 * Runs N seeds from S on. A failing seed is printed with its plan made small, as regressions.json keeps it.
 * --replay FILE runs such lines again. With --mutants each rule is switched off in turn until an invariant notices. With --log one seed is told in full.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { readCount, readFlags, run, WrongFlag } from '../support/flags.js';
import { buildMutants } from './mutant-build.js';
import { type Mutant, mutants } from './mutants.js';
import { type Plan, planOf } from './plan.js';
import { add, type Done, nothingDone, Pool } from './pool.js';
import { shrink } from './shrink.js';
import { runPlan } from './world.js';

const blockSeeds = 50;
const shownMax = 10;
/** A long run says after each so many how far it is. */
const progressSeeds = 10_000;

const say = (text: string): void => {
	process.stdout.write(`${text}\n`);
};

/** Progress, beside the result. */
const told = (text: string): void => {
	process.stderr.write(`${text}\n`);
};

async function main(): Promise<boolean> {
	const values = readFlags({
		seeds: { type: 'string', default: '2000' },
		seed: { type: 'string', default: '1' },
		threads: { type: 'string', default: String(Math.min(4, availableParallelism())) },
		mutants: { type: 'boolean', default: false },
		rule: { type: 'string', default: '' },
		log: { type: 'boolean', default: false },
		replay: { type: 'string', default: '' },
	});
	const from = readCount('seed', values.seed, 0);
	const seeds = readCount('seeds', values.seeds, 1);
	const threads = readCount('threads', values.threads, 1, 256);
	const rules = rulesOf(values.rule);
	if (values.replay !== '') return replay(values.replay, values.log);
	if (values.mutants) return table(threads, from, seeds, rules.length > 0 ? rules : Object.keys(mutants));
	if (rules.length === 0) return oneBuild({ poolWorker: undefined, runPlan }, values.log, threads, from, seeds);
	const broken = buildMutants(rules);
	try {
		const world = await broken.world();
		return await oneBuild({ poolWorker: broken.poolWorker, runPlan: world.runPlan }, values.log, threads, from, seeds);
	} finally {
		broken.remove();
	}
}

/** What the seeds run on: this build, or a patched copy of it. */
interface Build {
	poolWorker: URL | undefined;
	runPlan: typeof runPlan;
}

async function oneBuild(build: Build, log: boolean, threads: number, from: number, seeds: number): Promise<boolean> {
	if (log) return tell(planOf(from), build.runPlan);
	const pool = new Pool(threads, build.poolWorker);
	try {
		return await simulate(pool, from, seeds, build.runPlan);
	} finally {
		await pool.close();
	}
}

function rulesOf(names: string): string[] {
	const known = Object.keys(mutants);
	const rules = names === '' ? [] : names.split(',');
	const unknown = rules.find((name) => !known.includes(name));
	if (unknown !== undefined) throw new WrongFlag(`--rule knows no '${unknown}'; the rules are ${known.join(', ')}`);
	return rules;
}

/** A file with one kept failure a line, as this prints them. */
function replay(file: string, log: boolean): boolean {
	const lines = textOf(file)
		.split('\n')
		.filter((line) => line.includes('"plan"'));
	let good = true;
	for (const line of lines) {
		const { plan } = JSON.parse(line) as { plan: Plan };
		if (log) good = tell(plan, runPlan) && good;
		else {
			const { violation } = runPlan(plan);
			say(`${plan.seed}: ${violation?.message ?? 'holds'}`);
			good = good && violation === null;
		}
	}
	return good;
}

function textOf(file: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch (error) {
		throw new WrongFlag(`--replay cannot read it: ${error instanceof Error ? error.message : String(error)}`);
	}
}

function tell(plan: Plan, run: typeof runPlan): boolean {
	const outcome = run(plan, { log: (line) => say(line.slice(0, 1200)) });
	say(JSON.stringify(outcome));
	return outcome.violation === null;
}

async function simulate(pool: Pool, from: number, seeds: number, run: typeof runPlan): Promise<boolean> {
	const began = performance.now();
	const blocks = [];
	let done = nothingDone;
	for (let at = from; at < from + seeds; at += blockSeeds) {
		const count = Math.min(blockSeeds, from + seeds - at);
		const block = pool.run({ from: at, count, stopAtFirst: false });
		blocks.push(
			block.then((part) => {
				const shown = Math.floor(done.seeds / progressSeeds);
				done = add(done, part);
				for (const { seed, violation } of part.violations) told(`seed ${seed} fails: ${violation?.message}`);
				if (Math.floor(done.seeds / progressSeeds) > shown) told(`${done.seeds} of ${seeds} seeds done`);
			}),
		);
	}
	await Promise.all(blocks);
	const seconds = (performance.now() - began) / 1000;
	for (const { seed, violation } of done.violations.slice(0, shownMax)) {
		if (!violation) continue;
		const small = shrink(planOf(seed), violation.invariant, run);
		say(`seed ${seed}: ${violation.message}`);
		say(`  after ${small.runs} runs: ${small.outcome.violation?.message}`);
		say(`  ${JSON.stringify({ seed, invariant: violation.invariant, plan: small.plan })}`);
	}
	say(summary(done, seconds));
	return done.violations.length === 0;
}

function summary(done: Done, seconds: number): string {
	const { seeds, violations, events, grants, takeovers, completed, halted, aborted, answered, refused } = done;
	const { hookDays, undoDays, revertDays } = done;
	const rate = (seeds / seconds).toFixed(0);
	return [
		`${seeds} seeds in ${seconds.toFixed(1)} s (${rate} a second), ${violations.length} failing`,
		`${events} events and effects, ${grants} steps granted, ${takeovers} takeovers tried`,
		`rollouts: ${completed} completed, ${halted} halted, ${aborted} aborted; operators: ${answered} answered, ${refused} refused`,
		`days with hooks: ${hookDays}; with an undo that an operator asked for: ${undoDays}; with one that a failure brought: ${revertDays}`,
	].join('\n');
}

interface HuntRow {
	rule: string;
	invariant: string | null;
	seeds: number;
}

/** Each rule that is taken out, the invariant that noticed, the seeds that it took; `threads` rules at a time. */
async function table(threads: number, from: number, seeds: number, rules: readonly string[]): Promise<boolean> {
	const left = [...rules];
	const rows: HuntRow[] = [];
	const work = async (): Promise<void> => {
		for (let rule = left.shift(); rule !== undefined; rule = left.shift()) rows.push(await hunt(rule, from, seeds));
	};
	await Promise.all(Array.from({ length: threads }, work));
	say('| rule taken out | noticed by | serves | seeds |');
	say('|---|---|---|---|');
	const noticed = rules.map((rule) => {
		const row = rows.find((one) => one.rule === rule);
		const { serves } = mutants[rule] as Mutant;
		say(`| ${rule} | ${row?.invariant ?? 'NOTHING'} | ${serves.join(', ')} | ${row?.seeds} |`);
		return row !== undefined && row.invariant !== null && serves.includes(row.invariant);
	});
	return noticed.every(Boolean);
}

async function hunt(rule: string, from: number, seeds: number): Promise<HuntRow> {
	const { serves } = mutants[rule] as Mutant;
	const broken = buildMutants([rule]);
	const pool = new Pool(1, broken.poolWorker);
	let [ran, other] = [0, null as string | null];
	try {
		for (let at = from; at < from + seeds; at += blockSeeds) {
			const done = await pool.run({ from: at, count: blockSeeds, stopAtFirst: false });
			for (const { seed, violation } of done.violations) {
				if (violation && serves.includes(violation.invariant))
					return { rule, invariant: violation.invariant, seeds: seed - from + 1 };
				other ??= violation?.invariant ?? null;
			}
			ran += done.seeds;
		}
		return { rule, invariant: other, seeds: ran };
	} finally {
		await pool.close();
		broken.remove();
	}
}

await run('simulate', async () => ((await main()) ? 0 : 1));
