import { RollcallError } from '../../errors.js';
import type { NodeApps, Refusal } from '../../rollout/messages.js';
import type { NodeName, RolloutView } from '../../rollout/types.js';
import type { Clock } from '../clock.js';

export const operatorsWaitingMax = 256;
/** The core answers long before; this is for a core that was ended by a disk that hangs. */
const answerMsMax = 20_000;

/** The core's answer to an operator. */
export interface Answered {
	view: RolloutView | null;
	/** Of a dry run: what it would bring to each node and take from it. */
	apps: Record<NodeName, NodeApps>;
}

interface Waiting {
	resolve(answer: Answered): void;
	reject(error: RollcallError): void;
	cancel(): void;
}

/** Operators who asked and have not been answered, by token. */
export class PendingRequests {
	readonly #waiting = new Map<string, Waiting>();

	constructor(private readonly clock: Clock) {}

	/** Resolves or rejects with the answer, or once none came in time; `tell` asks. */
	ask(token: string, tell: () => void): Promise<Answered> {
		if (this.#waiting.size >= operatorsWaitingMax)
			return Promise.reject(new RollcallError('unavailable', 'Too many requests wait for an answer; try again.'));
		return new Promise((resolve, reject) => {
			const cancel = this.clock.after(answerMsMax, () =>
				this.#taken(token)?.reject(new RollcallError('unavailable', 'No decision came in time; look at the state.')),
			);
			this.#waiting.set(token, { resolve, reject, cancel });
			tell();
		});
	}

	answer(token: string, answer: Answered): void {
		this.#taken(token)?.resolve(answer);
	}

	refuse(token: string, { code, message, extra }: Refusal): void {
		this.#taken(token)?.reject(new RollcallError(code, message, extra));
	}

	refuseAll(why: string): void {
		for (const token of [...this.#waiting.keys()]) this.#taken(token)?.reject(new RollcallError('unavailable', why));
	}

	#taken(token: string): Waiting | undefined {
		const waiting = this.#waiting.get(token);
		this.#waiting.delete(token);
		waiting?.cancel();
		return waiting;
	}
}
