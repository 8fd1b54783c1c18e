/** Every command that the pages show in a block is played on a real fleet, or it is said why not. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { plays } from '../manual/plays.js';
import { shellBlocks } from '../manual/statements.js';
import { repository } from '../support/pages/pages.js';

test('every block of shell has one play, and every play its block', () => {
	assert.deepEqual(
		plays.map(({ block }) => block).sort(),
		shellBlocks()
			.map(({ name }) => name)
			.sort(),
	);
});

test('every cue is for a statement that stands there', () => {
	const blocks = new Map(shellBlocks().map(({ name, statements }) => [name, statements]));
	for (const { block, cues = [] } of plays)
		for (const { at } of cues)
			assert.ok(
				blocks.get(block)?.some((statement) => statement.startsWith(at)),
				`${block} has no ${at}`,
			);
});

test('what is not played has a reason, or names the test that plays it', () => {
	for (const { block, not, cues = [] } of plays)
		for (const reason of [not, ...cues.map((cue) => cue.not)]) {
			if (reason === undefined) continue;
			const [file] = /\S+\.test\.ts/.exec(reason) ?? [];
			assert.ok(file !== undefined && existsSync(`${repository}test/${file}`), `${block}: ${reason}`);
		}
});

test('a statement is what a shell takes as one: a line, a loop, or lines that a backslash joins', () => {
	const of = (name: string): string[] | undefined => shellBlocks().find((block) => block.name === name)?.statements;
	assert.deepEqual(
		of('README 3')?.map((statement) => statement.split('\n').length),
		[1, 2, 3],
	);
	assert.equal(of('begin/hooks 1')?.at(-1)?.startsWith('while '), true);
});
