import { operationsByName } from '../../operations/table.js';
import { table } from '../output/table.js';
import { indent } from '../output/terminal.js';

const access = {
	super_user: 'super_user',
	operator: 'operator or super_user',
	viewer: 'viewer, operator or super_user',
	anyone: 'anyone, with username and password',
	refresh_token: 'the holder of a refresh token',
} as const;

/** What `rollcall <operation> --help` prints, out of the table that the daemon itself answers by. */
export function operationHelp(name: string): string {
	const row = operationsByName.get(name);
	if (!row) return '';
	const fields = Object.entries(row.fields);
	const usage = fields.map(([key, { required }]) => (required ? `${key}=VALUE` : `[${key}=VALUE]`));
	const parts = [`rollcall ${[name, ...usage].join(' ')}`, row.summary];
	if (fields.length > 0) {
		const columns = [
			{ title: 'FIELD', value: ([key]: (typeof fields)[number]) => key },
			{ title: 'TAKES', value: ([, { schema }]: (typeof fields)[number]) => takes(schema) },
			{ title: 'MEANS', value: ([, { summary }]: (typeof fields)[number]) => summary },
		];
		parts.push(indent(table(fields, columns)));
	}
	parts.push(`For: ${access[row.access]}. Values are read as JSON, else as text; rollcall --help lists the options.`);
	return `${parts.join('\n\n')}\n`;
}

function takes(schema: Readonly<Record<string, unknown>>): string {
	const {
		enum: values,
		type,
		items,
		oneOf,
	} = schema as {
		enum?: string[];
		type?: string;
		items?: Record<string, unknown>;
		oneOf?: Record<string, unknown>[];
	};
	if (values) return values.join(' | ');
	if (items) return `list of ${takes(items)}`;
	if (oneOf) return oneOf.map((one) => (one['pattern'] === undefined ? takes(one) : 'per cent')).join(' or ');
	if (type === 'string') return 'text';
	return type === 'boolean' ? 'true | false' : 'number';
}
