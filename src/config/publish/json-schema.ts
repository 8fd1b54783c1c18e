import { z } from '../../zod.js';
import { configurationSchema } from '../schema.js';

/** The parts of JSON Schema (2020-12) that the configuration's comes to. */
export interface JsonSchema {
	type?: string;
	description?: string;
	default?: unknown;
	pattern?: string;
	enum?: unknown[];
	const?: unknown;
	minimum?: number;
	maximum?: number;
	anyOf?: JsonSchema[];
	items?: JsonSchema;
	properties?: Record<string, JsonSchema>;
	required?: string[];
	additionalProperties?: boolean | JsonSchema;
}

/** What may stand in the file, before defaults: durations and sizes are texts. */
export function configurationJsonSchema(): JsonSchema {
	const { $schema, ...schema } = z.toJSONSchema(configurationSchema, { io: 'input', target: 'draft-2020-12' });
	return { $schema, title: 'Rollcall configuration', ...schema } as JsonSchema;
}

/** The content of config/rollcall.schema.json. */
export function configurationJsonSchemaText(): string {
	return `${JSON.stringify(configurationJsonSchema(), null, '\t')}\n`;
}
