import assert from 'node:assert/strict';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Compares as the contract's cases mean it: an object holding $type, $keys or $each is a matcher, everything else matches exactly.
 */
export function assertMatches(actual: unknown, expected: unknown, at = '$'): void {
	if (Array.isArray(expected)) {
		assert.ok(Array.isArray(actual), `${at} must be an array`);
		assert.equal(actual.length, expected.length, `${at} length`);
		for (const [index, item] of expected.entries()) assertMatches(actual[index], item, `${at}[${index}]`);
		return;
	}
	if (typeof expected !== 'object' || expected === null) {
		assert.deepEqual(actual, expected, at);
		return;
	}
	const matcher = expected as Record<string, unknown>;
	if ('$type' in matcher) {
		assertType(actual, matcher['$type'], at);
		return;
	}
	if ('$keys' in matcher) {
		assertKeys(actual, matcher['$keys'], at);
		return;
	}
	if ('$each' in matcher) {
		assert.ok(Array.isArray(actual) && actual.length > 0, `${at} must be a non-empty array`);
		for (const [index, item] of actual.entries()) assertKeys(item, matcher['$each'], `${at}[${index}]`);
		return;
	}
	assert.ok(typeof actual === 'object' && actual !== null && !Array.isArray(actual), `${at} must be an object`);
	const object = actual as Record<string, unknown>;
	assert.deepEqual(Object.keys(object).sort(), Object.keys(matcher).sort(), `keys of ${at}`);
	for (const [key, value] of Object.entries(matcher)) assertMatches(object[key], value, `${at}.${key}`);
}

function assertType(actual: unknown, type: unknown, at: string): void {
	if (type === 'integer') assert.ok(Number.isInteger(actual), `${at} must be an integer`);
	else if (type === 'uuid') assert.match(String(actual), uuid, at);
	else assert.equal(typeof actual, type, at);
}

function assertKeys(actual: unknown, keys: unknown, at: string): void {
	assert.ok(typeof actual === 'object' && actual !== null, `${at} must be an object`);
	for (const key of keys as string[]) assert.ok(key in actual, `${at} must have ${key}`);
}
