import { operationsByName } from '../../operations/table.js';
import { shellWord } from '../output/format.js';

/** What to type instead. The API's texts are fixed and speak of fields; this speaks of command lines. */

/** What people write for a boolean. */
const booleans: Readonly<Record<string, boolean>> = {
	yes: true,
	y: true,
	on: true,
	1: true,
	no: false,
	n: false,
	off: false,
	0: false,
};

/**
 * After the daemon refused the fields: the words that are likely to be meant, and where all of them stand. `command`: what
 * was typed, where it was no operation.
 */
export function adviceOn(name: string, fields: Readonly<Record<string, unknown>>, command: string | undefined): string {
	if (command !== undefined) return `What it takes: rollcall ${command} --help`;
	const row = operationsByName.get(name);
	if (!row) return 'What there is: rollcall --help';
	const lines: string[] = [];
	for (const [key, { schema, required }] of Object.entries(row.fields)) {
		const value = fields[key];
		const meant = typeof value === 'object' ? undefined : booleans[String(value).toLowerCase()];
		if (schema['type'] === 'boolean' && meant !== undefined) lines.push(`Type: ${key}=${meant}`);
		const values = schema['enum'];
		if (required && value === undefined && Array.isArray(values)) {
			lines.push(`Type: rollcall ${name} ${values.map((one) => `${key}=${String(one)}`).join(' | ')}`);
		}
	}
	return [...lines, `What it takes: rollcall ${name} --help`].join('\n');
}

/** For a word without `=`: a value of one of the operation's fields, or the name of one. */
export function adviceOnWord(name: string, word: string): string {
	const rows = Object.entries(operationsByName.get(name)?.fields ?? {});
	const said = `'${word}' is no field; fields are written key=value.`;
	const named = rows.find(([key]) => key === word);
	if (named) {
		const value = named[1].schema['type'] === 'boolean' ? 'true' : 'VALUE';
		return `${said} Type: ${word}=${value}`;
	}
	if (name === 'restart') {
		const app = shellWord(word);
		return `${said} If ${word} is an app, type: rollcall app restart ${app}, or rollcall rollout start ${app}`;
	}
	const valued = rows.find(([, { schema }]) => Array.isArray(schema['enum']) && schema['enum'].includes(word));
	if (valued) return `${said} Type: ${valued[0]}=${word}`;
	if (name === 'restart_service') {
		return `${said} If ${word} is an app, type: rollcall restart_service service=http_workers app=${shellWord(word)}`;
	}
	const only = rows.length === 1 ? rows[0] : rows.find(([, { required }]) => required);
	if (only) return `${said} Type: ${only[0]}=${shellWord(word)}`;
	return `${said} What it takes: rollcall ${name} --help`;
}
