/** What may stand at the cursor, for the shells; a daemon that hangs or is not there takes a bounded time and says nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { complete, type Known } from '../../../src/cli/commands/completion/candidates.js';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { buildProgram } from '../../../src/cli/program.js';
import { runCommand } from '../../support/cli/command.js';

const nothing = async () => undefined;
const session = {
	signal: new AbortController().signal,
	leaveSignals: () => undefined,
	programs: { runDaemon: nothing, runWorkerHost: nothing },
	exitCode: 0,
};
const known: Known = {
	apps: async () => ['web', 'api'],
	nodes: async () => ['alpha', 'beta'],
	zones: async () => ['rack-1', 'rack-2'],
	rollouts: async () => [{ word: '7c9e6679', meaning: 'running: web, by socket' }],
};

/** The words that are typed, the last of them at the cursor, and what is offered. */
const cases: readonly (readonly [string, readonly string[] | 'files' | 'folders'])[] = [
	['valid', ['validate']],
	['doc', ['doctor']],
	['rollout ', ['plan', 'start', 'undo', 'status', 'history', 'follow', 'pause', 'resume', 'abort']],
	['--config /etc/x rollout pa', ['pause']],
	['rollout start ', ['web', 'api']],
	['rollout start web ', []],
	['rollout plan ', ['web', 'api']],
	['rollout plan app=w', ['app=web']],
	['rollout start --node ', ['alpha', 'beta']],
	['rollout plan web --zone ', ['rack-1', 'rack-2']],
	['start_rollout zone=', ['zone=rack-1', 'zone=rack-2']],
	['rollout start --ho', ['--hold-after']],
	['rollout start --max-unavailable 2 a', ['api']],
	['rollout resume ', ['7c9e6679']],
	['rollout resume 7c9e6679 --skip ', ['alpha', 'beta']],
	['rollout start --on-failure ', ['halt', 'continue', 'revert']],
	['logs -f w', ['web']],
	['logs --fol', ['--follow']],
	['get_rollout id=', ['id=7c9e6679']],
	['get_job id=7', ['id=7c9e6679']],
	['get_status id=av', ['id=availability']],
	['restart replicated=', ['replicated=true', 'replicated=false']],
	['restart_service service=cl', ['service=clustering_config', 'service=clustering']],
	['restart_service app=web ap', []],
	['operation admit_node node=', ['node=alpha', 'node=beta']],
	['operation restart_serv', ['restart_service']],
	['--config ', 'files'],
	['status --credentials ', 'files'],
	['ca issue alpha --dir ', 'folders'],
	['ca issue ', ['alpha', 'beta']],
	['completion ', ['bash', 'zsh', 'fish']],
	['no_such_operation ', []],
	['help certif', ['certificates']],
	['help restart', ['restarting', 'restart', 'restart_service']],
	['help rolling ', []],
];

describe('completion', () => {
	for (const [line, expected] of cases) {
		test(`'${line}'`, async () => {
			const found = await complete(buildProgram(session), line.split(' '), known);
			assert.deepEqual(typeof found === 'string' ? found : found.map(({ word }) => word), expected);
		});
	}

	test('a daemon that never answers is waited for a second, then there is nothing, and no error', async () => {
		const folder = mkdtempSync(join(tmpdir(), 'rc-cmp-'));
		const path = join(folder, 's');
		const silent = createServer(() => undefined);
		await new Promise<void>((resolve) => silent.listen(path, resolve));
		try {
			for (const socket of [path, join(folder, 'none')]) {
				const result = await runCommand(['completion', 'words', '--', 'logs', '--socket', socket, '']);
				assert.deepEqual(result, { code: 0, stdout: '', stderr: '' });
			}
		} finally {
			silent.close();
			rmSync(folder, { recursive: true });
		}
	});

	test('another shell than the three is refused', async () => {
		const { code, stderr } = await runCommand(['completion', 'csh']);
		assert.equal(code, 2);
		assert.match(stderr, /takes bash, zsh, fish/);
		const { stdout } = await runCommand(['completion', 'bash', '--json']);
		assert.match(resultShapes.completion.parse(JSON.parse(stdout)).script, /^complete -F _rollcall rollcall$/m);
	});
});
