import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildProgram } from '../../../src/cli/program.js';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { operations } from '../../../src/operations/table.js';
import { runCommand } from '../../support/cli/command.js';
import { documentOf } from '../../support/cli/command-document.js';
import { type FakeDaemon, startFakeDaemon } from '../../support/cli/fake-daemon.js';
import { completedView, rolloutId, rolloutView } from '../../support/fleet/views.js';

type Shape = keyof typeof resultShapes;

let folder: string;
let daemon: FakeDaemon;
before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-codes-'));
	daemon = await startFakeDaemon({ path: join(folder, 'admin.sock') });
	daemon.operations = {
		restart_service: () => ({ body: { message: 'Restarting http_workers', job_id: rolloutId } }),
		get_status: () => 'silence',
		abort_rollout: () => ({ status: 409, body: { error: 'it has ended', job_id: rolloutId } }),
		pause_rollout: () => ({ status: 503, body: { error: 'no majority' } }),
		list_workers: () => ({ status: 403, body: { error: 'not authorized' } }),
		get_rollout: () => ({ body: rolloutView({ state: 'halted', reason: 'beta refused' }) }),
	};
	write('c.yaml', 'runtime_dir: ./\nstate_dir: ./s\nworker_dir: ./w\n');
	write('nobody.yaml', 'runtime_dir: ./nobody\nstate_dir: ./s\nworker_dir: ./w\n');
	write('wrong.yaml', 'runtime_dir: ./nobody\nnonsense: 1\n');
	write('broken.yaml', 'runtime_dir: {\n');
	mkdirSync(join(folder, 'w', 'self', 'logs'), { recursive: true });
});
after(async () => {
	await daemon.close();
	rmSync(folder, { recursive: true });
});

const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 });

/** Runs it with `--json`; holds stdout against the shape, stderr against that of messages; null: a document must not come. */
async function ends(words: readonly string[], exit: number, shape: Shape | null, config = 'c.yaml'): Promise<void> {
	const given = words.map((word) => word.replace('FOLDER', folder));
	const result = await runCommand([...given, '--json', '--config', join(folder, config)]);
	assert.equal(result.code, exit, `${words.join(' ')}: ${result.stdout}${result.stderr}`);
	documentOf(result, shape === null ? null : resultShapes[shape]);
}

/** Commands that speak with no daemon: what comes of them where none runs. */
const alone: [words: string[], exit: number, shape: Shape | null][] = [
	[['logs'], 1, null],
	[['stop'], 0, 'stop'],
	[['validate'], 0, 'validate'],
	[['init'], 0, 'init'],
	[['completion', 'bash'], 0, 'completion'],
	[['ca', 'init', '--dir', 'FOLDER/ca'], 0, 'ca init'],
	[['ca', 'issue', 'alpha', '--dir', 'FOLDER/ca'], 0, 'ca issue'],
	[['fleet', 'init', 'shop', '--node', 'a=10.0.0.1', '--node', 'b=10.0.0.2', '--dir', 'FOLDER/shop'], 0, 'fleet init'],
	[['fleet', 'add', 'shop', '--node', 'c=10.0.0.3', '--dir', 'FOLDER/shop'], 0, 'fleet add'],
	[['fleet', 'renew', 'shop', 'a', '--dir', 'FOLDER/shop'], 0, 'fleet renew'],
	[['install', '--dry-run'], 0, 'install'],
	[['uninstall', '--dry-run'], 0, 'uninstall'],
];
const foreground = ['daemon', 'worker-host'];
/** Its exit code is what it finds on this machine. */
const machineDependent = 'doctor';
const operandOf: Readonly<Record<string, string[]>> = {
	'rollout plan': ['app=web'],
	'app restart': ['web'],
	'user add': ['ann', '--role', 'viewer'],
	'user password': ['ann'],
	'token create': ['ci', '--role', 'viewer'],
	'token drop': ['ci'],
	'ca rotate': ['--dir', 'FOLDER/ca'],
};

test('every command and every operation exits 4 where no daemon answers, but those that need none', async () => {
	const needNone = new Set(
		alone.map(([[first = '', second]]) => (['ca', 'fleet'].includes(first) ? `${first} ${second}` : first)),
	);
	const others = new Set([...needNone, ...foreground, machineDependent, 'operation']);
	const asking = commands().filter((name) => !others.has(name));
	const words = [
		...asking.map((name) => [...name.split(' '), ...(operandOf[name] ?? [])]),
		...operations.map(({ name }) => [name]),
	];
	assert.ok(words.length > 28);
	for (const batch of batches(words)) await Promise.all(batch.map((one) => ends(one, 4, null, 'nobody.yaml')));
});

