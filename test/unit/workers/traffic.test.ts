/** A bet on a release being worse never grows on average while it is not, so it is refused for its answers only where it is certain. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrafficReport } from '../../../src/workers/connection/control.js';
import { TrafficComparison, type TrafficSource } from '../../../src/workers/health/traffic/comparison.js';
import {
	isWorse,
	learn,
	noEvidence,
	type Slice,
	type TrafficEvidence,
} from '../../../src/workers/health/traffic/evidence.js';
import { marked, recentOf, type TrafficMarks } from '../../../src/workers/health/traffic/recent.js';
import { describeTraffic } from '../../../src/workers/health/traffic/text.js';

const rule = { requests: 20, errors: 0.05 };
const slice = (old: [number, number], fresh: [number, number]): Slice => ({
	old: { errors: old[0], requests: old[1] },
	new: { errors: fresh[0], requests: fresh[1] },
});
/** After these seconds, one after the other; the second in which it was certain, or null. */
function certainAfter(slices: readonly Slice[], with_ = rule): number | null {
	let evidence = noEvidence;
	for (const [index, one] of slices.entries()) {
		evidence = learn(evidence, one, with_);
		if (isWorse(evidence, with_)) return index + 1;
	}
	return null;
}
const repeat = (count: number, one: Slice): Slice[] => Array.from({ length: count }, () => one);

/** Chances of so many failures out of `count`. */
function binomial(count: number, share: number): number[] {
	const chances = [(1 - share) ** count];
	for (let k = 0; k < count; k += 1) chances.push((chances[k] ?? 0) * ((count - k) / (k + 1)) * (share / (1 - share)));
	return chances;
}

type Chance = readonly [requests: number, share: number];

function choose(count: number, of: number): number {
	let ways = 1;
	for (let k = 0; k < of; k += 1) ways *= (count - k) / (k + 1);
	return ways;
}

/** What a second of so many requests, each failing with this chance, multiplies each bet by. */
function toleranceOnAverage(before: TrafficEvidence, [old, ofOld]: Chance, [fresh, ofNew]: Chance): number[] {
	const worth = before.tolerance.map(() => 0);
	for (const [a, chanceA] of binomial(old, ofOld).entries()) {
		for (const [b, chanceB] of binomial(fresh, ofNew).entries()) {
			const after = learn(before, slice([a, old], [b, fresh]), rule).tolerance;
			for (const [index, log] of after.entries())
				worth[index] = (worth[index] ?? 0) + chanceA * chanceB * Math.exp(log - (before.tolerance[index] ?? 0));
		}
	}
	return worth;
}

