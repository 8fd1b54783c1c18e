import type { ReadStream } from 'node:tty';
import { RollcallError } from '../../errors.js';
import { passwordLengthMin } from '../../operations/rows/usernames.js';

/** Longer is no password that the daemon takes. */
const charactersMax = 1_024;

/**
 * A new password: typed twice on a terminal that does not show it, or the first line of standard input. It stands neither on
 * the command line, which every user of the host can read, nor in the shell's history.
 */
export async function askNewPassword(signal: AbortSignal): Promise<string> {
	const { stdin } = process;
	const password = stdin.isTTY ? await askTwice(stdin, signal) : await firstLine(stdin);
	if (password.length >= passwordLengthMin) return password;
	throw new RollcallError('usage', `A password has at least ${passwordLengthMin} characters.`);
}

async function askTwice(terminal: ReadStream, signal: AbortSignal): Promise<string> {
	// Before the prompt: characters typed as soon as it appears must not be echoed.
	terminal.setRawMode(true);
	try {
		const password = await typed(terminal, 'Password: ', signal);
		if ((await typed(terminal, 'Once more: ', signal)) === password) return password;
	} finally {
		terminal.setRawMode(false);
	}
	throw new RollcallError('usage', 'The two passwords differ; nothing was changed.');
}

/** What the terminal sends for Enter and Ctrl-D, and for Backspace. */
const enter: readonly string[] = ['\r', '\n', '\u0004'];
const backspace: readonly string[] = ['\b', '\u007f'];
const interrupt = '\u0003';

/** A line that is not shown. While it reads, the terminal hands Ctrl-C on as a character. */
function typed(terminal: ReadStream, question: string, signal: AbortSignal): Promise<string> {
	process.stderr.write(question);
	terminal.setEncoding('utf8');
	return new Promise((resolve, reject) => {
		const characters: string[] = [];
		const end = (): void => {
			signal.removeEventListener('abort', onAbort);
			terminal.off('data', onText).off('end', onEnd);
			terminal.pause();
			process.stderr.write('\r\n');
		};
		const onAbort = (): void => {
			end();
			reject(signal.reason);
		};
		const onEnd = (): void => {
			end();
			reject(new RollcallError('usage', 'The terminal was closed; nothing was changed.'));
		};
		const onText = (text: string): void => {
			for (const character of text) {
				if (character === interrupt) process.kill(process.pid, 'SIGINT');
				else if (enter.includes(character)) {
					end();
					resolve(characters.join(''));
					return;
				} else if (backspace.includes(character)) characters.pop();
				else if (characters.length < charactersMax) characters.push(character);
			}
		};
		signal.addEventListener('abort', onAbort, { once: true });
		terminal.on('data', onText).on('end', onEnd);
		terminal.resume();
	});
}

async function firstLine(input: NodeJS.ReadableStream): Promise<string> {
	input.setEncoding('utf8');
	let text = '';
	for await (const part of input) {
		text += part;
		if (text.includes('\n') || text.length > charactersMax) break;
	}
	return text.split(/\r?\n/)[0] ?? '';
}
