import http from 'node:http';
import https from 'node:https';
import { createHistogram } from 'node:perf_hooks';
import { after } from 'node:test';

/** Of answered requests, in ms; `longestGapMs` is the longest time between two of them. */
export interface Latencies {
	p50: number;
	p99: number;
	max: number;
	longestGapMs: number;
}

/** What a load came to. */
export interface LoadReport extends Latencies {
	sent: number;
	ok: number;
	lost: number;
	keepAlive: { sent: number; lost: number };
	fresh: { sent: number; lost: number };
	/** Up to twenty different texts, each with how often it came. */
	failures: string[];
	/** The first twenty one by one: when each was sent (ms since the epoch), and how long later it was lost. */
	firstLosses: { sentAt: number; afterMs: number; text: string }[];
	/** Longest time in which this process itself was held up; a connection can outlive its time in it. */
	longestStallMs: number;
	durationMs: number;
}

/** A report in a line, for people. */
export const lossOf = ({ sent, lost, p99, longestGapMs }: LoadReport): string =>
	`${sent} requests, ${lost} lost, p99 ${Math.round(p99)} ms, longest gap ${longestGapMs} ms`;

export interface LoadOptions {
	/** One or several, asked in turn; `http:` or `https:` (any certificate is taken). */
	urls: string | readonly string[];
	/** A unix socket to connect to instead of the URL's host and port. */
	socketPath?: string;
	ratePerSecond: number;
	/** Share of requests over kept-alive connections, 0..1; the others open a connection each. Default 0.5. */
	keepAliveShare?: number;
	/** Kept-alive connections at most. Default 32. */
	keepAliveSockets?: number;
	/** A request that is not answered by then is lost. Default 20,000. */
	timeoutMs?: number;
	/** Open requests at most: as long as there are so many none is sent, which is the machine's fault, not a loss. Default 1,000. */
	openMax?: number;
	/** Ends by itself after so many requests. Default: none until stop(). */
	count?: number;
	/** Told each answer that counts, with what it holds. */
	onAnswer?: (url: URL, body: string) => void;
}

export interface Load {
	/** Requests answered until now. */
	readonly ok: number;
	readonly lost: number;
	/** Resolves once so many requests were answered since the call (rejects when that takes longer than `withinMs`). */
	answered(count: number, withinMs?: number): Promise<void>;
	/** Resolves when `count` requests were sent. */
	readonly finished: Promise<void>;
	/** Latencies since the last call (or the beginning); what the report says of them begins anew here. */
	lap(): Latencies;
	/** Sends nothing more, waits for what is open. */
	stop(): Promise<LoadReport>;
}

/** What is asked, and by what. */
interface Target {
	url: URL;
	module: typeof http | typeof https;
	keepAlive: http.Agent;
	fresh: http.Agent;
}

const tickMs = 5;
const failureTextsMax = 20;
const firstLossesMax = 20;
const openMaxDefault = 1_000;
/** When the machine stalls, what could not be sent meanwhile is not made up for beyond this. */
const burstMax = 20;

/** Loads that nobody has stopped. A test that fails before it does so must end all the same. */
const running = new Set<LoadRun>();
if (process.argv[1]?.endsWith('.test.js'))
	after(() => {
		for (const load of running) load.abandon();
	});

/** Sends requests at an even rate, whether they are answered or not, without a single retry; a lost request is one without a complete answer below 500. */
export function startLoad(options: LoadOptions): Load {
	const load = new LoadRun(options);
	running.add(load);
	return load;
}

class LoadRun implements Load {
	ok = 0;
	lost = 0;
	readonly finished: Promise<void>;
	readonly #targets: Target[];
	readonly #agents: http.Agent[] = [];
	readonly #histogram = createHistogram({ lowest: 1, highest: 120_000_000, figures: 3 });
	readonly #failures = new Map<string, number>();
	readonly #firstLosses: LoadReport['firstLosses'] = [];
	readonly #kinds = { keepAlive: { sent: 0, lost: 0 }, fresh: { sent: 0, lost: 0 } };
	readonly #waiters = new Set<() => void>();
	readonly #startedAt = performance.now();
	#timer: NodeJS.Timeout;
	#sent = 0;
	#open = 0;
	#due = 0;
	#tickedAt = performance.now();
	#keepAliveCredit = 0;
	#lastAnswerAt = performance.now();
	#longestGapMs = 0;
	#longestStallMs = 0;
	#finish: () => void = () => undefined;

