/** The completion works in the real shells: commands, operations and their fields, and what the daemon knows; without it nothing disturbs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type FakeDaemon, startFakeDaemon } from '../support/cli/fake-daemon.js';
import { startProgramOnTerminal, type TerminalCommand } from '../support/cli/pseudo-terminal.js';
import { rolloutId, rolloutView } from '../support/fleet/views.js';

const mainScript = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const run = promisify(execFile);
const timeoutMs = 120_000;

let folder: string;
let socket: string;
let ran: string;
let env: Record<string, string>;
let daemon: FakeDaemon;

/** `rollcall` on PATH: completions are the real ones, any other command line is only written down. */
before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-sh-'));
	socket = join(folder, 's');
	ran = join(folder, 'ran');
	const lines = [
		'#!/bin/sh',
		`if [ "$1" = completion ]; then exec '${process.execPath}' '${mainScript}' "$@"; fi`,
		`printf '%s\\n' "$@" > '${ran}'`,
		'echo it-has-"run"',
		'',
	];
	writeFileSync(join(folder, 'rollcall'), lines.join('\n'), { mode: 0o755 });
	env = { PATH: `${folder}${delimiter}${process.env['PATH']}`, HOME: folder, TERM: 'dumb' };
	daemon = await startFakeDaemon({ path: socket });
	const worker = (app: string) => ({ app, id: `${app}-1` });
	daemon.operations['list_workers'] = () => ({ body: [worker('web'), worker('web'), worker('$(id)')] });
	daemon.operations['cluster_status'] = () => ({ body: { nodes: [{ name: 'alpha' }, { name: 'beta' }] } });
	daemon.operations['list_rollouts'] = () => ({ body: [rolloutView({ id: rolloutId })] });
});
after(async () => {
	await daemon.close();
	rmSync(folder, { recursive: true });
});

/** What is typed, `TAB` for the key, and the words that the command is then run with. SOCKET is the daemon's. */
const typed: readonly (readonly [string, readonly string[]])[] = [
	['rollcall rollout folTAB', ['rollout', 'follow']],
	['rollcall stTABatus', ['status']],
	['rollcall logs --socket SOCKET weTAB', ['logs', '--socket', 'SOCKET', 'web']],
	['rollcall logs --socket SOCKET $TABx', ['logs', '--socket', 'SOCKET', '$x']],
	[
		'rollcall restart_service --socket SOCKET serTABhttp_wTAB apTABwTAB',
		['restart_service', '--socket', 'SOCKET', 'service=http_workers', 'app=web'],
	],
	['rollcall admit_node --socket SOCKET node=beTAB', ['admit_node', '--socket', 'SOCKET', 'node=beta']],
	[
		`rollcall rollout status --socket SOCKET ${rolloutId.slice(0, 4)}TAB`,
		['rollout', 'status', '--socket', 'SOCKET', rolloutId],
	],
	['rollcall logs --socket SOCKET/none weTAB', ['logs', '--socket', 'SOCKET/none', 'we']],
	['rollcall rollout start --on-failure haTAB', ['rollout', 'start', '--on-failure', 'halt']],
];

/** A shell that has taken up the completion. */
async function startShell(words: readonly string[], lines: readonly string[]): Promise<TerminalCommand> {
	const shell = startProgramOnTerminal(words, env);
	for (const line of [...lines, 'cd /', 'echo it-is-"ready"']) shell.types(`${line}\n`);
	await shell.shows('it-is-ready');
	return shell;
}

function testTyping(name: string, words: readonly string[], lines: readonly string[]): void {
	describe(name, () => {
		let shell: TerminalCommand;
		before(async () => {
			shell = await startShell(words, lines);
		});
		after(async () => {
			shell.types('\nexit\n');
			await shell.ended;
		});
		for (const [line, expected] of typed) {
			test(line, { timeout: timeoutMs }, async () => {
				shell.types(`${line.replaceAll('SOCKET', socket).replaceAll('TAB', '\t').replaceAll('$\t', '\\$\t')}\n`);
				await shell.shows('it-has-run');
				const given = readFileSync(ran, 'utf8').trimEnd().split('\n');
				assert.deepEqual(
					given,
					expected.map((word) => word.replace('SOCKET', socket)),
				);
			});
		}
	});
}

describe('completion in', () => {
	testTyping('bash', ['bash', '--norc', '--noprofile', '-i'], ['source <(rollcall completion bash)']);
	testTyping(
		'zsh',
		['zsh', '-f', '-i'],
		['unsetopt beep', 'autoload -Uz compinit; compinit -u -D', 'source <(rollcall completion zsh)'],
	);

	describe('fish', () => {
		const offered = async (line: string) => {
			const script = 'rollcall completion fish | source; complete -C "$argv[1]"';
			const { stdout, stderr } = await run('fish', ['--no-config', '-c', script, line.replaceAll('SOCKET', socket)], {
				env,
			});
			assert.equal(stderr, '');
			return stdout.split('\n').flatMap((row) => row.split('\t')[0] || []);
		};
		const cases: readonly (readonly [string, readonly string[]])[] = [
			['rollcall rollout fol', ['follow']],
			['rollcall logs --socket SOCKET ', ['web']],
			['rollcall restart_service --socket SOCKET service=http', ['service=http_workers']],
			['rollcall restart_service service=http_workers app', ['app=']],
			['rollcall admit_node --socket SOCKET node=', ['node=alpha', 'node=beta']],
			['rollcall rollout status --socket SOCKET ', [rolloutId]],
			['rollcall logs --socket SOCKET/none ', []],
		];
		for (const [line, expected] of cases) {
			test(line, { timeout: timeoutMs }, async () => assert.deepEqual(await offered(line), expected));
		}
	});
});
