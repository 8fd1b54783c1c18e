/**
 * How often the traffic judge refuses a release that is no worse than the old one, and how soon it finds one that is: seeded
 * windows, each second's requests drawn at random and judged by the code that ships. Exits 1 beyond the bounds.
 * `--windows N` (200,000) sets the number of windows of each cell, `--seconds N` (30) their length, `--only PATTERN` the cells.
 */
import { parseArgs } from 'node:util';
import {
	equalityOdds,
	gainsOverEquality,
	isWorse,
	learn,
	logMean,
	noEvidence,
	type Slice,
	toleranceOdds,
	type TrafficEvidence,
} from '../../src/workers/health/traffic/evidence.js';
import { Random } from '../support/random.js';
import { median, quantile } from './figures.js';

const { values } = parseArgs({
	options: {
		windows: { type: 'string', default: '200000' },
		seconds: { type: 'string', default: '30' },
		only: { type: 'string', default: '' },
	},
});
const windows = Number(values.windows);
const seconds = Number(values.seconds);
const rule = { requests: 20, errors: 0.05 };

/** Requests a second, the new workers' part of them, and the share that each release fails. */
interface Cell {
	what: string;
	rate: number;
	part: number;
	old: number;
	new: number;
	/** Seconds in which most requests fail at both, as when a database is away: how often they come. */
	badSeconds?: number;
	/** Requests come in bursts of one fate, on whichever side: as many, on average. */
	bursts?: number;
	/** At most so many of 1,000,000 windows may be refused, infinity: it is only shown; null: it is to be found. */
	most: number | null;
}

/** Exact draws, each kind by a table of its own. */
class Draws {
	readonly #poissons = new Map<number, Float64Array>();
	/** By share, then by count. */
	readonly #binomials = new Map<number, Float64Array[]>();

	constructor(private readonly random: Random) {}

	poisson(mean: number): number {
		let table = this.#poissons.get(mean);
		if (table === undefined) {
			const logs = [-mean];
			while (logs.length < mean + 12 * Math.sqrt(mean) + 20)
				logs.push((logs.at(-1) ?? 0) + Math.log(mean) - Math.log(logs.length));
			table = cumulated(logs);
			this.#poissons.set(mean, table);
		}
		return this.#draw(table);
	}

	binomial(count: number, share: number): number {
		if (count === 0 || share === 0) return 0;
		if (share === 1) return count;
		let tables = this.#binomials.get(share);
		if (tables === undefined) {
			tables = [];
			this.#binomials.set(share, tables);
		}
		let table = tables[count];
		if (table === undefined) {
			const logs = [count * Math.log(1 - share)];
			for (let errors = 0; errors < count; errors += 1)
				logs.push((logs[errors] ?? 0) + Math.log((count - errors) / (errors + 1)) + Math.log(share / (1 - share)));
			table = cumulated(logs);
			tables[count] = table;
		}
		return this.#draw(table);
	}

	#draw(table: Float64Array): number {
		const at = this.random.next();
		let [low, high] = [0, table.length - 1];
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((table[middle] ?? 1) > at) high = middle;
			else low = middle + 1;
		}
		return low;
	}
}

function cumulated(logs: readonly number[]): Float64Array {
	let total = 0;
	return Float64Array.from(logs, (log) => {
		total += Math.exp(log);
		return total;
	});
}

function sliceOf(cell: Cell, draws: Draws, random: Random): Slice {
	const isBad = random.chance(cell.badSeconds ?? 0);
	const side = (rate: number, share: number) => {
		const failing = isBad ? 0.9 : share;
		const { bursts } = cell;
		if (bursts === undefined) {
			const requests = draws.poisson(rate);
			return { requests, errors: draws.binomial(requests, failing) };
		}
		const fates = draws.poisson(rate / bursts);
		const failed = draws.binomial(fates, failing);
		return { requests: fates * bursts, errors: failed * bursts };
	};
	return { old: side(cell.rate * (1 - cell.part), cell.old), new: side(cell.rate * cell.part, cell.new) };
}

const certain = Math.log(equalityOdds);

interface Verdict {
	/** The second in which it was refused; null: it was not. */
	refused: number | null;
	/** The bet against equality was won. */
	unequal: boolean;
}

