/** The Markdown that the manual is written in: headings, paragraphs, lists of one level, numbered or not, code blocks, tables. */

export type Block =
	| { readonly kind: 'heading'; readonly level: number; readonly text: string }
	| { readonly kind: 'paragraph'; readonly text: string }
	| { readonly kind: 'item'; readonly mark: string; readonly text: string }
	| { readonly kind: 'code'; readonly lines: readonly string[] }
	| { readonly kind: 'table'; readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** A piece of a line: plain, or between backticks, or between asterisks, or a link. */
export type Inline =
	| { readonly kind: 'text' | 'code' | 'strong'; readonly text: string }
	| { readonly kind: 'link'; readonly text: string; readonly target: string };

export function parseMarkdown(page: string): Block[] {
	const lines = page.replaceAll(/<!--[\s\S]*?-->/g, '').split('\n');
	const blocks: Block[] = [];
	while (lines.length > 0) {
		const line = lines.shift() ?? '';
		const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? [];
		if (line.trim() === '') continue;
		if (marks !== undefined) blocks.push({ kind: 'heading', level: marks.length, text: title ?? '' });
		else if (line.startsWith('```')) {
			blocks.push({ kind: 'code', lines: takeWhile(lines, (next) => !next.startsWith('```')) });
			lines.shift();
		} else if (line.startsWith('|')) blocks.push(tableOf([line, ...takeWhile(lines, (next) => next.startsWith('|'))]));
		else {
			const text = [line, ...takeWhile(lines, (next) => !/^(\s*$|#+ |```|\||- |\d\. )/.test(next))].join(' ');
			const [, mark, item] = /^(-|\d\.) (.*)$/.exec(text) ?? [];
			const whole = (item ?? text).replaceAll(/\s+/g, ' ');
			blocks.push(mark === undefined ? { kind: 'paragraph', text: whole } : { kind: 'item', mark, text: whole });
		}
	}
	return blocks;
}

/** Takes the first lines for which it holds from the list. */
function takeWhile(lines: string[], holds: (line: string) => boolean): string[] {
	const end = lines.findIndex((line) => !holds(line));
	return lines.splice(0, end < 0 ? lines.length : end);
}

function tableOf(lines: readonly string[]): Block {
	const [header = [], , ...rows] = lines.map(cellsOf);
	return { kind: 'table', header, rows };
}

/** `\|` is a bar of a cell's text. */
const cellsOf = (line: string): string[] =>
	line
		.trim()
		.replaceAll(/^\||(?<!\\)\|$/g, '')
		.split(/(?<!\\)\|/)
		.map((cell) => cell.trim().replaceAll('\\|', '|'));

export function parseInline(text: string): Inline[] {
	const parts: Inline[] = [];
	let end = 0;
	for (const found of text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\[((?:[^\]`]|`[^`]*`)+)\]\(([^)\s]+)\)/g)) {
		const [whole, code, strong, link, target] = found;
		if (found.index > end) parts.push({ kind: 'text', text: text.slice(end, found.index) });
		if (code !== undefined) parts.push({ kind: 'code', text: code });
		else if (strong !== undefined) parts.push({ kind: 'strong', text: strong });
		else parts.push({ kind: 'link', text: link ?? '', target: target ?? '' });
		end = found.index + whole.length;
	}
	if (end < text.length) parts.push({ kind: 'text', text: text.slice(end) });
	return parts;
}

/** The page of the manual that a link leads to, such as `certificates` for `../operate/certificates.md#renew`; null for other files. */
export const topicOf = (target: string): string | null =>
	/^(?:\.\.\/)?(?:[a-z]+\/)?([a-z][a-z0-9-]*)\.md(?:#.*)?$/.exec(target)?.[1] ?? null;
