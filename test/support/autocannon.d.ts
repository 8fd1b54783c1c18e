/** As much of autocannon as the benches use; it brings no types of its own. */
declare module 'autocannon' {
	interface Options {
		url: string;
		method?: string;
		headers?: Record<string, string>;
		body?: string;
		connections?: number;
		/** Seconds. */
		duration?: number;
		socketPath?: string;
	}
	interface Result {
		requests: { average: number; total: number };
		latency: { p50: number; p99: number; max: number };
		non2xx: number;
		errors: number;
	}
	export default function autocannon(options: Options): Promise<Result>;
}
