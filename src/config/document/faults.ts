import { RollcallError } from '../../errors.js';

/** Where in the configuration something stands: keys and list indexes from the top. */
export type KeyPath = readonly (string | number)[];

/** One mistake. Nothing in it ever holds a secret's content. */
export interface ConfigurationFault {
	/** The file it stands in. */
	file: string;
	/** Counted from 1; null when it concerns the file as a whole, or a variable. */
	line: number | null;
	column: number | null;
	/** The environment variable that gave the value, null if the file did. */
	variable: string | null;
	/** Such as `http_workers[0].instances`; empty for the file as a whole. */
	key: string;
	/** Completes "expected …". */
	expected: string;
	/** Completes "got …". */
	got: string;
	/** What to do about it, null if that is plain. */
	hint: string | null;
}

/** More than that would be no help, and finding the place of each takes time. */
export const faultsMax = 100;

/** What the file was refused for, up to {@link faultsMax}. The message is {@link describeFaults}. */
export class ConfigurationError extends RollcallError {
	/** In the order of the file; those of variables come first. */
	readonly faults: readonly ConfigurationFault[];
	constructor(faults: readonly ConfigurationFault[]) {
		const ordered = [...faults].sort((one, other) => {
			return (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0);
		});
		super('configuration', describeFaults(ordered));
		this.faults = ordered;
	}
}

/** One line for each fault, such as `/etc/rollcall/rollcall.yaml:12:5: http_workers[0].gate: expected true or false, got "two"`. */
export function describeFaults(faults: readonly ConfigurationFault[]): string {
	return faults.map(faultLine).join('\n');
}

function faultLine(fault: ConfigurationFault): string {
	const position = fault.line === null ? '' : `:${fault.line}:${fault.column ?? 1}`;
	const where = fault.variable ?? `${fault.file}${position}`;
	const key = fault.key === '' ? '' : `${fault.key}: `;
	const hint = fault.hint === null ? '' : ` (${fault.hint})`;
	return `${where}: ${key}expected ${fault.expected}, got ${fault.got}${hint}`;
}

/** `['http_workers', 0, 'env', 'A B']` → `http_workers[0].env["A B"]`. */
export function keyText(path: KeyPath): string {
	return path.reduce<string>((text, part) => {
		if (typeof part === 'number') return `${text}[${part}]`;
		if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(part)) return `${text}[${JSON.stringify(part.slice(0, 64))}]`;
		return text === '' ? part : `${text}.${part}`;
	}, '');
}

/**
 * What stands at a key, for a message. `shown` says whether the value itself may be repeated: an operator needs to see
 * a mistyped number, but a password that stands where it does not belong must not reach a log.
 */
export function gotText(value: unknown, shown: boolean): string {
	if (value === undefined || value === null) return 'nothing';
	if (Array.isArray(value)) return 'a list';
	if (typeof value === 'object') return 'a section';
	if (!shown || typeof value !== 'string') return shown ? String(value) : `a ${kindOf(value)}`;
	if (value.includes('\n')) return 'a text of several lines';
	return value.length > 80 ? `a text of ${value.length} characters` : JSON.stringify(value);
}

function kindOf(value: unknown): string {
	if (typeof value === 'string') return 'text';
	return typeof value === 'boolean' ? 'truth value' : 'number';
}

/** The word out of `known` that was probably meant, or null. */
export function nearest(word: string, known: readonly string[]): string | null {
	const ranked = known
		.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
		.sort((one, other) => one.distance - other.distance);
	const best = ranked[0];
	return best !== undefined && best.distance <= Math.max(2, Math.floor(best.candidate.length / 3))
		? best.candidate
		: null;
}

/** Levenshtein's distance; words are cut at 64 characters, longer ones are no typing mistakes. */
function editDistance(left: string, right: string): number {
	const from = left.slice(0, 64);
	const to = right.slice(0, 64);
	let row = Array.from({ length: to.length + 1 }, (_, index) => index);
	for (let i = 0; i < from.length; i++) {
		const next = [i + 1];
		for (let j = 0; j < to.length; j++) {
			const replaced = (row[j] ?? 0) + (from[i] === to[j] ? 0 : 1);
			next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
		}
		row = next;
	}
	return row[to.length] ?? 0;
}
