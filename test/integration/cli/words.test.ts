/** What a person types by guess is answered with what to type, and nothing is read or sent in place of it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { messageLineShape, resultShapes } from '../../../src/cli/output/json-schemas.js';
import { runCommand } from '../../support/cli/command.js';
import { withFakeDaemon } from '../../support/cli/fake-daemon.js';
import { completedView, nodeView, rolloutId, rolloutView } from '../../support/fleet/views.js';

const { daemon, folder, on } = withFakeDaemon();

/** A guess, the exit code, and what the answer must say. */
const guesses: [words: string[], exit: number, says: RegExp][] = [
	[['ls'], 2, /Did you mean rollcall workers, or rollcall status\?/],
	[['ps'], 2, /Did you mean rollcall workers, or rollcall status\?/],
	[['top'], 2, /Did you mean rollcall workers, or rollcall status\?/],
	[['help', 'frobnicate'], 2, /no command, operation or topic 'frobnicate'.*\nTopics: .*certificates/],
	[['help', 'rolout'], 2, /Did you mean rollcall help rollout\?/],
	[['help', 'certifcates'], 2, /Did you mean rollcall help certificates\?/],
	[['help', 'cert'], 2, /Did you mean rollcall help certificates\?/],
	[['restart_service', 'http_workers'], 2, /Type: service=http_workers/],
	[['restart_service', 'service=http_workers', 'replicated'], 2, /Type: replicated=true/],
	[['restart_service', 'web'], 2, /rollcall restart_service service=http_workers app=web/],
	[['set_status', 'Available'], 2, /Type: status=Available/],
	[['restart_service', 'service=http_workers', 'replicated=yes'], 1, /must be a boolean\nType: replicated=true\n/],
	[['restart_service', 'service=http_workers', 'replicated=off'], 1, /must be a boolean\nType: replicated=false\n/],
	[['restart_service'], 1, /must be a boolean\nType: rollcall restart_service service=http_workers \| /],
];
for (const [words, exit, says] of guesses) {
	test(`rollcall ${words.join(' ')} is answered with what to type (${exit})`, async () => {
		const refusal = { status: 400, body: { error: "'replicated' must be a boolean" } };
		daemon.operations['restart_service'] = () => refusal;
		const { code, stdout, stderr } = await on(...words);
		assert.deepEqual([code, stdout], [exit, ''], stderr);
		assert.match(stderr, says);
		assert.equal(daemon.asked.length, exit === 2 ? 0 : 1, 'a mistake of usage is not sent');
	});
}

test('with --json the refusal stays as the API has it', async () => {
	daemon.operations['restart_service'] = () => ({ status: 400, body: { error: "'replicated' must be a boolean" } });
	const { stderr } = await on('restart_service', 'service=http_workers', 'replicated=yes', '--json');
	const line = messageLineShape.parse(JSON.parse(stderr));
	assert.equal('error' in line && line.error, "'replicated' must be a boolean");
});

test('help TOPIC is the help of that command or operation; -v is the version, --no-color is taken anywhere', async () => {
	for (const topic of [['rollout'], ['rollout', 'resume'], ['restart_service'], ['logs']]) {
		const [asked, usual] = await Promise.all([
			runCommand(['help', ...topic, '--no-color']),
			runCommand([...topic, '--help']),
		]);
		assert.deepEqual([asked.code, asked.stdout], [0, usual.stdout], topic.join(' '));
	}
	const versions = await Promise.all([['-v'], ['--no-color', '-v'], ['--version']].map((words) => runCommand(words)));
	for (const { code, stdout } of versions) assert.deepEqual([code, stdout], [0, versions[2]?.stdout]);
	daemon.operations['list_workers'] = () => ({ body: [] });
	assert.equal((await on('workers', '--no-color')).code, 0);
});

test('logs shows files of this host while its daemon is away, and never in the place of another one that was named', async () => {
	const file = join(folder, 'c.yaml');
	mkdirSync(join(folder, 'w', 'self', 'logs'), { recursive: true });
	writeFileSync(join(folder, 'w', 'self', 'logs', 'web-1-out.log'), 'of this host\n');
	writeFileSync(file, 'worker_dir: ./w\nruntime_dir: ./run\n', { mode: 0o600 });
	const own = await runCommand(['logs', '--config', file]);
	assert.match(own.stdout, /of this host/);
	assert.match(own.stderr, /No daemon answers at [\s\S]*these are the log files of this host/);
	for (const other of [
		['--url', 'http://127.0.0.1:1'],
		['--socket', join(folder, 'none.sock')],
		['--node', 'beta'],
	]) {
		const { code, stdout } = await runCommand(['logs', '--config', file, ...other]);
		assert.deepEqual([code, stdout], [4, ''], other.join(' '));
	}
	const row = { time: 1_000, node: 'beta', app: 'web', worker: 'web-1', stream: 'out', text: 'of beta' };
	daemon.operations['read_logs'] = ({ node }) => ({
		body: node === 'beta' ? [row, { node: 'gamma', error: 'away' }] : [],
	});
	const { code, stdout, stderr } = await on('logs', '--node', 'beta', '--json');
	const { text, ...shown } = row;
	assert.deepEqual(
		stdout
			.trimEnd()
			.split('\n')
			.map((line) => JSON.parse(line)),
		[
			{ ...shown, line: text },
			{ node: 'gamma', error: 'away' },
		],
		stderr,
	);
	assert.equal(code, 1);
	const words = await on('logs', '--node', 'beta');
	assert.match(words.stderr, /gamma: away/);
});

