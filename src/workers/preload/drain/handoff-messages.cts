/** Messages between workers and their host over the cluster's channel; hidden from the app and PM2. */

export type WorkerMessage =
	/** Takes part in the public listening under these keys, and takes connections of leaving siblings. */
	| { rollcall: 'joined'; app: string; keys: string[] }
	/** Takes nothing any more. Answered by `siblings`. */
	| { rollcall: 'leaving'; app: string }
	/**
	 * With a connection, for a sibling that listens under the same key. Answered by `moved` or `returned`. `lingerMs` is
	 * how long it may rest, 0 without a limit; null: its first request has not come yet.
	 */
	| { rollcall: 'adopt'; app: string; key: string; lingerMs: number | null; ticket: number };

export type HostMessage =
	/** The keys under which a sibling can take a connection over. */
	| { rollcall: 'siblings'; keys: string[] }
	| { rollcall: 'moved'; ticket: number }
	/** With the connection: no sibling took it. */
	| { rollcall: 'returned'; key: string; lingerMs: number | null; ticket: number }
	/** With a connection of a leaving sibling. */
	| { rollcall: 'adopted'; key: string; lingerMs: number | null };
