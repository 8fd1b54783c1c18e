/** The manual has a place for all that can be set, asked and answered; its links lead somewhere and its commands parse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPage as readTopic, topics } from '../../src/cli/commands/help.js';
import { markdownText } from '../../src/cli/output/markdown-text.js';
import { plainPage } from '../../src/cli/output/terminal.js';
import { referenceRows } from '../../src/config/publish/reference.js';
import { exitMeanings, faults } from '../../src/errors.js';
import { operations } from '../../src/operations/table.js';
import { manualPage } from '../../src/package/manual.js';
import { createMetrics } from '../../src/system/metrics.js';
import { commandLines, commandPaths, namedCommands, refusalOf } from '../support/pages/command-lines.js';
import { generatedParts, generators } from '../support/pages/generated.js';
import { faultOfLink, fileOf, linksOf } from '../support/pages/links.js';
import { codeBlocks, codeWords, pagePaths, readPage } from '../support/pages/pages.js';

const contents = 'src/manual/README.md';
const linesMax = 130;
const generated = new Set(['configuration', 'operations', 'errors', 'metrics', 'exit-codes']);

test('the contents list every topic once, and nothing else', () => {
	const listed = [...readPage(contents).matchAll(/^- \[([\w-]+)\]\([a-z]+\/([\w-]+)\.md\): /gm)].map(
		([, text, file]) => {
			assert.equal(text, file);
			return text ?? '';
		},
	);
	assert.deepEqual([...listed].sort(), topics());
});

test('every page is linked from the README or from a page other than the contents', () => {
	const linked = new Set(
		pagePaths
			.filter((path) => path !== contents)
			.flatMap((path) => linksOf(readPage(path)).map((target) => ({ path, file: fileOf(path, target) })))
			.filter(({ path, file }) => path !== file)
			.map(({ file }) => file),
	);
	assert.deepEqual(
		pagePaths.filter((path) => path !== 'README.md' && !linked.has(path)),
		[],
	);
});

test('every link between pages leads to a file and a heading that exist', () => {
	const pages = [...pagePaths, 'CHANGELOG.md', 'SECURITY.md', 'src/README.md', 'test/README.md'];
	const links = pages.flatMap((path) => linksOf(readPage(path)).map((target) => ({ path, target })));
	assert.ok(links.length > 50);
	assert.deepEqual(
		links.map(({ path, target }) => faultOfLink(path, target)).filter((fault) => fault !== null),
		[],
	);
});

test('a topic is named as no command and no operation is, begins with its title, and is short', () => {
	const taken = new Set([...commandPaths().map((path) => path.split(' ')[0]), ...operations.map(({ name }) => name)]);
	for (const topic of topics()) {
		assert.ok(!taken.has(topic), `help ${topic} shows the command of that name`);
		const page = readTopic(topic);
		assert.match(page, /^# \S.*\n\n/, topic);
		if (!generated.has(topic))
			assert.ok(page.split('\n').length <= linesMax, `${topic} is longer than ${linesMax} lines`);
	}
});

test('every key, operation, command, series, exit code and error code has its place', () => {
	const places: [topic: string, words: readonly string[]][] = [
		['configuration', referenceRows().map(({ key }) => `| \`${key}\` |`)],
		['operations', operations.map(({ name }) => `| \`${name}\` |`)],
		['metrics', seriesNames().map((name) => `| \`${name}\` |`)],
		['errors', Object.keys(faults).map((code) => `| \`${code}\` |`)],
		['exit-codes', Object.keys(exitMeanings).map((exit) => `| ${exit} |`)],
		['commands', commandPaths().map((path) => `rollcall ${path}`)],
	];
	for (const [topic, words] of places) {
		const page = readTopic(topic);
		assert.deepEqual(
			words.filter((word) => !page.includes(word)),
			[],
			topic,
		);
	}
});

test('every error code says what it means and what to do, in a row of its own', () => {
	const page = readTopic('errors');
	for (const [code, { http, exit, means, remedy }] of Object.entries(faults)) {
		assert.ok(means.length > 0 && remedy.length > 0, code);
		assert.ok(page.includes(`| \`${code}\` | ${http} | ${exit} | ${means} | ${remedy} |`), code);
	}
});

test('an exit code that a command can end with has a meaning, and the other way round', () => {
	const codes = new Set([0, 130, ...Object.values(faults).map(({ exit }) => exit)]);
	assert.deepEqual(new Set(Object.keys(exitMeanings).map(Number)), codes);
});

test('every generated part has one place in the manual', () => {
	const parts = topics().flatMap((topic) => generatedParts(readTopic(topic)));
	assert.deepEqual(parts.sort(), Object.keys(generators).sort());
});

test('the command line takes every command of the pages, with its options and fields', async () => {
	const known = [...topics(), ...commandPaths().map((path) => path.split(' ')[0] ?? '')];
	let lines = 0;
	for (const path of [...pagePaths, 'CHANGELOG.md']) {
		const page = readPage(path);
		const inBlocks = codeBlocks(page).flatMap(commandLines);
		for (const words of inBlocks)
			assert.equal(await refusalOf(words, known), null, `${path}: rollcall ${words.join(' ')}`);
		const inSentences = codeWords(page).flatMap(namedCommands);
		for (const words of inSentences) {
			assert.equal(await refusalOf(words, known, true), null, `${path}: rollcall ${words.join(' ')}`);
		}
		lines += inBlocks.length + inSentences.length;
	}
	assert.ok(lines > 100, `${lines} lines`);
});

test('what does not parse is found in a page', async () => {
	const block =
		'rollcall staus\nnode dist/src/main.js rollout resume --skipp beta && rollcall restart_service servce=x\n';
	const found = await Promise.all(commandLines(block).map((words) => refusalOf(words, [])));
	assert.equal(found.length, 3);
	assert.ok(
		found.every((refusal) => refusal !== null),
		JSON.stringify(found),
	);
});

test('a page on a terminal has no line beyond its width but code and single words, and no mark of HTML', () => {
	for (const topic of [undefined, ...topics()]) {
		const text = markdownText(readTopic(topic), { ...plainPage, columns: 80 });
		assert.doesNotMatch(text, /<!--|\]\(/, topic);
		const long = text
			.split('\n')
			.filter((line) => line.length > 80 && !line.startsWith('    ') && / /.test(line.trim()));
		assert.deepEqual(long, [], topic);
	}
});

test('each page is a page for man: a name, sections, and no line that roff takes for a request', () => {
	for (const topic of topics()) {
		const page = manualPage(topic, '1.0.0', 0);
		assert.match(page, new RegExp(`^\\.TH ROLLCALL-${topic.toUpperCase()} 7 `), topic);
		const requests = new Set(page.split('\n').flatMap((line) => /^['.](\S*)/.exec(line)?.[1] ?? []));
		const known = ['TH', 'SH', 'SS', 'PP', 'IP', 'TP', 'nf', 'fi', 'RS', 'RE', 'br'];
		assert.deepEqual(
			[...requests].filter((request) => !known.includes(request)),
			[],
			topic,
		);
	}
});

const seriesNames = (): string[] =>
	createMetrics('1.0.0')
		.series()
		.map(({ name }) => name)
		.filter((name) => name.startsWith('rollcall_'));
