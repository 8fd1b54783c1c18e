import { configurationJsonSchema, type JsonSchema } from './json-schema.js';
import { durationPattern, percentPattern, sharePattern, sizePattern } from '../document/values.js';

/** One key of the configuration, in words. */
export interface ReferenceRow {
	/** Such as `http_workers[].health.deadline`. */
	key: string;
	type: string;
	default: string;
	meaning: string;
}

/** Every key of the configuration in the order of the schema. */
export function referenceRows(): ReferenceRow[] {
	return rowsBelow(configurationJsonSchema(), '');
}

/** A Markdown table: key, type, default, meaning. */
export function configurationReference(): string {
	const cell = (text: string) => text.replaceAll('|', '\\|');
	const lines = referenceRows().map((row) => {
		return `| \`${row.key}\` | ${cell(row.type)} | ${cell(row.default)} | ${cell(row.meaning)} |`;
	});
	return ['| key | type | default | meaning |', '|---|---|---|---|', ...lines, ''].join('\n');
}

function rowsBelow(section: JsonSchema, prefix: string): ReferenceRow[] {
	return Object.entries(section.properties ?? {}).flatMap(([name, schema]) => {
		const key = prefix + name;
		const row: ReferenceRow = { key, type: typeText(schema), ...meaningOf(schema) };
		const below = schema.items === undefined ? rowsBelow(schema, `${key}.`) : rowsBelow(schema.items, `${key}[].`);
		return [row, ...below];
	});
}

/** A description ends with its default, which has a column of its own here. */
function meaningOf(schema: JsonSchema): Pick<ReferenceRow, 'default' | 'meaning'> {
	const description = schema.description ?? '';
	const told = /^(.*); (?:default:? (.+)|(must be given))\.$/.exec(description);
	if (told === null) return { default: '', meaning: description };
	return { default: told[2] ?? told[3] ?? '', meaning: `${told[1]}.` };
}

function typeText(schema: JsonSchema): string {
	if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ');
	if (schema.enum !== undefined) return schema.enum.join(', ');
	if (schema.const !== undefined) return String(schema.const);
	if (schema.type === 'array') return `list of ${plural(schema.items)}`;
	if (schema.type === 'object') return schema.properties === undefined ? 'section of texts' : 'section';
	if (schema.type === 'boolean') return 'true or false';
	if (schema.type === 'integer') return `whole number, ${schema.minimum} to ${schema.maximum}`;
	if (schema.pattern === durationPattern.source) return 'duration';
	if (schema.pattern === sizePattern.source) return 'size';
	if (schema.pattern === percentPattern.source || schema.pattern === sharePattern.source) return 'per cent';
	return 'text';
}

function plural(items: JsonSchema | undefined): string {
	if (items?.type === 'object') return 'sections';
	return items?.type === 'integer' ? 'whole numbers' : 'texts';
}
