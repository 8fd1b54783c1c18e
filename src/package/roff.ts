import { type Block, parseInline, parseMarkdown, topicOf } from '../cli/output/markdown.js';

/** A backslash, a hyphen, and a dot or an apostrophe at the start of a line mean something else in roff. */
export const escaped = (line: string): string =>
	line
		.replaceAll('\\', '\\e')
		.replaceAll('-', '\\-')
		.replace(/^(?=[.'])/, '\\&');

export const verbatim = (lines: readonly string[]): string[] => ['.nf', ...lines.map(escaped), '.fi'];

/** A page of Markdown below its title, as lines of roff for man(7). */
export const roffLines = (markdown: string): string[] =>
	parseMarkdown(markdown)
		.filter((block) => block.kind !== 'heading' || block.level > 1)
		.flatMap(linesOf);

function linesOf(block: Block): string[] {
	switch (block.kind) {
		case 'heading':
			return [`.${block.level === 2 ? 'SH' : 'SS'} "${escaped(plain(block.text)).replaceAll('"', '\\(dq')}"`];
		case 'paragraph':
			return ['.PP', textOf(block.text)];
		case 'item':
			return [block.mark === '-' ? '.IP \\(bu 2' : `.IP ${block.mark} 4`, textOf(block.text)];
		case 'code':
			return ['.PP', '.RS 4', ...verbatim(block.lines), '.RE'];
		case 'table':
			return block.rows.flatMap(([first = '', ...others]) => [
				'.TP',
				`\\&${textOf(first)}`,
				...bodyOf(others, block.header),
			]);
	}
}

/** The other cells of a row, each on a line of its own behind its column's title. */
function bodyOf(cells: readonly string[], header: readonly string[]): string[] {
	const texts = cells.flatMap((cell, index) => {
		const title = header.length > 2 ? (header[index + 1] ?? '') : '';
		if (cell === '') return [];
		return [`\\&${title === '' ? '' : `${escaped(title)}: `}${textOf(cell)}`];
	});
	return texts.flatMap((text, index) => (index === 0 ? [text] : ['.br', text]));
}

const plain = (text: string): string =>
	parseInline(text)
		.map((part) => part.text.replaceAll('`', ''))
		.join('');

/** Code is bold, and a link names the page for man. */
const textOf = (text: string): string =>
	escapedStart(
		parseInline(text)
			.map((part) => {
				if (part.kind === 'text') return inner(part.text);
				if (part.kind !== 'link') return `\\fB${inner(part.text)}\\fR`;
				const topic = topicOf(part.target);
				const shown = inner(plain(part.text));
				if (topic === null) return shown;
				return topic === part.text
					? `\\fBrollcall\\-${inner(topic)}\\fR(7)`
					: `${shown} (\\fBrollcall\\-${inner(topic)}\\fR(7))`;
			})
			.join(''),
	);

const inner = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
const escapedStart = (line: string): string => line.replace(/^(?=[.'])/, '\\&');
