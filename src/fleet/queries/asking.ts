import { RollcallError } from '../../errors.js';
import type { NodeName } from '../../rollout/types.js';
import type { Clock } from '../clock.js';
import type { QueryRole } from './answering.js';
import { partsAheadMax, type Query, type QueryMessage, type QueryPart } from './schema.js';

/** Longest wait for a node's next part, of what it has already; afterwards it is named as one that does not answer. */
export const partMsMax = 1_000;
/** Queries to peers that are open at once, one for each peer. */
export const asksMax = 1_024;

export interface AskingPorts {
	/** Answers why it could not be sent; null: it is on its way. */
	send(to: NodeName, message: QueryMessage): string | null;
	newId(): string;
	clock: Clock;
}

/** Queries of this node that peers answer. */
export class Asks {
	readonly #open = new Map<string, Ask>();

	constructor(private readonly ports: AskingPorts) {}

	/**
	 * Asks at once. A part is requested when the one before was taken, so the peer makes none in vain. The answer throws
	 * `unavailable` with the reason when the peer does not answer, or answers what was not asked.
	 */
	ask(peer: NodeName, query: Query, role: QueryRole, signal: AbortSignal): AsyncIterable<QueryPart> {
		const id = this.ports.newId();
		const ask = new Ask(peer, id, query, this.ports, () => this.#open.delete(id));
		if (this.#open.size >= asksMax) ask.end('too many queries are open; try again later');
		else {
			this.#open.set(id, ask);
			ask.begin(role, signal);
		}
		return ask;
	}

	part(peer: NodeName, id: string, part: QueryPart): void {
		this.#of(peer, id)?.take(part);
	}

	ended(peer: NodeName, id: string, error: string | null): void {
		this.#of(peer, id)?.end(error);
	}

	linkDown(peer: NodeName, reason: string): void {
		for (const ask of [...this.#open.values()]) if (ask.peer === peer) ask.end(`the link to it was lost: ${reason}`);
	}

	close(): void {
		for (const ask of [...this.#open.values()]) ask.end('this node stops');
	}

	/** What comes for a query that is over, or in another node's name, is dropped. */
	#of(peer: NodeName, id: string): Ask | undefined {
		const ask = this.#open.get(id);
		return ask?.peer === peer ? ask : undefined;
	}
}

/** One query to one peer. */
class Ask implements AsyncIterable<QueryPart> {
	#parts: QueryPart[] = [];
	#over: { error: string | null } | null = null;
	#wake: (() => void) | null = null;
	#stopTimer: () => void = () => undefined;
	#unlisten: () => void = () => undefined;
	#hasBegun = false;
	/** Parts that the peer may send and has not. */
	#expected = partsAheadMax;

	constructor(
		readonly peer: NodeName,
		private readonly id: string,
		private readonly query: Query,
		private readonly ports: AskingPorts,
		private readonly onEnd: () => void,
	) {}

	begin(role: QueryRole, signal: AbortSignal): void {
		const fault = this.ports.send(this.peer, { kind: 'query', id: this.id, role, query: this.query });
		if (fault !== null) {
			this.end(fault);
			return;
		}
		this.#await();
		if (signal.aborted) this.#cancel();
		else {
			const onAbort = (): void => this.#cancel();
			signal.addEventListener('abort', onAbort);
			this.#unlisten = () => signal.removeEventListener('abort', onAbort);
		}
	}

	take(part: QueryPart): void {
		if (this.#over) return;
		this.#expected -= 1;
		const fault = this.#expected < 0 ? 'it sends more than it was asked for' : null;
		if (fault !== null || part.about !== this.query.about) {
			this.#tell({ kind: 'query_cancel', id: this.id });
			this.end(fault ?? `it was asked for ${this.query.about} and answers ${part.about}`);
			return;
		}
		this.#hasBegun = true;
		this.#parts.push(part);
		this.#await();
		this.#ring();
	}

	/** What has come is still given out. */
	end(error: string | null): void {
		if (this.#over) return;
		this.#over = { error };
		this.#stopTimer();
		this.#unlisten();
		this.onEnd();
		this.#ring();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<QueryPart, void, undefined> {
		try {
			for (;;) {
				const part = this.#parts.shift();
				if (part) {
					this.#askForMore();
					yield part;
				} else if (this.#over) {
					if (this.#over.error !== null) throw new RollcallError('unavailable', this.#over.error);
					return;
				} else await this.#rung();
			}
		} finally {
			this.#cancel();
		}
	}

	#askForMore(): void {
		if (this.#over) return;
		this.#expected += 1;
		this.#tell({ kind: 'query_more', id: this.id, parts: 1 });
		this.#await();
	}

	/** Nothing is awaited while all that may come has come, nor of who follows what may never be written. */
	#await(): void {
		this.#stopTimer();
		const follows = this.query.about === 'logs' && this.query.follow;
		if (this.#expected === 0 || (follows && this.#hasBegun)) return;
		this.#stopTimer = this.ports.clock.after(partMsMax, () => {
			this.#tell({ kind: 'query_cancel', id: this.id });
			this.end(`it does not answer within ${partMsMax} ms`);
		});
	}

	#cancel(): void {
		if (this.#over) return;
		this.#tell({ kind: 'query_cancel', id: this.id });
		this.end(null);
	}

	/** A link that is lost says so itself. */
	#tell(message: QueryMessage): void {
		this.ports.send(this.peer, message);
	}

	#rung(): Promise<void> {
		return new Promise((resolve) => {
			this.#wake = resolve;
		});
	}

	#ring(): void {
		this.#wake?.();
		this.#wake = null;
	}
}
