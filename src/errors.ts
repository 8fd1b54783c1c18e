/**
 * The one table of faults: code → HTTP status → exit code. Whatever refuses something throws a
 * {@link RollcallError}; nothing in the project throws a bare string.
 */
export const faults = {
	usage: { http: 400, exit: 2 },
	configuration: { http: 503, exit: 2 },
	invalid: { http: 400, exit: 1 },
	unauthenticated: { http: 401, exit: 5 },
	forbidden: { http: 403, exit: 5 },
	not_found: { http: 404, exit: 1 },
	conflict: { http: 409, exit: 8 },
	too_large: { http: 413, exit: 1 },
	media_type: { http: 415, exit: 1 },
	throttled: { http: 429, exit: 1 },
	unavailable: { http: 503, exit: 1 },
	already_running: { http: 503, exit: 1 },
	address_in_use: { http: 503, exit: 1 },
	unreachable: { http: 503, exit: 4 },
	halted: { http: 409, exit: 6 },
	timeout: { http: 503, exit: 7 },
	internal: { http: 500, exit: 1 },
} as const;

export type FaultCode = keyof typeof faults;

/** A refusal or failure with a code of the table, a text that says what to do, and the fields an answer adds. */
export class RollcallError extends Error {
	override readonly name = 'RollcallError';
	constructor(
		readonly code: FaultCode,
		message: string,
		/** Added to the JSON answer beside `error` (for example `job_id` with `conflict`). */
		readonly extra: Readonly<Record<string, unknown>> = {},
		options?: { cause?: unknown },
	) {
		super(message, options);
	}
	get httpStatus(): number {
		return faults[this.code].http;
	}
	get exitCode(): number {
		return faults[this.code].exit;
	}
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
	return thrown instanceof Error ? thrown.message : String(thrown);
}
