import type { TrafficReport, TrafficSlice } from '../../connection/control.js';
import paths from '../../preload/paths.cjs';
import { type EvidenceRule, isWorse, learn, noEvidence, type TrafficEvidence } from './evidence.js';

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
	private readonly counted = new Set<string>();

	constructor(
		private readonly rule: EvidenceRule,
		/** The next second to take in. */
		private next: number,
	) {}

	get isWorse(): boolean {
		return isWorse(this.evidence, this.rule);
	}

	/** Some old worker counts its answers: without one there is nothing to compare with. */
	get isPossible(): boolean {
		return [...this.counted].some((key) => key.startsWith('old '));
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
		while (reports.every(({ traffic }) => traffic.second > this.next)) {
			const slices = reports.map(({ side, traffic }) => ({ side, slice: sliceAt(traffic, this.next) }));
			const isOpen = slices.some(({ slice }) => (slice?.open ?? 0) > 0);
			const youngest = Math.min(...reports.map(({ traffic }) => traffic.second - this.next));
			if (isOpen && youngest <= paths.trafficPatience) return;
			const of = (wanted: TrafficSource['side']) =>
				sumOf(slices.flatMap(({ side, slice }) => (side === wanted && slice ? [slice] : [])));
			this.evidence = learn(this.evidence, { old: of('old'), new: of('new') }, this.rule);
			this.next += 1;
		}
	}
}

const sliceAt = ({ slices }: TrafficReport, second: number): TrafficSlice | undefined =>
	slices.find((slice) => slice.second === second);

function sumOf(slices: readonly TrafficSlice[]): { requests: number; errors: number } {
	const sum = { requests: 0, errors: 0 };
	for (const { requests, errors } of slices) {
		sum.requests += requests;
		sum.errors += errors;
	}
	return sum;
}
