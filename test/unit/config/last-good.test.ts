import assert from 'node:assert/strict';
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	realpathSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { lastGoodFile, loadAtStart, salvageStateDir, writeLastGood } from '../../../src/config/last-good.js';
import { RollcallError } from '../../../src/errors.js';

describe('the last good configuration', () => {
	let folder: string;
	let file: string;
	let state: string;
	let copy: string;
	const good = (): string =>
		`node: {name: alpha}\nstate_dir: ${state}\nhttp_workers: [{name: web, script: ./server.js}]\n`;
	const write = (text: string): void => writeFileSync(file, text, { mode: 0o600 });
	const start = (env: NodeJS.ProcessEnv = {}) => loadAtStart({ file, env });
	const acceptedAt = 1_700_000_000_000;

	beforeEach(async () => {
		folder = realpathSync(mkdtempSync(join(tmpdir(), 'rc-good-')));
		file = join(folder, 'rollcall.yaml');
		state = join(folder, 'state');
		copy = join(state, lastGoodFile);
		mkdirSync(state, { mode: 0o700 });
		await writeLastGood(state, file, good(), acceptedAt);
	});
	afterEach(() => rmSync(folder, { recursive: true, force: true }));

	it('stands in for a file with a fault of any kind, and is readable by its owner alone', () => {
		const broken: [string, string, RegExp][] = [
			['a wrong value', good().replace('script: ./server.js', 'script: ./server.js, instances: two'), /instances/],
			['an unknown key', `${good()}htp_workers: []\n`, /htp_workers/],
			['a tab', `${good()}\tlogging: {}\n`, /:4:/],
			['a bracket that stays open', `${good()}logging: {level: [info\n`, /expected/],
			['no YAML from its first byte on', `%\u0001{\n${good()}`, /expected/],
			['a file that is longer than a configuration may be', `${good()}#${'x'.repeat(1024 * 1024)}\n`, /1 MiB/],
		];
		for (const [what, text, fault] of broken) {
			write(text);
			// What cannot be read at all says nothing of its state folder.
			const env = what.startsWith('a file that') ? { ROLLCALL_STATE_DIR: state } : {};
			const { config, standIn } = start(env);
			assert.match(standIn?.fault ?? 'none', fault, what);
			assert.equal(standIn?.acceptedAt, acceptedAt);
			assert.deepEqual(
				[config.node.name, config.http_workers[0]?.name, config.source.file],
				['alpha', 'web', file],
				what,
			);
		}
		rmSync(file);
		assert.match(start({ ROLLCALL_STATE_DIR: state }).standIn?.fault ?? '', /nothing at/, 'nor one that is gone');
		assert.equal(statSync(copy).mode & 0o777, 0o600);
	});

	it('a file that checks is what counts', () => {
		write(good().replace('alpha', 'beta'));
		const { config, standIn } = start();
		assert.deepEqual([config.node.name, standIn], ['beta', null]);
	});

	it('does not stand in for a fault of a variable: whoever set it expects it to count', () => {
		write(good());
		assert.throws(() => start({ ROLLCALL_NODE__NAME: 'Not A Name' }), { code: 'configuration' });
		assert.throws(() => start({ ROLLCALL_NOD__NAME: 'beta' }), { code: 'configuration' });
	});

	it('does not stand in when something else that was looked at does not check, there either', () => {
		write(good());
		const refuse = (): void => {
			throw new RollcallError('configuration', 'the certificate has expired');
		};
		assert.throws(() => loadAtStart({ file, env: {} }, refuse), { message: 'the certificate has expired' });
		const faulty = (config: { node: { name: string } }): void => {
			if (config.node.name === 'beta') refuse();
		};
		write(good().replace('alpha', 'beta'));
		assert.equal(loadAtStart({ file, env: {} }, faulty).config.node.name, 'alpha', 'but for a new fault it does');
	});

	it('a copy that others could have written, that is a link, of another file, form or state folder is not taken', async () => {
		const cases: [string, () => unknown][] = [
			['writable by others', () => chmodSync(copy, 0o666)],
			['readable by others', () => chmodSync(copy, 0o644)],
			['in a folder that others may write', () => chmodSync(state, 0o777)],
			[
				'a link',
				() => {
					renameSync(copy, join(folder, 'elsewhere.yaml'));
					symlinkSync(join(folder, 'elsewhere.yaml'), copy);
				},
			],
			[
				'a folder',
				() => {
					rmSync(copy);
					mkdirSync(copy);
				},
			],
			['without its first line', () => writeFileSync(copy, good())],
			['of another form', () => writeFileSync(copy, `# rollcall last good configuration {"version":2}\n${good()}`)],
			['of another file', () => writeLastGood(state, join(folder, 'other.yaml'), good(), acceptedAt)],
			['of another state folder', () => writeLastGood(state, file, good().replace(state, folder), acceptedAt)],
			['that does not check', () => writeLastGood(state, file, `${good()}surplus: 1\n`, acceptedAt)],
			['missing', () => rmSync(copy)],
		];
		for (const [what, change] of cases) {
			rmSync(copy, { recursive: true, force: true });
			chmodSync(state, 0o700);
			await writeLastGood(state, file, good(), acceptedAt);
			write(`${good()}surplus: 1\n`);
			assert.ok(start().standIn, `before it is ${what}`);
			await change();
			assert.throws(start, { code: 'configuration', message: /rollcall\.yaml:4:1: surplus/ }, what);
		}
	});

	it('where the state lies is read from a text that may be no YAML any more', () => {
		const texts: [string, string | null][] = [
			['state_dir: /a/b\n', '/a/b'],
			['state_dir: /a/b # why\n\tbroken', '/a/b'],
			['\tbroken\nstate_dir: "/a b/c"\r\n', '/a b/c'],
			["{\nstate_dir: './x'\n", './x'],
			['{\nstate_dir: /a\nstate_dir: /b\n', null],
			['\tbroken\n  state_dir: /a\n', null],
			['state_dir: 7\n', null],
			['{"state_dir": "/a"}', '/a'],
			['', null],
		];
		for (const [text, expected] of texts) assert.equal(salvageStateDir(text), expected, JSON.stringify(text));
	});
});
