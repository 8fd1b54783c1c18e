import { messageOf } from '../../errors.js';
import type { Clock } from '../clock.js';
import { filesOfStreamMax, type LogPlace, type LogsQuery, type QueryPart, streamsMax } from './schema.js';

/** A node that was lost is asked again this often. */
export const askAgainMs = 1_000;

/** A part, or what is to be said of the node that sends them. */
export type FollowedPart = QueryPart | { about: 'lost' | 'again'; text: string };

export interface FollowPorts {
	ask(query: LogsQuery): AsyncIterable<QueryPart>;
	clock: Pick<Clock, 'after'>;
	signal: AbortSignal;
}

/**
 * What one node writes, also after it was lost: it is asked again until it answers, for what follows the last line that was
 * given out. So no line is lost or comes twice, as long as the node still has its files.
 */
export async function* followed(query: LogsQuery, ports: FollowPorts): AsyncGenerator<FollowedPart, void, undefined> {
	const places = new Places();
	let isLost = false;
	let hasBegun = false;
	for (;;) {
		try {
			for await (const part of ports.ask(places.after(query, hasBegun))) {
				if (isLost) yield { about: 'again', text: textOfReturn(hasBegun, places) };
				isLost = false;
				hasBegun = true;
				yield part;
				// Only now it was taken.
				if (part.about === 'logs') places.learn(part.places ?? []);
			}
			return;
		} catch (error) {
			if (ports.signal.aborted) return;
			if (!isLost) yield { about: 'lost', text: `${messageOf(error)}; it is asked again` };
			isLost = true;
		}
		await pause(ports);
		if (ports.signal.aborted) return;
	}
}

function textOfReturn(hasBegun: boolean, places: Places): string {
	if (!hasBegun) return 'it answers now';
	return places.areKnown
		? 'it answers again; its lines follow from where they stopped'
		: 'it answers again; lines that it wrote meanwhile are missing';
}

const pause = ({ clock, signal }: FollowPorts): Promise<void> =>
	new Promise((resolve) => {
		const stop = clock.after(askAgainMs, end);
		function end(): void {
			stop();
			signal.removeEventListener('abort', end);
			resolve();
		}
		signal.addEventListener('abort', end);
		if (signal.aborted) end();
	});

/** Where the lines end that were taken, by stream and file. */
class Places {
	readonly #streams = new Map<string, Map<string, number>>();

	get areKnown(): boolean {
		return this.#streams.size > 0;
	}

	learn(places: readonly LogPlace[]): void {
		for (const { stream, file, at } of places) {
			const files = this.#streams.get(stream) ?? new Map<string, number>();
			files.set(file, at);
			const [oldest] = files.keys();
			if (files.size > filesOfStreamMax && oldest !== undefined) files.delete(oldest);
			this.#streams.set(stream, files);
			// Those of workers that are long gone.
			const [first] = this.#streams.keys();
			if (this.#streams.size > streamsMax && first !== undefined) this.#streams.delete(first);
		}
	}

	/** What is asked for now. Lines that may have been given out are not asked for again. */
	after(query: LogsQuery, hasBegun: boolean): LogsQuery {
		if (!hasBegun) return query;
		if (!this.areKnown) return { ...query, lines: 0, agoMs: null };
		const from = [...this.#streams].flatMap(([stream, files]) =>
			[...files].map(([file, at]) => ({ stream, file, at })),
		);
		return { ...query, from };
	}
}
