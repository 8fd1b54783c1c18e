import { readFileSync } from 'node:fs';
import { configurationReference } from '../../../src/config/publish/reference.js';
import type { Operation } from '../../../src/operations/types.js';
import { operations } from '../../../src/operations/table.js';

/** Compiled, this file lies two levels deeper than its source. */
export const readmeFile = new URL('../../../../README.md', import.meta.url);

/** What stands in README.md between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; `npm run readme` writes it there. */
const generated: Readonly<Record<string, () => string>> = {
	configuration: configurationReference,
	operations: operationsTable,
};

export const readReadme = (): string => readFileSync(readmeFile, 'utf8');

/** The page with its generated parts as they are to be. Throws when the place of one is missing. */
export function withGeneratedParts(page: string): string {
	return Object.entries(generated).reduce((text, [name, make]) => {
		const [begin, end] = [`<!-- ${name}:begin -->\n`, `<!-- ${name}:end -->`];
		const from = text.indexOf(begin);
		const to = text.indexOf(end);
		if (from < 0 || to < from) throw new Error(`README.md has no place for the generated part '${name}'.`);
		return `${text.slice(0, from + begin.length)}\n${make()}\n${text.slice(to)}`;
	}, page);
}

/** The code blocks below a heading, up to the next one, without their fences. */
export function codeBlocks(heading: string): string[] {
	const page = readReadme();
	const from = page.indexOf(`\n## ${heading}\n`);
	if (from < 0) throw new Error(`README.md has no heading '${heading}'.`);
	const end = /\n##+ /g;
	end.lastIndex = from + 1 + heading.length;
	const section = page.slice(from, end.exec(page)?.index ?? page.length);
	return [...section.matchAll(/^```[a-z]*\n([\s\S]*?)^```$/gm)].map(([, text]) => text ?? '');
}

function operationsTable(): string {
	const rows = operations.map((row) => `| \`${row.name}\` | ${row.access} | ${fieldsOf(row)} | ${row.summary} |`);
	return ['| operation | who | fields | |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** `?` marks what may be left out. */
function fieldsOf({ fields }: Operation): string {
	return Object.entries(fields)
		.map(([name, field]) => `\`${name}${field.required ? '' : '?'}\``)
		.join(' ');
}
