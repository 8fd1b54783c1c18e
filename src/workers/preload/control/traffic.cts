import paths = require('../paths.cjs');
import type { TrafficReport, TrafficSlice } from '../../connection/control.js';

/** An HTTP/1 response or an HTTP/2 stream: what both have. */
interface Answer {
	readonly headersSent: boolean;
	readonly statusCode?: number;
	readonly sentHeaders?: Readonly<Record<string, unknown>>;
}

type Slice = Omit<TrafficSlice, 'open'>;

/** Seconds that are reported again, so that a report which is not read in time is not missed. */
const repeatedSeconds = 5;
const failedStatus = 500;

/**
 * Counts users' requests and the answers of 5xx among them, by the second in which the request began. So those of two
 * releases can be compared second by second and at the same age: fast failures do not come before slow successes.
 */
class TrafficCounter {
	#requests = 0;
	#errors = 0;
	readonly #slices: Slice[] = [];
	/** Requests without an answer yet, each with its second. */
	readonly #open = new Map<Answer, Slice>();

	began(answer: Answer): void {
		const slice = this.#current();
		slice.requests++;
		this.#requests++;
		this.#open.set(answer, slice);
	}

	/** The answer is through, or was broken off. */
	ended(answer: Answer): void {
		const slice = this.#open.get(answer);
		if (slice === undefined) return;
		this.#open.delete(answer);
		if (!answer.headersSent || !(statusOf(answer) >= failedStatus)) return;
		this.#errors++;
		if (now() - slice.second <= paths.trafficPatience) slice.errors++;
	}

	report(): TrafficReport {
		const second = now();
		this.#forget(second);
		// The status decides, however long the body takes.
		for (const answer of this.#open.keys()) if (answer.headersSent) this.ended(answer);
		const open = new Map<Slice, number>();
		for (const slice of this.#open.values()) open.set(slice, (open.get(slice) ?? 0) + 1);
		const finished = this.#slices.filter((slice) => slice.second < second);
		const slices = finished.map((slice) => ({ ...slice, open: open.get(slice) ?? 0 }));
		return { requests: this.#requests, errors: this.#errors, second, slices };
	}

	#current(): Slice {
		const second = now();
		const last = this.#slices.at(-1);
		if (last?.second === second) return last;
		const slice = { second, requests: 0, errors: 0 };
		this.#slices.push(slice);
		this.#forget(second);
		return slice;
	}

	#forget(second: number): void {
		const oldest = second - paths.trafficPatience - repeatedSeconds;
		while ((this.#slices[0]?.second ?? second) < oldest) this.#slices.shift();
	}
}

const statusOf = ({ statusCode, sentHeaders }: Answer): number => statusCode ?? Number(sentHeaders?.[':status'] ?? 0);

/** Seconds of the kernel's monotonic clock, the same in every process of the host. */
const now = (): number => process.hrtime()[0];

export = TrafficCounter;
