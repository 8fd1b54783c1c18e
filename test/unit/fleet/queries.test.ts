/** What a node shows to its peers, and what it takes from them: no more than was asked for, in bounded memory and time. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, test } from 'node:test';
import { answersOfPeerMax } from '../../../src/fleet/queries/answering.js';
import { partMsMax } from '../../../src/fleet/queries/asking.js';
import { Queries, type NodeAnswer } from '../../../src/fleet/queries/queries.js';
import { partsAheadMax, type QueryMessage, type QueryPart } from '../../../src/fleet/queries/schema.js';

const none: QueryPart = { about: 'workers', rows: [] };

/** One node whose peers are what the test says in their name. */
class Node {
	readonly sent: { to: string; message: QueryMessage }[] = [];
	readonly timers = new Set<() => void>();
	parts = 0;
	aborted = 0;
	fault: string | null = null;
	answer: () => AsyncIterable<QueryPart> = () => this.#endless();
	readonly queries = new Queries({
		members: () => ['alpha', 'beta', 'gamma'],
		self: () => 'alpha',
		answer: (_query, signal) => {
			signal.addEventListener('abort', () => this.aborted++);
			return this.answer();
		},
		send: (to, message) => {
			if (this.fault === null) this.sent.push({ to, message });
			return this.fault;
		},
		newId: () => `q${this.sent.length}`,
		clock: {
			now: () => 0,
			wall: () => 0,
			random: () => 0,
			after: (delayMs, call) => {
				assert.equal(delayMs, partMsMax);
				this.timers.add(call);
				return () => this.timers.delete(call);
			},
		},
		logger: { error: () => undefined },
	});

	ask(node: string, signal = new AbortController().signal): NodeAnswer[] {
		return this.queries.ask({ about: 'workers' }, { node, role: 'viewer', signal });
	}

	said(kind: QueryMessage['kind']): QueryMessage[] {
		return this.sent.map(({ message }) => message).filter((message) => message.kind === kind);
	}

	async *#endless(): AsyncGenerator<QueryPart> {
		for (;;) {
			this.parts++;
			yield none;
		}
	}
}

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
	for (let round = 0; round < 5; round++) await turn();
}

async function outcome({ parts }: NodeAnswer): Promise<string> {
	let count = 0;
	try {
		for await (const _ of parts) count++;
	} catch (error) {
		return (error as Error).message;
	}
	return `${count} parts`;
}

let node: Node;
beforeEach(() => {
	node = new Node();
});

describe('a node that asks', () => {
	const cases: [string, (id: string) => void, string | RegExp][] = [
		['answers', (id) => part(id, 1, null), '1 parts'],
		['refuses', (id) => part(id, 0, 'no'), 'no'],
		['stops in the middle', (id) => part(id, 1, 'no'), 'no'],
		['says nothing', () => fireTimers(), /does not answer within 1000 ms/],
		[
			'begins and says no more',
			(id) => {
				part(id, 1);
				fireTimers();
			},
			/does not answer within/,
		],
		['sends more than was asked for', (id) => part(id, partsAheadMax + 1), /more than it was asked for/],
		['loses its link', () => node.queries.linkDown('beta', 'cut'), 'the link to it was lost: cut'],
		[
			'is spoken for by another',
			(id) => {
				node.queries.received('gamma', { kind: 'query_end', id, error: 'forged' });
				fireTimers();
			},
			/does not answer within/,
		],
	];
	const part = (id: string, count: number, end?: string | null) => {
		for (let number = 0; number < count; number++)
			node.queries.received('beta', { kind: 'query_part', id, part: none });
		if (end !== undefined) node.queries.received('beta', { kind: 'query_end', id, error: end });
	};
	const fireTimers = () => {
		for (const call of [...node.timers]) call();
	};
	for (const [what, does, expected] of cases)
		test(`learns that a peer ${what}, and waits no longer`, async () => {
			const [answer] = node.ask('beta');
			assert.ok(answer);
			const [asked] = node.said('query');
			does(asked?.id ?? '');
			const came = await outcome(answer);
			if (typeof expected === 'string') assert.equal(came, expected);
			else assert.match(came, expected);
			assert.equal(node.timers.size, 0);
			// What still comes for it is dropped.
			part(asked?.id ?? '', 3, null);
		});

	test('asks all at once, itself included, and names a peer to which there is no link', async () => {
		node.fault = 'there is no link to it: cut';
		node.answer = async function* () {
			yield none;
		};
		const answers = node.ask('all');
		assert.deepEqual(await Promise.all(answers.map(outcome)), ['1 parts', node.fault, node.fault]);
		assert.throws(() => node.ask('delta'), /'delta' is no member; the members are alpha, beta, gamma/);
	});

	test('tells the peer when nobody listens any more', async () => {
		const abort = new AbortController();
		const [answer] = node.ask('beta', abort.signal);
		abort.abort();
		assert.ok(answer);
		assert.equal(await outcome(answer), '0 parts');
		assert.equal(node.said('query_cancel').length, 1);
	});
});

describe('a node that answers', () => {
	const query = (id: string, role: 'viewer' | 'operator' = 'viewer'): QueryMessage => ({
		kind: 'query',
		id,
		role,
		query: { about: 'workers' },
	});

	test('makes no part beyond those that were asked for, and ends when the query is cancelled or the link is gone', async () => {
		for (const [id, ends] of [
			['q1', () => node.queries.received('beta', { kind: 'query_cancel', id: 'q1' })],
			['q2', () => node.queries.linkDown('beta', 'cut')],
		] as const) {
			node = new Node();
			node.queries.received('beta', query(id));
			await settle();
			assert.equal(node.said('query_part').length, partsAheadMax);
			// A peer cannot have more sent ahead by asking more often.
			for (let number = 0; number < 100; number++)
				node.queries.received('beta', { kind: 'query_more', id, parts: partsAheadMax });
			await settle();
			assert.ok(node.said('query_part').length <= 2 * partsAheadMax);
			assert.ok(node.parts <= 2 * partsAheadMax + 1, `${node.parts} parts were made`);
			ends();
			await settle();
			assert.equal(node.aborted, 1);
			node.queries.received('beta', { kind: 'query_more', id, parts: 1 });
			await settle();
			assert.ok(node.said('query_part').length <= 2 * partsAheadMax);
		}
	});

	test('answers only so many queries of one peer at once, and a fault of its own without its text', async () => {
		for (let number = 0; number <= answersOfPeerMax; number++) node.queries.received('beta', query(`q${number}`));
		const [end] = node.said('query_end');
		assert.match(end?.kind === 'query_end' ? (end.error ?? '') : '', /as many queries already as it may/);
		node.answer = () => {
			throw new TypeError('/secret/path');
		};
		node.queries.received('gamma', query('q1'));
		await settle();
		const last = node.said('query_end').at(-1);
		assert.equal(last?.kind === 'query_end' ? last.error : '', 'it failed; its log says why');
	});
});
