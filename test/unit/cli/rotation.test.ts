/** How far a rotation is follows from what the nodes accept and present, whatever they were told before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NodeRow, rotationNote } from '../../../src/cli/certificates/rotation.js';

const authority = (id: string, from: number, name = `fleet ${id}`) => ({ id, name, from });
const [one, two] = [authority('a1', 1_000), authority('b2', 2_000)];

/** `a` presents the old, `b` the new one; `1`: accepts the old one, `2` the new one, `12` both. */
function row(name: string, state: string): NodeRow {
	const accepts = [...(state.includes('1') ? [one] : []), ...(state.includes('2') ? [two] : [])];
	const presents = [...(state.includes('a') ? ['a1'] : []), ...(state.includes('b') ? ['b2'] : [])];
	return { name, link: 'up', reason: null, authorities: { accepts, presents } };
}

test('status says the step, and each node that is not there yet', () => {
	const cases: [string[], RegExp | null][] = [
		[['1a', '1a', '1a'], null],
		[
			['12a', '1a', '1a'],
			/^new authority, step 1 of 3: n2, n3 do not accept fleet b2 yet; bring them .*old and the new/,
		],
		[['12a', '12a', '1a'], /step 1 of 3: n3 does not accept fleet b2 yet/],
		// One that went ahead does not hide who is behind.
		[['12b', '12a', '1a'], /step 1 of 3: n3 does not accept fleet b2 yet/],
		[['12a', '12a', '12a'], /step 2 of 3: n1, n2, n3 still present certificates of fleet a1; bring them certificates/],
		[['12b', '12b', '12a'], /step 2 of 3: n3 still presents a certificate of fleet a1/],
		[['2b', '12b', '12a'], /step 2 of 3: n3 still presents/],
		[['12b', '12b', '12b'], /step 3 of 3: n1, n2, n3 still accept fleet a1; .* the new authority alone/],
		[['2b', '2b', '12b'], /step 3 of 3: n3 still accepts fleet a1/],
		[['2b', '2b', '2b'], null],
	];
	for (const [states, expected] of cases) {
		const note = rotationNote(states.map((state, index) => row(`n${index + 1}`, state)));
		if (expected === null) assert.equal(note, null, states.join());
		else assert.match(note ?? '', expected, states.join());
	}
});

test('a node that says nothing of its authorities is passed over, and many nodes are counted', () => {
	const silent: NodeRow = { name: 'n0', link: 'down', reason: 'gone', authorities: null };
	const earlier: NodeRow = { name: 'n9', link: 'up', reason: null };
	assert.equal(rotationNote([silent, earlier]), null);
	assert.match(rotationNote([silent, row('n1', '12b'), row('n2', '12a')]) ?? '', /step 2 of 3: n2 still presents/);
	const many = Array.from({ length: 40 }, (_, index) => row(`n${index + 1}`, '12a'));
	assert.match(rotationNote(many) ?? '', /: n1, n2, n3, n4, n5 and 35 more still present certificates of/);
});

test('two authorities of one name are told apart', () => {
	const twin = authority('c3', 3_000, one.name);
	const rows = [{ ...row('n1', '1a'), authorities: { accepts: [one, twin], presents: ['a1'] } }];
	assert.match(rotationNote(rows) ?? '', /n1 still presents a certificate of fleet a1 \(a1\)/);
});
