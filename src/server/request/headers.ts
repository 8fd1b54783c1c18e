/** Headers by which a request is judged. node:http takes the first of two in silence, a proxy before it may take the last. */
const single: ReadonlySet<string> = new Set(['host', 'authorization', 'content-type']);

/** The first such header that occurs twice, in its original spelling; null if none does. `rawHeaders`: name, value, name, value. */
export function repeatedHeader(rawHeaders: readonly string[]): string | null {
	let seen: string[] | null = null;
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const spelt = rawHeaders[at] ?? '';
		const { length } = spelt;
		// Most names have another length, and need not be looked at.
		if (length !== 4 && length !== 13 && length !== 12) continue;
		const name = spelt.toLowerCase();
		if (!single.has(name)) continue;
		if (seen?.includes(name)) return spelt;
		seen = seen === null ? [name] : [...seen, name];
	}
	return null;
}
