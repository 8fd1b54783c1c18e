import assert from 'node:assert/strict';
import {
	appendFileSync,
	mkdirSync,
	mkdtempSync,
	renameSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { logLineShape } from '../../../src/cli/output/json-schemas.js';
import { runCommand, startCommand } from '../../support/cli/command.js';

let folder: string;
let logs: string;
let config: string[];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-logs-'));
	logs = join(folder, 'workers', 'self', 'logs');
	mkdirSync(logs, { recursive: true });
	const file = join(folder, 'c.yaml');
	writeFileSync(file, 'worker_dir: workers\n', { mode: 0o600 });
	config = ['--config', file];
	writeFileSync(join(logs, 'web-1-error.log'), 'bad\u001b[31m\n');
	writeFileSync(join(logs, 'web-1-out.log'), 'one\ntwo\nthree\n');
	utimesSync(join(logs, 'web-1-error.log'), 1, 1);
	utimesSync(join(logs, 'web-1-out.log'), 2, 2);
	writeFileSync(join(logs, 'web-api-2-out.log'), 'other app\n');
	writeFileSync(join(logs, 'host.log'), 'not a worker\n');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('the last lines of one app, each with its worker, nothing of another app', async () => {
	const { code, stdout } = await runCommand(['logs', 'web', '-n', '2', ...config]);
	assert.equal(code, 0);
	const moment = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /gm;
	assert.equal(stdout.match(moment)?.length, 3);
	assert.equal(stdout.replace(moment, ''), 'web-1 ! bad\nweb-1 | two\nweb-1 | three\n');
	const all = await runCommand(['logs', '--json', ...config]);
	const lines = all.stdout
		.trimEnd()
		.split('\n')
		.map((line) => logLineShape.parse(JSON.parse(line)));
	assert.deepEqual(
		lines.map((row) =>
			'line' in row ? [row.app, row.line, row.time < 10_000 ? row.time : 'now'] : Object.values(row),
		),
		[
			['web', 'bad', 1_000],
			['web', 'one', 2_000],
			['web', 'two', 2_000],
			['web', 'three', 2_000],
			['web-api', 'other app', 'now'],
		],
	);
});

test('of names that an app’s user made up no control character is shown, and a link in the place of a folder leads nowhere', async () => {
	writeFileSync(join(logs, '\u001b]0;owned\u0007\u009b31m-1-out.log'), 'from a made-up name\n');
	mkdirSync(join(folder, 'theirs'));
	writeFileSync(join(folder, 'theirs', 'root-1-out.log'), 'theirs\n');
	mkdirSync(join(folder, 'workers', 'other'));
	symlinkSync(join(folder, 'theirs'), join(folder, 'workers', 'other', 'logs'));
	for (const more of [[], ['--json']]) {
		const { code, stdout } = await runCommand(['logs', ...more, ...config]);
		assert.equal(code, 0);
		assert.ok(stdout.includes('from a made-up name'));
		assert.doesNotMatch(stdout.replaceAll('\n', ''), /\p{Cc}/u);
		assert.ok(!stdout.includes('theirs'));
	}
});

test('an app that wrote nothing, and a worker_dir that is not there, are said (1)', async () => {
	const none = await runCommand(['logs', 'nobody', ...config]);
	assert.deepEqual([none.code, none.stdout], [1, '']);
	rmSync(join(folder, 'workers'), { recursive: true });
	assert.equal((await runCommand(['logs', ...config])).code, 1);
});

test('--follow shows what is written from now on, by new workers and after rotation too, until Ctrl-C (130)', async () => {
	const command = startCommand(['logs', '-f', 'web', '-n', '1', ...config]);
	await command.says('three');
	appendFileSync(join(logs, 'web-1-out.log'), 'four\n');
	await command.says('web-1 | four');
	writeFileSync(join(logs, 'web-3-out.log'), 'new worker\n');
	await command.says('web-3 | new worker');
	renameSync(join(logs, 'web-1-out.log'), join(logs, 'web-1-out.log.1'));
	writeFileSync(join(logs, 'web-1-out.log'), 'begun anew\n');
	await command.says('web-1 | begun anew');
	command.child.kill('SIGINT');
	assert.equal((await command.result).code, 130);
});
