import type { Command } from 'commander';
import { mainHelp } from '../cli/help.js';
import { buildProgram } from '../cli/program.js';

/** rollcall(1) in roff: what `rollcall --help` and the help of each command print. */
export function manualPage(version: string, epochSeconds: number): string {
	const [summary = '', ...sections] = mainHelp.trim().split('\n\n');
	const date = new Date(epochSeconds * 1000).toISOString().slice(0, 10);
	return [
		`.TH ROLLCALL 1 "${date}" "Rollcall ${version}" "User Commands"`,
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
			'/usr/lib/rollcall/README.md                  the manual',
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

const verbatim = (lines: readonly string[]): string[] => ['.nf', ...lines.map(escaped), '.fi'];

/** A backslash, a hyphen, and a dot or an apostrophe at the start of a line mean something else in roff. */
const escaped = (line: string): string =>
	line
		.replaceAll('\\', '\\e')
		.replaceAll('-', '\\-')
		.replace(/^(?=[.'])/, '\\&');
