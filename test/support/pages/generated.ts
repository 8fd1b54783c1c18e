import { readPage as readTopic } from '../../../src/cli/commands/help.js';
import { configurationReference } from '../../../src/config/publish/reference.js';
import { exitMeanings, faults } from '../../../src/errors.js';
import { operations } from '../../../src/operations/table.js';
import type { Operation } from '../../../src/operations/types.js';
import { createMetrics } from '../../../src/system/metrics.js';
import { codeBlocks } from './pages.js';

/** What stands in a page between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; `npm run readme` writes it there. */
export const generators: Readonly<Record<string, () => string>> = {
	configuration: configurationReference,
	errors: errorsTable,
	'exit-codes': exitCodesTable,
	metrics: metricsTable,
	operations: operationsTable,
};

const place = /<!-- ([\w-]+):begin -->\n[\s\S]*?<!-- \1:end -->/g;

/** Names of the generated parts that a page has, in its order. */
export const generatedParts = (page: string): string[] => [...page.matchAll(place)].map(([, name]) => name ?? '');

/** The page with its generated parts as they are to be. Throws for a part that has no generator. */
export function withGeneratedParts(page: string): string {
	return page.replace(place, (_, name: string) => `<!-- ${name}:begin -->\n\n${make(name)}\n<!-- ${name}:end -->`);
}

/** `quickstart-fleet-2` is the second code block of that page of the manual, so that it stands in one place alone. */
function make(name: string): string {
	const generator = generators[name];
	if (generator !== undefined) return generator();
	const [, topic, number] = /^([\w-]+)-(\d+)$/.exec(name) ?? [];
	const block = topic && codeBlocks(readTopic(topic))[Number(number) - 1];
	if (!block) throw new Error(`There is no generator and no code block of the manual '${name}'.`);
	return `\`\`\`sh\n${block}\`\`\`\n`;
}

const tableOf = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
	[header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');

function operationsTable(): string {
	const rows = operations.map((row) => [`\`${row.name}\``, row.access, fieldsOf(row), row.summary]);
	return tableOf(['operation', 'who', 'fields', ''], rows);
}

/** `?` marks what may be left out. */
function fieldsOf({ fields }: Operation): string {
	return Object.entries(fields)
		.map(([name, field]) => `\`${name}${field.required ? '' : '?'}\``)
		.join(' ');
}

function errorsTable(): string {
	const rows = Object.entries(faults).map(([code, { http, exit, means, remedy }]) => [
		`\`${code}\``,
		String(http),
		String(exit),
		means,
		remedy,
	]);
	return tableOf(['code', 'HTTP', 'exit', 'it means', 'do'], rows);
}

function exitCodesTable(): string {
	const rows = Object.entries(exitMeanings).map(([exit, meaning]) => {
		const codes = Object.entries(faults).filter(([, fault]) => fault.exit === Number(exit));
		return [exit, meaning, codes.map(([code]) => `\`${code}\``).join(' ')];
	});
	return tableOf(['exit', 'meaning', 'error codes'], rows);
}

function metricsTable(): string {
	const rows = createMetrics('')
		.series()
		.filter(({ name }) => name.startsWith('rollcall_'))
		.map(({ name, type, labels, help }) => [
			`\`${name}\``,
			type,
			labels.map((label) => `\`${label}\``).join(' '),
			help,
		]);
	return tableOf(['series', 'type', 'labels', 'meaning'], rows);
}
