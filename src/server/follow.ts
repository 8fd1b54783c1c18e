import { Readable } from 'node:stream';
import type { Follow } from '../operations/types.js';
import type { Limits } from './limits.js';

/** The contract's media type for answers that go on: one JSON document a line. */
export const linesMediaType = 'application/x-ndjson';

/**
 * Each value as a line until the last. What a reader leaves unread is bounded in bytes and in time; who goes beyond either is
 * cut off, so that nobody who follows can make the node keep its past.
 */
export function followAsLines(
	follow: Follow,
	limits: Pick<Limits, 'followerBytesMax' | 'followerStalledMs'>,
): Readable {
	let unsubscribe = (): void => undefined;
	let stalled: NodeJS.Timeout | undefined;
	const lines = new Readable({
		highWaterMark: limits.followerBytesMax,
		read: () => {
			clearTimeout(stalled);
			stalled = undefined;
		},
		destroy(error, done) {
			clearTimeout(stalled);
			unsubscribe();
			done(error);
		},
	});
	const send = (value: unknown): void => {
		if (lines.destroyed || lines.readableEnded) return;
		const fits = lines.push(`${JSON.stringify(value)}\n`);
		if (follow.isLast(value)) {
			unsubscribe();
			lines.push(null);
		} else if (!fits) lines.destroy(new Error('the reader is too slow'));
		// Reading ends the wait (see read above), and only what waits to be read begins one.
		stalled ??= setTimeout(() => {
			if (lines.readableLength > 0) lines.destroy(new Error('the reader has stopped'));
		}, limits.followerStalledMs).unref();
	};
	unsubscribe = follow.subscribe(send);
	send(follow.first);
	return lines;
}
