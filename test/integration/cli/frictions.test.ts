/** What a person tries who knows other tools leads on: each answer names a command that is there, in the words of the command line. */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { buildProgram } from '../../../src/cli/program.js';
import { operationNames } from '../../../src/cli/operation/names.js';
import { refuseMistyped, unknownSecondWord } from '../../../src/cli/operation/mistyped.js';
import { startCommand } from '../../support/cli/command.js';
import { startFakeDaemon, withFakeDaemon } from '../../support/cli/fake-daemon.js';
import { completedView, rolloutId, rolloutView } from '../../support/fleet/views.js';

const { daemon, socket, on } = withFakeDaemon();

const refused = (error: string, status = 400) => ({ status, body: { error } });
const worker = {
	app: 'web',
	id: 'web-1',
	pid: 1,
	state: 'serving',
	started_at: 1_000,
	restarts: 0,
	healthy: true,
	memory: null,
	cpu: null,
	release: '/srv/web/app.js',
	revision: 'v1',
	pinned: null,
	requests: null,
};

/** A guess, its exit code, what the answer says, and what it must not say. */
const guesses: [words: string[], exit: number, says: RegExp, not?: RegExp][] = [
	[
		['rollout', 'restart', 'web'],
		2,
		/no command or operation 'rollout restart'\. Did you mean rollcall rollout start\?/,
	],
	[['rollout', 'stat'], 2, /Did you mean rollcall rollout start/],
	[['rollout', 'frobnicate'], 2, /rollcall rollout --help lists what there is/],
	[['user', 'list'], 2, /Did you mean rollcall list_users\?/],
	[['token', 'revoke', 'ci'], 2, /Did you mean rollcall token drop\?/],
	[['node', 'cordon', 'beta'], 2, /Did you mean rollcall node drain\?/],
	[['node', 'list'], 2, /Did you mean rollcall status --node all\?/],
	[['user', 'add'], 2, /rollcall user add --help/],
	[['app', 'restart'], 2, /missing required argument 'app'\nWhat it takes: rollcall app restart --help/],
	[['status', '--nodes', 'all'], 2, /--node[\s\S]*rollcall status --help/],
	[['status', '--watch', '--check'], 2, /give one of them/],
	[['restart', 'web'], 2, /rollcall app restart web, or rollcall rollout start web/],
	[['reload', 'web'], 2, /Did you mean rollcall rollout start, or rollcall app restart\?/],
	[['drain', 'beta'], 2, /Did you mean rollcall node drain\?/],
	[['nodes'], 2, /Did you mean rollcall status --node all\?/],
	[
		['rollout', 'start', '--node', 'x'],
		1,
		/--node names x, [\s\S]*rollcall rollout start --help/,
		/'nodes'|start_rollout/,
	],
	[
		['rollout', 'plan', '--node', 'x'],
		1,
		/--node names x, [\s\S]*rollcall rollout plan --help/,
		/'nodes'|start_rollout/,
	],
	[['app', 'restart', 'web', '--node', 'x'], 1, /--node names x, [\s\S]*rollcall app restart --help/, /'nodes'/],
	[['rollout', 'undo'], 1, /rollcall rollout undo --help/, /undo_rollout/],
	[['pause_rollout'], 1, /rollcall pause_rollout --help/, /rollcall rollcall/],
	[['rollout', 'status', 'abcd'], 1, /What there is: rollcall rollout history --socket/],
	[['logs', 'wbe'], 1, /No app 'wbe' runs here; there is: web\./],
];
for (const [words, exit, says, not] of guesses) {
	test(`rollcall ${words.join(' ')} leads on (${exit})`, async () => {
		const unknown = refused("'nodes' names x, which is no member; the members are alpha, beta");
		daemon.operations = {
			start_rollout: () => unknown,
			undo_rollout: () => refused('nothing to put back: beta runs it already'),
			pause_rollout: () => refused("'id' is required"),
			list_rollouts: () => ({ body: [] }),
			get_rollout: () => refused("Rollout 'abcd' not found", 404),
			read_logs: () => ({ body: [] }),
			list_workers: () => ({ body: [worker] }),
		};
		const { code, stdout, stderr } = await on(...words);
		assert.deepEqual([code, stdout], [exit, ''], stderr);
		assert.match(stderr, says);
		if (not) assert.doesNotMatch(stderr, not);
	});
}

