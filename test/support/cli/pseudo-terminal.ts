import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { shellWord } from '../../../src/cli/output/format.js';

/** Longest until something has to stand on the screen. */
const patienceMs = 30_000;
const mainScript = fileURLToPath(new URL('../../../src/main.js', import.meta.url));

export interface TerminalCommand {
	child: ChildProcess;
	/** What stood on the screen, with what moved the cursor. */
	readonly screen: string;
	/** Resolves when the text has appeared since the last call; rejects when the command ends without. */
	shows(text: string): Promise<void>;
	types(text: string): void;
	/** The exit code. */
	ended: Promise<number | null>;
}

/** Starts `rollcall` on a terminal of its own. */
export const startOnTerminal = (words: readonly string[], env: NodeJS.ProcessEnv = {}): TerminalCommand =>
	startProgramOnTerminal([process.execPath, mainScript, ...words], env);

/** Starts a program on a terminal of its own, as a person has it before them: script(1) of util-linux makes one. */
export function startProgramOnTerminal(words: readonly string[], env: NodeJS.ProcessEnv = {}): TerminalCommand {
	const line = words.map(shellWord).join(' ');
	const child = spawn('script', ['--quiet', '--flush', '--return', '--command', line, '/dev/null'], {
		stdio: ['pipe', 'pipe', 'inherit'],
		env: { PATH: process.env['PATH'], TERM: 'xterm', SHELL: '/bin/sh', ...env },
	});
	let screen = '';
	let seen = 0;
	let hasEnded = false;
	const looks = new Set<() => void>();
	const lookAgain = () => {
		for (const look of looks) look();
	};
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		screen += text;
		lookAgain();
	});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code) => {
			hasEnded = true;
			lookAgain();
			resolve(code);
		});
	});
	const shows = (text: string) =>
		new Promise<void>((resolve, reject) => {
			const look = () => {
				const at = screen.indexOf(text, seen);
				if (at < 0 && !hasEnded) return;
				looks.delete(look);
				clearTimeout(timer);
				if (at < 0) return reject(new Error(`it ended without showing '${text}': ${JSON.stringify(screen)}`));
				seen = at + text.length;
				resolve();
			};
			const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
			looks.add(look);
			look();
		});
	return {
		child,
		get screen() {
			return screen;
		},
		shows,
		types: (text) => void child.stdin.write(text),
		ended,
	};
}
