import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { KeyedHash } from '../../../src/server/access/hmac.js';

test('the keyed hash is HMAC-SHA-256, whatever the length of key and text', () => {
	for (const keyBytes of [0, 1, 32, 63, 64]) {
		const key = randomBytes(keyBytes);
		const keyed = new KeyedHash(key);
		for (const text of ['', 'a', 'ü'.repeat(40), 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(5_000)]) {
			assert.equal(keyed.digest(text), createHmac('sha256', key).update(text).digest('base64'));
		}
	}
	assert.throws(() => new KeyedHash(randomBytes(65)), RangeError);
	assert.notEqual(new KeyedHash().digest('a'), new KeyedHash().digest('a'));
});