	constructor(private readonly options: LoadOptions) {
		const agents = {
			'http:': { module: http, ...this.#makeAgents((settings) => new http.Agent(settings)) },
			'https:': {
				module: https,
				...this.#makeAgents((settings) => new https.Agent({ ...settings, rejectUnauthorized: false })),
			},
		};
		this.#targets = [options.urls].flat().map((text) => {
			const url = new URL(text);
			return { url, ...agents[url.protocol === 'https:' ? 'https:' : 'http:'] };
		});
		this.finished = new Promise((resolve) => {
			this.#finish = resolve;
		});
		this.#timer = setInterval(() => this.#tick(), tickMs);
	}

	#makeAgents(make: (settings: http.AgentOptions) => http.Agent): { keepAlive: http.Agent; fresh: http.Agent } {
		// With a timeout, as Node's own default agent has one, the agent heeds the server's Keep-Alive header; without, it
		// uses connections until the very moment the server closes them.
		const keepAlive = make({ keepAlive: true, maxSockets: this.options.keepAliveSockets ?? 32, timeout: 5_000 });
		const fresh = make({ keepAlive: false });
		this.#agents.push(keepAlive, fresh);
		return { keepAlive, fresh };
	}

	#tick(): void {
		const perMs = this.options.ratePerSecond / 1000;
		this.#longestStallMs = Math.max(this.#longestStallMs, performance.now() - this.#tickedAt - tickMs);
		const due = Math.min(this.#due + (performance.now() - this.#tickedAt) * perMs, burstMax);
		this.#tickedAt = performance.now();
		const left = (this.options.count ?? Number.MAX_SAFE_INTEGER) - this.#sent;
		const room = (this.options.openMax ?? openMaxDefault) - this.#open;
		const now = Math.max(0, Math.min(Math.floor(due), left, room));
		this.#due = due - now;
		for (let index = 0; index < now; index++) this.#send();
		if (this.#sent === this.options.count) {
			clearInterval(this.#timer);
			this.#finish();
		}
	}

	#send(): void {
		const target = this.#targets[this.#sent++ % this.#targets.length] as Target;
		const { url } = target;
		this.#keepAliveCredit += this.options.keepAliveShare ?? 0.5;
		const keepAlive = this.#keepAliveCredit >= 1;
		if (keepAlive) this.#keepAliveCredit -= 1;
		const kind = keepAlive ? this.#kinds.keepAlive : this.#kinds.fresh;
		kind.sent++;
		let settled = false;
		const settle = (failure: string | null): void => {
			if (settled) return;
			settled = true;
			this.#open--;
			if (failure === null) this.#answered(startedAt);
			else this.#failed(kind, failure, startedAt);
			for (const waiter of this.#waiters) waiter();
		};
		const startedAt = performance.now();
		this.#open++;
		const { protocol, hostname, port } = url;
		const request = target.module.get(
			{
				protocol,
				hostname,
				port,
				path: url.pathname + url.search,
				socketPath: this.options.socketPath,
				agent: keepAlive ? target.keepAlive : target.fresh,
				timeout: this.options.timeoutMs ?? 20_000,
			},
			(response) => {
				let body = '';
				if (this.options.onAnswer)
					response.setEncoding('utf8').on('data', (part: string) => {
						body += part;
					});
				else response.resume();
				response.once('end', () => {
					if ((response.statusCode ?? 0) < 500) this.options.onAnswer?.(url, body);
				});
				response.once('end', () => settle((response.statusCode ?? 0) < 500 ? null : `status ${response.statusCode}`));
				response.once('close', () => settle('answer broke off'));
			},
		);
		request.once('timeout', () => request.destroy(new Error('no answer in time')));
		const describe = (error: NodeJS.ErrnoException): string =>
			`${keepAlive ? 'keep-alive' : 'fresh'}${request.reusedSocket ? ' (reused socket)' : ''}: ${error.message}`;
		request.once('error', (error) => settle(describe(error)));
	}

	#answered(startedAt: number): void {
		this.ok++;
		const now = performance.now();
		this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAnswerAt);
		this.#lastAnswerAt = now;
		this.#histogram.record(Math.max(1, Math.round((now - startedAt) * 1000)));
	}

	#failed(kind: { lost: number }, failure: string, startedAt: number): void {
		this.lost++;
		kind.lost++;
		if (this.#firstLosses.length < firstLossesMax) {
			const sentAt = Math.round(performance.timeOrigin + startedAt);
			this.#firstLosses.push({ sentAt, afterMs: Math.round(performance.now() - startedAt), text: failure });
		}
		const known = this.#failures.get(failure);
		if (known !== undefined || this.#failures.size < failureTextsMax) this.#failures.set(failure, (known ?? 0) + 1);
	}

	answered(count: number, withinMs = 60_000): Promise<void> {
		const goal = this.ok + count;
		return new Promise((resolve, reject) => {
			const check = (): void => {
				if (this.ok < goal) return;
				clearTimeout(timer);
				this.#waiters.delete(check);
				resolve();
			};
			const timer = setTimeout(() => {
				this.#waiters.delete(check);
				reject(
					new Error(`${goal - this.ok} of ${count} answers are missing after ${withinMs} ms (lost: ${this.lost})`),
				);
			}, withinMs);
			this.#waiters.add(check);
			check();
		});
	}

	lap(): Latencies {
		const ms = (micros: number): number => Math.round(micros / 10) / 100;
		const any = this.#histogram.count > 0;
		const lap = {
			p50: any ? ms(this.#histogram.percentile(50)) : 0,
			p99: any ? ms(this.#histogram.percentile(99)) : 0,
			max: any ? ms(this.#histogram.max) : 0,
			longestGapMs: Math.round(this.#longestGapMs),
		};
		this.#histogram.reset();
		this.#longestGapMs = 0;
		this.#lastAnswerAt = performance.now();
		return lap;
	}

	/** Sends nothing more, and waits for nothing. */
	abandon(): void {
		running.delete(this);
		clearInterval(this.#timer);
		for (const agent of this.#agents) agent.destroy();
	}

	async stop(): Promise<LoadReport> {
		clearInterval(this.#timer);
		this.#finish();
		await new Promise<void>((resolve) => {
			const check = (): void => {
				if (this.#open > 0) return;
				this.#waiters.delete(check);
				resolve();
			};
			this.#waiters.add(check);
			check();
		});
		this.abandon();
		return {
			...this.lap(),
			sent: this.#sent,
			ok: this.ok,
			lost: this.lost,
			keepAlive: { ...this.#kinds.keepAlive },
			fresh: { ...this.#kinds.fresh },
			failures: [...this.#failures].map(([text, times]) => `${times} × ${text}`),
			firstLosses: this.#firstLosses,
			longestStallMs: Math.round(this.#longestStallMs),
			durationMs: Math.round(performance.now() - this.#startedAt),
		};
	}
}
