import type { Writable } from 'node:stream';

/** Where a command writes: the result to `out`, everything else to `err`. */
export interface Terminal {
	/** The result alone. */
	out: Writable;
	/** Progress, messages and errors. */
	err: Writable;
	/** How `out` can be written on. */
	page: Page;
	/** Width and height of `err` when it is a terminal that can redraw lines; null when it is not. */
	screen(): { columns: number; rows: number } | null;
	/** The result is shown on a terminal, and so takes the place of the progress. */
	outIsTerminal: boolean;
	/** One JSON document as the result, and JSON lines instead of messages. */
	json: boolean;
}

/** What a result is written on. */
export interface Page {
	/** Lines that are longer wrap; null: as long as they are, as in a pipe. */
	columns: number | null;
	color: boolean;
}

/** A pipe or a file. */
export const plainPage: Page = { columns: null, color: false };

/** The same with room for lines that stand further right. */
export const indented = ({ columns, color }: Page, by = 2): Page => ({
	columns: columns === null ? null : columns - by,
	color,
});

/** Serial consoles and the like do not know their size and say 0. */
const unknownScreen = { columns: 80, rows: 24 };

/** `color`: false with `--no-color`. */
export function processTerminal(json: boolean, color = true): Terminal {
	const { stdout, stderr, env } = process;
	const isPage = stdout.isTTY === true && !json;
	return {
		page: {
			columns: isPage ? stdout.columns || unknownScreen.columns : null,
			color: isPage && color && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
		},
		out: stdout,
		err: stderr,
		json,
		outIsTerminal: stdout.isTTY === true,
		screen: () =>
			stderr.isTTY === true && env['TERM'] !== 'dumb'
				? { columns: stderr.columns || unknownScreen.columns, rows: stderr.rows || unknownScreen.rows }
				: null,
	};
}

/** Writes the command's result: the document with `--json`, the text otherwise. */
export function writeResult(terminal: Terminal, document: unknown, text: (page: Page) => string): void {
	terminal.out.write(terminal.json ? `${toJson(document)}\n` : ensureNewline(text(terminal.page)));
}

/** Tells the person at the terminal something that is not the result. */
export function writeMessage(terminal: Terminal, text: string): void {
	terminal.err.write(terminal.json ? `${toJson({ event: 'message', text })}\n` : `${cleanLines(text)}\n`);
}

/**
 * JSON on one line. JSON.stringify leaves DEL, C1 controls and direction marks as they are, and a terminal obeys them:
 * they are written as escapes, which every reader of JSON turns back.
 */
export function toJson(value: unknown): string {
	const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
	return (JSON.stringify(value) ?? 'null').replace(unsafeCharacters, escaped);
}

/** Control characters (C0, DEL, C1), line separators, and the marks that turn the direction of writing. */
const unsafeCharacters = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text that came from elsewhere, fit for one line of a terminal. */
export function clean(text: string): string {
	return text.replace(/\s*\r?\n\s*/g, ' ').replace(unsafeCharacters, '');
}

/** The same for several lines: line breaks stay. */
export function cleanLines(text: string): string {
	return text
		.split(/\r?\n/)
		.map((line) => line.replace(/\t/g, '    ').replace(unsafeCharacters, ''))
		.join('\n');
}

export function indent(text: string, by = '  '): string {
	return text.replace(/^(?=.)/gm, by);
}

/** Cuts a line to the given number of columns, so that a redrawn one never wraps. */
export function fit(line: string, columns: number): string {
	const characters = [...line];
	return characters.length < columns ? line : `${characters.slice(0, Math.max(0, columns - 2)).join('')}…`;
}

const ensureNewline = (text: string) => (text.endsWith('\n') ? text : `${text}\n`);