function judge(cell: Cell, draws: Draws, random: Random, secondsMax: number): Verdict {
	/** Not judged yet by the code that ships. */
	const slices: Slice[] = [];
	let evidence: TrafficEvidence = noEvidence;
	const equality = [...noEvidence.equality];
	let mayBeWorse = false;
	for (let second = 1; second <= secondsMax; second += 1) {
		const slice = sliceOf(cell, draws, random);
		slices.push(slice);
		const gains = gainsOverEquality(slice);
		let most = 0;
		for (let index = 0; index < equality.length; index += 1) {
			equality[index] = (equality[index] ?? 0) + (gains[index] ?? 0);
			most = Math.max(most, equality[index] ?? 0);
		}
		// A mean is no more than the most.
		if (most >= certain) mayBeWorse ||= logMean(equality) >= certain;
		// Both bets must be won, and this one alone is quicker to follow: most windows end here.
		if (!mayBeWorse) continue;
		for (const one of slices.splice(0)) evidence = learn(evidence, one, rule);
		if (isWorse(evidence, rule)) return { refused: second, unequal: true };
	}
	return { refused: null, unequal: mayBeWorse };
}

const equalMost = 1_000_000 / equalityOdds;
const allowedMost = 1_000_000 / toleranceOdds;
const percent = (share: number): string => `${share * 100} %`;
const equal: Cell[] = [0, 0.01, 0.05, 0.2, 0.5].flatMap((share) =>
	[
		[20, 0.5],
		[20, 0.1],
		[200, 0.5],
		[200, 0.1],
	].map(([rate = 0, part = 0]) => ({
		what: `equal, both fail ${percent(share)}`,
		rate,
		part,
		old: share,
		new: share,
		most: equalMost,
	})),
);
const shared: Cell[] = [20, 200].map((rate) => ({
	what: 'equal, both fail 1 %, and 90 % in one second of 20',
	rate,
	part: 0.3,
	old: 0.01,
	new: 0.01,
	badSeconds: 0.05,
	most: equalMost,
}));
const allowed: Cell[] = [20, 200].map((rate) => ({
	what: 'worse by the 5 % that are allowed: 1 % and 6 %',
	rate,
	part: 0.5,
	old: 0.01,
	new: 0.06,
	most: allowedMost,
}));
const worse: Cell[] = [
	[0.1, 20],
	[0.1, 200],
	[0.2, 20],
	[0.2, 200],
	[0.5, 20],
	[1, 20],
].flatMap(([share = 0, rate = 0]) =>
	[0.5, 0.2].map((part) => ({
		what: `the new one fails ${percent(share)}, the old one none`,
		rate,
		part,
		old: 0,
		new: share,
		most: null,
	})),
);
const bursts: Cell[] = [20, 200].map((rate) => ({
	what: 'equal, both fail 5 %, in bursts of 5 requests of one fate',
	rate,
	part: 0.5,
	old: 0.05,
	new: 0.05,
	bursts: 5,
	most: Number.POSITIVE_INFINITY,
}));

const print = (line: string): void => {
	process.stdout.write(`${line}\n`);
};
let held = true;
const findSeconds = 600;
const findTries = 1_000;
print(
	`| release | requests/s, new part | refused of ${windows.toLocaleString('en')} windows of ${seconds} s (first bet won) | at most | median, 95 % |`,
);
print('|---|---|---|---|---|');
for (const [index, cell] of [...equal, ...shared, ...bursts, ...allowed, ...worse].entries()) {
	if (!new RegExp(values.only).test(`${cell.what}, ${cell.rate}/s, ${percent(cell.part)}`)) continue;
	const random = new Random(1 + index);
	const draws = new Draws(random);
	const found: number[] = [];
	let unequal = 0;
	const tries = cell.most === null ? Math.min(findTries, windows) : windows;
	for (let window = 0; window < tries; window += 1) {
		const verdict = judge(cell, draws, random, cell.most === null ? findSeconds : seconds);
		if (verdict.refused !== null) found.push(verdict.refused);
		if (verdict.unequal) unequal += 1;
	}
	const most = cell.most === null ? null : (cell.most * tries) / 1_000_000;
	// Of releases that are no worse, the first bet alone may be won no more often either.
	const counted = cell.old === cell.new ? unequal : found.length;
	if (most !== null && counted > most) held = false;
	const limit = most === null || most === Number.POSITIVE_INFINITY ? '' : most;
	const said =
		most === null
			? `| | | ${median(found)} s, ${quantile(found, 0.95)} s |`
			: `| ${found.length} (${unequal}) | ${limit} | |`;
	print(`| ${cell.what} | ${cell.rate}, ${percent(cell.part)} ${said}`);
}
process.exit(held ? 0 : 1);
