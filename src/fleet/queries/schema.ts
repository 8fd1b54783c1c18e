/**
 * What one node asks another to show: rows of its own, in parts, and no more of them than were asked for. One query also
 * changes something, the availability of the node that is asked. Nothing of it reaches the core. How messages may change: links/handshake.ts.
 */
import { cleanLine } from '../../system/logs/clean-line.js';
import { z } from '../../zod.js';
import { counter, since, token } from '../links/handshake.js';

/** Most parts that may be under way to whom asked; with the size of a part this bounds what a slow reader makes a peer keep. */
export const partsAheadMax = 2;
/** Longest text of one row: a longer line of a log is shown in parts. */
const rowCharactersMax = 64 * 1024;
const rowsMax = 4_096;
/** Most lines of each log file that a query may ask for. */
export const linesMax = 100_000;
/** Most characters of lines that are there already, of all nodes together. */
export const logCharactersMax = 8 * 1024 * 1024;

const appName = z.string().max(128);
const workerId = z.string().max(256);
const path = z.string().max(4_096);
const orNull = <Shape extends z.ZodType>(shape: Shape) => shape.nullable();
/** ms since 1970, or a duration. */
const milliseconds = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

const pinnedBy = z.object({ rollout: token, reason: z.string().max(4_000) });
const workerRow = z.object({
	app: appName,
	id: workerId,
	pid: orNull(counter),
	state: z.enum(['starting', 'proving', 'serving', 'draining', 'backoff', 'failed']),
	started_at: orNull(milliseconds),
	restarts: counter,
	healthy: z.boolean(),
	memory: orNull(milliseconds),
	cpu: orNull(milliseconds),
	release: path,
	revision: orNull(z.string().max(256)),
	pinned: orNull(pinnedBy),
	requests: orNull(
		z.object({
			total: counter,
			errors: counter,
			slow: counter.optional(),
			recent: z.object({ ms: counter, total: counter, errors: counter, slow: counter.optional() }).optional(),
		}),
	),
});

/** A peer may be hostile, and a terminal obeys what it would send. */
const cleaned = (charactersMax: number) => z.string().max(charactersMax).transform(cleanLine);
const logRow = z.object({
	time: milliseconds,
	app: cleaned(256),
	worker: cleaned(256),
	stream: z.enum(['out', 'error']),
	text: cleaned(rowCharactersMax),
});

/** Most streams of a node whose places are told; one with more has gaps where its link was lost meanwhile. */
export const streamsMax = 2_048;
/** The file that is being written, and the one before, which may still grow. */
export const filesOfStreamMax = 2;
const placesMax = streamsMax * filesOfStreamMax;
/** Where lines end that were given out: of which file of which stream. */
const logPlace = z.object({ stream: z.string().max(256), file: z.string().max(64), at: counter });
const logPlaces = z.array(logPlace).max(placesMax);

const texts = z.array(z.string().max(4_000)).max(1_000);
const statusRow = z.object({
	ready: z.boolean(),
	reasons: texts,
	notes: texts,
	apps: z
		.array(
			z.object({
				app: appName,
				wanted: counter,
				healthy: counter,
				degraded: orNull(z.string().max(16_000)),
				release: orNull(z.object({ path, revision: orNull(z.string().max(256)) })),
				pinned: orNull(pinnedBy),
			}),
		)
		.max(256),
});

const logsQuery = z.object({
	about: z.literal('logs'),
	/** null: of all. */
	app: orNull(appName),
	worker: orNull(workerId),
	/** The path or the revision of a release, or the beginning of a revision. */
	release: orNull(path),
	lines: counter.max(linesMax),
	/** Written at most so long ago: it means the same on nodes whose clocks differ. */
	agoMs: orNull(milliseconds),
	charactersMax: counter,
	/** Goes on with what is written from now on. */
	follow: z.boolean(),
	/** With `follow`: from these places on, which an earlier answer of the node had; `lines` and `agoMs` do not count then. */
	from: orNull(logPlaces).optional(),
});

/** Sets an operator's word on whether load balancers shall use the node; null: takes it back. */
const availabilityQuery = z.object({
	about: z.literal('availability'),
	wanted: orNull(z.enum(['Available', 'Unavailable'])),
	/** Who asked the other node, for the audit of this one. */
	user: z.string().max(256),
});

const queryAbout = z.discriminatedUnion('about', [
	z.object({ about: z.literal('workers') }),
	z.object({ about: z.literal('status') }),
	logsQuery,
	availabilityQuery,
]);
const answerAbout = z.discriminatedUnion('about', [
	z.object({ about: z.literal('workers'), rows: z.array(workerRow).max(rowsMax) }),
	z.object({ about: z.literal('status'), rows: z.array(statusRow).max(1) }),
	z.object({
		about: z.literal('availability'),
		rows: z.array(z.object({ availability: orNull(z.string().max(512)) })).max(1),
	}),
	z.object({
		about: z.literal('logs'),
		/** Oldest first, and none is older than those of the part before. */
		rows: z.array(logRow).max(rowsMax),
		/** Lines are missing before these: for their size, or since their file went away before it was read. */
		leftOut: z.boolean(),
		/** Of a follower: where these lines end; in the part that ends what was there already, the places of all streams. */
		places: logPlaces.optional(),
	}),
]);

/** What is asked of one node. */
export type Query = z.infer<typeof queryAbout>;
export type LogsQuery = z.infer<typeof logsQuery>;
export type LogPlace = z.infer<typeof logPlace>;
export type LogRow = z.infer<typeof logRow>;
/** One part of the answer, about what was asked. */
export type QueryPart = z.infer<typeof answerAbout>;

/** Longest reason why a node does not answer. */
export const errorCharactersMax = 4_000;

export const queryMessages = [
	since(
		2,
		z.object({
			kind: z.literal('query'),
			id: token,
			/** What the caller may do, as the node that it asked knows it. */
			role: z.enum(['super_user', 'operator', 'viewer']),
			query: queryAbout,
		}),
	),
	since(2, z.object({ kind: z.literal('query_part'), id: token, part: answerAbout })),
	/** So many more parts may be sent. */
	since(2, z.object({ kind: z.literal('query_more'), id: token, parts: z.int().min(1).max(partsAheadMax) })),
	/** No part follows; null: that was all. */
	since(2, z.object({ kind: z.literal('query_end'), id: token, error: orNull(z.string().max(errorCharactersMax)) })),
	/** Whoever asked does not listen any more. */
	since(2, z.object({ kind: z.literal('query_cancel'), id: token })),
] as const;

export type QueryMessage = z.infer<(typeof queryMessages)[number]>;
