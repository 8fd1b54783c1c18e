/**
 * Writes V8's code cache of each bundled program beside it: at the end of a build, and by `rollcall install` into the
 * release folder, for the Node that runs this. A program is loaded for it, not started.
 */
import { chmodSync } from 'node:fs';
import { replaceFile } from '../files/replace-file.js';
import {
	codeCacheFile,
	type ProgramName,
	programFile,
	programNames,
	readCodeCache,
	readIfThere,
	runProgram,
	sealCodeCache,
} from './load-program.js';

type Run = (words: readonly string[], programs: Record<'runDaemon' | 'runWorkerHost', () => Promise<void>>) => unknown;

async function writeCodeCache(name: ProgramName): Promise<void> {
	const code = readIfThere(programFile(name));
	if (code === null || readCodeCache(name, code) !== null) return;
	const { exports, script } = runProgram(name, code, null);
	// Reading the command line is a good part of a start. What it would start then is left out.
	const nothing = async (): Promise<void> => undefined;
	await (exports['run'] as Run)([name], { runDaemon: nothing, runWorkerHost: nothing });
	// Only after the program ran does V8 have what it compiles late.
	const file = codeCacheFile(name);
	await replaceFile(file, sealCodeCache(code, script.createCachedData()));
	// The users of daemon and hosts read it.
	chmodSync(file, 0o644);
}

for (const name of programNames) await writeCodeCache(name);
// What a program that was only loaded may have begun to wait for.
process.exit(0);
