import {
	type Alias,
	type Document,
	isAlias,
	isMap,
	isNode,
	isScalar,
	isSeq,
	LineCounter,
	type Node,
	parseDocument,
	type YAMLError,
	visit,
} from 'yaml';
import { ConfigurationError, type ConfigurationFault, type KeyPath } from './faults.js';

export interface Position {
	line: number;
	column: number;
}

/** A configuration file that was read as YAML: its data, and where each key stands. */
export interface ConfigurationDocument {
	/** Plain data; no two places share an object, aliases are copied out. */
	data: unknown;
	/** Where the value at a path stands (a block section: its key); null if the file does not hold it. */
	valueAt(path: KeyPath): Position | null;
	/** Where the last key of a path itself stands; null if the file does not hold it. */
	keyAt(path: KeyPath): Position | null;
}

/** An alias may stand in for data; more of them than this, or nested ones that multiply, are an attack on memory. */
const aliasesMax = 100;

/** Data only: YAML 1.2 core, no tags, no merge keys, text keys, no key twice. Throws {@link ConfigurationError}. */
export function parseConfigurationDocument(file: string, text: string): ConfigurationDocument {
	const lines = new LineCounter();
	const fail = (expected: string, got: string, offset: number | null): never => {
		const at = offset === null ? null : positionOf(lines, offset);
		const where = { file, line: at?.line ?? null, column: at?.column ?? null, variable: null, key: '' };
		throw new ConfigurationError([{ ...where, expected, got, hint: null }]);
	};
	try {
		const document = parseDocument(text, {
			version: '1.2',
			schema: 'core',
			merge: false,
			resolveKnownTags: false,
			stringKeys: true,
			// The library compares each key with each other one, which takes minutes for a large file.
			uniqueKeys: false,
			prettyErrors: false,
			lineCounter: lines,
		});
		const faults = [...document.errors, ...document.warnings];
		if (faults.length > 0) throw new ConfigurationError([firstOf(faults, file, lines)]);
		checkKeys(document, (offset) => fail('each key once', 'the same key again', offset));
		checkAliases(document, (offset) => fail('an alias (*name) of an anchor (&name) above it', 'another name', offset));
		const data = unshared(document.toJS({ maxAliasCount: aliasesMax }));
		return {
			data,
			valueAt: (path) => startOf(lines, valueNode(locate(document, path))),
			keyAt: (path) => startOf(lines, locate(document, path)?.key),
		};
	} catch (error) {
		if (error instanceof ConfigurationError) throw error;
		if (error instanceof ReferenceError) {
			return fail(`at most ${aliasesMax} aliases (*name), those behind other aliases counted too`, 'more', null);
		}
		if (error instanceof RangeError) return fail('sections that are not nested that deeply', 'deeper ones', null);
		throw error;
	}
}

function checkKeys(document: Document, refuse: (offset: number | null) => never): void {
	visit(document, {
		Map: (_key, map) => {
			const seen = new Set<string>();
			for (const { key } of map.items) {
				const name = isScalar(key) ? String(key.value) : '';
				if (seen.has(name)) refuse(isScalar(key) ? (key.range?.[0] ?? null) : null);
				seen.add(name);
			}
		},
	});
}

/** Each look-up goes through the whole file, so they are counted first. */
function checkAliases(document: Document, refuse: (offset: number | null) => never): void {
	const aliases: Alias[] = [];
	visit(document, { Alias: (_key, node) => void aliases.push(node) });
	if (aliases.length > aliasesMax) throw new ReferenceError('too many aliases');
	const unknown = aliases.find((alias) => alias.resolve(document) === undefined);
	if (unknown !== undefined) refuse(unknown.range?.[0] ?? null);
}

/** The lines below a mistake in the form are read wrong, too, so what is said of them only leads away from it. */
function firstOf(faults: readonly YAMLError[], file: string, lines: LineCounter): ConfigurationFault {
	const [first, ...others] = [...faults].sort((one, other) => one.pos[0] - other.pos[0]) as [YAMLError, ...YAMLError[]];
	const hint =
		others.length === 0 ? null : `${others.length} more below, which this one may have caused; correct it first`;
	return { ...syntaxFault(file, lines, first), hint };
}

/** The library's own texts quote the file, which may hold secrets; the code says enough. */
function syntaxFault(file: string, lines: LineCounter, error: YAMLError): ConfigurationFault {
	const [expected, got] = syntaxTexts[error.code] ?? ['YAML', `a mistake in its form (${error.code})`];
	return { file, ...positionOf(lines, error.pos[0]), variable: null, key: '', expected, got, hint: null };
}

const syntaxTexts: Partial<Record<YAMLError['code'], [expected: string, got: string]>> = {
	TAG_RESOLVE_FAILED: ['plain data', 'a tag (!name)'],
	MULTIPLE_DOCS: ['one document', 'a second one (---)'],
	TAB_AS_INDENT: ['spaces', 'a tab'],
	BAD_INDENT: ['a line indented as its section is, and brackets closed before it', 'another indentation'],
	BLOCK_AS_IMPLICIT_KEY: ['one "key: value" a line', 'a second colon; put a value that holds ": " in quotes'],
	MULTILINE_IMPLICIT_KEY: ['"key: value"', 'a line without a colon'],
	MISSING_CHAR: ['a closing quote or bracket, or a colon with a space after it', 'none'],
	BAD_SCALAR_START: ['a value in quotes, as it begins with a special character', 'none'],
	NON_STRING_KEY: ['a text as key', 'something else'],
};

/** The pair of nodes at a path; list items have no key of their own. */
function locate(document: Document, path: KeyPath): { key: unknown; value: unknown } | null {
	let found: { key: unknown; value: unknown } = { key: document.contents, value: document.contents };
	for (const part of path) {
		const container = isAlias(found.value) ? found.value.resolve(document) : found.value;
		if (isSeq(container) && typeof part === 'number' && part < container.items.length) {
			const item = container.items[part];
			found = { key: item, value: item };
			continue;
		}
		const pair = isMap(container)
			? container.items.find((candidate) => isScalar(candidate.key) && String(candidate.key.value) === String(part))
			: undefined;
		if (pair === undefined) return null;
		found = { key: pair.key, value: hasRange(pair.value) ? pair.value : pair.key };
	}
	return found;
}

/** A block section begins at its first key, a line further down, and nothing stands nowhere: one looks at their own key. */
function valueNode(found: { key: unknown; value: unknown } | null): unknown {
	const value = found?.value;
	const isBlock = (isMap(value) || isSeq(value)) && value.flow !== true;
	const isNothing = isScalar(value) && value.value === null && value.range?.[0] === value.range?.[1];
	return isBlock || isNothing ? found?.key : value;
}

function hasRange(node: unknown): node is Node {
	return isNode(node) && Array.isArray(node.range);
}

function startOf(lines: LineCounter, node: unknown): Position | null {
	return isNode(node) && node.range ? positionOf(lines, node.range[0]) : null;
}

function positionOf(lines: LineCounter, offset: number): Position {
	const { line, col } = lines.linePos(offset);
	return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Aliases share objects; an override of one place must not change the other. */
function unshared(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(unshared);
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unshared(item)]));
}
