/**
 * JSON as an admin interface may take it: UTF-8 alone, no key twice in one object, not nested beyond a bound. JSON.parse takes
 * the last of two equal keys in silence, so whoever checks a request before us may have seen another one than we do.
 */

/** Deepest nesting of objects and arrays; no operation needs more than two. */
export const jsonDepthMax = 16;

export type JsonResult = { ok: true; value: unknown } | { ok: false; fault: string };

const decoder = new TextDecoder('utf-8', { fatal: true });

export function parseJson(bytes: Uint8Array): JsonResult {
	if (bytes.length === 0) return { ok: false, fault: 'The body is empty; send a JSON object.' };
	let text: string;
	try {
		text = decoder.decode(bytes);
	} catch {
		return { ok: false, fault: 'The body is not valid UTF-8.' };
	}
	const fault = findFault(text);
	if (fault !== null) return { ok: false, fault };
	try {
		return { ok: true, value: JSON.parse(text) };
	} catch {
		return { ok: false, fault: 'The body is not valid JSON.' };
	}
}

/**
 * Walks over strings and brackets only. It is told nothing by malformed text, which JSON.parse refuses afterwards; on
 * well-formed text a string is a key exactly when a colon follows it.
 */
function findFault(text: string): string | null {
	const open: (Set<string> | null)[] = [];
	for (let at = 0; at < text.length; at++) {
		switch (text.charCodeAt(at)) {
			case braceOpen:
				open.push(new Set());
				break;
			case bracketOpen:
				open.push(null);
				break;
			case braceClose:
			case bracketClose:
				open.pop();
				break;
			case quote: {
				const end = endOfString(text, at);
				const keys = open.at(-1);
				if (keys && isFollowedByColon(text, end)) {
					const key = decodeKey(text.slice(at, end));
					if (keys.has(key)) return `The body holds the key ${JSON.stringify(key)} twice in one object.`;
					keys.add(key);
				}
				at = end - 1;
				break;
			}
		}
		if (open.length > jsonDepthMax) return `The body is nested deeper than ${jsonDepthMax} levels.`;
	}
	return null;
}

const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;
const braceOpen = 0x7b;
const braceClose = 0x7d;
const bracketOpen = 0x5b;
const bracketClose = 0x5d;

/** The index after the closing quote, or the end of a text that has none. */
function endOfString(text: string, start: number): number {
	for (let at = start + 1; at < text.length; at++) {
		const unit = text.charCodeAt(at);
		if (unit === backslash) at++;
		else if (unit === quote) return at + 1;
	}
	return text.length;
}

function isFollowedByColon(text: string, start: number): boolean {
	for (let at = start; at < text.length; at++) {
		const unit = text.charCodeAt(at);
		if (unit === colon) return true;
		if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return false;
	}
	return false;
}

/** `"\u0061"` and `"a"` are the same key. */
function decodeKey(literal: string): string {
	if (!literal.includes('\\')) return literal.slice(1, -1);
	try {
		return String(JSON.parse(literal));
	} catch {
		return literal;
	}
}
