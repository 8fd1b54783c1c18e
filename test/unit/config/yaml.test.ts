import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ConfigurationFolder } from '../../support/config/configuration.js';

/** Text of a file, and the one line it must be refused with. */
const refusals: Record<string, [text: string, line: string]> = {
	'a key that stands twice': ['node:\n  name: a\n  name: b\n', '3:3: expected each key once, got the same key again'],
	'a tag': ['node: !!js/function {name: a}\n', '1:7: expected plain data, got a tag (!name)'],
	'a tag that YAML itself knows': ['state_dir: !!binary aGk=\n', '1:12: expected plain data, got a tag (!name)'],
	'a second document': [
		'node: {name: a}\n---\nnode: {name: b}\n',
		'2:1: expected one document, got a second one (---)',
	],
	'an alias of nothing': [
		'node: *other\n',
		'1:7: expected an alias (*name) of an anchor (&name) above it, got another name',
	],
	'a tab': ['node:\n\tname: a\n', '2:1: expected spaces, got a tab'],
	'an open bracket': [
		'node: {name: a\n',
		'2:1: expected a line indented as its section is, and brackets closed before it, got another indentation',
	],
	'a line without a colon': [
		'node:\n  name: a\n  zone\n',
		'3:3: expected a closing quote or bracket, or a colon with a space after it, got none',
	],
	'a second colon': [
		'state_dir: a: b\n',
		'1:12: expected one "key: value" a line, got a second colon; put a value that holds ": " in quotes',
	],
	'a mistake that makes what follows wrong': [
		'http_workers\n  - name: a\n    script: b\n  - name: c\n',
		'1:1: expected "key: value", got a line without a colon (4 more below, which this one may have caused; correct it first)',
	],
	'merge keys': [
		'node: &n {name: a}\nlogging: {<<: *n}\n',
		'2:11: logging["<<"]: expected a key out of level, max_size, keep, got another one',
	],
};

describe('configuration as YAML', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
	});
	after(() => folder.remove());

	for (const [what, [text, line]] of Object.entries(refusals)) {
		it(`refuses ${what}`, () => {
			assert.equal(folder.refusals(text)[0], line);
		});
	}

	it('refuses aliases that multiply, however small the file is', () => {
		const levels = Array.from({ length: 12 }, (_, level) => {
			return `  - &a${level} [${Array.from({ length: 9 }, () => (level === 0 ? 'x' : `*a${level - 1}`)).join(', ')}]`;
		});
		assert.deepEqual(folder.refusals(`http_workers:\n${levels.join('\n')}\n`), [
			'rollcall.yaml: expected at most 100 aliases (*name), those behind other aliases counted too, got more',
		]);
	});

	it('refuses many aliases at once, without looking each of them up', () => {
		const many = Array.from({ length: 50_000 }, () => '*a').join(', ');
		assert.match(folder.refusals(`node: &a x\nhttp_workers: [${many}]`)[0] ?? '', /at most 100 aliases/);
	});

	it('refuses a file of mistakes alone in bounded time, with the first hundred of them', () => {
		const keys = Array.from({ length: 20_000 }, (_, index) => `  k${index}: 1`);
		assert.equal(folder.refusal(`logging:\n${keys.join('\n')}\n`).faults.length, 100);
		assert.match(
			folder.refusals(`logging:\n${keys.join('\n')}\n  k0: 1\n`)[0] ?? '',
			/^20002:3: expected each key once/,
		);
	});

	it('refuses sections that hold themselves, or are nested without end', () => {
		assert.equal(folder.refusal('node: &n\n  name: *n\n').exitCode, 2);
		assert.equal(folder.refusal(`node: ${'['.repeat(50_000)}`).exitCode, 2);
	});

	it('refuses more than 1 MiB, and bytes that are no text', () => {
		assert.deepEqual(folder.refusals(`# ${'x'.repeat(1024 * 1024)}`), [
			'rollcall.yaml: expected a file of at most 1 MiB, got more in rollcall.yaml',
		]);
		const broken = folder.write('latin.yaml', Buffer.from('node: {zone: \xe9}\n', 'latin1'));
		assert.deepEqual(folder.refusals('', { file: broken }), [
			'latin.yaml: expected a text in UTF-8, got other bytes in latin.yaml',
		]);
	});

	it('takes an alias, and says of a mistake behind it where it stands', () => {
		const text = [
			'node: {name: a}',
			'http_workers:',
			'  - {name: a, script: s.js, drain: &d {timeout: 5s}}',
			'  - {name: b, script: s.js, drain: *d}',
		];
		assert.equal(folder.load(text.join('\n')).http_workers[1]?.drain.timeout, 5000);
		assert.deepEqual(folder.refusals(text.join('\n').replace('5s', '5')), [
			'3:49: http_workers[0].drain.timeout: expected a duration from 1ms to 24h, such as 500ms, 30s or 5m, got 5',
			'3:49: http_workers[1].drain.timeout: expected a duration from 1ms to 24h, such as 500ms, 30s or 5m, got 5',
		]);
	});

	it('counts lines with any line end, and columns after a byte order mark', () => {
		assert.match(folder.refusals('node: {name: a}\r\nnope: 1\r\n')[0] ?? '', /^2:1: nope: /);
		assert.match(folder.refusals('\uFEFFnode: {name: a}\nnope: 1\n')[0] ?? '', /^2:1: nope: /);
	});
});
