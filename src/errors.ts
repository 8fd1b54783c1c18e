/** A row of the table of faults. `means` and `remedy` are sentences of the manual. */
interface Fault {
	readonly http: number;
	readonly exit: number;
	readonly means: string;
	readonly remedy: string;
}

/**
 * The one table of faults: code → HTTP status → exit code → what it means → what to do. Every refusal is a
 * {@link RollcallError}; nothing in the project throws a bare string.
 */
export const faults = {
	usage: {
		http: 400,
		exit: 2,
		means: 'The command line is wrong: an unknown word, a missing field, two options that exclude each other.',
		remedy: 'Type the line that the message proposes, or read `rollcall COMMAND --help`.',
	},
	configuration: {
		http: 503,
		exit: 2,
		means: 'The configuration, or a file that it names, does not check. Nothing was started or changed.',
		remedy: 'Correct the key at the line that the message names, then run `rollcall validate`.',
	},
	invalid: {
		http: 400,
		exit: 1,
		means: 'The request has a field that is missing, unknown or of a wrong value, or its body is not JSON.',
		remedy: 'Correct the field that the message names. `rollcall OPERATION --help` lists the fields.',
	},
	unauthenticated: {
		http: 401,
		exit: 5,
		means: 'The request has no valid credentials. TCP always needs them, also on loopback.',
		remedy: 'Give a token or a user (`--token-file`, `--credentials`), or use the admin socket on the node.',
	},
	forbidden: {
		http: 403,
		exit: 5,
		means: 'The caller has no role for this operation, or may not use the socket or read the file.',
		remedy: 'Ask with a user or token of the role that [operations](operations.md) names, or join group rollcall.',
	},
	not_found: {
		http: 404,
		exit: 1,
		means: 'There is no such path, operation, app, user, token or rollout on this node.',
		remedy: 'Check the name: `rollcall workers`, `rollcall rollout history`, `rollcall token list`, `rollcall --help`.',
	},
	conflict: {
		http: 409,
		exit: 8,
		means: 'Another rollout is in the way, or the thing is in a state that does not allow this.',
		remedy:
			'Watch the rollout that the message names (`rollcall rollout follow`), or end it (`rollcall rollout abort`).',
	},
	too_large: {
		http: 413,
		exit: 1,
		means: 'The body of the request is larger than 64 KiB.',
		remedy: 'Send less.',
	},
	media_type: {
		http: 415,
		exit: 1,
		means: 'The body is not sent as JSON.',
		remedy: 'Send `content-type: application/json`, in UTF-8 and without compression.',
	},
	throttled: {
		http: 429,
		exit: 1,
		means: 'An account or an address had more than ten failed logins within a minute.',
		remedy: 'Wait for a minute, or use the admin socket.',
	},
	unavailable: {
		http: 503,
		exit: 1,
		means:
			'The node cannot do this now: no majority, a node that is down or not ready, a budget that is used up, a full queue.',
		remedy: 'Do what the message says; [troubleshooting](../operate/troubleshooting.md) has the messages one by one.',
	},
	already_running: {
		http: 503,
		exit: 1,
		means: 'Another daemon or worker host holds this state folder or worker folder.',
		remedy: 'Stop the other process, which the message names: `rollcall stop --config FILE`.',
	},
	address_in_use: {
		http: 503,
		exit: 1,
		means: 'Another program listens on a port of the configuration. Nothing was started.',
		remedy: 'Find it with `ss -ltnp`; stop it, or choose another port.',
	},
	unreachable: {
		http: 503,
		exit: 4,
		means: 'No daemon answers at this socket or URL. The workers may serve all the same.',
		remedy: 'Run `systemctl status rollcall`; name another daemon with `--config`, `--socket` or `--url`.',
	},
	halted: {
		http: 409,
		exit: 6,
		means: 'The rollout halted or was aborted: some nodes were not restarted.',
		remedy: 'Read the reason (`rollcall rollout status`), then see [a refused release](../operate/refused.md).',
	},
	timeout: {
		http: 503,
		exit: 7,
		means: 'No answer came in time, or the followed rollout did not end in time. The rollout goes on.',
		remedy: 'Follow it again with `rollcall rollout follow`, or give a longer `--timeout`.',
	},
	internal: {
		http: 500,
		exit: 1,
		means: 'Rollcall itself has a fault. Its text and stack are in the log of the node.',
		remedy: 'Read `journalctl -u rollcall -p err`, and report the fault.',
	},
} as const satisfies Readonly<Record<string, Fault>>;

/** What each exit code of a command means. */
export const exitMeanings: Readonly<Record<number, string>> = {
	0: 'done',
	1: 'refused or failed; the daemon could not start (port taken, second daemon)',
	2: 'usage, or invalid configuration',
	4: 'daemon not reachable',
	5: 'not authenticated or not authorized',
	6: 'rollout halted or aborted: some nodes were not restarted',
	7: 'timed out',
	8: 'conflicts with a running rollout',
	130: 'interrupted; the rollout goes on, and the command prints how to follow it again',
};

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
