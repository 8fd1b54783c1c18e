import type { Duplex } from 'node:stream';

/** Counts what each has open, so that nobody takes what is for all. */
export class Shares {
	readonly #open = new Map<string, number>();

	constructor(private readonly max: number) {}

	/** False when the share of this one is used up; else it is given back when the socket closes. */
	take(who: string, socket: Duplex): boolean {
		const open = this.#open.get(who) ?? 0;
		if (open >= this.max) return false;
		this.#open.set(who, open + 1);
		socket.once('close', () => {
			const left = (this.#open.get(who) ?? 1) - 1;
			if (left > 0) this.#open.set(who, left);
			else this.#open.delete(who);
		});
		return true;
	}
}
