import type { z } from '../../zod.js';
import { type ConfigurationFault, faultsMax, gotText, type KeyPath, keyText, nearest } from './faults.js';
import { isContainer, keysAt, schemaAt } from '../schema-walk.js';
import { type ConfigurationSource, whereIs } from './source.js';

type Issue = z.core.$ZodIssue;

/** What the schema found, each told once and where it stands, at most {@link faultsMax}. */
export function issueFaults(source: ConfigurationSource, issues: readonly Issue[]): ConfigurationFault[] {
	const faults = issues.slice(0, faultsMax).flatMap((issue) => faultsOf(source, issue));
	const seen = new Set<string>();
	return faults.filter((fault) => {
		const before = seen.size;
		return seen.add(`${fault.key}\n${fault.expected}`).size > before && seen.size <= faultsMax;
	});
}

function faultsOf(source: ConfigurationSource, issue: Issue): ConfigurationFault[] {
	const path = issue.path as KeyPath;
	if (issue.code === 'unrecognized_keys')
		return issue.keys.slice(0, faultsMax).map((key) => unknownKey(source, [...path, key]));
	if (issue.code === 'invalid_key') {
		const expected = issue.issues[0]?.message ?? 'another name';
		// The name may be a whole assignment with its value, so the place must do.
		const key = keyText(path.slice(0, -1));
		return [{ ...keyPlace(source, path), key, expected, got: 'another name', hint: null }];
	}
	const value = valueAt(source.data, path);
	return [
		{
			...whereIs(source, path),
			key: keyText(path),
			expected: issue.message,
			got: gotText(value, mayBeShown(path)),
			hint: hintFor(source, path, value),
		},
	];
}

/** Keys that people look for, and what stands in their place. */
const absentKeys: Readonly<Record<string, { expected: string; hint: string }>> = {
	sticky: {
		expected: 'no sticky: there are no sticky sessions, since each worker accepts connections by itself',
		hint: 'use instances: 1, the websocket transport alone, or an app with a port of its own for each instance and a load balancer that is sticky',
	},
};

function unknownKey(source: ConfigurationSource, path: KeyPath): ConfigurationFault {
	const known = keysAt(path.slice(0, -1));
	const name = String(path.at(-1));
	const place = { ...keyPlace(source, path), key: keyText(path) };
	const absent = Object.hasOwn(absentKeys, name) && path[0] === 'http_workers' ? absentKeys[name] : undefined;
	if (absent) return { ...place, ...absent, got: name };
	const meant = nearest(name, known);
	return {
		...place,
		expected: `a key out of ${known.join(', ')}`,
		got: 'another one',
		hint: meant === null ? null : `did you mean ${meant}?`,
	};
}

function keyPlace(source: ConfigurationSource, path: KeyPath) {
	const position = source.document.keyAt(path);
	return position === null ? whereIs(source, path) : { file: source.file, ...position, variable: null };
}

/** A value is repeated only where a single one without secrets belongs; an address may hold a password. */
function mayBeShown(path: KeyPath): boolean {
	return (
		!isContainer(schemaAt(path)) &&
		!path.some((part) => part === 'env' || part === 'args' || part === 'node_args' || part === 'url')
	);
}

function hintFor(source: ConfigurationSource, path: KeyPath, value: unknown): string | null {
	if (value === null && source.document.valueAt(path) !== null) return 'give it a value, or take the key out';
	if (typeof value !== 'number' && typeof value !== 'boolean') return null;
	return schemaAt(path)?.safeParse(String(value)).success ? 'put it in quotes' : null;
}

function valueAt(data: unknown, path: KeyPath): unknown {
	return path.reduce<unknown>((value, part) => {
		return typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[part] : undefined;
	}, data);
}
