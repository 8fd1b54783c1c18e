import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const wrong: [string, string[], RegExp][] = [
	['faults/matrix', ['--bogus'], /^faults: Unknown option '--bogus'; the flags are --one-each, --phase/],
	['faults/matrix', ['--phase', 'nowhere'], /^faults: no phase holds 'nowhere'; they are asked, lease held/],
	['simulation/simulate', ['--bogus'], /^simulate: Unknown option '--bogus'; the flags are --seeds/],
	['simulation/simulate', ['--seeds', 'many'], /^simulate: --seeds takes a whole number from 1, not 'many'/],
	['simulation/simulate', ['--rule', 'none'], /^simulate: --rule knows no 'none'; the rules are fence/],
];

for (const [program, words, expected] of wrong)
	test(`${program} ${words.join(' ')} is told in one line and ends with 2`, () => {
		const script = fileURLToPath(new URL(`../../${program}.js`, import.meta.url));
		const { status, stderr, stdout } = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
		assert.match(stderr, expected);
		assert.equal(stderr.trimEnd().split('\n').length, 1);
		assert.deepEqual([status, stdout], [2, '']);
	});
