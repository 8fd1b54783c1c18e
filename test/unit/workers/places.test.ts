/** Instances of one set have the numbers from 0, each once, and one that is replaced hands its number on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeOnRecord, placesFor } from '../../../src/workers/pool/places.js';
import { plainApp } from '../../support/workers/supervised.js';

const at = (...slots: number[]): { slot: number }[] => slots.map((slot) => ({ slot }));
const numbers = (news: number, olds: number[], kept: number[]): number[] => {
	const ids = Array.from({ length: news }, (_, index) => `web-${index}`);
	return [...placesFor(ids, at(...olds), at(...kept)).values()];
};

test('new workers take the numbers of those whose place they take, and then the first free ones', () => {
	assert.deepEqual(numbers(3, [], []), [0, 1, 2]);
	assert.deepEqual(numbers(3, [0, 1, 2], []), [0, 1, 2]);
	assert.deepEqual(numbers(1, [1], [0, 2]), [1]);
	assert.deepEqual(numbers(4, [0, 1], []), [0, 1, 2, 3]);
	assert.deepEqual(numbers(2, [0, 1, 2, 3], []), [0, 1]);
	// Half-replaced sets, and one that has shrunk, end with the numbers from 0 all the same.
	assert.deepEqual(numbers(2, [0, 0], []).sort(), [0, 1]);
	assert.deepEqual(numbers(2, [2, 3], [0]).sort(), [1, 2]);
});

test('a worker keeps its number on record; one of an earlier version has that of its port, or the first free one', () => {
	const app = { ...plainApp, ports: [8090] };
	assert.deepEqual(placeOnRecord({ slot: 3, port: null }, app, new Set()), {
		slot: 3,
		port: null,
	});
	assert.deepEqual(placeOnRecord({ port: 8092 }, app, new Set()), {
		slot: 2,
		port: 8092,
	});
	assert.deepEqual(placeOnRecord({ port: null }, app, new Set([0, 1])), {
		slot: 2,
		port: null,
	});
});
