import { isScalar, parseDocument } from 'yaml';
import { z } from '../zod.js';
import { type ConfigurationFault, type KeyPath, keyText, nearest } from './document/faults.js';
import { configurationSchema } from './schema.js';
import { isContainer, unwrapped } from './schema-walk.js';

/** Variables with this prefix that are no overrides: credentials, and what Rollcall tells its own processes. */
export const reservedVariables: ReadonlySet<string> = new Set([
	'ROLLCALL_ADMIN_USERNAME',
	'ROLLCALL_ADMIN_PASSWORD',
	'ROLLCALL_USERNAME',
	'ROLLCALL_PASSWORD',
	'ROLLCALL_TOKEN',
	'ROLLCALL_WORKER',
]);

const prefix = 'ROLLCALL_';

/** A value that the environment gives instead of the file. */
export interface Override {
	variable: string;
	path: KeyPath;
}

interface Target {
	path: (string | number)[];
	schema: z.ZodType;
}

/**
 * Puts the values of the ROLLCALL_ variables into `data` (the plain data of the file; it is changed, sections that are
 * missing are made). A variable that names no scalar of the schema is a fault; its value is never repeated.
 */
export function applyOverrides(
	file: string,
	data: unknown,
	env: NodeJS.ProcessEnv,
): { data: unknown; overrides: Override[]; faults: ConfigurationFault[] } {
	const root: unknown = data ?? {};
	const overrides: Override[] = [];
	const faults: ConfigurationFault[] = [];
	for (const variable of overrideNames(env)) {
		const found = findTarget(variable);
		if (typeof found === 'string') {
			faults.push(
				variableFault(file, variable, '', 'a key of the configuration that holds one value', found, hintFor(variable)),
			);
			continue;
		}
		const gap = put(root, found.path, readValue(env[variable] ?? '', found.schema));
		if (gap === null) overrides.push({ variable, path: found.path });
		else faults.push(variableFault(file, variable, keyText(found.path), gap.expected, gap.got, null));
	}
	return { data: root, overrides, faults };
}

/** Numbers in the order of their value, so that list items are added one after the other. */
function overrideNames(env: NodeJS.ProcessEnv): string[] {
	return Object.keys(env)
		.filter((name) => name.startsWith(prefix) && !reservedVariables.has(name) && env[name] !== undefined)
		.sort((one, other) => one.localeCompare(other, 'en', { numeric: true }));
}

function variableFault(
	file: string,
	variable: string,
	key: string,
	expected: string,
	got: string,
	hint: string | null,
): ConfigurationFault {
	return { file, line: null, column: null, variable, key, expected, got, hint };
}

/** The key that a variable means, or what it names instead. */
function findTarget(variable: string): Target | string {
	const parts = variable.slice(prefix.length).split('__');
	const path: (string | number)[] = [];
	let schema = unwrapped(configurationSchema);
	while (parts.length > 0) {
		const part = parts.shift() ?? '';
		if (schema instanceof z.ZodObject) {
			const key = Object.keys(schema.shape).find((candidate) => candidate.toUpperCase() === part);
			if (key === undefined) return 'an unknown one';
			path.push(key);
			schema = unwrapped(schema.shape[key]);
		} else if (schema instanceof z.ZodArray) {
			if (!/^(?:0|[1-9][0-9]{0,3})$/.test(part)) return 'no list index';
			path.push(Number(part));
			schema = unwrapped(schema.element as z.ZodType);
		} else if (schema instanceof z.ZodRecord) {
			// Names of an app's variables are taken as they stand: two underscores are no levels there.
			const key = [part, ...parts.splice(0)].join('__');
			if (!z.safeParse(schema.keyType, key).success) return 'a name that no variable of an app may have';
			path.push(key);
			schema = unwrapped(schema.valueType as z.ZodType);
		} else {
			return 'an unknown one';
		}
	}
	return isContainer(schema) ? 'a whole section or list' : { path, schema };
}

function hintFor(variable: string): string {
	const known = scalarVariables(configurationSchema, prefix);
	const plain = variable.replaceAll(/__[0-9]+(?=__|$)/g, '__0');
	const meant = nearest(plain, known);
	return meant === null
		? `a name is ${prefix} and the path in capitals with __ between levels, such as ROLLCALL_HTTP_WORKERS__0__INSTANCES`
		: `did you mean ${meant}?`;
}

function scalarVariables(schema: unknown, name: string): string[] {
	const inner = unwrapped(schema);
	const below = (part: string) => (name === prefix ? `${name}${part}` : `${name}__${part}`);
	if (inner instanceof z.ZodArray) return scalarVariables(inner.element, below('0'));
	if (inner instanceof z.ZodRecord) return [];
	if (!(inner instanceof z.ZodObject)) return [name];
	return Object.entries(inner.shape).flatMap(([key, value]) => scalarVariables(value, below(key.toUpperCase())));
}

/** A YAML scalar as in the file, but a plain text stands as it is, and where only a text is taken `8080` is one. */
function readValue(raw: string, schema: z.ZodType): unknown {
	const document = parseDocument(raw, { version: '1.2', schema: 'core', resolveKnownTags: false, prettyErrors: false });
	if (document.errors.length > 0 || document.warnings.length > 0 || !isScalar(document.contents)) return raw;
	const scalar = document.contents;
	if (scalar.type === 'PLAIN' && typeof scalar.value === 'string') return raw;
	return schema.safeParse(scalar.value).success || !schema.safeParse(raw).success ? scalar.value : raw;
}

/** Sets a value, making the sections on the way; null if it could be done. */
function put(root: unknown, path: KeyPath, value: unknown): { expected: string; got: string } | null {
	let container = root;
	for (const [depth, part] of path.entries()) {
		const refusal = refusalOf(container, part);
		if (refusal !== null) return refusal;
		// The refusals leave lists with indexes and sections with keys.
		const holder = container as Record<string | number, unknown>;
		if (depth + 1 === path.length) holder[part] = value;
		else holder[part] ??= typeof path[depth + 1] === 'number' ? [] : {};
		container = holder[part];
	}
	return null;
}

function refusalOf(container: unknown, part: string | number): { expected: string; got: string } | null {
	const isList = Array.isArray(container);
	if (typeof part === 'number') {
		if (!isList) return { expected: 'a list in the file', got: 'something else' };
		return part > container.length ? { expected: `an index of at most ${container.length}`, got: String(part) } : null;
	}
	const isSection = typeof container === 'object' && container !== null && !isList;
	return isSection ? null : { expected: 'a section in the file', got: 'something else' };
}
