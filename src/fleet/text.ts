import { reasonCharactersMax } from './messages.js';

/** Peers refuse a message with a longer text, so a node clips what it says of itself. */
export function clipped(text: string): string {
	return text.length <= reasonCharactersMax ? text : `${text.slice(0, reasonCharactersMax - 2)} …`;
}