test('a restart is called by its name here; with --json the answer is the API’s', async () => {
	const message = 'Restarting HarperDB. This may take up to 60 seconds.';
	daemon.operations['restart'] = () => ({ body: { message } });
	const { code, stdout } = await on('restart');
	assert.equal(code, 0);
	assert.match(stdout, /^Restarting this instance of Rollcall/);
	assert.deepEqual(JSON.parse((await on('restart', '--json')).stdout), { message });
});

test('what a halted rollout of one node can be told is said in commands, without leaving its only node out', async () => {
	const reason =
		'web-3 threw. resume_rollout tries alpha again, with skip it stays as it is, abort_rollout ends the rollout';
	const nodes = [nodeView('alpha', 'refused', { reason: 'web-3 threw' })];
	const view = rolloutView({ state: 'halted', reason, nodes, order: ['alpha'] });
	daemon.operations['get_rollout'] = () => ({ body: view });
	const { code, stdout, stderr } = await on('rollout', 'status', rolloutId);
	assert.equal(code, 0);
	assert.doesNotMatch(`${stdout}${stderr}`, /(resume|abort)_rollout| --skip alpha/);
	assert.match(stdout, /rollcall rollout resume tries alpha again/);
	assert.match(stderr, new RegExp(`go on +rollcall rollout resume ${rolloutId.slice(0, 8)}`));
	const json = await on('rollout', 'status', rolloutId, '--json');
	assert.equal(resultShapes['rollout status'].parse(JSON.parse(json.stdout)).reason, reason);
});

test('a short id is taken wherever an id is, if it is unique and has four characters', async () => {
	const other = rolloutId.replace(/.$/, 'f');
	const list = [rolloutView(), rolloutView({ id: other })];
	daemon.operations['list_rollouts'] = () => ({ body: list });
	daemon.operations['get_rollout'] = ({ id }) => ({ body: rolloutView({ id: String(id) }) });
	daemon.operations['pause_rollout'] = ({ id }) => ({ body: rolloutView({ id: String(id) }) });
	const several = await on('rollout', 'status', rolloutId.slice(0, 8));
	assert.deepEqual([several.code, several.stdout], [2, '']);
	assert.ok(several.stderr.includes(other) && several.stderr.includes(rolloutId));
	list.pop();
	for (const words of [
		['rollout', 'status', '6e0f'],
		['rollout', 'pause', '6e0f'],
		['get_rollout', 'id=6e0f'],
	]) {
		const { stdout } = await on(...words, '--json');
		assert.equal(resultShapes['rollout status'].parse(JSON.parse(stdout)).id, rolloutId, words.join(' '));
	}
	await on('rollout', 'status', '6e0');
	assert.equal(daemon.asked.at(-1)?.fields['id'], '6e0');
});

test('validate warns of a script that is not there, and is content once it is: the daemon starts without', async () => {
	const file = join(folder, 'app.yaml');
	writeFileSync(file, 'http_workers: [{name: web, script: ./server.js}]\n', { mode: 0o600 });
	const without = await runCommand(['validate', '--config', file]);
	assert.equal(without.code, 0);
	assert.match(without.stderr, /warning: web: its script .*server\.js is not there \(ENOENT\)/);
	const json = await runCommand(['validate', '--config', file, '--json']);
	assert.equal(resultShapes.validate.parse(JSON.parse(json.stdout)).warnings.length, 1);
	writeFileSync(join(folder, 'server.js'), '');
	const beside = await runCommand(['validate', '--config', file]);
	assert.deepEqual([beside.code, beside.stderr], [0, '']);
});

test('rollout start rolls http_workers over the fleet and follows to the end, by a daemon of before 1.0 too', async () => {
	const started = () => ({ body: { message: 'Rolling http_workers', job_id: rolloutId } });
	daemon.operations['start_rollout'] = started;
	daemon.follow = [completedView()];
	const { code, stdout, stderr } = await on(
		'rollout',
		'start',
		'web',
		'--max-unavailable',
		'2',
		'--on-failure',
		'continue',
		'--json',
	);
	assert.equal(code, 0, stderr);
	assert.equal(resultShapes['rollout start'].parse(JSON.parse(stdout)).state, 'completed');
	const wanted = { app: 'web', max_unavailable: 2, on_failure: 'continue' };
	assert.deepEqual([daemon.asked[0]?.operation, daemon.asked[0]?.fields], ['start_rollout', wanted]);
	daemon.operations = { restart_service: started };
	daemon.asked.length = 0;
	assert.equal((await on('rollout', 'start', '--detach')).code, 0);
	const [, second] = daemon.asked;
	const longer = { service: 'http_workers', replicated: true };
	assert.deepEqual([second?.operation, second?.fields], ['restart_service', longer]);
});
