import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { RollcallError } from '../../../../errors.js';

export const evaluationTimeoutMs = 10_000;
/** Longest JSON that the file may come to, and longest message of a failure. */
const resultBytesMax = 4 * 1024 * 1024;
const failureCharactersMax = 2_000;
const resultDescriptor = 3;

/**
 * Runs in the child. What the file prints goes to descriptors that lead nowhere, the result to one of its own. A file that
 * TypeScript compiled has `default` twice.
 */
const program = `
const { writeSync } = require('node:fs');
import(process.argv[1]).then(
	(module) => {
		let content = module.default ?? module;
		if (content?.__esModule === true && content.default !== undefined) content = content.default;
		const bytes = Buffer.from(JSON.stringify(content) ?? 'null');
		for (let at = 0; at < bytes.length; ) at += writeSync(${resultDescriptor}, bytes, at);
		process.exit(0);
	},
	(error) => {
		writeSync(2, String(error?.stack ?? error));
		process.exit(1);
	},
);
`;

/** Which user runs the file: as root, its owner, since what a file of another user says must not run as root. */
export function evaluationUser(file: string): { uid: number; gid: number } | null {
	if (process.geteuid?.() !== 0) return null;
	const { uid, gid } = statSync(file);
	return uid === 0 ? null : { uid, gid };
}

/**
 * Runs a JavaScript file in a child process and resolves to what it exports, as JSON. Throws `usage` if it fails, or has not
 * ended when `late` aborts.
 */
export async function evaluateFile(
	file: string,
	signal: AbortSignal,
	late: AbortSignal = AbortSignal.timeout(evaluationTimeoutMs),
): Promise<unknown> {
	const child = spawn(process.execPath, ['--input-type=commonjs', '-e', program, '--', pathToFileURL(file).href], {
		cwd: dirname(file),
		stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
		// A group of its own, so that whatever the file starts ends with it.
		detached: true,
		...evaluationUser(file),
	});
	const end = () => endGroup(child);
	const result = collect(child.stdio[resultDescriptor] as Readable, end);
	const failure = collect(child.stdio[2] as Readable, end);
	const stop = AbortSignal.any([signal, late]);
	stop.addEventListener('abort', end, { once: true });
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('exit', resolve);
	}).finally(() => stop.removeEventListener('abort', end));
	end();
	if (stop.aborted && !signal.aborted) throw failed(file, `it did not end within ${evaluationTimeoutMs / 1000} s`);
	if (code !== 0) throw failed(file, firstLines(await failure) || 'it ended without saying why, or said too much');
	return JSON.parse(await result) as unknown;
}

function endGroup({ pid }: ChildProcess): void {
	if (pid === undefined) return;
	try {
		process.kill(-pid, 'SIGKILL');
	} catch {
		// It has ended.
	}
}

/** The text of a pipe; a longer one than may be ends the process instead. */
function collect(stream: Readable, onTooMuch: () => void): Promise<string> {
	const chunks: Buffer[] = [];
	let length = 0;
	return new Promise((resolve) => {
		stream.on('data', (chunk: Buffer) => {
			length += chunk.length;
			if (length > resultBytesMax) onTooMuch();
			else chunks.push(chunk);
		});
		stream.once('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
		stream.once('error', () => resolve(''));
	});
}

const firstLines = (text: string): string =>
	text
		.split('\n')
		.filter((line) => line.trim() !== '' && !/^\s+at /.test(line))
		.join('\n')
		.slice(0, failureCharactersMax);

const failed = (file: string, why: string): RollcallError =>
	new RollcallError('usage', `${file} could not be run as JavaScript: ${why}`);
