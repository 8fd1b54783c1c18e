/**
 * Whether a new release answers 5xx more often than the old one beside it. Pure: counts go in, second by second.
 *
 * Two bets run side by side, each worth 1 at first and never expected to grow while its doubt is right. So a bet that is worth
 * N has had at most a chance of 1 in N to become so, however often it was looked at (Ville's inequality).
 *
 * `equality` doubts that the new release is worse at all. It uses the split of a second's errors alone: given how many
 * requests of old and new began in that second, and how many of all failed, the errors of a release which is as good as the
 * old one are a random draw (hypergeometric). So neither the share of errors nor bad seconds that hit both matter.
 * `tolerance` doubts that the new release is worse by more than is allowed. Its stake is the likelihood of a worse release
 * against that of the best-fitting release which is just allowed (the reverse information projection).
 */

/** Requests that began in one second, or in all. */
export interface Answers {
	readonly requests: number;
	readonly errors: number;
}

/** What began in one second at the old workers and at the new ones. */
export interface Slice {
	readonly old: Answers;
	readonly new: Answers;
}

export interface TrafficEvidence {
	/** Of all seconds that were compared. */
	readonly old: Answers;
	readonly new: Answers;
	/** Logarithms of what the bets are worth, one for each alternative. */
	readonly equality: readonly number[];
	readonly tolerance: readonly number[];
}

/** How strictly. */
export interface EvidenceRule {
	readonly requests: number;
	readonly errors: number;
}

/** A release that is no worse is refused in at most one of so many windows, whatever is asked of it. */
export const equalityOdds = 10_000;
/** A release that is worse by no more than is allowed is refused in at most one of so many windows. */
export const toleranceOdds = 100;
/** How many times the odds of an error may have grown, among the alternatives to equality. */
const oddsRatios = [1.5, 2.5, 5, 12, 40, 150];
/** How much worse than allowed, among the alternatives to being just allowed. */
const excesses = [0.02, 0.04, 0.08, 0.15, 0.3, 0.6];
/** A second with more requests than this at old or new is left out: its sum would take too long. */
const requestsMax = 100_000;
/** Before anything is known the old release is taken to have failed this share, on the strength of so many requests. */
const priorErrors = 0.2;
const priorRequests = 10;

const none: Answers = { requests: 0, errors: 0 };

export const noEvidence: TrafficEvidence = {
	old: none,
	new: none,
	equality: oddsRatios.map(() => 0),
	tolerance: excesses.map(() => 0),
};

/** Takes in one second. Without requests at both there is nothing to compare. */
export function learn(before: TrafficEvidence, slice: Slice, rule: EvidenceRule): TrafficEvidence {
	const seen = { old: bounded(slice.old), new: bounded(slice.new) };
	if (Math.max(seen.old.requests, seen.new.requests) > requestsMax) return before;
	const totals = { old: sum(before.old, seen.old), new: sum(before.new, seen.new) };
	if (seen.old.requests === 0 || seen.new.requests === 0) return { ...before, ...totals };
	const equality = gainsOverEquality(seen);
	// What was seen before alone chooses the stake.
	const expected = (before.old.errors + priorErrors) / (before.old.requests + priorRequests);
	return {
		...totals,
		equality: before.equality.map((worth, index) => worth + (equality[index] ?? 0)),
		tolerance: before.tolerance.map((worth, index) => {
			return worth + gainOverTolerance(seen, expected, excesses[index] ?? 0, rule.errors);
		}),
	};
}

/**
 * Whether it is certain that the new release is worse by more than is allowed. `questions`: how many are put to it in all; each
 * has its part of the chance to be wrong.
 */
export function isWorse(evidence: TrafficEvidence, rule: EvidenceRule, questions = 1): boolean {
	if (evidence.new.requests < rule.requests || evidence.old.requests === 0) return false;
	if (shareOf(evidence.new) - shareOf(evidence.old) <= rule.errors) return false;
	const isCertain = (bets: readonly number[], odds: number) => logMean(bets) >= Math.log(odds * questions);
	return isCertain(evidence.equality, equalityOdds) && isCertain(evidence.tolerance, toleranceOdds);
}

