import { Readable } from 'node:stream';
import type { Follow } from '../../operations/types.js';
import type { Limits } from '../limits.js';

/** The contract's media type for streamed answers: one JSON document a line. */
export const linesMediaType = 'application/x-ndjson';

export interface FollowTerms extends Pick<Limits, 'followerBytesMax' | 'followerBeatMs'> {
	/** Whether the caller may still hear of it; looked at before each line, and at each change of users and tokens. */
	isAllowed(): boolean;
	/** Calls the listener whenever `isAllowed` may have another answer; answers the function that ends that. */
	onAccessChange(listener: () => void): () => void;
}

/** What is made of rows ahead of their reader, beside what the connection itself holds. */
const streamBytesAhead = 64 * 1024;

/**
 * Each value as a line until the last, and a blank line when nothing was said for a while, by which both ends know that the
 * other lives. What a reader leaves unread is bounded in bytes and in time; who goes beyond either is cut off, so that nobody
 * who follows can make the node keep its past. So is a caller who was dropped, demoted or deactivated meanwhile.
 */
export function followAsLines(follow: Follow, terms: FollowTerms): Readable {
	const refused = (): Error => new Error('the caller may not follow any more');
	let unsubscribe = (): void => undefined;
	const endWatch = terms.onAccessChange(() => {
		if (!terms.isAllowed()) lines.destroy(refused());
	});
	const lines = new Readable({
		highWaterMark: terms.followerBytesMax,
		read: () => undefined,
		destroy(error, done) {
			clearInterval(beat);
			endWatch();
			unsubscribe();
			done(error);
		},
	});
	const beat = setInterval(() => {
		if (lines.readableLength > 0) lines.destroy(new Error('the reader has stopped'));
		else if (!terms.isAllowed()) lines.destroy(refused());
		else lines.push('\n');
	}, terms.followerBeatMs).unref();
	const send = (value: unknown): void => {
		if (lines.destroyed) return;
		if (!terms.isAllowed()) {
			lines.destroy(refused());
			return;
		}
		const fits = lines.push(`${JSON.stringify(value)}\n`);
		if (follow.isLast(value)) {
			clearInterval(beat);
			endWatch();
			unsubscribe();
			lines.push(null);
		} else if (!fits) lines.destroy(new Error('the reader is too slow'));
	};
	unsubscribe = follow.subscribe(send);
	send(follow.first);
	return lines;
}

/**
 * Rows as they are made, each as a line, with blank lines between as above. A row is made when the reader has room: one who
 * reads slowly makes those wait who write, and one who does not read at all is let go once the connection is idle for too long.
 */
export function rowsAsLines(
	{ rows, abort }: { rows: AsyncIterable<unknown>; abort: AbortController },
	terms: FollowTerms,
): Readable {
	const iterator = rows[Symbol.asyncIterator]();
	let isReading = false;
	const endWatch = terms.onAccessChange(() => {
		if (!terms.isAllowed()) lines.destroy(new Error('the caller may not follow any more'));
	});
	const read = async (): Promise<void> => {
		isReading = true;
		try {
			for (;;) {
				const { value, done } = await iterator.next();
				if (lines.destroyed) return;
				if (done) {
					lines.push(null);
					return;
				}
				if (!lines.push(`${JSON.stringify(value)}\n`)) return;
			}
		} catch (error) {
			lines.destroy(error instanceof Error ? error : new Error(String(error)));
		} finally {
			isReading = false;
		}
	};
	const lines = new Readable({
		highWaterMark: streamBytesAhead,
		read() {
			if (!isReading) void read();
		},
		destroy(error, done) {
			clearInterval(beat);
			endWatch();
			abort.abort();
			void iterator.return?.();
			done(error);
		},
	});
	const beat = setInterval(() => {
		if (!terms.isAllowed()) lines.destroy(new Error('the caller may not follow any more'));
		else if (lines.readableLength === 0) lines.push('\n');
	}, terms.followerBeatMs).unref();
	return lines;
}
