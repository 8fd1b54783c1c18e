import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { runCommand } from '../../support/cli/command.js';
import { type FakeDaemon, startFakeDaemon } from '../../support/cli/fake-daemon.js';
import { startOnTerminal } from '../../support/cli/pseudo-terminal.js';
import { completedView, nodeView, rolloutId, rolloutView } from '../../support/fleet/views.js';

const controlC = '\u0003';
let folder: string;
let socket: string;
let daemon: FakeDaemon;
before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-tty-'));
	socket = join(folder, 'admin.sock');
	daemon = await startFakeDaemon({ path: socket });
	daemon.operations['restart_service'] = () => ({
		body: { message: 'Restarting http_workers', job_id: rolloutId },
	});
});
after(async () => {
	await daemon.close();
	rmSync(folder, { recursive: true });
});

test('init asks on a terminal, takes what stands in brackets for an empty answer, and what it writes validates', async () => {
	const file = join(folder, 'asked.yaml');
	const terminal = startOnTerminal(['init', '--config', file]);
	const answers: [question: string, answer: string][] = [
		['Name of this node', 'alpha'],
		["The http app's script", './server.js'],
		["The app's folder", ''],
		['How many workers', 'max'],
		['PORT to give the app', '8080'],
		['Path that answers 2xx', '/healthz'],
		['HOST:PORT for operations', ''],
		['HOST:PORT where the other nodes', '127.0.0.1:9933'],
		['The nodes, NAME=URL', 'alpha=ws://127.0.0.1:9933 beta=ws://127.0.0.1:9934'],
	];
	for (const [question, answer] of answers) {
		await terminal.shows(question);
		terminal.types(`${answer}\n`);
	}
	await terminal.shows('rollcall validate --config');
	assert.equal(await terminal.ended, 0);
	const made = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
	assert.deepEqual(made['node'], { name: 'alpha' });
	const [app] = made['http_workers'] as Record<string, unknown>[];
	assert.deepEqual([app?.['instances'], app?.['env']], ['max', { PORT: '8080' }]);
	assert.equal((await runCommand(['validate', '--config', file])).code, 0);
});

test('Ctrl-C at a question writes nothing (130)', async () => {
	const file = join(folder, 'never.yaml');
	const terminal = startOnTerminal(['init', '--config', file]);
	await terminal.shows('Name of this node');
	terminal.types(controlC);
	assert.equal(await terminal.ended, 130);
	assert.equal(existsSync(file), false);
});

test('on a terminal a roll is a line a node, redrawn in place; Ctrl-C leaves it running and says how to follow it', async () => {
	const nodes = [nodeView('alpha', 'pending'), nodeView('beta', 'restarting'), nodeView('gamma', 'pending')];
	daemon.follow = [rolloutView({ nodes, waiting_for: 'beta: 1 of 2 workers healthy' })];
	const terminal = startOnTerminal(['restart_service', 'service=http_workers', 'replicated=true', '--socket', socket], {
		NO_COLOR: '1',
	});
	await terminal.shows('running: http_workers, 0 of 3 nodes back');
	await terminal.shows('1 of 2 workers healthy');
	// A second drawing, half a second later, begins at the top of the first.
	await terminal.shows('\u001b[5A');
	await terminal.shows('running: http_workers');
	terminal.types(controlC);
	await terminal.shows('The rollout goes on. Follow it again: rollcall rollout follow');
	assert.equal(await terminal.ended, 130);
	const asked = daemon.asked.map(({ operation }) => operation);
	assert.ok(!asked.includes('abort_rollout') && !asked.includes('pause_rollout'), asked.join(' '));
});

test('on a terminal the result takes the place of the progress', async () => {
	daemon.follow = [rolloutView(), completedView()];
	const terminal = startOnTerminal(['rollout', 'follow', rolloutId, '--socket', socket, '--no-color']);
	await terminal.shows('completed: http_workers, 3 of 3 nodes back, 7.0 s');
	assert.equal(await terminal.ended, 0);
	const last = terminal.screen.split('\u001b[J').at(-1) ?? '';
	assert.match(last, /^completed: /);
	assert.ok(last.includes(`rollout ${rolloutId}, at most`));
});

test('a terminal has colours, unless NO_COLOR or --no-color stands; history fits its 80 columns, ids shortened to what is taken', async () => {
	const reason = 'beta refused: web-3 threw at boot, so that nothing more is restarted';
	daemon.operations['list_rollouts'] = () => ({ body: [rolloutView({ state: 'halted', reason })] });
	const words = ['rollout', 'history', '--socket', socket];
	const shown: string[] = [];
	for (const [more, env] of [
		[[], {}],
		[['--no-color'], {}],
		[[], { NO_COLOR: '1' }],
	] as const) {
		const terminal = startOnTerminal([...words, ...more], env);
		assert.equal(await terminal.ended, 0);
		shown.push(terminal.screen);
	}
	const [colored = '', plain = '', byVariable = ''] = shown;
	assert.ok(colored.includes('\u001b[31mhalted'), colored);
	assert.equal(plain, byVariable);
	assert.ok(!plain.includes('\u001b'));
	const [, row = ''] = plain.split('\r\n');
	assert.match(row, new RegExp(`^${rolloutId.slice(0, 8)}  .*halted.*…$`));
	assert.ok([...row].length <= 80, row);
	daemon.operations['get_rollout'] = ({ id }) => ({ body: rolloutView({ id: String(id) }) });
	const { stdout } = await runCommand(['rollout', 'status', rolloutId.slice(0, 8), '--json', '--socket', socket]);
	assert.equal((JSON.parse(stdout) as { id: string }).id, rolloutId);
	const piped = await runCommand(words, { FORCE_COLOR: '1' });
	assert.ok(piped.stdout.includes(rolloutId) && piped.stdout.includes(reason), 'in a pipe all of it');
});
