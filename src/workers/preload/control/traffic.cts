import paths = require('../paths.cjs');
import type { TrafficReport, TrafficSlice } from '../../connection/control.js';

/** An HTTP/1 response, an HTTP/2 stream or the answer to an upgrade: what all have. */
interface Answer {
	readonly headersSent: boolean;
	readonly statusCode?: number;
	readonly sentHeaders?: Readonly<Record<string, unknown>>;
}

type Slice = Omit<TrafficSlice, 'open'>;

/** A request without an answer yet. */
interface OpenRequest {
	slice: Slice;
	/** ms; 0 where answers are not timed. */
	beganAt: number;
	isSlow: boolean;
}

/** Seconds that are reported again, so that a report which is not read in time is not missed. */
const repeatedSeconds = 5;
const failedStatus = 500;

/**
 * Counts users' requests, the answers of 5xx among them and those that came late, by the second in which the request began. So
 * those of two releases can be compared second by second and at the same age: fast failures do not come before slow successes.
 */
class TrafficCounter {
	#requests = 0;
	#errors = 0;
	#slow = 0;
	readonly #slices: Slice[] = [];
	readonly #open = new Map<Answer, OpenRequest>();

	/** `slowMs`: an answer is late whose head takes longer; 0: answers are not timed. */
	constructor(private readonly slowMs: number) {}

	began(answer: Answer): void {
		const slice = this.#current();
		slice.requests++;
		this.#requests++;
		this.#open.set(answer, { slice, beganAt: this.slowMs > 0 ? performance.now() : 0, isSlow: false });
	}

	/** Its head is written: the status is known, and how long it took, however long the body takes. */
	answered(answer: Answer): void {
		if (answer.headersSent) this.ended(answer);
	}

	/** The answer is through, or was broken off. */
	ended(answer: Answer): void {
		const request = this.#open.get(answer);
		if (request === undefined) return;
		this.#open.delete(answer);
		this.#time(request);
		if (!answer.headersSent || !(statusOf(answer) >= failedStatus)) return;
		this.#errors++;
		if (isCounted(request.slice)) request.slice.errors++;
	}

	report(): TrafficReport {
		const second = now();
		this.#forget(second);
		for (const [answer, request] of this.#open) {
			if (answer.headersSent) this.ended(answer);
			else this.#time(request);
		}
		const open = new Map<Slice, number>();
		for (const { slice } of this.#open.values()) open.set(slice, (open.get(slice) ?? 0) + 1);
		const finished = this.#slices.filter((slice) => slice.second < second);
		const slices = finished.map((slice) => ({ ...slice, open: open.get(slice) ?? 0 }));
		const timed = this.slowMs > 0 ? { slow: this.#slow, slowMs: this.slowMs } : {};
		return { requests: this.#requests, errors: this.#errors, ...timed, second, slices };
	}

	/** One that has no answer after that time is late already. */
	#time(request: OpenRequest): void {
		const { slowMs } = this;
		if (slowMs === 0 || request.isSlow || performance.now() - request.beganAt <= slowMs) return;
		request.isSlow = true;
		this.#slow++;
		const { slice } = request;
		if (isCounted(slice)) slice.slow = (slice.slow ?? 0) + 1;
	}

	#current(): Slice {
		const second = now();
		const last = this.#slices.at(-1);
		if (last?.second === second) return last;
		const slice = { second, requests: 0, errors: 0, ...(this.slowMs > 0 ? { slow: 0 } : {}) };
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

/** Older seconds are compared already. */
const isCounted = ({ second }: Slice): boolean => now() - second <= paths.trafficPatience;

export = TrafficCounter;