function program(): ReturnType<typeof buildProgram> {
	const nothing = async () => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	return buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
}

test('each command that such an answer names is there', () => {
	const { commands } = program();
	const known = new Map(commands.map((one) => [one.name(), one.commands.map((inner) => inner.name())]));
	const answerOf = (call: () => void): string => {
		try {
			call();
		} catch (error) {
			return (error as Error).message;
		}
		return '';
	};
	const texts = [
		...'ls ps get nodes apps show check monit start reload deploy plan follow history pause cancel undo rollback kill drain uncordon users tokens login who config scale startup upgrade'
			.split(' ')
			.map((word) => answerOf(() => refuseMistyped(word, [...known.keys()]))),
		...Object.entries({
			rollout: 'restart list show watch continue stop cancel rollback',
			app: 'list reload roll logs status',
			node: 'list status cordon undrain',
			user: 'list drop role',
			token: 'add revoke ls',
		}).flatMap(([group, words]) =>
			words.split(' ').map((word) => unknownSecondWord(group, word, known.get(group) ?? []).message),
		),
	];
	for (const text of texts) {
		const named = [...text.matchAll(/rollcall ([a-z_]+)(?: ([a-z]+))?/g)];
		assert.ok(named.length > 0, text);
		for (const [, first = '', second = ''] of named) {
			if (first === 'help' || operationNames.includes(first)) continue;
			const inner = known.get(first);
			assert.ok(inner, text);
			assert.ok(inner.length === 0 || inner.includes(second), text);
		}
	}
});

test('the help of every command fits a terminal of 80 columns, and that of a group is about its commands', () => {
	for (const command of program().commands.flatMap((one) => [one, ...one.commands])) {
		let help = '';
		command.configureOutput({
			writeOut: (text) => {
				help += text;
			},
			getOutHelpWidth: () => 80,
		});
		command.outputHelp();
		const isGroup = command.commands.length > 0;
		assert.equal(help.includes('--token-file'), !isGroup, command.name());
		const long = help.split('\n').filter((line) => line.length > 80 && !isExample(line));
		assert.deepEqual(long, [], command.name());
	}
});

/** It is one command, to be copied as a whole. */
const isExample = (line: string): boolean => /^ {2}(?:ssh \S+ )?rollcall (?:init|fleet|ca|install|status) /.test(line);

test('app restart replaces on this node, or rolls the nodes that are named; an operator is told the way that is open', async () => {
	const started = () => ({ body: { message: 'Restarting', job_id: rolloutId } });
	daemon.operations = { restart_service: started, start_rollout: started };
	const cases: [words: string[], operation: string, fields: Record<string, unknown>][] = [
		[[], 'restart_service', { service: 'http_workers', app: 'web' }],
		[['--node', 'beta,gamma', '--note', 'why'], 'start_rollout', { app: 'web', nodes: ['beta', 'gamma'], note: 'why' }],
		[['--node', 'all'], 'start_rollout', { app: 'web' }],
	];
	for (const [words, operation, fields] of cases) {
		daemon.asked.length = 0;
		daemon.follow = [completedView()];
		const { code, stdout, stderr } = await on('app', 'restart', 'web', ...words, '--json');
		assert.equal(code, 0, stderr);
		assert.equal(resultShapes['app restart'].parse(JSON.parse(stdout)).state, 'completed');
		assert.deepEqual([daemon.asked[0]?.operation, daemon.asked[0]?.fields], [operation, fields]);
	}
	daemon.operations = { restart_service: () => refused('not authorized', 403) };
	const { code, stderr } = await on('app', 'restart', 'web');
	assert.equal(code, 5);
	assert.match(stderr, /An operator may restart it on nodes that are named: rollcall app restart web --node NODE/);
	assert.equal((await on('app', 'restart', 'web', '--note', 'x')).code, 2);
});

