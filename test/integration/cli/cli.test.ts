import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { messageLineShape, resultShapes } from '../../../src/cli/output/json-schemas.js';
import { TestAuthority } from '../../support/fleet/authority.js';
import { runCommand, startCommand } from '../../support/cli/command.js';
import { startFakeDaemon, withFakeDaemon } from '../../support/cli/fake-daemon.js';
import { completedView, nodeView, rolloutId, rolloutView } from '../../support/fleet/views.js';

const roll = ['restart_service', 'service=http_workers', 'replicated=true'];
const started = () => ({ body: { message: 'Restarting http_workers', job_id: rolloutId } });
const worker = {
	app: 'web',
	id: 'web-1',
	pid: 811,
	state: 'serving',
	started_at: 1_700_000_000_000,
	restarts: 0,
	healthy: true,
	memory: 50_000_000,
	cpu: 1.5,
	release: '/srv/web/\u001b[31mserver.js',
	revision: '3f786850e387550fdab836ed7e6dc881de23001b\u001b[31m',
	pinned: null,
	requests: null,
};
const clusterStatus = {
	node: 'alpha',
	boot: 4,
	coordinator: null,
	nodes: ['alpha', 'beta'].map((name, index) => ({
		name,
		zone: null,
		link: index === 0 ? 'self' : 'down',
		boot: 4,
		ready: index === 0,
		availability: null,
		version: '0.1.0',
		configuration: index === 0 ? 'last_good' : null,
		rtt_ms: null,
		last_seen: 1_700_000_000_000,
		reason: null,
		clock_offset_ms: null,
	})),
};

