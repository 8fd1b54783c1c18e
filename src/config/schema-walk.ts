import { z } from '../zod.js';
import type { KeyPath } from './document/faults.js';
import { configurationSchema } from './schema.js';

/** The schema without its default and without "may be left out". */
export function unwrapped(schema: unknown): z.ZodType {
	let inner = schema;
	while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
		inner = inner.unwrap();
	}
	return inner as z.ZodType;
}

/** Whether it is a section, a list or a set of variables, and so no single value. */
export function isContainer(schema: unknown): boolean {
	return schema instanceof z.ZodObject || schema instanceof z.ZodArray || schema instanceof z.ZodRecord;
}

/** What may stand at a path; null if nothing may. */
export function schemaAt(path: KeyPath): z.ZodType | null {
	let schema = unwrapped(configurationSchema);
	for (const part of path) {
		let next: unknown;
		if (schema instanceof z.ZodObject) next = schema.shape[String(part)];
		else if (schema instanceof z.ZodArray) next = schema.element;
		else if (schema instanceof z.ZodRecord) next = schema.valueType;
		if (next === undefined) return null;
		schema = unwrapped(next);
	}
	return schema;
}

/** The keys of the section at a path; none if there is no such section. */
export function keysAt(path: KeyPath): string[] {
	const schema = schemaAt(path);
	return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
