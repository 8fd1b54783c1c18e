import { CommanderError } from 'commander';
import { messageOf, RollcallError } from '../errors.js';
import type { Programs, Session } from './context.js';
import { isTypedFor } from './client/rollout-id.js';
import { operationNames } from './operation/names.js';
import { buildProgram } from './program.js';
import { cleanLines, processTerminal, toJson } from './output/terminal.js';
import { forPeople, shellWord } from './output/format.js';

/** The person pressed Ctrl-C. */
class Interrupted extends Error {
	override readonly name = 'Interrupted';
}

/** Runs one command line (without `node` and script); resolves to the exit code. */
export async function run(typed: readonly string[], programs: Programs): Promise<number> {
	const interrupt = new AbortController();
	const onInterrupt = () => interrupt.abort(new Interrupted());
	process.once('SIGINT', onInterrupt);
	const leaveSignals = () => process.removeListener('SIGINT', onInterrupt);
	const session: Session = { signal: interrupt.signal, leaveSignals, programs, exitCode: 0 };
	const words = asHelp(typed);
	try {
		const asked = operationAskedAbout(words);
		if (asked !== null) {
			process.stdout.write(await (await import('./operation/help.js')).operationHelp(asked));
			return 0;
		}
		const program = buildProgram(session);
		const [first, ...rest] = typed.filter((word) => word !== '--no-color');
		const topic = rest.find((word) => !word.startsWith('-'));
		const commands = program.commands.map((command) => command.name());
		if (first === 'help' && (topic === undefined || !commands.includes(topic))) {
			const { page } = processTerminal(false, !typed.includes('--no-color'));
			process.stdout.write((await import('./commands/help.js')).manualText(topic, page, commands));
			return 0;
		}
		await program.parseAsync([...words], { from: 'user' });
		return session.exitCode;
	} catch (error) {
		if (interrupt.signal.aborted) return 130;
		return await report(error, words);
	} finally {
		leaveSignals();
	}
}

/** `rollcall help rollout` asks what `rollcall rollout --help` does. */
function asHelp(typed: readonly string[]): readonly string[] {
	const words = typed.filter((word) => word !== '--no-color');
	return words[0] === 'help' ? [...words.slice(1), '--help'] : typed;
}

/** The operation whose help is wanted: `rollcall restart_service --help`. */
function operationAskedAbout(words: readonly string[]): string | null {
	if (!words.includes('--help') && !words.includes('-h')) return null;
	const [first, second] = words.filter((word) => !word.startsWith('-'));
	const name = first === 'operation' ? second : first;
	return name !== undefined && operationNames.includes(name) ? name : null;
}

/** Says what went wrong on stderr, in the journal as an error; answers the exit code. */
async function report(error: unknown, words: readonly string[]): Promise<number> {
	const json = words.includes('--json');
	if (error instanceof CommanderError) {
		// Help has been written already: on stdout when it was asked for, else on stderr.
		if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode === 0 ? 0 : 2;
		return report(new RollcallError('usage', await usageText(error, words)), words);
	}
	const priority = process.env['JOURNAL_STREAM'] === undefined ? '' : await errorPriority();
	const { err } = processTerminal(json);
	const say = (text: string) => err.write(`${text.replace(/^/gm, priority)}\n`);
	const exitCode = error instanceof RollcallError ? error.exitCode : 1;
	if (json) {
		const extra = error instanceof RollcallError ? error.extra : {};
		say(toJson({ event: 'error', error: messageOf(error), exit: exitCode, ...extra }));
	} else if (error instanceof RollcallError) {
		say(`rollcall: ${cleanLines(forPeople(error.message))}${conflictHint(error, words)}${historyHint(error, words)}`);
	} else {
		const stack = error instanceof Error ? (error.stack ?? '') : String(error);
		say(`rollcall: this should not have happened: ${cleanLines(stack)}`);
	}
	return exitCode;
}

/** What Commander found, and where it stands what the command takes. */
async function usageText(error: CommanderError, words: readonly string[]): Promise<string> {
	const [first = '', second] = words.filter((word) => !word.startsWith('-'));
	const text = error.message.replace(/^error: /, '');
	const nothing = async () => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	const { commands } = buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
	const command = commands.find((one) => one.name() === first);
	if (command === undefined) return `${text}\nWhat there is: rollcall --help`;
	const inner = command.commands.map((one) => one.name());
	if (error.code === 'commander.unknownCommand' && second !== undefined) {
		const { unknownSecondWord } = await import('./operation/mistyped.js');
		return unknownSecondWord(first, second, inner).message;
	}
	const path = second !== undefined && inner.includes(second) ? `${first} ${second}` : first;
	return `${text}\nWhat it takes: rollcall ${path} --help`;
}

function historyHint({ code, message }: RollcallError, words: readonly string[]): string {
	if (code !== 'not_found' || !message.startsWith('Rollout ')) return '';
	return cleanLines(`\nWhat there is: rollcall rollout history${daemonWords(words)}`);
}

/** What stands before each line where stderr is the journal's: a unit that cannot start is found by `journalctl -p err`. */
async function errorPriority(): Promise<string> {
	const { isJournal } = await import('../system/systemd/journal.js');
	return isJournal(process.env, 2) ? '<3>' : '';
}

const watch = 'Watch the one in the way: rollcall rollout follow';

function conflictHint(error: RollcallError, words: readonly string[]): string {
	const job = error.extra['job_id'];
	// One that was named in the command is no other one in its way.
	if (error.code !== 'conflict' || typeof job !== 'string' || words.some((word) => isTypedFor(job, word))) return '';
	// Where one halted there is nothing to watch; its status says what may be done.
	const look = error.extra['state'] === undefined ? watch : 'See where it stands: rollcall rollout status';
	return cleanLines(`\n${look} ${job}${daemonWords(words)}`);
}

/** The options of a command line that say which daemon was meant, to be said again. */
function daemonWords(words: readonly string[]): string {
	const names = ['--socket', '--url', '--config', '--ca', '--credentials', '--token-file'];
	const parts = words.flatMap((word, index) => {
		if (names.includes(word)) return [word, shellWord(words[index + 1] ?? '')];
		return names.some((name) => word.startsWith(`${name}=`)) ? [shellWord(word)] : [];
	});
	return parts.map((part) => ` ${part}`).join('');
}