export const shareOf = ({ requests, errors }: Answers): number => (requests === 0 ? 0 : errors / requests);

/**
 * For each odds ratio r: log of r^x / E[r^X], where x of the second's errors are the new release's and X is drawn without
 * replacement from all requests of the second.
 */
export function gainsOverEquality(slice: Slice): number[] {
	const errors = slice.old.errors + slice.new.errors;
	if (errors === 0) return oddsRatios.map(() => 0);
	const least = Math.max(0, errors - slice.old.requests);
	const most = Math.min(errors, slice.new.requests);
	/** How many times likelier each draw is than the one with an error less on the new release's side. */
	const steps: number[] = [];
	for (let x = least; x < most; x += 1) {
		const more = (slice.new.requests - x) * (errors - x);
		steps.push(more / ((x + 1) * (slice.old.requests - errors + x + 1)));
	}
	const all = logWeight(steps, 1);
	return oddsRatios.map((ratio) => (slice.new.errors - least) * Math.log(ratio) - (logWeight(steps, ratio) - all));
}

/** Beyond this the terms of a sum are scaled down. */
const weightMax = 1e200;
/** Terms that fall and are this small beside their sum change nothing. */
const weightLeast = 1e-18;

/** Log of the sum of all terms, of which the first is 1 and each other one is `ratio` times its step as large as the one before. */
function logWeight(steps: readonly number[], ratio: number): number {
	let [term, sumOfTerms, log] = [1, 1, 0];
	for (const step of steps) {
		// Steps only fall.
		if (step * ratio < 1 && term < sumOfTerms * weightLeast) break;
		term *= step * ratio;
		sumOfTerms += term;
		if (sumOfTerms > weightMax) {
			log += Math.log(sumOfTerms);
			term /= sumOfTerms;
			sumOfTerms = 1;
		}
	}
	return log + Math.log(sumOfTerms);
}

/** Log of the likelihood of a release that is worse by `allowed` and `excess` over that of the nearest one that is just allowed. */
function gainOverTolerance(slice: Slice, expected: number, excess: number, allowed: number): number {
	const worse = Math.min(expected + allowed + excess, shareMax);
	if (worse <= expected + allowed) return 0;
	const old = nearestAllowed(slice, expected, worse, allowed);
	return logLikelihood(slice.old, expected, old) + logLikelihood(slice.new, worse, old + allowed);
}

const shareMax = 0.999;
const halvings = 30;

/** The old release's share that makes `expected` and `worse` least surprising where the new one's is just `allowed` above it. */
function nearestAllowed(slice: Slice, expected: number, worse: number, allowed: number): number {
	let low = 0;
	let high = 1 - allowed;
	for (let halving = 0; halving < halvings; halving += 1) {
		const middle = (low + high) / 2;
		const shifted = middle + allowed;
		const slope =
			(slice.old.requests * (middle - expected)) / (middle * (1 - middle)) +
			(slice.new.requests * (shifted - worse)) / (shifted * (1 - shifted));
		if (slope > 0) high = middle;
		else low = middle;
	}
	return (low + high) / 2;
}

/** Log of how much likelier these answers are with share `one` of errors than with `other`. */
function logLikelihood({ requests, errors }: Answers, one: number, other: number): number {
	const failed = errors === 0 ? 0 : errors * Math.log(one / other);
	const fine = requests === errors ? 0 : (requests - errors) * Math.log((1 - one) / (1 - other));
	return failed + fine;
}

/** Workers run as another user: what they say need not fit together. */
const bounded = ({ requests, errors }: Answers): Answers => ({ requests, errors: Math.min(requests, errors) });

const sum = (one: Answers, other: Answers): Answers => ({
	requests: one.requests + other.requests,
	errors: one.errors + other.errors,
});

/** Log of a sum, given the logarithms of its parts. */
function logSum(logs: readonly number[]): number {
	let most = Number.NEGATIVE_INFINITY;
	for (const log of logs) most = Math.max(most, log);
	let total = 0;
	for (const log of logs) total += Math.exp(log - most);
	return most + Math.log(total);
}

export const logMean = (logs: readonly number[]): number => logSum(logs) - Math.log(logs.length);