test('the commands that need no daemon end as they should without one', async () => {
	for (const [words, exit, shape] of alone) {
		await ends(words, exit, shape, words[0] === 'init' ? 'made.yaml' : 'nobody.yaml');
	}
});

/** Exit codes of the manual's table, each by what leads to it. */
const rows: [exit: number, what: string, words: string[], config?: string][] = [
	[1, 'an operation that is refused', ['rollout', 'pause', rolloutId]],
	[1, 'nothing of that name', ['logs', 'nobody']],
	[2, 'a command that does not exist, near to one', ['statsu']],
	[2, 'a command that does not exist, nor does the daemon know it', ['frobnicate']],
	[2, 'help for what does not exist', ['help', 'frobnicate']],
	[2, "another tool's word", ['top']],
	[2, 'a command that does not exist, no daemon', ['frobnicate'], 'nobody.yaml'],
	[2, 'an operand too many', ['status', 'now']],
	[2, 'an operand that is missing', ['ca', 'issue', '--dir', 'FOLDER/none']],
	[2, 'an option that does not exist', ['workers', '--fast']],
	[2, 'an option without its value', ['logs', '--lines']],
	[2, 'a value that is none', ['logs', '--lines', 'many']],
	[2, 'a duration that is none', ['status', '--timeout', 'soon']],
	[2, 'a field that is none', ['set_status', 'Available']],
	[2, 'two daemons', ['status', '--socket', '/x', '--url', 'https://x']],
	[2, 'a file that exists', ['init']],
	[2, 'a name that is none', ['ca', 'issue', 'Not.A.Name', '--dir', 'FOLDER/ca']],
	[2, 'a bundle and a configuration', ['install', '--bundle', 'FOLDER/none.tgz', '--dry-run']],
	[2, 'a status that is none', ['ca', 'rotate', '--dir', 'FOLDER/ca', '--status', 'FOLDER/c.yaml']],
	[2, 'a command of the units, typed by a person', ['worker-host', '--stop']],
	[2, 'validate: a configuration with a fault', ['validate'], 'wrong.yaml'],
	[2, 'daemon: the same', ['daemon'], 'wrong.yaml'],
	[2, 'worker-host: the same', ['worker-host'], 'wrong.yaml'],
	[2, 'a configuration that is no YAML', ['status'], 'broken.yaml'],
	[2, 'a configuration that is not there', ['stop'], 'missing.yaml'],
	[4, 'nobody there', ['status'], 'nobody.yaml'],
	[4, 'nobody there, whose files are not these', ['logs', '--url', 'http://127.0.0.1:1']],
	[5, 'a role that may not', ['workers']],
	[7, 'no answer in time', ['get_status', '--timeout', '200ms']],
	[8, 'a rollout in the way', ['rollout', 'abort', rolloutId]],
];
for (const [exit, what, words, config] of rows) {
	test(`${exit}: ${what} (rollcall ${words.join(' ').replace(rolloutId, 'ID')})`, () =>
		ends(words, exit, null, config));
}

test('6: a rollout that halted, with the rollout itself on stdout; looking at one is no fault', async () => {
	daemon.follow = [rolloutView({ state: 'halted', reason: 'beta refused' })];
	await ends(['restart_service', 'service=http_workers'], 6, 'restart_service');
	daemon.follow = [completedView()];
	await ends(['rollout', 'follow', rolloutId], 0, 'rollout follow');
	await ends(['rollout', 'status', rolloutId], 0, 'rollout status');
});

test('without a word, help goes to stderr (2); asked for, to stdout (0)', async () => {
	const none = await runCommand([]);
	assert.deepEqual([none.code, none.stdout], [2, '']);
	assert.match(none.stderr, /^rollcall supervises/);
	for (const name of ['', ...commands(), 'restart_service', 'rollout']) {
		const { code, stdout, stderr } = await runCommand([...name.split(' ').filter(Boolean), '--help']);
		assert.deepEqual([code, stderr], [0, ''], name);
		assert.ok(stdout.length > 100, name);
	}
});

/** The words of every command that does something itself. */
function commands(): string[] {
	const nothing = async () => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	const program = buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
	return program.commands.flatMap((command) => {
		if (command.commands.length === 0) return [command.name()];
		return command.commands.map((below) => `${command.name()} ${below.name()}`);
	});
}

/** A few at a time: each is a process. */
function batches<Item>(items: readonly Item[], size = 4): Item[][] {
	return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
		items.slice(index * size, (index + 1) * size),
	);
}
