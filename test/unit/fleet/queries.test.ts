/** What a node shows to its peers, and what it takes from them: no more than was asked for, in bounded memory and time. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, test } from 'node:test';
import { answersOfPeerMax, type QueryRole, queryRoles } from '../../../src/fleet/queries/answering.js';
import { partMsMax } from '../../../src/fleet/queries/asking.js';
import { parseFrame } from '../../../src/fleet/links/handshake.js';
import { peerMessage } from '../../../src/fleet/messages.js';
import { Queries, type NodeAnswer } from '../../../src/fleet/queries/queries.js';
import { mergedByTime, slowNodeMs } from '../../../src/fleet/queries/merged-by-time.js';
import {
	type LogRow,
	partsAheadMax,
	type Query,
	type QueryMessage,
	type QueryPart,
} from '../../../src/fleet/queries/schema.js';

const none: QueryPart = { about: 'workers', rows: [] };

/** One node whose peers are what the test says in their name. */
class Node {
	readonly sent: { to: string; message: QueryMessage }[] = [];
	readonly timers = new Set<() => void>();
	parts = 0;
	aborted = 0;
	fault: string | null = null;
	names = ['alpha', 'beta', 'gamma'];
	answer: () => AsyncIterable<QueryPart> = () => this.#endless();
	readonly queries = new Queries({
		members: () => this.names,
		self: () => 'alpha',
		clockAheadMs: () => null,
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

	test('asks a fleet of any size without a warning', async () => {
		const warnings: Error[] = [];
		const hear = (warning: Error) => warnings.push(warning);
		process.on('warning', hear);
		node.names = Array.from({ length: 50 }, (_, number) => `node-${number}`);
		const abort = new AbortController();
		node.ask('all', abort.signal);
		assert.equal(node.said('query').length, 50);
		abort.abort();
		await settle();
		process.off('warning', hear);
		assert.deepEqual(warnings, []);
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

	test('shows nothing that the role of the caller may not see, and takes from a terminal what a hostile peer sends to it', async () => {
		const query = { app: null, worker: null, release: null, lines: 1, agoMs: null, charactersMax: 100, follow: false };
		node.queries.received('beta', { kind: 'query', id: 'q1', role: 'viewer', query: { about: 'logs', ...query } });
		await settle();
		assert.deepEqual(node.said('query_part'), []);
		const [end] = node.said('query_end');
		assert.equal(end?.kind === 'query_end' ? end.error : '', 'the caller has the role viewer; it takes operator');
		const wanted = { about: 'availability', wanted: 'Unavailable', user: 'token:ci' } as const;
		node.queries.received('beta', { kind: 'query', id: 'q2', role: 'operator', query: wanted });
		await settle();
		const last = node.said('query_end').at(-1);
		assert.equal(last?.kind === 'query_end' ? last.error : '', 'the caller has the role operator; it takes super_user');
		assert.equal(node.parts, 0);
		const row = { time: 1, app: '\u001b[1mweb', worker: 'web-1', stream: 'out', text: '\u001b]0;x\u0007said' };
		const part = { kind: 'query_part', id: 'q1', part: { about: 'logs', rows: [row], leftOut: false } };
		const read = parseFrame(peerMessage, JSON.stringify(part));
		assert.ok(read.ok && read.value.kind === 'query_part' && read.value.part.about === 'logs');
		assert.deepEqual(read.value.part.rows, [{ ...row, app: 'web', text: 'said' }]);
	});

	test('answers each query for exactly the roles that it takes, whatever node the caller asked', async () => {
		const logs = { app: null, worker: null, release: null, lines: 1, agoMs: null, charactersMax: 100, follow: false };
		const taking: [Query, readonly QueryRole[]][] = [
			[{ about: 'workers' }, ['viewer', 'operator', 'super_user']],
			[{ about: 'status' }, ['viewer', 'operator', 'super_user']],
			[{ about: 'logs', ...logs }, ['operator', 'super_user']],
			[{ about: 'availability', wanted: 'Unavailable', user: 'ann' }, ['super_user']],
		];
		for (const [query, roles] of taking)
			for (const role of queryRoles) {
				node = new Node();
				node.queries.received('beta', { kind: 'query', id: 'q', role, query });
				await settle();
				assert.equal(node.parts > 0, roles.includes(role), `${role} asks for ${query.about}`);
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

describe('lines of several nodes', () => {
	const line = (time: number, text: string): LogRow => ({ time, app: 'web', worker: 'web-1', stream: 'out', text });
	/** A peer that sends what it is told to, when it is told. */
	class Peer implements AsyncIterable<QueryPart> {
		readonly #queue: (QueryPart | Error | null)[] = [];
		#wake = (): void => undefined;
		taken = 0;
		say(...rows: LogRow[]): void {
			this.#put({ about: 'logs', rows, leftOut: false });
		}
		end(error: Error | null = null): void {
			this.#put(error);
		}
		#put(one: QueryPart | Error | null): void {
			this.#queue.push(one);
			this.#wake();
		}
		async *[Symbol.asyncIterator](): AsyncGenerator<QueryPart> {
			for (;;) {
				const next = this.#queue.shift();
				if (next === undefined)
					await new Promise<void>((resolve) => {
						this.#wake = resolve;
					});
				else if (next === null) return;
				else if (next instanceof Error) throw next;
				else {
					this.taken += 1;
					yield next;
				}
			}
		}
	}
	const peers = () => ({ beta: new Peer(), gamma: new Peer() });
	class Clock {
		time = 0;
		readonly #due: { at: number; call: () => void }[] = [];
		now = () => this.time;
		after(delayMs: number, call: () => void): () => void {
			this.#due.push({ at: this.time + delayMs, call });
			return () => undefined;
		}
		pass(ms: number): void {
			this.time += ms;
			for (const { at, call } of this.#due) if (at <= this.time) call();
		}
	}

	test('are given out by their time: a line waits for a slower node, no longer than the window, and what comes later still comes', async () => {
		const { beta, gamma } = peers();
		const clock = new Clock();
		const came: string[] = [];
		const merged = mergedByTime(
			[
				{ node: 'beta', clockAheadMs: 0, parts: beta },
				// Its clock is ahead: what it calls 1030 was 30 here.
				{ node: 'gamma', clockAheadMs: 1_000, parts: gamma },
			],
			slowNodeMs,
			clock,
		);
		const reading = (async () => {
			for await (const row of merged)
				came.push('text' in row ? `${row.time} ${row.text}` : (Object.values(row).at(-1) ?? ''));
		})();
		const says = async (...expected: string[]) => {
			await settle();
			assert.deepEqual(came.splice(0), expected);
		};
		beta.say(line(10, 'a'), line(40, 'd'));
		await says();
		gamma.say(line(1_020, 'b'), line(1_030, 'c'), line(1_050, 'e'));
		await says('10 a', '20 b', '30 c', '40 d');
		clock.pass(slowNodeMs - 1);
		await says();
		clock.pass(1);
		await says('50 e');
		beta.say(line(45, 'late'));
		await says();
		clock.pass(slowNodeMs);
		await says('45 late');
		gamma.end(new Error('the link to it was lost'));
		await says('the link to it was lost');
		// Who is gone is waited for no more.
		beta.say(line(60, 'f'));
		await says('60 f');
		beta.end();
		await reading;
	});

	test('are taken from a node no faster than they are read', async () => {
		const { beta, gamma } = peers();
		const merged = mergedByTime(
			[beta, gamma].map((parts) => ({ node: 'beta', clockAheadMs: 0, parts })),
			null,
			new Clock(),
		);
		for (let number = 0; number < 100; number++) for (const peer of [beta, gamma]) peer.say(line(number, 'x'));
		await merged.next();
		await settle();
		assert.ok(beta.taken <= 2 && gamma.taken <= 2);
		beta.end();
		gamma.end();
		let rows = 1;
		for await (const _ of merged) rows++;
		assert.equal(rows, 200);
	});
});
