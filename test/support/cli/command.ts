import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const mainScript = fileURLToPath(new URL('../../../src/main.js', import.meta.url));

export interface CommandResult {
	/** null when a signal ended it. */
	code: number | null;
	stdout: string;
	stderr: string;
}

export interface RunningCommand {
	child: ChildProcess;
	result: Promise<CommandResult>;
	/** Resolves when stdout or stderr holds the text. */
	says(text: string): Promise<void>;
}

/** Starts `rollcall` with these words as a process of its own; its input ends at once. */
export function startCommand(words: readonly string[], env: NodeJS.ProcessEnv = {}): RunningCommand {
	const child = spawn(process.execPath, [mainScript, ...words], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: { PATH: process.env['PATH'], ...env },
	});
	const heard = { stdout: '', stderr: '' };
	const waiting = new Set<() => void>();
	for (const name of ['stdout', 'stderr'] as const) {
		child[name].setEncoding('utf8').on('data', (text: string) => {
			heard[name] += text;
			for (const look of waiting) look();
		});
	}
	const result = new Promise<CommandResult>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code) => resolve({ code, ...heard }));
	});
	const says = (text: string) =>
		new Promise<void>((resolve, reject) => {
			const look = () => {
				if (!heard.stdout.includes(text) && !heard.stderr.includes(text)) return;
				waiting.delete(look);
				resolve();
			};
			waiting.add(look);
			look();
			void result.then(({ stdout, stderr }) => {
				if (waiting.has(look)) reject(new Error(`it ended without saying '${text}': ${stdout}${stderr}`));
			});
		});
	return { child, result, says };
}

export const runCommand = (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
	startCommand(words, env).result;