describe('the judgement of answers', () => {
	test('is certain soon where a release is worse, and never where it is as good or worse by what is allowed', () => {
		const rows: [string, Slice[], (second: number | null) => boolean][] = [
			['all fail', repeat(60, slice([0, 10], [10, 10])), (at) => at === 2],
			['a half fails', repeat(60, slice([0, 10], [5, 10])), (at) => at !== null && at <= 4],
			['a tenth fails', repeat(120, slice([0, 100], [10, 100])), (at) => at !== null && at <= 6],
			[
				'a tenth fails, at a tenth of the traffic',
				repeat(300, slice([0, 90], [1, 10])),
				(at) => at !== null && at <= 90,
			],
			['both fail a half', repeat(600, slice([50, 100], [50, 100])), (at) => at === null],
			['both fail all', repeat(600, slice([100, 100], [100, 100])), (at) => at === null],
			['neither fails', repeat(600, slice([0, 100], [0, 100])), (at) => at === null],
			['it is better', repeat(600, slice([10, 100], [0, 100])), (at) => at === null],
			['it is worse by 5 %', repeat(600, slice([1, 100], [6, 100])), (at) => at === null],
			['no one asks the new one', repeat(600, slice([1, 100], [0, 0])), (at) => at === null],
			['no one asks the old one', repeat(600, slice([0, 0], [100, 100])), (at) => at === null],
			['in a bad second both fail', [slice([0, 100], [0, 100]), slice([90, 100], [92, 100])], (at) => at === null],
			[
				'bad seconds that only one of them meets',
				[...repeat(9, slice([0, 100], [0, 0])), slice([90, 100], [46, 50])],
				(at) => at === null,
			],
			['fewer requests than asked for', [slice([0, 19], [19, 19])], (at) => at === null],
			['just as many', [slice([0, 20], [20, 20])], (at) => at === 1],
			['what does not fit together', repeat(60, slice([100, 10], [1e15, 1e15])), (at) => at === null],
			['more errors than requests', repeat(60, slice([0, 10], [900, 10])), (at) => at === 2],
		];
		for (const [what, slices, isRight] of rows) {
			const at = certainAfter(slices);
			assert.ok(isRight(at), `${what}: ${at}`);
		}
		const bounds = [0, 0.999, 1].map((errors) =>
			certainAfter(repeat(60, slice([0, 10], [10, 10])), { requests: 20, errors }),
		);
		assert.deepEqual(bounds, [2, null, null]);
	});

	test('the first bet keeps its worth on average, whatever fails, where errors fall on both alike', () => {
		for (const [old, fresh, errors] of [
			[10, 10, 3],
			[9, 1, 1],
			[2, 30, 25],
			[40, 7, 47],
			[20, 20, 20],
		] as const) {
			const worth = noEvidence.equality.map(() => 0);
			for (let x = Math.max(0, errors - old); x <= Math.min(errors, fresh); x += 1) {
				const chance = (choose(fresh, x) * choose(old, errors - x)) / choose(old + fresh, errors);
				const after = learn(noEvidence, slice([errors - x, old], [x, fresh]), rule).equality;
				for (const [index, log] of after.entries()) worth[index] = (worth[index] ?? 0) + chance * Math.exp(log);
			}
			for (const one of worth) assert.ok(Math.abs(one - 1) < 1e-9, `${old} ${fresh} ${errors}: ${worth}`);
		}
	});

	test('the second bet gains nothing on average where a release is worse by what is allowed, or less', () => {
		const seen = learn(noEvidence, slice([3, 60], [4, 50]), rule);
		for (const before of [noEvidence, seen]) {
			for (const [share, more] of [0.001, 0.05, 0.3, 0.9].flatMap((one) =>
				[0, 0.02, 0.05].map((two) => [one, two] as const),
			)) {
				for (const [old, fresh] of [
					[12, 12],
					[30, 3],
					[3, 30],
				] as const) {
					const worth = toleranceOnAverage(before, [old, share], [fresh, share + more]);
					assert.ok(
						worth.every((one) => one < 1 + 1e-6),
						`${old} ${fresh} ${share} ${more}: ${worth}`,
					);
				}
			}
		}
	});

	test('asks for more where more is asked, so that all of it is wrong as seldom', () => {
		const bets = (worth: number) => noEvidence.equality.map(() => Math.log(worth));
		const seen = learn(noEvidence, slice([0, 100], [50, 100]), rule);
		const rows: [equality: number, tolerance: number, questions: number, isFound: boolean][] = [
			[10_001, 101, 1, true],
			[9_999, 101, 1, false],
			[10_001, 99, 1, false],
			[19_999, 201, 2, false],
			[20_001, 199, 2, false],
			[20_001, 201, 2, true],
		];
		for (const [equality, tolerance, questions, isFound] of rows) {
			const evidence = { ...seen, equality: bets(equality), tolerance: bets(tolerance) };
			assert.equal(isWorse(evidence, rule, questions), isFound, `${equality} ${tolerance} ${questions}`);
		}
	});

	test('says what was seen of both', () => {
		const evidence = learn(noEvidence, slice([2, 260], [31, 250]), rule);
		const text = 'the new release answered 5xx to 31 of 250 requests (12.4 %), the old one to 2 of 260 (0.8 %)';
		const seen = { isPossible: true, evidence, slow: null };
		assert.equal(describeTraffic(seen, { requests: 20 }), text);
		assert.equal(describeTraffic(seen, { requests: 300 }), `${text}; fewer than 300 are not judged`);
		const slow = learn(noEvidence, slice([0, 260], [40, 250]), rule);
		assert.equal(
			describeTraffic({ ...seen, slow }, { requests: 20, slowMs: 500 }),
			`${text}; it took longer than 500ms to answer 40 of 250 (16.0 %), the old one 0 of 260 (0.0 %)`,
		);
		assert.equal(
			describeTraffic(seen, { requests: 20, slowMs: 500 }),
			`${text}; times are not compared, since the old workers were started with another traffic.slow and do not take them by this one`,
		);
		assert.match(
			describeTraffic({ ...seen, isPossible: false }, { requests: 20 }),
			/^answers are not compared, since /,
		);
	});
});

