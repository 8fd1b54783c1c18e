import { messageOf } from '../../errors.js';
import type { NodeName } from '../../rollout/types.js';
import type { Clock } from '../clock.js';
import type { FollowedPart } from './following.js';
import type { NodeAnswer } from './queries.js';
import type { LogRow } from './schema.js';

/** A line with its node, in time of the node that was asked; or why lines of a node are missing, or that they follow again. */
export type LogLine =
	| (LogRow & { node: NodeName })
	| { node: NodeName; error: string }
	| { node: NodeName; note: string };

/** How long a line waits for an older one of a node that has said nothing meanwhile. */
export const slowNodeMs = 500;

const leftOutText =
	'lines are left out here: they were too many (ask for one node, app or worker, or a shorter time), or their files were gone before they were read';

/** One node's part that is given out, row by row. */
interface Source {
	node: NodeName;
	clockAheadMs: number;
	parts: AsyncIterator<FollowedPart>;
	rows: readonly LogRow[];
	next: number;
	arrivedAt: number;
	/** Its next part is awaited. */
	isAsked: boolean;
	isOver: boolean;
}

/**
 * The rows of several nodes by their time. A row is given out once every node that still answers has a later one ready, or
 * once it has waited `windowMs` for the others (null: for as long as they take). What a slower node sends after that follows
 * late, and is not lost. Of each node one part is held: who reads slowly makes the nodes wait.
 */
export async function* mergedByTime(
	answers: readonly NodeAnswer<FollowedPart>[],
	windowMs: number | null,
	clock: Pick<Clock, 'now' | 'after'>,
): AsyncGenerator<LogLine, void, undefined> {
	const merge = new Merge(answers, windowMs ?? Number.POSITIVE_INFINITY, clock);
	try {
		for (;;) {
			const line = merge.next();
			if (line === 'over') return;
			if (line === null) await merge.news();
			else yield line;
		}
	} finally {
		merge.end();
	}
}

class Merge {
	readonly #sources: readonly Source[];
	/** Why lines of a node are missing; given out at once. */
	readonly #notes: LogLine[] = [];
	#wake = (): void => undefined;

	constructor(
		answers: readonly NodeAnswer<FollowedPart>[],
		private readonly windowMs: number,
		private readonly clock: Pick<Clock, 'now' | 'after'>,
	) {
		this.#sources = answers.map(({ node, clockAheadMs, parts }) => ({
			node,
			clockAheadMs,
			parts: parts[Symbol.asyncIterator](),
			rows: [],
			next: 0,
			arrivedAt: 0,
			isAsked: false,
			isOver: false,
		}));
	}

	/** null: nothing may be given out yet. */
	next(): LogLine | 'over' | null {
		const note = this.#notes.shift();
		if (note) return note;
		const awaited = this.#awaited();
		for (const source of awaited) if (!source.isAsked) void this.#ask(source);
		const first = earliest(this.#sources);
		if (!first) return awaited.length === 0 ? 'over' : null;
		if (awaited.length > 0 && this.#waitMs(first) > 0) return null;
		const row = first.rows[first.next];
		first.next += 1;
		return row ? { ...row, node: first.node, time: timeOf(first, row) } : null;
	}

	/** Resolves once a node has said something, or a row has waited for long enough. */
	news(): Promise<void> {
		const first = earliest(this.#sources);
		return new Promise((resolve) => {
			const waitMs = first ? this.#waitMs(first) : Number.POSITIVE_INFINITY;
			const cancel = Number.isFinite(waitMs) ? this.clock.after(waitMs, resolve) : () => undefined;
			this.#wake = () => {
				cancel();
				resolve();
			};
		});
	}

	end(): void {
		for (const { parts } of this.#sources) void parts.return?.();
	}

	/** Nodes that still answer and have nothing ready. */
	#awaited(): Source[] {
		return this.#sources.filter(({ rows, next, isOver }) => next >= rows.length && !isOver);
	}

	#waitMs({ arrivedAt }: Source): number {
		return arrivedAt + this.windowMs - this.clock.now();
	}

	async #ask(source: Source): Promise<void> {
		const { node } = source;
		source.isAsked = true;
		try {
			const { value, done } = await source.parts.next();
			source.isOver = done === true;
			if (!done && value.about === 'logs') {
				Object.assign(source, { rows: value.rows, next: 0, arrivedAt: this.clock.now() });
				if (value.leftOut) this.#notes.push({ node, error: leftOutText });
			}
			if (!done && value.about === 'lost') this.#notes.push({ node, error: value.text });
			if (!done && value.about === 'again') this.#notes.push({ node, note: value.text });
		} catch (error) {
			source.isOver = true;
			this.#notes.push({ node, error: messageOf(error) });
		}
		source.isAsked = false;
		this.#wake();
	}
}

const timeOf = ({ clockAheadMs }: Source, { time }: LogRow): number => Math.max(0, Math.round(time - clockAheadMs));

function earliest(sources: readonly Source[]): Source | null {
	let first: Source | null = null;
	let firstTime = Number.POSITIVE_INFINITY;
	for (const source of sources) {
		const row = source.rows[source.next];
		if (!row || timeOf(source, row) >= firstTime) continue;
		first = source;
		firstTime = timeOf(source, row);
	}
	return first;
}
