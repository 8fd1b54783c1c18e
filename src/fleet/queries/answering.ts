import { messageOf, RollcallError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { NodeName } from '../../rollout/types.js';
import { clipped } from '../text.js';
import { partsAheadMax, type Query, type QueryMessage, type QueryPart } from './schema.js';

/** Roles from most to least, as a caller's right is told to a peer. */
export const queryRoles = ['super_user', 'operator', 'viewer'] as const;
export type QueryRole = (typeof queryRoles)[number];

/** What each query takes: a peer is told the caller's role and judges it by its own table. */
const roleFor: Readonly<Record<Query['about'], QueryRole>> = {
	workers: 'viewer',
	status: 'viewer',
	logs: 'operator',
	availability: 'super_user',
};

/** Queries of one peer that are answered at once. */
export const answersOfPeerMax = 16;
/** Those of all peers together. */
export const answersMax = 64;

export interface AnsweringPorts {
	/** `peer`: whose caller asks; null: a caller of this node. */
	answer(query: Query, signal: AbortSignal, peer: NodeName | null): AsyncIterable<QueryPart>;
	send(to: NodeName, message: QueryMessage): void;
	logger: Pick<Logger, 'error'>;
}

interface Answer {
	peer: NodeName;
	id: string;
	/** Parts that may still be sent. */
	credit: number;
	/** Called once there is credit again. */
	onCredit: (() => void) | null;
	abort: AbortController;
}

/** Answers the queries of peers. A part is made and sent only while the peer has room for it. */
export class Answers {
	readonly #open = new Map<string, Answer>();

	constructor(private readonly ports: AnsweringPorts) {}

	begin(peer: NodeName, { id, role, query }: Extract<QueryMessage, { kind: 'query' }>): void {
		const key = keyOf(peer, id);
		const refusal = this.#refusal(peer, key, role, query);
		if (refusal !== null) {
			this.ports.send(peer, { kind: 'query_end', id, error: refusal });
			return;
		}
		const answer: Answer = { peer, id, credit: partsAheadMax, onCredit: null, abort: new AbortController() };
		this.#open.set(key, answer);
		void this.#run(answer, query).finally(() => this.#open.delete(key));
	}

	more(peer: NodeName, id: string, parts: number): void {
		const answer = this.#open.get(keyOf(peer, id));
		if (!answer) return;
		answer.credit = Math.min(partsAheadMax, answer.credit + parts);
		wake(answer);
	}

	cancel(peer: NodeName, id: string): void {
		const answer = this.#open.get(keyOf(peer, id));
		if (answer) end(answer);
	}

	linkDown(peer: NodeName): void {
		for (const answer of this.#open.values()) if (answer.peer === peer) end(answer);
	}

	close(): void {
		for (const answer of this.#open.values()) end(answer);
	}

	#refusal(peer: NodeName, key: string, role: QueryRole, query: Query): string | null {
		const needed = roleFor[query.about];
		if (queryRoles.indexOf(role) > queryRoles.indexOf(needed))
			return `the caller has the role ${role}; it takes ${needed}`;
		const ofPeer = [...this.#open.values()].filter((one) => one.peer === peer).length;
		if (ofPeer >= answersOfPeerMax || this.#open.size >= answersMax)
			return 'it answers as many queries already as it may; try again later';
		return this.#open.has(key) ? 'a query of this name is open already' : null;
	}

	async #run(answer: Answer, query: Query): Promise<void> {
		const { signal } = answer.abort;
		let error: string | null = null;
		try {
			for await (const part of this.ports.answer(query, signal, answer.peer)) {
				while (answer.credit === 0 && !signal.aborted) await creditOf(answer);
				if (signal.aborted) return;
				answer.credit -= 1;
				this.ports.send(answer.peer, { kind: 'query_part', id: answer.id, part });
			}
		} catch (thrown) {
			if (signal.aborted) return;
			if (!(thrown instanceof RollcallError)) this.ports.logger.error({ event: 'query_failed', err: thrown });
			error = thrown instanceof RollcallError ? clipped(messageOf(thrown)) : 'it failed; its log says why';
		}
		if (!signal.aborted) this.ports.send(answer.peer, { kind: 'query_end', id: answer.id, error });
	}
}

const keyOf = (peer: NodeName, id: string): string => `${peer} ${id}`;

const creditOf = (answer: Answer): Promise<void> =>
	new Promise((resolve) => {
		answer.onCredit = resolve;
	});

function wake(answer: Answer): void {
	answer.onCredit?.();
	answer.onCredit = null;
}

function end(answer: Answer): void {
	answer.abort.abort();
	wake(answer);
}