describe('what began in the same second', () => {
	const report = (
		second: number,
		slices: [second: number, requests: number, errors: number, open?: number][],
	): TrafficReport => ({
		requests: 0,
		errors: 0,
		second,
		slices: slices.map(([at, requests, errors, open = 0]) => ({ second: at, requests, errors, open })),
	});
	const source = (key: string, traffic: TrafficReport | null): TrafficSource => ({
		key,
		side: key.startsWith('o') ? 'old' : 'new',
		traffic,
	});
	const seenOf = ({ evidence }: Pick<TrafficComparison, 'evidence'>) => [
		evidence.old.errors,
		evidence.old.requests,
		evidence.new.errors,
		evidence.new.requests,
	];

	test('is compared once every worker has reported it and all of it is answered', () => {
		const comparison = new TrafficComparison(rule, 100);
		const old = source(
			'o1',
			report(103, [
				[99, 50, 50],
				[100, 10, 1],
				[102, 10, 2],
			]),
		);
		comparison.take([old, source('n1', report(100, [[99, 50, 50]]))]);
		assert.deepEqual(seenOf(comparison), [0, 0, 0, 0], 'not reported by one yet');
		comparison.take([
			old,
			source(
				'n1',
				report(102, [
					[100, 5, 3],
					[101, 5, 0, 1],
				]),
			),
		]);
		assert.deepEqual(seenOf(comparison), [1, 10, 3, 5], 'a second with an open request waits');
		comparison.take([
			old,
			source(
				'n1',
				report(103, [
					[100, 5, 3],
					[101, 5, 1],
					[102, 5, 0],
				]),
			),
		]);
		assert.deepEqual(seenOf(comparison), [3, 20, 4, 15]);
	});

	test('is compared without those answers that take longer than the patience with them', () => {
		const comparison = new TrafficComparison(rule, 100);
		const take = (second: number) =>
			comparison.take([source('o1', report(second, [[100, 10, 0]])), source('n1', report(second, [[100, 10, 4, 6]]))]);
		take(110);
		assert.deepEqual(seenOf(comparison), [0, 0, 0, 0]);
		take(111);
		assert.deepEqual(seenOf(comparison), [0, 10, 4, 10]);
	});

	test('is compared by late answers, too, where every worker times them by the same', () => {
		const slow = { ...rule, slowMs: 500 };
		const timed = (key: string, slowMs: number | undefined, late: number) => {
			const all = Array.from({ length: 9 }, (_, at): [number, number, number] => [100 + at, 50, 0]);
			const one = report(109, all);
			const slices = one.slices.map((seen) => (slowMs === undefined ? seen : { ...seen, slow: late }));
			return source(key, { ...one, slices, slowMs });
		};
		const rows: [what: string, sources: TrafficSource[], slow: number[] | null, isWorse: boolean][] = [
			['a fifth late', [timed('o1', 500, 0), timed('n1', 500, 10)], [0, 450, 90, 450], true],
			['as late', [timed('o1', 500, 10), timed('n1', 500, 10)], [90, 450, 90, 450], false],
			['by another time', [timed('o1', 400, 0), timed('n1', 500, 10)], null, false],
			['one of an earlier version', [timed('o1', undefined, 0), timed('n1', 500, 10)], null, false],
			['one of two', [timed('o1', 500, 0), timed('o2', undefined, 0), timed('n1', 500, 10)], null, false],
		];
		for (const [what, sources, expected, isFound] of rows) {
			const comparison = new TrafficComparison(slow, 100);
			comparison.take(sources);
			const seen = comparison.slow && seenOf({ evidence: comparison.slow });
			assert.deepEqual([seen, comparison.isWorse], [expected, isFound], what);
		}
		const plain = new TrafficComparison(rule, 100);
		plain.take([timed('o1', 500, 0), timed('n1', 500, 10)]);
		assert.deepEqual([plain.slow, plain.isWorse], [null, false], 'not asked for');
	});

	test('is left out where a process ended before it had reported, or is not heard', () => {
		const comparison = new TrafficComparison(rule, 100);
		comparison.take([source('o1', report(101, [[100, 10, 1]])), source('n1', report(101, [[100, 10, 1]]))]);
		const fresh = report(103, [
			[101, 10, 5],
			[102, 10, 5],
		]);
		comparison.take([source('o1 again', report(103, [[102, 1, 0]])), source('n1', fresh)]);
		assert.deepEqual(seenOf(comparison), [1, 10, 1, 10], 'what the first process had not said');
		// One that is stopped keeps what it said last.
		const stopped = source('o1 again', report(103, [[102, 1, 0]]));
		comparison.take([stopped, source('n1', report(150, [[149, 10, 9]]))]);
		comparison.take([source('o1 again', report(151, [[149, 10, 0]])), source('n1', report(151, [[149, 10, 1]]))]);
		assert.deepEqual(seenOf(comparison), [1, 20, 2, 20]);
	});

	test('is nothing where old workers do not count, and a clock that lies holds nothing up', () => {
		const comparison = new TrafficComparison(rule, 100);
		comparison.take([source('o1', null), source('n1', report(105, [[101, 10, 10]]))]);
		assert.equal(comparison.isPossible, false);
		assert.equal(comparison.isWorse, false);
		comparison.take([source('o1', report(105, [])), source('n1', report(Number.MAX_SAFE_INTEGER, []))]);
		assert.equal(comparison.isPossible, true);
		comparison.take([]);
	});
});

