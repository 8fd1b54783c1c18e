import { type ChildProcess, spawn } from 'node:child_process';
import PQueue from 'p-queue';
import { messageOf } from '../../errors.js';
import { type CommandAnswer, commandLinesMax, type CommandQuestion } from '../pm2/health-command.js';
import { lineText } from './revision-text.js';

/** Commands of one host that run at the same time; more wait for their turn. */
const commandsMax = 8;
const waitingMax = 256;
/** So much of the end of what a command prints is kept. */
const outputCharactersMax = 4_096;
const lineCharactersMax = 300;
/** What it printed may arrive after its end; a program that it has left behind can hold the pipe for ever. */
const pipeMs = 100;

const turns = new PQueue({ concurrency: commandsMax });

/** Runs a command until it ends or its time is over; nothing that it has started in its process group is left. Never rejects. */
export async function runCommand(question: CommandQuestion): Promise<CommandAnswer> {
	if (turns.size >= waitingMax) return { code: null, detail: `was not run, since ${waitingMax} others wait already` };
	return turns.add(() => run(question));
}

function run({
	command: [program = '', ...args],
	cwd,
	env,
	timeoutMs,
	lines = 1,
}: CommandQuestion): Promise<CommandAnswer> {
	return new Promise((resolve) => {
		let child: ChildProcess;
		try {
			child = spawn(program, args, { cwd, env: { ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
		} catch (error) {
			resolve({ code: null, detail: `could not be started: ${messageOf(error)}` });
			return;
		}
		let output = '';
		let isOver = false;
		for (const stream of [child.stdout, child.stderr]) {
			stream?.setEncoding('utf8').on('data', (text: string) => {
				output = (output + text).slice(-outputCharactersMax);
			});
		}
		const end = (code: number | null, how: string): void => {
			if (isOver) return;
			isOver = true;
			clearTimeout(timer);
			killGroup(child);
			child.stdout?.destroy();
			child.stderr?.destroy();
			const said = lastLines(output, lines);
			resolve({ code, detail: said === '' ? how : `${how}: ${said}` });
		};
		const timer = setTimeout(() => end(null, `did not end within ${timeoutMs} ms`), timeoutMs);
		child.once('error', (error) => end(null, `could not be started: ${error.message}`));
		child.once('exit', (code, signal) => {
			clearTimeout(timer);
			const how = code === null ? `was ended by ${String(signal)}` : `exited with ${code}`;
			const late = setTimeout(() => end(code, how), pipeMs);
			child.once('close', () => {
				clearTimeout(late);
				end(code, how);
			});
		});
	});
}

/** One after the other in one line, each clean and bounded. */
function lastLines(output: string, count: number): string {
	const last = output
		.trim()
		.split('\n')
		.slice(-Math.max(1, Math.min(commandLinesMax, count)));
	return last.flatMap((line) => lineText(line, lineCharactersMax) ?? []).join(' | ');
}

function killGroup({ pid }: ChildProcess): void {
	if (pid === undefined) return;
	try {
		process.kill(-pid, 'SIGKILL');
	} catch {
		// It is gone.
	}
}
