import { type Command, CommanderError } from 'commander';
import { buildProgram } from '../../../src/cli/program.js';
import { operationsByName } from '../../../src/operations/table.js';

/** A placeholder or a notation, such as `[APP]` or `OPERATION`, is no command line that could be typed. */
const notation = /[[\]…|]|\bOPERATION\b|\bCOMMAND\b|\bTOPIC\b/;
const starts = /^(?:rollcall|node (?:[\w./]+\/)?dist\/src\/main\.js)(?= |$)/;

/** The command lines of Rollcall in a block of shell: what follows `rollcall`, as words. */
export function commandLines(block: string): string[][] {
	const lines = block.replaceAll(/\\\n\s*/g, ' ').split('\n');
	return lines.flatMap((line) => simpleCommands(line)).filter((words) => words.length > 0);
}

/** The same in a sentence's words, which may be a notation instead. */
export const namedCommands = (words: string): string[][] => (notation.test(words) ? [] : commandLines(words));

/** Splits a line at `&&`, `|`, `;`, `<(` and `)`, cuts comments and redirections, and takes the quotes off. */
function simpleCommands(line: string): string[][] {
	const code = line.replace(/(^|\s)#.*$/, '');
	return code
		.split(/&&|\|\||\||;|<\(|\)\s*$/)
		.map((part) => part.trim())
		.filter((part) => starts.test(part))
		.map((part) => wordsOf(part.replace(starts, '').replace(/\s[<>]+\s*\S+/g, '')));
}

const wordsOf = (text: string): string[] =>
	[...text.matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)].map(([word]) =>
		word.replaceAll(/['"]/g, (mark) => unquoted(word, mark)),
	);

/** Quotes inside of other quotes stay: attributes='["cpu"]'. */
const unquoted = (word: string, mark: string): string => (word.includes("'") && mark === '"' ? mark : '');

/** Faults that the name of a command has which stands alone in a sentence. */
const incomplete = ['commander.help', 'commander.missingMandatoryOptionValue', 'commander.missingArgument'];

/**
 * Why the command line would be refused before it does anything; null when it would run. Runs nothing. `isName`: the words
 * stand in a sentence, where a command may be named without what it needs.
 */
export async function refusalOf(
	words: readonly string[],
	topics: readonly string[],
	isName = false,
): Promise<string | null> {
	let line: string[] | null = null;
	const program = newProgram();
	if (words[0] === 'help') return words[1] === undefined || topics.includes(words[1]) ? null : `no topic ${words[1]}`;
	if (words.length === 1 && words[0] === '--help') return null;
	for (const command of below(program).filter(({ commands }) => commands.length === 0)) {
		command.action((...given: unknown[]) => {
			const operands = given
				.slice(0, command.registeredArguments.length)
				.flat()
				.filter((word) => word !== undefined);
			line = [command.name(), ...operands.map(String)];
		});
	}
	try {
		await program.parseAsync([...words], { from: 'user' });
	} catch (error) {
		const code = error instanceof CommanderError ? error.code : '';
		if (code === 'commander.helpDisplayed' || (isName && incomplete.includes(code))) return null;
		return error instanceof Error ? error.message : String(error);
	}
	return line === null ? 'it names no command' : fieldsRefused(line);
}

/** An operation, and its fields, are what the daemon takes. */
function fieldsRefused([command, ...operands]: readonly string[]): string | null {
	const [name = '', ...fields] = command === 'plan' ? ['restart_service', ...operands] : operands;
	if (command !== 'operation' && command !== 'plan') return null;
	const row = operationsByName.get(name);
	if (row === undefined) return `there is no command or operation '${name}'`;
	const unknown = fields.find((field) => !Object.hasOwn(row.fields, field.split('=')[0] ?? ''));
	return unknown === undefined ? null : `${name} takes no '${unknown}'`;
}

/** The command line's own parser, without a word on the terminal. */
function newProgram(): Command {
	const nothing = async (): Promise<void> => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	const program = buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
	for (const command of [program, ...below(program)])
		command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
	return program;
}

const below = (command: Command): Command[] => command.commands.flatMap((one) => [one, ...below(one)]);

/** The words of every command that does something itself. */
export function commandPaths(): string[] {
	const pathsOf = (command: Command, before: string): string[] =>
		command.commands.flatMap((one) =>
			one.commands.length > 0 ? pathsOf(one, `${before}${one.name()} `) : [before + one.name()],
		);
	return pathsOf(newProgram(), '');
}
