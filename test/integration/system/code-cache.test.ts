/** A program that runs for long takes its code cache if it is of this very code and this very Node, and runs without one all the same. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
	hasCodeCaches,
	isCodeCache,
	type ProgramName,
	programNames,
} from '../../../src/system/program/load-program.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rc-cache-'));
after(() => rmSync(folder, { recursive: true }));

const source = join(folder, 'dist/src');
const bundle = join(source, 'bundle');
cpSync(join(root, 'dist/src'), source, { recursive: true });
cpSync(join(root, 'package.json'), join(folder, 'package.json'));
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));

const cacheOf = (name: ProgramName): string => join(bundle, `${name}.code-cache`);
const writer = join(source, 'system/program/write-code-cache.js');
const write = (): unknown => execFileSync(process.execPath, [writer], { stdio: 'pipe' });

/** Whether V8 took the cache of each program. */
function taken(): Record<string, boolean> {
	const text = `
		const { programFile, programNames, readCodeCache, runProgram } = await import(process.argv[1]);
		const { readFileSync } = await import('node:fs');
		const taken = programNames.map((name) => {
			const code = readFileSync(programFile(name));
			return [name, runProgram(name, code, readCodeCache(name, code)).isCached];
		});
		console.log(JSON.stringify(Object.fromEntries(taken)));
		process.exit(0);`;
	const words = ['--input-type=module', '-e', text, join(source, 'system/program/load-program.js')];
	return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' })) as Record<string, boolean>;
}

/** What each program answers to a configuration that is not there: that they run, and what their errors are. */
function answers(): void {
	for (const name of programNames) {
		const words = [join(source, 'main.js'), name, '--config', join(folder, 'none.yaml')];
		const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
		assert.match(stderr, /^rollcall: .*none\.yaml: expected a file, got nothing/, name);
		assert.equal(status, 2, name);
	}
}

const flipped = (content: Buffer, at: number): Buffer => {
	const copy = Buffer.from(content);
	copy[at] = (copy[at] ?? 0) ^ 0x55;
	return copy;
};

test('a build has a cache for each program that V8 takes, which all may read, and which is made anew only where it does not fit', () => {
	for (const name of programNames) assert.ok(existsSync(cacheOf(name)), 'npm run build makes it');
	// By another Node than the one that built.
	write();
	assert.ok(hasCodeCaches(bundle));
	assert.deepEqual(taken(), { daemon: true });
	answers();
	const before = programNames.map((name) => statSync(cacheOf(name)));
	for (const { mode } of before) assert.equal(mode & 0o777, 0o644);
	write();
	assert.deepEqual(
		programNames.map((name) => statSync(cacheOf(name)).ino),
		before.map(({ ino }) => ino),
	);
});

test('without a cache that fits, the programs run as with one', () => {
	const whole = new Map(programNames.map((name) => [name, readFileSync(cacheOf(name))]));
	const damages: Record<string, (content: Buffer) => Buffer | null> = {
		'there is none': () => null,
		'it is cut off': (content) => content.subarray(0, content.length - 1),
		// V8 does not check its cache for such damage, and can crash.
		'a byte near its beginning is another': (content) => flipped(content, 1_032),
	};
	for (const [what, damage] of Object.entries(damages)) {
		for (const [name, content] of whole) {
			const damaged = damage(content);
			if (damaged === null) rmSync(cacheOf(name));
			else writeFileSync(cacheOf(name), damaged);
		}
		assert.ok(!hasCodeCaches(bundle), what);
		answers();
		write();
		assert.ok(hasCodeCaches(bundle), what);
	}
	assert.deepEqual(taken(), { daemon: true });
});

test('a cache is not taken for other code of the same length', () => {
	const file = join(bundle, 'daemon.cjs');
	const code = readFileSync(file, 'latin1');
	const other = code.replace(/\.map\s*$/, (ending) => ending.replace('map', 'mop'));
	assert.ok(other !== code);
	assert.equal(other.length, code.length);
	writeFileSync(file, other, 'latin1');
	assert.ok(!hasCodeCaches(bundle));
	assert.deepEqual(taken(), { daemon: false });
	writeFileSync(file, code, 'latin1');
});

test('what a Node compiled is told from the program by its name', () => {
	assert.ok(isCodeCache(cacheOf('daemon')));
	assert.ok(!isCodeCache(join(bundle, 'daemon.cjs')));
});