describe('what a process answered lately', () => {
	const counted = (requests: number, errors: number, slow?: number): TrafficReport => ({
		...{ requests, errors, second: 0, slices: [] },
		...(slow === undefined ? {} : { slow, slowMs: 500 }),
	});

	test('is what came since its first report, and over ten minutes at most, with few marks', () => {
		let marks: TrafficMarks = [];
		let most = 0;
		const take = (at: number): void => {
			marks = marked(marks, counted(100 + at * 10, at), at * 1_000);
			most = Math.max(most, marks.length);
		};
		take(0);
		assert.deepEqual(recentOf(marks, counted(100, 0), 0), { ms: 0, total: 0, errors: 0 });
		for (let second = 1; second <= 240; second += 1) take(second);
		assert.deepEqual(recentOf(marks, counted(2_500, 240), 240_000), { ms: 240_000, total: 2_400, errors: 240 });
		for (let second = 241; second <= 86_400; second += 1) take(second);
		const { ms, total, errors } = recentOf(marks, counted(100 + 864_000, 86_400), 86_400_000);
		assert.ok(ms >= 570_000 && ms <= 600_000, `${ms}`);
		assert.deepEqual([total, errors], [ms / 100, ms / 1_000]);
		assert.ok(most <= 22, `${most} marks`);
	});

	test('tells late answers where they are timed, and nothing below zero of a worker that lies', () => {
		const marks = marked([], counted(50, 5, 3), 0);
		assert.deepEqual(recentOf(marks, counted(60, 5, 7), 9_000), { ms: 9_000, total: 10, errors: 0, slow: 4 });
		assert.deepEqual(recentOf(marks, counted(1, 0, 0), 9_000), { ms: 9_000, total: 0, errors: 0, slow: 0 });
		assert.deepEqual(recentOf([], counted(60, 5), 9_000), { ms: 0, total: 0, errors: 0 });
	});
});
