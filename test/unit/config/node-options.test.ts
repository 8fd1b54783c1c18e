/** Options of a worker's Node are refused where they would keep Node from running the app, and split as Node splits them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { nodeArgumentFault, nodeOptionsFault, splitNodeOptions } from '../../../src/config/checks/node-options.js';
import { ConfigurationFolder } from '../../support/config/configuration.js';

test('what loads modules and tunes Node is taken, with its value behind = or as the next word', () => {
	for (const words of [
		['--require', './tracing.cjs', '-r', 'dotenv/config', '--import=tsx'],
		['--import', './loader.mjs', '--conditions', 'production', '-C', 'development'],
		['--max-old-space-size=512', '--max_semi_space_size=64', '--expose-gc', '--stack-size=2000', '--inspect=0'],
	])
		assert.equal(nodeArgumentFault(words), null, words.join(' '));
});

test('what runs something else than the app, waits for a debugger or is no option is refused, by its name alone', () => {
	for (const [words, got] of [
		[['--enable-source-maps', '--eval=process.exit()'], '--eval'],
		[['-e', '1'], '-e'],
		[['-pe', '1'], '-pe'],
		[['--test'], '--test'],
		[['--v8_options'], '--v8-options'],
		[['--inspect-brk=0'], '--inspect-brk'],
		[['--'], '--'],
		[['-'], '-'],
		[['other.js'], 'a word that begins with no -'],
		[['--max-old-space-size', '512'], 'a word that begins with no -'],
	] as const)
		assert.equal(nodeArgumentFault(words)?.got, got);
	assert.equal(nodeOptionsFault('--require "a b.cjs" --max-old-space-size=64'), null);
	assert.equal(nodeOptionsFault('--stack-size=2000')?.got, '--stack-size');
	assert.equal(nodeOptionsFault('--import "a')?.got, 'a double quote that is not closed');
});

test('NODE_OPTIONS is split as Node itself splits it', () => {
	const show = 'console.log(JSON.stringify([process.title, ...process.execArgv]))';
	for (const title of ['plain', '"a b"', 'a"b c"d', String.raw`"a \"b\" \\ c"`, String.raw`a\b`, '  x  ']) {
		const text = `--title=${title.trim()}  --no-warnings`;
		const env = { ...process.env, NODE_OPTIONS: text };
		const [seen] = JSON.parse(execFileSync(process.execPath, ['-e', show], { env, encoding: 'utf8' })) as [string];
		assert.deepEqual(splitNodeOptions(text), [`--title=${seen}`, '--no-warnings'], text);
	}
	assert.equal(splitNodeOptions('"a'), null);
	assert.equal(splitNodeOptions('"a\\'), null);
});

const folder = new ConfigurationFolder();
after(() => folder.remove());

test('a configuration says where such an option stands, and never its value', () => {
	folder.write('web.env', 'NODE_OPTIONS=--test=canary\n');
	const refusals = folder.refusals(
		[
			'http_workers:',
			'  - {name: a, script: s.js, node_args: [--no-warnings, --eval=canary]}',
			'  - {name: b, script: s.js, env: {NODE_OPTIONS: "--import canary canary"}}',
			`  - {name: c, script: s.js, env_file: web.env}`,
			'  - {name: d, script: s.py, interpreter: python3, node_args: [-O]}',
		].join('\n'),
		{ env: { ROLLCALL_NODE__NAME: 'alpha' } },
	);
	assert.deepEqual(
		refusals.map((line) =>
			/^\d+:\d+: (\S+): expected .*, got ([^()]*)/
				.exec(line)
				?.slice(1)
				.map((text) => text.trim()),
		),
		[
			['http_workers[0].node_args[1]', '--eval'],
			['http_workers[1].env.NODE_OPTIONS', 'a word that begins with no -'],
			['http_workers[2].env_file', '--test'],
			['http_workers[3].node_args', '1 of them'],
		],
	);
	assert.doesNotMatch(refusals.join(), /canary/);
});

test('sticky: true is refused, with what stands in its place', () => {
	const [line = ''] = folder.refusals('http_workers: [{name: a, script: s.js, sticky: true}]');
	assert.match(
		line,
		/http_workers\[0\]\.sticky: expected no sticky: .* accepts connections by itself, got sticky \(use instances: 1,/,
	);
});
