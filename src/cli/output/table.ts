import { clean, type Page, plainPage } from './terminal.js';

export interface Column<Row> {
	title: string;
	value: (row: Row) => string | number | boolean | null;
	align?: 'right';
	/** Which end of a cell may go where the page is too narrow; the rest keeps the cell's meaning. */
	cut?: 'start' | 'end' | 'id';
	/** The column is left off where cutting does not do, the lowest number first. */
	leaveOff?: number;
	tone?: (row: Row) => Tone | null;
}

/** What a colour says: good, on the way, bad. */
export type Tone = 'good' | 'moving' | 'bad';

const codes: Readonly<Record<Tone, number>> = { good: 32, moving: 33, bad: 31 };

/** The text in its colour, where the page has any. */
export function paint(text: string, tone: Tone | null, { color }: Page): string {
	return color && tone !== null ? `\x1b[${codes[tone]}m${text}\x1b[0m` : text;
}

/** So short a cell still says something. */
const cutCharactersMin = 12;
/** Length of a short id, shown and accepted. */
const idCharacters = 8;
const gap = '  ';

/** A table of text, columns two spaces apart; null shows as `-`. No row is longer than the page is wide. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], page: Page = plainPage): string {
	const lines = rows.map((row) => columns.map(({ value }) => cellOf(value(row))));
	const shown = layout(columns, lines, page.columns);
	const line = (cells: readonly string[], row: Row | null) => {
		let text = '';
		let used = 0;
		for (const { index, column, columns: wanted } of shown) {
			const before = used === 0 ? '' : gap;
			const room = page.columns === null ? wanted : Math.min(wanted, page.columns - used - before.length);
			if (room < 1) break;
			const cell = pad(shorten(cells[index] ?? '', room, column.cut), room, column.align === 'right');
			text += before + paint(cell, row === null ? null : (column.tone?.(row) ?? null), page);
			used += before.length + room;
		}
		return page.color ? text : text.trimEnd();
	};
	return [
		line(
			columns.map(({ title }) => title),
			null,
		),
		...rows.map((row, index) => line(lines[index] ?? [], row)),
	].join('\n');
}

interface Shown<Row> {
	index: number;
	column: Column<Row>;
	columns: number;
}

/** Which columns stand on the page, and how wide. */
function layout<Row>(
	columns: readonly Column<Row>[],
	lines: readonly string[][],
	room: number | null,
): readonly Shown<Row>[] {
	const widest = (index: number) => Math.max(0, ...lines.map((line) => width(line[index] ?? '')));
	let shown = columns.map((column, index) => ({
		index,
		column,
		columns: Math.max(width(column.title), widest(index)),
	}));
	if (room === null) return shown;
	const least = (one: Shown<Row>) => {
		const { cut, title } = one.column;
		if (cut === undefined) return one.columns;
		return Math.min(one.columns, Math.max(width(title), cut === 'id' ? idCharacters : cutCharactersMin));
	};
	const total = (width_: (one: Shown<Row>) => number) =>
		shown.reduce((sum, one) => sum + width_(one), gap.length * (shown.length - 1));
	if (total((one) => one.columns) <= room) return shown;
	// A column that says nothing goes first.
	const isEmpty = ({ index }: Shown<Row>) => lines.every((line) => line[index] === '-');
	const rank = (one: Shown<Row>) => (isEmpty(one) ? 0 : (one.column.leaveOff ?? Number.POSITIVE_INFINITY));
	while (total(least) > room) {
		const next = shown
			.filter(({ column }) => column.leaveOff !== undefined)
			.sort((one, other) => rank(one) - rank(other))[0];
		if (next === undefined) break;
		shown = shown.filter((one) => one !== next);
	}
	// An id is as good when it is short; the others lose from the widest.
	let excess = total((one) => one.columns) - room;
	const byWidth = [...shown].sort((one, other) => other.columns - one.columns);
	for (const one of [...byWidth.filter(({ column }) => column.cut === 'id'), ...byWidth]) {
		const less =
			one.column.cut === 'id' && excess > 0 ? one.columns - least(one) : Math.min(excess, one.columns - least(one));
		if (excess <= 0) break;
		one.columns -= less;
		excess -= less;
	}
	return shown;
}

function shorten(text: string, room: number, cut: Column<never>['cut']): string {
	const characters = [...text];
	if (characters.length <= room) return text;
	if (cut === 'id') return characters.slice(0, room).join('');
	if (cut === 'start') return `…${characters.slice(characters.length - room + 1).join('')}`;
	return `${characters.slice(0, room - 1).join('')}…`;
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