describe('rollcall status', () => {
	const row = (name: string, changes: Record<string, unknown> = {}) => ({
		name,
		zone: null,
		link: name === 'alpha' ? 'self' : 'up',
		boot: 3,
		ready: true,
		availability: null,
		version: '1.0.0',
		configuration: 'file',
		rtt_ms: 1,
		last_seen: Date.now(),
		reason: null,
		clock_offset_ms: null,
		authorities: null,
		...changes,
	});
	const standing = (node: string, healthy: number) => ({
		node,
		ready: healthy === 2,
		reasons: healthy === 2 ? [] : ['web has too few'],
		notes: [],
		apps: [{ app: 'web', wanted: 2, healthy, degraded: null, release: { path: '/srv/web/app.js', revision: 'v1' } }],
	});
	const silent = { node: 'gamma', error: 'it does not answer within 1000 ms' };
	beforeEach(() => {
		const nodes = [row('alpha'), row('beta', { ready: false }), row('gamma')];
		const ofAll = (node: unknown, rows: object[]) =>
			node === 'all' ? rows : rows.filter((one) => (one as { node: string }).node === node);
		daemon.operations = {
			cluster_status: () => ({ body: { node: 'alpha', boot: 3, coordinator: null, nodes } }),
			list_rollouts: () => ({ body: [] }),
			list_workers: ({ node }) => ({
				body: node === undefined ? [worker] : ofAll(node, [{ node: 'beta', ...worker }, silent]),
			}),
			node_status: ({ node }) => ({ body: ofAll(node, [standing('alpha', 2), standing('beta', 1), silent]) }),
		};
		daemon.pages['/readyz'] = { body: { ready: true, reasons: [], notes: [], apps: [] } };
	});

	test('--node shows any node, or all, with what is wrong there; one that does not answer is named (1)', async () => {
		const one = await on('status', '--node', 'beta', '--json');
		assert.equal(one.code, 0, one.stderr);
		const beta = resultShapes.status.parse(JSON.parse(one.stdout));
		assert.deepEqual([beta.node.name, beta.node.ready, beta.workers.length, beta.nodes?.length], ['beta', false, 1, 1]);
		const words = ` --socket ${socket}`;
		assert.deepEqual(beta.wrong, [
			'beta is not ready: web has too few',
			`web has 1 of 2 workers healthy. See: rollcall logs web --node beta${words}`,
		]);
		const all = await on('status', '--node', 'all');
		assert.equal(all.code, 1);
		assert.match(all.stdout, /^WRONG\n {2}! beta is not ready: web has too few\n {2}! beta: web has 1 of 2 /);
		assert.match(all.stdout, /\n {2}! gamma does not answer: it does not answer within 1000 ms\n/);
		assert.match(all.stdout, /\n1 of 3 nodes are ready\n/);
		assert.match(all.stdout, /\n {2}alpha +web +2 of 2 +v1 +\/srv\/web\/app\.js\n {2}beta +web +1 of 2 /);
	});

	test('--check says only what is wrong, and exits with 1 if anything is', async () => {
		const bad = await on('status', '--check', '--node', 'beta');
		assert.deepEqual([bad.code, bad.stdout.split('\n').length], [1, 3]);
		const good = await on('status', '--check', '--node', 'alpha');
		assert.equal(good.code, 1, 'beta is not ready as the link says');
		daemon.operations['cluster_status'] = () => ({
			body: { node: 'alpha', boot: 3, coordinator: null, nodes: [row('alpha')] },
		});
		const well = await on('status', '--check');
		assert.deepEqual([well.code, well.stdout], [0, 'nothing is wrong\n']);
	});

	test('--watch shows it again whenever it is another, and waits for a daemon that is away, until Ctrl-C', async () => {
		const command = startCommand(['status', '--watch', '--json', '--socket', socket]);
		await command.says('"rollout":null');
		daemon.operations['list_rollouts'] = () => ({ body: [rolloutView({ state: 'paused' })] });
		await command.says('"state":"paused"');
		await daemon.close();
		await command.says('is away; trying again');
		const next = await startFakeDaemon({ path: socket });
		after(() => next.close());
		next.operations = {
			cluster_status: () => ({ body: { node: 'alpha', boot: 4, coordinator: null, nodes: [row('alpha')] } }),
			list_rollouts: () => ({ body: [] }),
			list_workers: () => ({ body: [worker] }),
		};
		await command.says('"boot":4');
		command.child.kill('SIGINT');
		const { code, stdout } = await command.result;
		assert.equal(code, 130);
		const shown = stdout.trimEnd().split('\n');
		for (const line of shown) resultShapes.status.parse(JSON.parse(line));
		assert.ok(shown.length <= 4, 'what is the same is not shown again');
	});
});
