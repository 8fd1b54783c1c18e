import { type Block, parseInline, parseMarkdown, topicOf } from './markdown.js';
import type { Page } from './terminal.js';

/** Longer lines are hard to read, however wide the terminal is; a pipe has lines of this length, too. */
const columnsMax = 100;

/** A page of Markdown as text: wrapped, with links as commands. A table that is too wide becomes a list of its rows. */
export function markdownText(markdown: string, page: Page): string {
	const width = Math.min(page.columns ?? columnsMax, columnsMax);
	const texts: string[] = [];
	let last: Block['kind'] | null = null;
	for (const block of parseMarkdown(markdown)) {
		if (last !== null && !(last === 'item' && block.kind === 'item')) texts.push('');
		texts.push(blockText(block, width, page));
		last = block.kind;
	}
	return `${texts.join('\n')}\n`;
}

function blockText(block: Block, width: number, page: Page): string {
	switch (block.kind) {
		case 'heading': {
			const text = `${'#'.repeat(block.level)} ${plainText(block.text)}`;
			return page.color ? `\x1b[1m${text}\x1b[0m` : text;
		}
		case 'paragraph':
			return wrapped(plainText(block.text), width, '');
		case 'item':
			return itemText(block.mark, plainText(block.text, true), width);
		case 'code':
			return block.lines.map((line) => (line === '' ? '' : `    ${line}`)).join('\n');
		case 'table':
			return tableText(
				block.header.map((cell) => plainText(cell)),
				block.rows,
				width,
			);
	}
}

function itemText(mark: string, text: string, width: number): string {
	const indent = ' '.repeat(mark.length + 1);
	return `${mark} ${wrapped(text, width, indent).trimStart()}`;
}

/** A link to another page says the command that shows it, unless it is the topic that an item of a list is about. */
function plainText(text: string, isItem = false): string {
	return parseInline(text)
		.map((part, index) => {
			if (part.kind === 'code') return `\`${part.text}\``;
			if (part.kind !== 'link') return part.text;
			const shown = plainText(part.text);
			const topic = topicOf(part.target);
			if (topic === null) return /^[#.]/.test(part.target) ? shown : `${shown} (${part.target})`;
			if (topic !== part.text) return `${shown} (\`rollcall help ${topic}\`)`;
			return isItem && index === 0 ? topic : `\`rollcall help ${topic}\``;
		})
		.join('');
}

/** Breaks at spaces, within code only where it is longer than a line. */
function wrapped(text: string, width: number, indent: string): string {
	const lines: string[] = [];
	let line = '';
	const whole = [...text.matchAll(/(?:`[^`]*`|[^\s`])+/g)].map(([word]) => word);
	for (const word of whole.flatMap((one) => (indent.length + one.length > width ? one.split(' ') : [one]))) {
		if (line !== '' && indent.length + line.length + 1 + word.length > width) {
			lines.push(indent + line);
			line = '';
		}
		line += line === '' ? word : ` ${word}`;
	}
	return [...lines, indent + line].join('\n');
}

function tableText(header: readonly string[], rows: readonly (readonly string[])[], width: number): string {
	const cells = rows.map((row) => row.map((cell) => plainText(cell)));
	const lines = header.some((title) => title !== '') ? [header, ...cells] : cells;
	const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
	const isNarrow = widths.reduce((sum, columns) => sum + columns + 2, -2) <= width;
	if (isNarrow) {
		const pad = (cell: string, column: number): string => cell.padEnd(widths[column] ?? 0);
		return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
	}
	return cells
		.map(([first = '', ...others]) => {
			const told = others.flatMap((cell, index) => {
				if (cell === '') return [];
				const title = header.length > 2 ? (header[index + 1] ?? '') : '';
				return [wrapped(title === '' ? cell : `${title}: ${cell}`, width, '    ')];
			});
			return [wrapped(first, width, ''), ...told].join('\n');
		})
		.join('\n');
}
