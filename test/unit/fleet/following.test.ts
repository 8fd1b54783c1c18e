/** A node that is followed and lost is taken up again where it stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { askAgainMs, followed } from '../../../src/fleet/queries/following.js';
import type { LogPlace, LogsQuery, QueryPart } from '../../../src/fleet/queries/schema.js';

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
	for (let round = 0; round < 5; round++) await turn();
}

test('a node that is lost while it is followed is asked again for what follows the last line that was taken, and both is said', async () => {
	const query = {
		about: 'logs',
		app: 'web',
		worker: null,
		release: null,
		lines: 20,
		agoMs: 5,
		charactersMax: 1,
		follow: true,
	} as const;
	const waits: (() => void)[] = [];
	const after = (delayMs: number, call: () => void): (() => void) => {
		assert.equal(delayMs, askAgainMs);
		waits.push(call);
		return () => undefined;
	};
	const place = (file: string, at: number): LogPlace => ({ stream: 'web-1-out', file, at });
	const part = (text: string, places?: LogPlace[]): QueryPart => ({
		about: 'logs',
		rows: [{ time: 1, app: 'web', worker: 'web-1', stream: 'out', text }],
		leftOut: false,
		...(places ? { places } : {}),
	});
	/** What each question is answered; then the link is lost. */
	const answers: QueryPart[][] = [
		[],
		[part('backlog')],
		[part('one', [place('a', 1)]), part('two', [place('a', 2)])],
		[],
		[part('three', [place('b', 3)]), part('four', [place('c', 4)])],
	];
	const asked: LogsQuery[] = [];
	const abort = new AbortController();
	const ask = async function* (again: LogsQuery): AsyncGenerator<QueryPart> {
		asked.push(again);
		yield* answers.shift() ?? [];
		throw new Error('cut');
	};
	const came: string[] = [];
	const reading = (async () => {
		for await (const one of followed(query, { ask, clock: { after }, signal: abort.signal }))
			came.push(one.about === 'logs' ? (one.rows[0]?.text ?? '') : 'text' in one ? one.text : one.about);
	})();
	const lost = 'cut; it is asked again';
	for (const expected of [
		[lost],
		['it answers now', 'backlog', lost],
		['it answers again; lines that it wrote meanwhile are missing', 'one', 'two', lost],
		[],
		['it answers again; its lines follow from where they stopped', 'three', 'four', lost],
		[],
	]) {
		await settle();
		assert.deepEqual(came.splice(0), expected);
		waits.splice(0).forEach((call) => {
			call();
		});
	}
	const { lines, agoMs } = query;
	assert.deepEqual(
		asked.map(({ lines, agoMs, from }) => [lines, agoMs, from]),
		[
			[lines, agoMs, undefined],
			[lines, agoMs, undefined],
			[0, null, undefined],
			[lines, agoMs, [place('a', 2)]],
			[lines, agoMs, [place('a', 2)]],
			// Of one stream the last two files.
			[lines, agoMs, [place('b', 3), place('c', 4)]],
		],
	);
	abort.abort();
	await reading;
});
