import type { ConfigurationDocument } from './yaml.js';
import type { Override } from '../overrides.js';
import type { ConfigurationFault, KeyPath } from './faults.js';

/** What was read, for saying where something stands. */
export interface ConfigurationSource {
	file: string;
	document: ConfigurationDocument;
	overrides: readonly Override[];
	data: unknown;
}

/** Where a key stands: the variable that gave it, its own place in the file, or that of the nearest key above it. */
export function whereIs(
	source: ConfigurationSource,
	path: KeyPath,
): Pick<ConfigurationFault, 'file' | 'line' | 'column' | 'variable'> {
	const variable = variableOf(source, path);
	if (variable !== null) return { file: source.file, line: null, column: null, variable };
	const exact = source.document.valueAt(path);
	if (exact !== null) return { file: source.file, ...exact, variable: null };
	for (let above = path.slice(0, -1); above.length > 0; above = above.slice(0, -1)) {
		const position = source.document.keyAt(above);
		if (position !== null) return { file: source.file, ...position, variable: null };
	}
	return { file: source.file, line: 1, column: 1, variable: null };
}

/** A key that is missing in a section which only a variable made is that variable's matter. */
function variableOf(source: ConfigurationSource, path: KeyPath): string | null {
	const begins = (override: Override, start: KeyPath) => start.every((part, index) => override.path[index] === part);
	const same = source.overrides.find((override) => override.path.length === path.length && begins(override, path));
	if (same !== undefined) return same.variable;
	for (let depth = path.length; depth > 0; depth--) {
		const start = path.slice(0, depth);
		if (source.document.valueAt(start) !== null) return null;
		const below = source.overrides.find((override) => begins(override, start));
		if (below !== undefined) return below.variable;
	}
	return null;
}
