import { z } from '../../zod.js';
import { isSpoken } from './handshake.js';

/** What a version has no word for. */
export const unspoken = Symbol('unspoken');

/**
 * A value as a version of the protocol has it: fields that came later are left out, and a value whose very shape came
 * later is {@link unspoken}. The schema is that of the newest version, and the value fits it.
 */
export function inVersion(version: number, schema: z.ZodType, value: unknown): unknown {
	if (!isSpoken(schema, version)) return unspoken;
	if (typeof value !== 'object' || value === null) return value;
	if (schema instanceof z.ZodNullable || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
		return inVersion(version, schema.unwrap() as z.ZodType, value);
	if (schema instanceof z.ZodArray && Array.isArray(value))
		return allOrUnspoken(value.map((item) => inVersion(version, schema.element as z.ZodType, item)));
	if (schema instanceof z.ZodDiscriminatedUnion) return inVersion(version, optionFor(schema, value), value);
	if (schema instanceof z.ZodObject) return objectIn(version, schema, value as Record<string, unknown>);
	return value;
}

function objectIn(version: number, schema: z.ZodObject, value: Record<string, unknown>): unknown {
	const fields: [string, unknown][] = [];
	for (const [key, field] of Object.entries(schema.shape)) {
		if (value[key] === undefined || !isSpoken(field as z.ZodType, version)) continue;
		const spoken = inVersion(version, field as z.ZodType, value[key]);
		if (spoken === unspoken) return unspoken;
		fields.push([key, spoken]);
	}
	return Object.fromEntries(fields);
}

const allOrUnspoken = (values: unknown[]): unknown => (values.includes(unspoken) ? unspoken : values);

function optionFor(schema: z.ZodDiscriminatedUnion, value: object): z.ZodType {
	const { discriminator } = schema.def;
	const tag = (value as Record<string, unknown>)[discriminator];
	const found = schema.options.find((option) => {
		const field: unknown = option instanceof z.ZodObject ? option.shape[discriminator] : null;
		return field instanceof z.ZodLiteral && field.values.has(tag as string);
	});
	return (found ?? z.unknown()) as z.ZodType;
}
