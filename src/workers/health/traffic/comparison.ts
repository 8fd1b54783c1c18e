import type { TrafficReport, TrafficSlice } from '../../connection/control.js';
import paths from '../../preload/paths.cjs';
import {
	type Answers,
	type EvidenceRule,
	isWorse,
	learn,
	noEvidence,
	type Slice,
	type TrafficEvidence,
} from './evidence.js';
import type { TrafficRule } from '../../types.js';

/** A worker process, and what it reported last; null: nothing yet, or it does not count. */
export interface TrafficSource {
	/** Another one for each process. */
	key: string;
	side: 'old' | 'new';
	traffic: TrafficReport | null;
}

/** Seconds after which a second is left out that not all have reported; workers report each for as long. */
const rememberedSeconds = paths.trafficPatience + 5;

/**
 * Puts together what began in the same second at old and new workers, once each worker has reported that second and all its
 * requests are answered, or the patience with them has ended. So both sides are always seen at the same age.
 */
export class TrafficComparison {
	evidence: TrafficEvidence = noEvidence;
	/** As `evidence`, of late answers in place of 5xx; null: some worker does not time them, or by another time. */
	slow: TrafficEvidence | null = null;
	private readonly counted = new Set<string>();

	constructor(
		private readonly rule: EvidenceRule & Pick<TrafficRule, 'slowMs'>,
		/** The next second to take in. */
		private next: number,
	) {}

	get isWorse(): boolean {
		const questions = this.rule.slowMs ? 2 : 1;
		const isFound = (evidence: TrafficEvidence) => isWorse(evidence, this.rule, questions);
		return isFound(this.evidence) || (this.slow !== null && isFound(this.slow));
	}

	/** Some old worker counts its answers: without one there is nothing to compare with. */
	get isPossible(): boolean {
		return [...this.counted].some((key) => key.startsWith('old '));
	}

	/** Enough was seen of both to refuse a release for it. */
	get isJudged(): boolean {
		const { old, new: fresh } = this.evidence;
		return this.isPossible && old.requests > 0 && fresh.requests >= this.rule.requests;
	}

	take(sources: readonly TrafficSource[]): void {
		const reports = sources.flatMap(({ key, side, traffic }) =>
			traffic ? [{ key: `${side} ${key}`, side, traffic }] : [],
		);
		const newest = Math.max(...reports.map(({ traffic }) => traffic.second));
		// What a process that ended had not reported yet is missing: those seconds say nothing.
		const missing = [...this.counted].filter((key) => !reports.some((one) => one.key === key));
		for (const key of missing) this.counted.delete(key);
		for (const { key } of reports) this.counted.add(key);
		if (reports.length === 0) return;
		if (missing.length > 0) this.next = Math.max(this.next, newest + 1);
		this.next = Math.max(this.next, newest - rememberedSeconds);
		const { slowMs } = this.rule;
		const isTimed = !!slowMs && reports.every(({ traffic }) => traffic.slowMs === slowMs);
		while (reports.every(({ traffic }) => traffic.second > this.next)) {
			const slices = reports.map(({ side, traffic }) => ({ side, slice: sliceAt(traffic, this.next) }));
			const isOpen = slices.some(({ slice }) => (slice?.open ?? 0) > 0);
			const youngest = Math.min(...reports.map(({ traffic }) => traffic.second - this.next));
			if (isOpen && youngest <= paths.trafficPatience) return;
			const seen = (errorsOf: (slice: TrafficSlice) => number): Slice => {
				const of = (wanted: TrafficSource['side']) =>
					sumOf(
						slices.flatMap(({ side, slice }) => (side === wanted && slice ? [slice] : [])),
						errorsOf,
					);
				return { old: of('old'), new: of('new') };
			};
			this.evidence = learn(
				this.evidence,
				seen(({ errors }) => errors),
				this.rule,
			);
			if (isTimed)
				this.slow = learn(
					this.slow ?? noEvidence,
					seen(({ slow }) => slow ?? 0),
					this.rule,
				);
			this.next += 1;
		}
	}
}

const sliceAt = ({ slices }: TrafficReport, second: number): TrafficSlice | undefined =>
	slices.find((slice) => slice.second === second);

function sumOf(slices: readonly TrafficSlice[], errorsOf: (slice: TrafficSlice) => number): Answers {
	const sum = { requests: 0, errors: 0 };
	for (const slice of slices) {
		sum.requests += slice.requests;
		sum.errors += errorsOf(slice);
	}
	return sum;
}
