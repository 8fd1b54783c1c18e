import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFields } from '../../../src/cli/operation/fields.js';
import { mainHelp } from '../../../src/cli/output/main-help.js';
import { unitIn } from '../../../src/cli/stop/instance.js';
import { operationNames } from '../../../src/cli/operation/names.js';
import { parseSpan, readPlaces } from '../../../src/cli/client/places.js';
import { buildProgram } from '../../../src/cli/program.js';
import { resultShapes, jsonSchemasText } from '../../../src/cli/output/json-schemas.js';
import { clean, cleanLines, fit, toJson } from '../../../src/cli/output/terminal.js';
import { table } from '../../../src/cli/output/table.js';
import { bytes, nearWords, shellWord, span } from '../../../src/cli/output/format.js';
import { RollcallError } from '../../../src/errors.js';
import { operations } from '../../../src/operations/table.js';

test('key=value: values are JSON where they are JSON, else text, and a value may hold equals signs', () => {
	assert.deepEqual(parseFields(['a=true', 'b=Available', 'c=["x"]', 'd="7"', 'e=k=v', 'f=', 'g=null']), {
		a: true,
		b: 'Available',
		c: ['x'],
		d: '7',
		e: 'k=v',
		f: '',
		g: null,
	});
});

test('what is no field, stands twice or names the operation again is a mistake of usage', () => {
	for (const words of [['x'], ['=x'], ['a=1', 'a=2'], ['operation=restart']]) {
		assert.throws(
			() => parseFields(words),
			(error) => error instanceof RollcallError && error.exitCode === 2,
		);
	}
});

test('a field named __proto__ is a field like any other and reaches the daemon', () => {
	assert.equal(JSON.stringify(parseFields(['__proto__={"x":1}'])), '{"__proto__":{"x":1}}');
});

function programOf() {
	const nothing = async () => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	return buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
}

test('every command that answers has a published shape', () => {
	const withoutAnswer = ['daemon', 'worker-host', 'operation'];
	const names = programOf().commands.flatMap((command) => {
		if (command.commands.length === 0) return [command.name()];
		return command.commands.map((inner) => `${command.name()} ${inner.name()}`);
	});
	const published = Object.keys(resultShapes).filter((name) => !/^restart_service| --/.test(name));
	assert.deepEqual(published.sort(), names.filter((name) => !withoutAnswer.includes(name)).sort());
});

test('config/output.schema.json is as the shapes are (npm run schema)', () => {
	const file = new URL('../../../../config/output.schema.json', import.meta.url);
	assert.equal(readFileSync(file, 'utf8'), jsonSchemasText());
});

test('help names every command and every operation of the table, and starts with examples', () => {
	const program = programOf();
	const commands = program.commands.map((command) => command.name()).filter((name) => name !== 'operation');
	for (const name of [...commands, ...operationNames]) assert.match(mainHelp, new RegExp(`\\b${name}\\b`));
	assert.deepEqual([...operationNames].sort(), operations.map(({ name }) => name).sort());
	assert.ok(mainHelp.indexOf('Examples') < mainHelp.indexOf('Options'));
	assert.deepEqual(
		mainHelp.split('\n').filter((line) => line.length > 80),
		[],
	);
});

test('a mistyped word finds its neighbours and a foreign one none', () => {
	const known = ['status', 'stop', 'workers', 'restart', 'restart_service'];
	assert.deepEqual(nearWords('statsu', known), ['status']);
	assert.deepEqual(nearWords('restart_servcie', known), ['restart_service']);
	assert.deepEqual(nearWords('frobnicate', known), []);
});

test('spans and sizes are said in the unit that fits', () => {
	assert.deepEqual([340, 2100, 250_000, 11_100_000, 187_200_000, -5].map(span), [
		'340 ms',
		'2.1 s',
		'4 min 10 s',
		'3 h 5 min',
		'2 d 4 h',
		'0 ms',
	]);
	assert.deepEqual([512, 59_873_689].map(bytes), ['512 B', '57.1 MiB']);
	assert.deepEqual(['500ms', '30s', '1.5m', '30', 'x', 7].map(parseSpan), [500, 30_000, 90_000, null, null, null]);
});

test('text from elsewhere loses what a terminal would obey, and JSON keeps it escaped', () => {
	const evil = 'a\u001b[2Jb\u009bc\u202ed\r\ne';
	assert.equal(clean(evil), 'a[2Jbcd e');
	assert.equal(cleanLines(evil), 'a[2Jbcd\ne');
	const json = toJson({ evil });
	assert.ok([...json].every((character) => character >= ' ' && character <= '~'));
	assert.deepEqual(JSON.parse(json), { evil });
});

test('tables align, keep to one line a row, and show nothing as a dash', () => {
	const text = table(
		[
			{ name: 'a\nb', n: 5 },
			{ name: 'long name', n: null },
		],
		[
			{ title: 'NAME', value: (row) => row.name },
			{ title: 'N', value: (row) => row.n, align: 'right' },
		],
	);
	assert.equal(text, 'NAME       N\na b        5\nlong name  -');
	assert.equal(fit('abcdef', 5), 'abc…');
	assert.deepEqual(['a-b/c.sock', "it's"].map(shellWord), ['a-b/c.sock', `'it'\\''s'`]);
});

test('a process of one of our units is told from any other, in either layout of control groups', () => {
	const workers = '/system.slice/system-rollcall\\x2dworkers.slice/rollcall-workers@web.service';
	assert.equal(unitIn('0::/system.slice/rollcall.service\n'), 'rollcall.service');
	assert.equal(unitIn(`0::${workers}\n`), 'rollcall-workers@web.service');
	assert.equal(unitIn(`1:name=systemd:${workers}/inner\n0::/\n`), 'rollcall-workers@web.service');
	assert.equal(unitIn('0::/user.slice/user-0.slice/session-1.scope\n'), null);
	assert.equal(unitIn('0::/system.slice/cron.service\n'), null);
});

test('places come from the file, variables win, relative ones are of its folder, and the rest of it does not matter', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-places-'));
	try {
		const file = join(folder, 'c.yaml');
		writeFileSync(file, 'runtime_dir: run\nstate_dir: /s\nhttp_workers: [{drain: {timeout: 2m}}, 7]\nbad: {\n');
		await assert.rejects(readPlaces(file, {}), (error) => error instanceof RollcallError && error.exitCode === 2);
		writeFileSync(file, 'runtime_dir: run\nstate_dir: /s\nhttp_workers: [{drain: {timeout: 2m}}, 7]\nbad: 1\n');
		assert.deepEqual(await readPlaces(file, { ROLLCALL_WORKER_DIR: '/w' }), {
			socketPath: join(folder, 'run', 'admin.sock'),
			stateDir: '/s',
			workerDir: '/w',
			drainMaxMs: 120_000,
		});
		const { socketPath } = await readPlaces(file, { ROLLCALL_OPERATIONS_API__SOCKET__PATH: '/x.sock' });
		assert.equal(socketPath, '/x.sock');
	} finally {
		rmSync(folder, { recursive: true });
	}
});
