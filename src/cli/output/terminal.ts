import type { Writable } from 'node:stream';

/** Where a command writes: the result to `out`, everything else to `err`. */
export interface Terminal {
	/** The result alone. */
	out: Writable;
	/** Progress, messages and errors. */
	err: Writable;
	/** Width and height of `err` when it is a terminal that can redraw lines; null when it is not. */
	screen(): { columns: number; rows: number } | null;
	/** The result is shown on a terminal, and so takes the place of the progress. */
	outIsTerminal: boolean;
	/** One JSON document as the result, and JSON lines instead of messages. */
	json: boolean;
}

/** Serial consoles and the like do not know their size and say 0. */
const unknownScreen = { columns: 80, rows: 24 };

export function processTerminal(json: boolean): Terminal {
	const { stdout, stderr, env } = process;
	return {
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
export function writeResult(terminal: Terminal, document: unknown, text: () => string): void {
	terminal.out.write(terminal.json ? `${toJson(document)}\n` : ensureNewline(text()));
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

export interface Column<Row> {
	title: string;
	value: (row: Row) => string | number | boolean | null;
	align?: 'right';
}

/** A table of plain text, columns two spaces apart; null shows as `-`. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
	const cells = [
		columns.map(({ title }) => title),
		...rows.map((row) => columns.map(({ value }) => cellOf(value(row)))),
	];
	const widths = columns.map((_, index) => Math.max(...cells.map((line) => width(line[index] ?? ''))));
	return cells
		.map((line) =>
			line
				.map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align === 'right'))
				.join('  ')
				.trimEnd(),
		)
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

function cellOf(value: string | number | boolean | null): string {
	if (value === null || value === '') return '-';
	if (typeof value === 'boolean') return value ? 'yes' : 'no';
	return clean(String(value));
}

const width = (text: string) => [...text].length;

function pad(text: string, columns: number, right: boolean): string {
	const blanks = ' '.repeat(Math.max(0, columns - width(text)));
	return right ? blanks + text : text + blanks;
}

const ensureNewline = (text: string) => (text.endsWith('\n') ? text : `${text}\n`);