describe('the command line', () => {
	const { daemon, folder, socket, on } = withFakeDaemon();
	const linesOf = (text: string) => text.trimEnd().split('\n');

	test('any operation is sent with its fields, values read as JSON, else as text', async () => {
		daemon.operations['set_status'] = () => ({ body: { id: 'availability', status: 'Available' } });
		const { code, stdout, stderr } = await on(
			'set_status',
			'id=availability',
			'status=Available',
			'flag=true',
			'n="7"',
		);
		assert.deepEqual([code, stdout, stderr], [0, 'id: availability\nstatus: Available\n', '']);
		const [asked] = daemon.asked;
		assert.equal(asked?.operation, 'set_status');
		assert.deepEqual(asked.fields, { id: 'availability', status: 'Available', flag: true, n: '7' });
		assert.equal(asked.headers.authorization, undefined);
	});

	test('with --json stdout is the answer as one document and nothing else', async () => {
		daemon.operations['list_workers'] = () => ({ body: [worker] });
		const { code, stdout, stderr } = await on('workers', '--json');
		assert.deepEqual([code, stderr], [0, '']);
		assert.deepEqual(resultShapes.workers.parse(JSON.parse(stdout)), [worker]);
	});

	test('control characters of an answer never reach the terminal', async () => {
		daemon.operations['list_workers'] = () => ({ body: [worker] });
		const { stdout } = await on('workers');
		assert.match(stdout, /web-1 +811 +serving/);
		assert.match(stdout, /REVISION.*\n.* 3f786850e387550/);
		assert.ok(!stdout.includes('\u001b'));
	});

	const refusals: [string, number, number, Record<string, unknown>][] = [
		['a fault of fields', 400, 1, { error: 'Invalid service' }],
		['missing credentials', 401, 5, { error: 'Must login' }],
		['a role that may not', 403, 5, { error: 'This operation is not authorized', unauthorized_access: ['x'] }],
		['something unknown', 404, 1, { error: "Rollout 'x' not found" }],
		['a rollout in the way', 409, 8, { error: 'a rollout is running', job_id: rolloutId }],
		['too many failures', 429, 1, { error: 'Too many failed logins' }],
		['what cannot be done now', 503, 1, { error: 'gamma is not linked' }],
	];
	for (const [what, status, exit, body] of refusals) {
		test(`${what} (${status}) exits ${exit} and says so on stderr alone`, async () => {
			daemon.operations['restart_service'] = () => ({ status, body });
			const text = await on(...roll);
			assert.deepEqual([text.code, text.stdout], [exit, '']);
			assert.ok(text.stderr.includes(String(body['error'])));
			if (status === 409) assert.ok(text.stderr.includes(`rollcall rollout follow ${rolloutId} --socket ${socket}`));
			const json = await on(...roll, '--json');
			assert.deepEqual([json.code, json.stdout], [exit, '']);
			const line = messageLineShape.parse(JSON.parse(json.stderr));
			assert.deepEqual([line.event, 'exit' in line && line.exit], ['error', exit]);
		});
	}

	test('nobody there exits 4, no answer in time 7, a mistake in the command line 2', async () => {
		daemon.operations['get_status'] = () => 'silence';
		const codes = await Promise.all([
			runCommand(['status', '--socket', join(folder, 'nobody.sock')]),
			on('get_status', '--timeout', '200ms'),
			on('get_status', 'no-field'),
			on('get_status', '--no-option'),
			on('workesr'),
			on('status', '--url', 'http://127.0.0.1:1'),
			on('rollout', 'folow'),
		]).then((results) => results.map(({ code, stdout }) => [code, stdout]));
		assert.deepEqual(
			codes,
			[4, 7, 2, 2, 2, 2, 2].map((code) => [code, '']),
		);
	});

	test('a mistyped command names its neighbours, and an operation nobody knows goes to the daemon', async () => {
		const mistyped = await on('restart_servise', 'service=http_workers');
		assert.equal(mistyped.code, 2);
		assert.match(mistyped.stderr, /Did you mean rollcall restart_service\?/);
		const unknown = await on('brand_new_operation');
		assert.equal(unknown.code, 2);
		assert.match(unknown.stderr, /no command or operation 'brand_new_operation' here or at/);
		assert.equal(daemon.asked.at(-1)?.operation, 'brand_new_operation');
	});

	test('a restart is followed to its end: plain lines on stderr, the rollout on stdout', async () => {
		daemon.operations['restart_service'] = started;
		const restarting = [nodeView('alpha', 'pending'), nodeView('beta', 'restarting'), nodeView('gamma', 'pending')];
		daemon.follow = [
			rolloutView(),
			rolloutView({ nodes: restarting, waiting_for: 'beta: 1 of 2 workers healthy' }),
			completedView(),
		];
		const { code, stdout, stderr } = await on(...roll);
		assert.equal(code, 0, stderr);
		assert.match(stdout, /^completed: http_workers, 3 of 3 nodes back, 7\.0 s\n/);
		const lines = linesOf(stderr).map((line) => line.slice('12:00:31 '.length));
		assert.deepEqual(lines, [
			'rollout running',
			'beta restarting',
			'beta back after 2.1 s',
			'gamma back after 2.1 s',
			'alpha back after 2.1 s',
			'rollout completed',
		]);
	});

	test('with --json the progress is JSON lines on stderr and stdout holds the ended rollout', async () => {
		daemon.operations['restart'] = started;
		daemon.follow = [rolloutView(), completedView()];
		const { code, stdout, stderr } = await on('restart', 'replicated=true', '--json');
		assert.equal(code, 0);
		assert.deepEqual(resultShapes.restart_service.parse(JSON.parse(stdout)), completedView());
		const lines = linesOf(stderr).map((line) => messageLineShape.parse(JSON.parse(line)));
		assert.deepEqual(new Set(lines.map(({ event }) => event)), new Set(['progress']));
	});

	test('a halted rollout exits 6, with its reason and what can be done', async () => {
		daemon.operations['restart_service'] = started;
		const reason = 'web-3 threw at boot\nError: no';
		const nodes = [nodeView('beta', 'refused', { reason }), nodeView('gamma', 'pending'), nodeView('alpha', 'pending')];
		daemon.follow = [rolloutView({ state: 'halted', reason: 'beta refused', nodes })];
		const { code, stdout, stderr } = await on(...roll);
		assert.equal(code, 6);
		assert.match(stdout, /halted: http_workers, 0 of 3 nodes back/);
		assert.match(stdout, /reason: beta refused/);
		assert.match(stdout, / {2}web-3 threw at boot\n {2}Error: no/);
		assert.match(stderr, new RegExp(`rollcall rollout resume ${rolloutId.slice(0, 8)} --socket ${socket}`));
	});

	test('a broken connection is made again until the rollout has ended', async () => {
		daemon.operations['restart_service'] = started;
		daemon.follow = ['cut', rolloutView(), 'cut', rolloutView({ waiting_for: 'alpha' }), 'cut', completedView()];
		const { code, stderr } = await on(...roll);
		assert.equal(code, 0, stderr);
		assert.equal(daemon.asked.filter(({ operation }) => operation === 'get_rollout').length, 4);
		assert.match(stderr, /is away; trying again/);
	});

	test('a daemon that is away for a while, its socket gone, is waited for', async () => {
		const path = join(folder, 'away.sock');
		const first = await startFakeDaemon({ path });
		first.follow = [rolloutView()];
		const waiting = new Promise<void>((resolve) => {
			first.onWaiting = resolve;
		});
		const command = startCommand(['rollout', 'follow', rolloutId, '--socket', path]);
		await waiting;
		await command.says('rollout running');
		await first.close();
		await command.says('is away; trying again');
		const second = await startFakeDaemon({ path });
		second.follow = [completedView()];
		const { code, stderr } = await command.result;
		await second.close();
		assert.equal(code, 0, stderr);
	});

	test('Ctrl-C exits 130, leaves the rollout alone and says how to follow it again', async () => {
		daemon.operations['restart_service'] = started;
		daemon.follow = [rolloutView()];
		const waiting = new Promise<void>((resolve) => {
			daemon.onWaiting = resolve;
		});
		const command = startCommand([...roll, '--socket', socket]);
		await waiting;
		await command.says('rollout running');
		command.child.kill('SIGINT');
		const { code, stdout, stderr } = await command.result;
		assert.deepEqual([code, stdout], [130, '']);
		assert.ok(stderr.includes(`Follow it again: rollcall rollout follow ${rolloutId} --socket ${socket}`));
		assert.deepEqual(
			daemon.asked.map(({ operation }) => operation),
			['restart_service', 'get_rollout'],
		);
	});

	test('Ctrl-C before the answer exits 130, too, and says that a rollout may have begun, unless none was asked for', async () => {
		for (const dryRun of [false, true]) {
			const asked = new Promise<void>((resolve) => {
				daemon.operations['restart_service'] = () => {
					resolve();
					return 'silence';
				};
			});
			const command = startCommand([...roll, `dry_run=${dryRun}`, '--socket', socket]);
			await asked;
			command.child.kill('SIGINT');
			const { code, stdout, stderr } = await command.result;
			assert.deepEqual([code, stdout], [130, '']);
			const told = stderr.includes(`the rollout may have begun. See: rollcall rollout status --socket ${socket}`);
			assert.equal(told, !dryRun, stderr);
		}
	});

	test('--timeout bounds following too: 7, and the rollout goes on', async () => {
		daemon.follow = [rolloutView()];
		const { code, stderr } = await on('rollout', 'follow', rolloutId, '--timeout', '1s');
		assert.equal(code, 7);
		assert.match(stderr, /it goes on/);
	});

	test('--detach answers at once with the id', async () => {
		daemon.operations['restart_service'] = started;
		const { code, stdout } = await on(...roll, '--detach', '--json');
		assert.equal(code, 0);
		assert.equal(resultShapes['restart_service --detach'].parse(JSON.parse(stdout)).job_id, rolloutId);
	});

	test('status says what is wrong first and has its published shape', async () => {
		daemon.operations['cluster_status'] = () => ({ body: clusterStatus });
		daemon.operations['list_workers'] = () => ({ body: [{ ...worker, healthy: false, state: 'failed', pid: null }] });
		daemon.operations['list_rollouts'] = () => ({ body: [rolloutView({ state: 'paused' })] });
		const apps = [{ app: 'web', wanted: 2, healthy: 1, degraded: 'web-1 exited with 1' }];
		daemon.pages['/readyz'] = { status: 503, body: { ready: false, reasons: ['draining'], apps } };
		const { code, stdout } = await on('status');
		assert.equal(code, 0);
		const [first, ...rest] = linesOf(stdout);
		assert.equal(first, 'WRONG');
		assert.deepEqual(
			rest.slice(0, 5).map((line) => line.split(/[,:.]/)[0]),
			[
				'  ! alpha is not ready',
				'  ! web has 1 of 2 workers healthy',
				'  ! web-1 failed after 0 restarts',
				'  ! no link to beta',
				`  ! rollout ${rolloutId.slice(0, 8)} is paused`,
			],
		);
		const json = await on('status', '--json');
		assert.equal(resultShapes.status.parse(JSON.parse(json.stdout)).wrong.length, 5);
	});

	test('rollout commands without an id mean the one rollout that is meant', async () => {
		daemon.operations['list_rollouts'] = () => ({ body: [completedView(), rolloutView({ id: 'open' })] });
		daemon.operations['pause_rollout'] = ({ id }) => ({ body: rolloutView({ id: String(id), state: 'paused' }) });
		const { code, stdout } = await on('rollout', 'pause', '--json');
		assert.equal(code, 0);
		assert.equal(resultShapes['rollout pause'].parse(JSON.parse(stdout)).id, 'open');
		const none = await on('rollout', 'resume');
		assert.equal(none.code, 1);
		assert.match(none.stderr, /no rollout to resume/);
	});

	const looking = ['web', '--node', 'beta,gamma', '--zone', 'rack-1', '--hold-after', '1', '--note', '4.2 <first>'];
	const lookingFields = { app: 'web', nodes: ['beta', 'gamma'], zone: 'rack-1', hold_after: 1, note: '4.2 <first>' };

	test('rollout start and plan send what their flags say, and a flag that is no number is a mistake of usage', async () => {
		daemon.operations['start_rollout'] = ({ dry_run: dryRun }) =>
			dryRun === true
				? { body: { ...emptyPlan, order: ['beta', 'gamma'], hold_after: 1, unselected: ['alpha'], steps } }
				: { body: { message: 'Rolling http_workers', job_id: rolloutId } };
		const steps = ['beta', 'gamma'].map((node) => ({ nodes: [node], estimate_ms: 1000 }));
		const emptyPlan = { order: [], max_unavailable: 1, down: [], steps: [], estimate_ms: 2000, refused: null };
		const planned = await on('rollout', 'plan', ...looking);
		assert.match(planned.stdout, /not selected: alpha\n/);
		assert.match(planned.stdout, / 1\. beta .*\n +then it holds, until rollcall rollout resume\n +2\. gamma/);
		const begun = await on(
			'rollout',
			'start',
			...looking,
			'--on-failure',
			'continue',
			'--max-unavailable',
			'50%',
			'--detach',
		);
		assert.equal(begun.code, 0, begun.stderr);
		assert.deepEqual(
			daemon.asked.map(({ fields }) => fields),
			[
				{ ...lookingFields, dry_run: true },
				{ ...lookingFields, on_failure: 'continue', max_unavailable: '50%' },
			],
		);
		const wrong = await on('rollout', 'start', '--hold-after', 'one');
		assert.equal(wrong.code, 2);
		assert.match(wrong.stderr, /--hold-after takes a number of nodes, not 'one'/);
		assert.equal((await on('rollout', 'start', 'web', 'api', '--detach')).code, 0);
		assert.deepEqual(daemon.asked.at(-1)?.fields, { app: ['web', 'api'] });
		const twice = await on('rollout', 'plan', 'web', 'app=api');
		assert.equal(twice.code, 2);
		assert.match(twice.stderr, /'app' is given twice/);
	});

	test('a start and a resume are followed to the hold, and exit 0 with what to do; who only follows sees it to its end', async () => {
		const reason = 'held after 1 of 2 nodes, as hold_after asked; resume_rollout continues with the others';
		const nodes = [
			nodeView('beta', 'back'),
			nodeView('gamma', 'pending'),
			nodeView('alpha', 'skipped', { reason: 'not selected' }),
		];
		const asked = { note: 'canary of 4.2', asked_by: { user: 'admin', from: '10.0.0.9' } };
		const held = rolloutView({
			state: 'paused',
			held: true,
			hold_after: 1,
			reason,
			nodes,
			order: ['beta', 'gamma'],
			...asked,
		});
		daemon.operations['start_rollout'] = started;
		daemon.operations['resume_rollout'] = () => ({ body: rolloutView() });
		for (const words of [
			['start', '--hold-after', '1'],
			['resume', rolloutId],
		]) {
			daemon.follow = [rolloutView(), held];
			const { code, stdout, stderr } = await on('rollout', ...words);
			assert.equal(code, 0, stderr);
			assert.match(stdout, /^paused: http_workers, 1 of 2 nodes back/);
			assert.match(stdout, /reason: held after 1 of 2 nodes, as was asked; rollcall rollout resume continues/);
			assert.match(stdout, /\nnote: canary of 4\.2\n/);
			assert.match(stdout, /\nnot selected: alpha\n/);
			assert.match(stdout, /, holds after 1\nstarted by admin from 10\.0\.0\.9 at /);
			assert.doesNotMatch(stdout + stderr, /alpha skipped/);
			assert.match(
				stderr,
				new RegExp(`Held\\. Look at beta, then:\n  go on             rollcall rollout resume ${rolloutId.slice(0, 8)}`),
			);
		}
		daemon.follow = [held, completedView()];
		const { code, stdout } = await on('rollout', 'follow', rolloutId);
		assert.equal(code, 0);
		assert.match(stdout, /^completed/);
		daemon.operations['list_rollouts'] = () => ({ body: [held, completedView()] });
		assert.match((await on('rollout', 'history')).stdout, /NOTE .*\n.*canary of 4\.2/);
	});

	test('rollout plan asks for a dry run over the fleet, and history lists', async () => {
		const plan = { order: ['beta'], max_unavailable: 1, down: [], steps: [], estimate_ms: 10, refused: null };
		daemon.operations['start_rollout'] = () => ({ body: plan });
		daemon.operations['restart_service'] = () => ({ body: plan });
		daemon.operations['list_rollouts'] = () => ({ body: [completedView()] });
		for (const words of [['app=web'], ['replicated=false']]) {
			const planned = await on('rollout', 'plan', ...words, '--json');
			resultShapes['rollout plan'].parse(JSON.parse(planned.stdout));
		}
		assert.deepEqual(
			daemon.asked.map(({ operation, fields }) => [operation, fields]),
			[
				['start_rollout', { app: 'web', dry_run: true }],
				['restart_service', { service: 'http_workers', replicated: false, dry_run: true }],
			],
		);
		const history = await on('rollout', 'history', '--json');
		resultShapes['rollout history'].parse(JSON.parse(history.stdout));
	});

	test('a remote daemon gets the credentials of the environment, or of a file that only its owner may read', async () => {
		const remote = await startFakeDaemon({ host: '127.0.0.1', port: 0 });
		remote.operations['get_status'] = () => ({ body: [] });
		const url = ['get_status', '--url', `http://127.0.0.1:${remote.port}`];
		const file = join(folder, 'credentials');
		writeFileSync(file, 'ann:pass:word\n', { mode: 0o600 });
		const open = join(folder, 'open');
		writeFileSync(open, 'ann:pass:word\n', { mode: 0o644 });
		const env = { ROLLCALL_USERNAME: 'bob', ROLLCALL_PASSWORD: 'secret' };
		try {
			assert.equal((await runCommand(url, env)).code, 0);
			assert.equal((await runCommand([...url, '--credentials', file], env)).code, 0);
			assert.equal((await runCommand([...url, '--credentials', open], env)).code, 2);
			assert.equal((await runCommand(['get_status', '--url', 'http://bob:x@127.0.0.1:1'])).code, 2);
			assert.equal((await runCommand(['get_status', '--url', 'http://192.0.2.1:9'], env)).code, 2);
			const sent = remote.asked.map(({ headers }) => headers.authorization);
			const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
			assert.deepEqual(sent, [basic('bob:secret'), basic('ann:pass:word')]);
		} finally {
			await remote.close();
		}
	});

	test('over https the certificate must be of an authority that is known, by --ca or the system (4 otherwise)', async () => {
		const authority = await TestAuthority.make(folder);
		const { files, material } = await authority.issue('localhost');
		const remote = await startFakeDaemon({ host: '127.0.0.1', port: 0 }, material);
		remote.operations['get_status'] = () => ({ body: [] });
		const words = ['get_status', '--url', `https://localhost:${remote.port}`];
		const env = { ROLLCALL_USERNAME: 'bob', ROLLCALL_PASSWORD: 'secret' };
		try {
			assert.equal((await runCommand([...words, '--ca', files.ca], env)).code, 0);
			const stranger = await runCommand(words, env);
			assert.deepEqual([stranger.code, stranger.stdout], [4, '']);
			assert.equal(remote.asked.length, 1);
		} finally {
			await remote.close();
		}
	});

	test('the daemon is found by the configuration, also when the rest of the file has mistakes', async () => {
		daemon.operations['list_workers'] = () => ({ body: [] });
		const file = join(folder, 'broken.yaml');
		writeFileSync(file, 'runtime_dir: .\nhttp_workers: 7\nnonsense: true\n', { mode: 0o600 });
		assert.equal((await runCommand(['workers', '--config', file])).code, 0);
		const invalid = await runCommand(['validate', '--config', file]);
		assert.deepEqual([invalid.code, invalid.stdout], [2, '']);
		assert.match(invalid.stderr, /broken\.yaml:2:\d+: http_workers/);
		const valid = join(folder, 'valid.yaml');
		writeFileSync(valid, 'node: {name: alpha}\n', { mode: 0o600 });
		const { code, stdout } = await runCommand(['validate', '--config', valid, '--json']);
		assert.equal(code, 0);
		resultShapes.validate.parse(JSON.parse(stdout));
	});

	test('init writes a configuration that validates, never over another one, and makes the secret that it names', async () => {
		const file = join(folder, 'made', 'rollcall.yaml');
		const flags = [
			'--app',
			'./server.js',
			'--port',
			'8080',
			'--listen',
			'127.0.0.1:9933',
			'--peer',
			'a=ws://127.0.0.1:1',
		];
		const { code, stdout } = await runCommand(['init', '--config', file, ...flags, '--node', 'a', '--json']);
		assert.equal(code, 0);
		const made = resultShapes.init.parse(JSON.parse(stdout));
		assert.deepEqual(made, { file, secret_file: join(folder, 'made', 'cluster.secret') });
		assert.equal(statSync(made.secret_file ?? '').mode & 0o777, 0o600);
		assert.equal(statSync(file).mode & 0o007, 0, 'the environment of an app may hold secrets');
		assert.equal((await runCommand(['validate', '--config', file])).code, 0);
		assert.equal((await runCommand(['init', '--config', file, '--node', 'b'])).code, 2);
		assert.equal((await runCommand(['init', '--port', 'eighty', '--print'])).code, 2);
		assert.match((await runCommand(['init', '--node', 'b', '--print'])).stdout, /name: b/);
	});
});
