import { setMaxListeners } from 'node:events';
import { RollcallError } from '../../errors.js';
import type { NodeName } from '../../rollout/types.js';
import { Answers, type AnsweringPorts, type QueryRole } from './answering.js';
import { Asks, type AskingPorts } from './asking.js';
import { followed } from './following.js';
import { type LogLine, mergedByTime, slowNodeMs } from './merged-by-time.js';
import { logCharactersMax, type LogsQuery, type Query, type QueryMessage, type QueryPart } from './schema.js';

/** The answer of one node: parts in their order; it throws why the node does not answer. */
export interface NodeAnswer<Part = QueryPart> {
	node: NodeName;
	parts: AsyncIterable<Part>;
	/** ms that the node's clock is ahead of this one's, as far as that is known. */
	clockAheadMs: number;
}

export interface AskedNodes {
	/** A name, or `all`. */
	node: NodeName;
	/** What the caller may do. */
	role: QueryRole;
	/** Ends what is under way everywhere. */
	signal: AbortSignal;
}

interface QueryPorts extends AskingPorts {
	answer: AnsweringPorts['answer'];
	logger: AnsweringPorts['logger'];
	/** Sorted by name, own node included. */
	members(): readonly NodeName[];
	self(): NodeName;
	clockAheadMs(peer: NodeName): number | null;
}

/** Asks nodes for rows of theirs, and answers peers that ask. Works without the core: while it is down a node still shows what it has. */
export class Queries {
	readonly #answers: Answers;
	readonly #asks: Asks;

	constructor(private readonly ports: QueryPorts) {
		this.#answers = new Answers(ports);
		this.#asks = new Asks(ports);
	}

	/** All nodes are asked at once. Throws `not_found` for a name that is no member's. */
	ask(query: Query, { node, role, signal }: AskedNodes): NodeAnswer[] {
		// One for each node that is asked, and a few that read here.
		setMaxListeners(0, signal);
		return this.#meant(node).map((name) => this.#answerOf(name, this.#askOne(name, query, { role, signal })));
	}

	#meant(node: NodeName): readonly NodeName[] {
		const members = this.ports.members();
		if (node === 'all') return members;
		if (members.includes(node)) return [node];
		const text = `Node '${node}' is no member; the members are ${members.join(', ')}`;
		throw new RollcallError('not_found', text);
	}

	#askOne(name: NodeName, query: Query, { role, signal }: Omit<AskedNodes, 'node'>): AsyncIterable<QueryPart> {
		return name === this.ports.self()
			? this.ports.answer(query, signal, null)
			: this.#asks.ask(name, query, role, signal);
	}

	#answerOf<Part>(node: NodeName, parts: AsyncIterable<Part>): NodeAnswer<Part> {
		return { node, clockAheadMs: this.ports.clockAheadMs(node) ?? 0, parts };
	}

	/** Lines of all nodes that were asked, by their time: see {@link mergedByTime}. */
	logs(query: Omit<LogsQuery, 'about' | 'charactersMax'>, asked: AskedNodes): AsyncIterable<LogLine> {
		const nodes = asked.node === 'all' ? this.ports.members().length : 1;
		const charactersMax = Math.floor(logCharactersMax / nodes);
		const ofOne: LogsQuery = { about: 'logs', ...query, charactersMax };
		if (!query.follow) return mergedByTime(this.ask(ofOne, asked), null, this.ports.clock);
		const { node, ...by } = asked;
		setMaxListeners(0, by.signal);
		const answers = this.#meant(node).map((name) => {
			const ask = (again: LogsQuery) => this.#askOne(name, again, by);
			return this.#answerOf(name, followed(ofOne, { ask, clock: this.ports.clock, signal: by.signal }));
		});
		return mergedByTime(answers, slowNodeMs, this.ports.clock);
	}

	received(from: NodeName, message: QueryMessage): void {
		switch (message.kind) {
			case 'query':
				this.#answers.begin(from, message);
				break;
			case 'query_more':
				this.#answers.more(from, message.id, message.parts);
				break;
			case 'query_cancel':
				this.#answers.cancel(from, message.id);
				break;
			case 'query_part':
				this.#asks.part(from, message.id, message.part);
				break;
			case 'query_end':
				this.#asks.ended(from, message.id, message.error);
				break;
			default:
				message satisfies never;
		}
	}

	linkDown(peer: NodeName, reason: string): void {
		this.#answers.linkDown(peer);
		this.#asks.linkDown(peer, reason);
	}

	close(): void {
		this.#answers.close();
		this.#asks.close();
	}
}

export const isQueryMessage = (message: { kind: string }): message is QueryMessage =>
	message.kind === 'query' || message.kind.startsWith('query_');
