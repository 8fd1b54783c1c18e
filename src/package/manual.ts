import type { Command } from 'commander';
import { readPage, topics } from '../cli/commands/help.js';
import { mainHelp } from '../cli/output/main-help.js';
import { buildProgram } from '../cli/program.js';
import { escaped, roffLines, verbatim } from './roff.js';

/** Every page for man in roff, by its file: rollcall(1), and rollcall-TOPIC(7) for each topic of the manual. */
export function manualPages(version: string, epochSeconds: number): ReadonlyMap<string, string> {
	const pages = topics().map((topic): [string, string] => [
		`man7/rollcall-${topic}.7`,
		manualPage(topic, version, epochSeconds),
	]);
	return new Map([['man1/rollcall.1', commandPage(version, epochSeconds)], ...pages]);
}

/** rollcall-TOPIC(7): what `rollcall help TOPIC` prints. */
export function manualPage(topic: string, version: string, epochSeconds: number): string {
	const page = readPage(topic);
	const name = escaped(`rollcall-${topic}`);
	return [
		head(`ROLLCALL-${topic.toUpperCase()}`, 7, version, epochSeconds, 'Rollcall Manual'),
		'.SH NAME',
		`${name} \\- ${escaped(summaries().get(topic) ?? topic)}`,
		'.SH DESCRIPTION',
		...roffLines(page),
		'.SH SEE ALSO',
		'\\fBrollcall\\fR(1)',
		'',
	].join('\n');
}

/** The topics in the order of the contents, each with what the contents say of it. */
const summaries = (): ReadonlyMap<string, string> =>
	new Map(
		[...readPage().matchAll(/^- \[([\w-]+)\]\(\S+\): (.*)$/gm)].map(([, topic, text]) => [topic ?? '', text ?? '']),
	);

function head(name: string, section: number, version: string, epochSeconds: number, kind: string): string {
	const date = new Date(epochSeconds * 1000).toISOString().slice(0, 10);
	return `.TH ${name} ${section} "${date}" "Rollcall ${version}" "${kind}"`;
}

/** rollcall(1): what `rollcall --help` and the help of each command print, and the contents of the manual. */
function commandPage(version: string, epochSeconds: number): string {
	const [summary = '', ...sections] = mainHelp.trim().split('\n\n');
	return [
		head('ROLLCALL', 1, version, epochSeconds, 'User Commands'),
		'.SH NAME',
		'rollcall \\- process supervisor with fleet coordination',
		'.SH SYNOPSIS',
		'.B rollcall',
		'COMMAND [OPTIONS]',
		'.SH DESCRIPTION',
		escaped(summary),
		...sections.flatMap((section) => {
			const [title = '', ...lines] = section.split('\n');
			return [`.SH ${title.toUpperCase()}`, ...verbatim(lines)];
		}),
		'.SH THE COMMANDS',
		...commandsOf(newProgram()).flatMap((command) => [`.SS "${pathOf(command)}"`, ...verbatim(helpOf(command))]),
		'.SH FILES',
		...verbatim([
			'/etc/rollcall/rollcall.yaml                  the configuration',
			'/usr/lib/rollcall/src/manual                 the manual',
		]),
		'.SH THE MANUAL',
		...[...summaries()].flatMap(([topic, text]) => [
			'.TP',
			`\\fB${escaped(`rollcall-${topic}`)}\\fR(7)`,
			escaped(text),
		]),
		'',
	].join('\n');
}

function newProgram(): Command {
	const refuse = () => Promise.reject(new Error('The manual runs no command.'));
	const programs = { runDaemon: refuse, runWorkerHost: refuse };
	return buildProgram({ signal: new AbortController().signal, leaveSignals: () => undefined, programs, exitCode: 0 });
}

const commandsOf = (program: Command): Command[] =>
	program.commands.flatMap((command) => (command.commands.length > 0 ? commandsOf(command) : [command]));

const pathOf = (command: Command): string =>
	command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();

/** The same lines as `--help`, without the options of every command, which stand above. */
function helpOf(command: Command): string[] {
	let text = '';
	command.configureHelp({ showGlobalOptions: false, helpWidth: 78 }).configureOutput({
		writeOut: (part) => {
			text += part;
		},
	});
	command.outputHelp();
	return text.trim().split('\n');
}
