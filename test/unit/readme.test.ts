/** The README is short, names what there is, and its code blocks are those of the manual. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { withGeneratedParts } from '../support/pages/generated.js';
import { pagePaths, readPage, repository } from '../support/pages/pages.js';

const linesMax = 200;

test(`the README has at most ${linesMax} lines`, () => {
	const lines = readPage('README.md').trimEnd().split('\n').length;
	assert.ok(lines <= linesMax, `it has ${lines}`);
});

test('the generated parts of all pages are as the code has them (npm run readme)', () => {
	for (const path of pagePaths) assert.equal(readPage(path), withGeneratedParts(readPage(path)), path);
});

test('the README promises to start and to test with two commands', () => {
	for (const promise of ['npm ci && npm start', 'npm ci && npm test']) {
		assert.ok(readPage('README.md').includes(`\n${promise} `), promise);
	}
});

test('every npm script that a page names exists', () => {
	const { scripts } = JSON.parse(readFileSync(`${repository}package.json`, 'utf8')) as {
		scripts: Record<string, string>;
	};
	const pages = [...pagePaths, 'test/README.md', 'src/README.md', 'SECURITY.md'].map(readPage).join('\n');
	const named = [...pages.matchAll(/npm run ([\w:-]*\w)/g)].map(([, name]) => name ?? '');
	assert.ok(named.length > 5);
	for (const name of named) assert.ok(scripts[name], `there is no script ${name}`);
});

test('every package that the pages and the integrations name is of this version', () => {
	const { version } = JSON.parse(readPage('package.json')) as { version: string };
	const folder = 'config/integrations/';
	const files = readdirSync(repository + folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => `${entry.parentPath}/${entry.name}`.slice(repository.length));
	const named = [...pagePaths, ...files].flatMap((path) =>
		[...readPage(path).matchAll(/\brollcall[_-](\d[\w.]*?)(?:_all\.deb|\.tgz)/g)].map(
			([, found]) => `${path}: ${found}`,
		),
	);
	assert.ok(named.length > 5);
	assert.deepEqual(
		named.filter((place) => !place.endsWith(`: ${version}`)),
		[],
	);
});
