import type { FleetMessage } from '../messages.js';

/** A longer one is parsed each time, so that no peer has more than this kept for it. */
const keptCharactersMax = 256 * 1024;
const numbers = /"sequence":(0|[1-9]\d{0,15}),"echo":(0|[1-9]\d{0,15}),/;

interface Kept {
	/** What stands before and after the numbers. */
	head: string;
	tail: string;
	message: Extract<FleetMessage, { kind: 'report' }>;
}

/**
 * The last report of a link. Each heartbeat is answered with one, and most say the same as the one before under new numbers:
 * these are neither parsed nor checked again.
 */
export class LastReport {
	#kept: Kept | null = null;

	/** The message of a frame that differs from the last report in its numbers alone; null: it has to be parsed. */
	read(text: string): FleetMessage | null {
		const kept = this.#kept;
		const parts = kept && partsOf(text);
		if (!parts || parts.head !== kept.head || parts.tail !== kept.tail) return null;
		const { sequence, echo } = parts;
		return { ...kept.message, report: { ...kept.message.report, sequence, echo } };
	}

	/** A frame that was parsed, and the message that it is. */
	keep(text: string, message: FleetMessage): void {
		if (message.kind !== 'report') return;
		const parts = text.length <= keptCharactersMax ? partsOf(text) : null;
		const { sequence, echo } = message.report;
		const isWhole = parts?.sequence === sequence && parts.echo === echo;
		this.#kept = parts && isWhole ? { head: parts.head, tail: parts.tail, message } : null;
	}
}

function partsOf(text: string): { head: string; tail: string; sequence: number; echo: number } | null {
	if (!text.startsWith('{"kind":"report",') || text.length > keptCharactersMax) return null;
	const found = numbers.exec(text);
	if (!found) return null;
	const [sequence, echo] = [Number(found[1]), Number(found[2])];
	if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(echo)) return null;
	return { head: text.slice(0, found.index), tail: text.slice(found.index + found[0].length), sequence, echo };
}
