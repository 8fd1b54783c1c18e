import { readFileSync } from 'node:fs';
import { messageOf, RollcallError } from '../../errors.js';

const fieldsBytesMax = 64 * 1024;

/**
 * `key=value` words as an operation's fields: a value is read as JSON when it is JSON, else it is text.
 * `replicated=true` is a boolean, `status=active` a text, `status='"7"'` the text 7, `skip='["beta"]'` a list.
 */
export function parseFields(words: readonly string[]): Record<string, unknown> {
	const fields = new Map<string, unknown>();
	for (const word of words) {
		const equals = word.indexOf('=');
		if (equals < 1) throw new RollcallError('usage', `'${word}' is no field; fields are written key=value.`);
		const key = word.slice(0, equals);
		if (key === 'operation') throw new RollcallError('usage', 'The operation is the first word, not a field.');
		if (fields.has(key)) throw new RollcallError('usage', `The field '${key}' is given twice.`);
		fields.set(key, parseValue(word.slice(equals + 1)));
	}
	return Object.fromEntries(fields);
}

function parseValue(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

/** Fields that must not stand on a command line, such as a new user's password: a JSON object in a file, `-` for stdin. */
export function readFields(file: string): Record<string, unknown> {
	const name = file === '-' ? 'standard input' : file;
	let value: unknown;
	try {
		const text = readFileSync(file === '-' ? 0 : file, 'utf8');
		if (text.length > fieldsBytesMax) throw new Error(`it is longer than ${fieldsBytesMax} bytes`);
		value = JSON.parse(text);
	} catch (error) {
		throw new RollcallError('usage', `--fields ${name}: ${messageOf(error)}`, {}, { cause: error });
	}
	if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw new RollcallError('usage', `--fields ${name} must hold a JSON object.`);
}
