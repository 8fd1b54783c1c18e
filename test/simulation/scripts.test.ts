/** The scripts show what the protocol does: every line of their expected output is what the nodes do. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { playScript } from './script.js';

// Kept beside the source: the compiler copies no text.
const folder = new URL('../../../test/simulation/scripts/', import.meta.url);
/** Writes what happens now into the scripts; read the difference before it is committed. */
const rewrites = process.env['REWRITE_SCRIPTS'] === '1';

const scripts = readdirSync(folder)
	.filter((name) => name.endsWith('.txt'))
	.sort();

test('there are scripts', () => {
	assert.ok(scripts.length >= 6);
});

for (const name of scripts)
	test(`the nodes do what scripts/${name} says, line by line`, () => {
		const file = new URL(name, folder);
		const expected = readFileSync(file, 'utf8');
		const actual = playScript(expected);
		if (rewrites) {
			writeFileSync(file, actual);
			return;
		}
		const [lines, wanted] = [actual.split('\n'), expected.split('\n')];
		const at = lines.findIndex((line, index) => line !== wanted[index]);
		const where = `scripts/${name}:${at + 1}: expected "${wanted[at]}", the nodes do "${lines[at]}"`;
		assert.equal(at, -1, `${where}. If that is right: REWRITE_SCRIPTS=1, and read the difference`);
		assert.equal(lines.length, wanted.length, `scripts/${name} expects more than the nodes do`);
	});

test('a command that there is not is named with its line, and with those that there are', () => {
	assert.throws(
		() => playScript('fleet alpha beta\n----\n\ndance on alpha\n----\n'),
		/line 4: "dance on alpha" is no command; there are: roll/,
	);
	assert.throws(() => playScript('roll from alpha\n----\n'), /line 1: expected "fleet NODE\.\.\." first/);
});
