/** Whether two pieces of plain data say the same. Asked after nearly every event, so nothing is written out for it. */
export function isEqual(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
	if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b);
	const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>];
	let count = 0;
	for (const key in one) {
		if (!isEqual(one[key], other[key])) return false;
		count += 1;
	}
	for (const _ in other) count -= 1;
	return count === 0;
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
	if (a.length !== b.length) return false;
	for (let at = 0; at < a.length; at += 1) if (!isEqual(a[at], b[at])) return false;
	return true;
}
