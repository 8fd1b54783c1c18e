/**
 * Loads what a long-lived process runs: one file that `config/bundle.mjs` made, and beside it V8's code cache of it, so that
 * nothing is parsed and compiled again at each start. Without a cache that fits, all is the same, but slower.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import * as errors from '../../errors.js';

/** The commands that have a file of their own. */
export const programNames = ['daemon'] as const;
export type ProgramName = (typeof programNames)[number];

export interface LoadedProgram {
	exports: Record<string, unknown>;
	script: Script;
	/** Whether V8 took the cache. */
	isCached: boolean;
}

const parameters = 'exports, require, module, __filename, __dirname, import$';
const digestBytes = 32;

/** Where the programs of this very release are. */
export const bundleFolder = fileURLToPath(new URL('../../bundle/', import.meta.url));

export const programFile = (name: ProgramName, folder = bundleFolder): string => join(folder, `${name}.cjs`);

const cacheEnding = '.code-cache';

export const codeCacheFile = (name: ProgramName, folder = bundleFolder): string =>
	join(folder, `${name}${cacheEnding}`);

/** Made by a Node for itself: no part of the program. */
export const isCodeCache = (path: string): boolean => path.endsWith(cacheEnding);

/** Whether each program in this folder has a cache for this Node. A folder without programs lacks none. */
export const hasCodeCaches = (folder: string): boolean =>
	programNames.every((name) => {
		const code = readIfThere(programFile(name, folder));
		return code === null || readCodeCache(name, code, folder) !== null;
	});

/** What the file of this command line exports; null where its modules are to be loaded. */
export function loadProgram(words: readonly string[]): Record<string, unknown> | null {
	const name = programNames.find((one) => one === words[0]);
	// `--stop` ends processes and is over: it needs none of what runs for long.
	if (name === undefined || words.includes('--stop')) return null;
	const code = readIfThere(programFile(name));
	return code === null ? null : runProgram(name, code, readCodeCache(name, code)).exports;
}

export function runProgram(name: ProgramName, code: Buffer, cachedData: Buffer | null): LoadedProgram {
	const file = programFile(name);
	// The bundle has ASCII alone, so that V8 keeps a byte a character.
	const script = new Script(`(function (${parameters}) {${code.toString('latin1')}\n})`, {
		filename: file,
		...(cachedData === null ? {} : { cachedData }),
	});
	const nodeRequire = createRequire(file);
	// Errors are known by their class, so all parts of a process must have the same one.
	const require = (id: string): unknown => (id.endsWith('/errors.js') ? errors : (nodeRequire(id) as unknown));
	const importModule = (id: string): Promise<unknown> => import(new URL(id, pathToFileURL(file)).href);
	const module = { exports: {} };
	const run = script.runInThisContext() as (...args: unknown[]) => void;
	run(module.exports, require, module, file, dirname(file), importModule);
	return { exports: module.exports, script, isCached: script.cachedDataRejected === false };
}

/** The cache of this very code by this very Node; null where there is none. V8 itself would not notice other code of the same length, nor a damaged cache. */
export function readCodeCache(name: ProgramName, code: Buffer, folder = bundleFolder): Buffer | null {
	const file = readIfThere(codeCacheFile(name, folder));
	if (file === null) return null;
	const data = file.subarray(digestBytes);
	return file.subarray(0, digestBytes).equals(digestOf(code, data)) ? data : null;
}

/** As it stands in the file. */
export const sealCodeCache = (code: Buffer, data: Buffer): Buffer => Buffer.concat([digestOf(code, data), data]);

export function readIfThere(file: string): Buffer | null {
	try {
		return readFileSync(file);
	} catch {
		// Whatever it is: a cache is only for speed, and where the program is not bundled, its modules are loaded.
		return null;
	}
}

function digestOf(code: Buffer, data: Buffer): Buffer {
	const node = `${process.version} ${process.versions.v8} ${process.arch} ${parameters}\n`;
	return createHash('sha256').update(node).update(code).update(data).digest();
}
