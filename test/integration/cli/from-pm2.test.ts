/** What `rollcall init` makes of PM2's configuration passes validate, says what became of every field, and overwrites nothing. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { migrateFrom } from '../../../src/cli/commands/from-pm2/migrate.js';
import { evaluateFile } from '../../../src/cli/commands/from-pm2/sources/evaluate.js';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { loadConfig } from '../../../src/config/load.js';
import { configurationTemplate } from '../../../src/config/publish/template.js';
import { runCommand } from '../../support/cli/command.js';
import { lives, until } from '../../support/workers/supervised.js';
import { type Ecosystem, ecosystems } from '../../support/pm2/ecosystems.js';

const packages = fileURLToPath(new URL('../../../../node_modules/', import.meta.url));

let folder: string;
let number = 0;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-pm2-'));
});
after(() => rmSync(folder, { recursive: true }));

function newFolder(): string {
	number += 1;
	return join(folder, String(number));
}

function write(at: string, files: Readonly<Record<string, string>>): void {
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(at, path)), { recursive: true });
		writeFileSync(join(at, path), text);
	}
}

/** The apps as the file has them, with the folder's own path taken out. */
function appsIn(file: string, at: string): unknown[] {
	const apps = (parse(readFileSync(file, 'utf8')) as { http_workers?: { cwd: string }[] }).http_workers ?? [];
	return apps.map(({ cwd, ...app }) => (cwd === at ? app : { ...app, cwd: cwd.replace(at, 'FOLDER') }));
}

/** What `init --from-pm2` does, without a process for it, which would take most of the time. */
async function takeOver({ file, text, beside = {}, environment }: Ecosystem, at: string) {
	write(at, { ...beside, [file]: text });
	const around = { environment: environment ?? null, user: null };
	const { apps, remarks, notes } = await migrateFrom(join(at, file), around, new AbortController().signal);
	const config = join(at, 'rollcall.yaml');
	writeFileSync(config, configurationTemplate({ apps, appNotes: notes }));
	return { config, remarks };
}

describe('a configuration file of PM2', () => {
	for (const ecosystem of ecosystems) {
		test(`is taken over: ${ecosystem.title}`, async () => {
			const at = newFolder();
			const { config, remarks } = await takeOver(ecosystem, at);
			assert.deepEqual(appsIn(config, at).map(sorted), ecosystem.apps.map(sorted));
			// As validate does.
			loadConfig({ file: config, env: {}, underSystemd: true });
			for (const [app, field, outcome, part] of ecosystem.remarks) {
				const found = remarks.filter((one) => one.app === app && one.field === field);
				const isThere = found.some((one) => one.outcome === outcome && one.text.includes(part));
				assert.ok(isThere, `${app} ${field}: expected ${outcome} '${part}', got ${JSON.stringify(found)}`);
			}
		});
	}
});

const sorted = (app: unknown): unknown =>
	Object.fromEntries(Object.entries(app as object).sort(([one], [other]) => (one < other ? -1 : 1)));

describe('init --from-pm2', () => {
	const simple = `module.exports = { apps: [{ name: 'web', script: 'a.js', env: { PORT: 3000, TOKEN: 'hush-hush' } }] };`;

	test('says line by line what it did, that the file was run, and never a value of the environment', async () => {
		const at = newFolder();
		write(at, { 'ecosystem.config.js': simple });
		const config = join(at, 'rollcall.yaml');
		const words = ['init', '--from-pm2', join(at, 'ecosystem.config.js'), '--config', config];
		const { code, stdout, stderr } = await runCommand(words);
		assert.equal(code, 0, stderr);
		assert.match(stderr, /ran .*ecosystem\.config\.js in a child process.*for at most 10 s/);
		assert.match(stdout, /^app web\n {2}taken {5}name +name: web\n {2}taken {5}script/);
		assert.match(stdout, /\nwrote .*rollcall\.yaml\n$/);
		assert.doesNotMatch(stdout + stderr, /hush-hush/);
		assert.equal((await runCommand(['validate', '--config', config])).code, 0);
		const printed = await runCommand(['init', '--from-pm2', join(at, 'ecosystem.config.js'), '--print', '--json']);
		const { remarks = [] } = resultShapes['init --print'].parse(JSON.parse(printed.stdout));
		assert.ok(remarks.some(({ app, field, outcome }) => app === 'web' && field === 'script' && outcome === 'taken'));
	});

	test('overwrites nothing and runs nothing where a file is already', async () => {
		const at = newFolder();
		const ran = join(at, 'ran');
		write(at, {
			'ecosystem.config.js': `require('fs').writeFileSync(${JSON.stringify(ran)}, ''); ${simple}`,
			'rollcall.yaml': '# mine\n',
		});
		const words = ['init', '--from-pm2', join(at, 'ecosystem.config.js'), '--config', join(at, 'rollcall.yaml')];
		for (const more of [[], ['--force']]) {
			const { code, stderr } = await runCommand([...words, ...more]);
			assert.equal(code, 2, stderr);
			assert.equal(readFileSync(join(at, 'rollcall.yaml'), 'utf8'), '# mine\n');
			assert.ok(!existsSync(ran));
		}
	});

	const refused: readonly (readonly [string, string, string, readonly string[], RegExp])[] = [
		['a file that throws', 'a.config.js', `throw new Error('no database')`, [], /no database/],
		['one that ends the process', 'a.config.js', `process.exit(3)`, [], /ended without saying why/],
		['one that is no JavaScript', 'a.config.js', 'module.exports = {', [], /SyntaxError/],
		['one that says too much', 'a.config.js', `module.exports = 'x'.repeat(5e6)`, [], /said too much/],
		['one that exports nothing', 'a.config.js', '', [], /There is no app/],
		['one without apps', 'a.json', '{"apps": []}', [], /There is no app/],
		['broken JSON', 'a.json', '{"apps": [', [], /cannot be read as data/],
		['an environment that no app has', 'a.config.js', simple, ['--env', 'produktion'], /No app has env_produktion/],
		['another kind of file', 'a.toml', '', [], /takes a file that ends in \.js/],
		['flags of one app', 'a.config.js', simple, ['--port', '80'], /What goes together/],
	];
	for (const [what, file, text, words, message] of refused) {
		test(`refuses ${what}, and writes nothing`, async () => {
			const at = newFolder();
			write(at, { [file]: text });
			const config = join(at, 'rollcall.yaml');
			const { code, stderr } = await runCommand(['init', '--from-pm2', join(at, file), ...words, '--config', config]);
			assert.equal(code, 2, stderr);
			assert.match(stderr, message);
			assert.ok(!existsSync(config));
		});
	}

	test('ends a file that does not end, and what it started', { timeout: 60_000 }, async () => {
		const at = newFolder();
		const pidFile = join(at, 'pid');
		write(at, {
			'a.config.js': `const { pid } = require('child_process').spawn('sleep', ['600'], { stdio: 'inherit' });
				require('fs').writeFileSync(${JSON.stringify(pidFile)}, String(pid)); while (true);`,
		});
		const late = new AbortController();
		const evaluated = evaluateFile(join(at, 'a.config.js'), new AbortController().signal, late.signal);
		const refused = assert.rejects(
			evaluated,
			/a\.config\.js could not be run as JavaScript: it did not end within 10 s/,
		);
		const startedPid = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0);
		await until(() => startedPid() > 0, 20_000, 'the process that the file starts');
		const pid = startedPid();
		late.abort();
		await refused;
		await until(() => !lives(pid), 20_000, 'the end of what the file started');
	});

	test('runs the file as its owner, also when root asks', async () => {
		const at = newFolder();
		write(at, {
			'a.config.js': `module.exports = { apps: [{ name: 'u' + process.getuid(), script: 'a.js', port: 80 }] }`,
		});
		const own = process.geteuid?.() ?? 0;
		const owner = own === 0 ? 1 : own;
		chmodSync(folder, 0o755);
		execFileSync('chown', ['-R', String(owner), at]);
		const { stdout, stderr } = await runCommand(['init', '--from-pm2', join(at, 'a.config.js'), '--print']);
		assert.match(stdout, new RegExp(`- name: u${owner}\n`));
		assert.equal(stderr.includes('as the user with id 1,'), own === 0);
	});
});

describe('init --from-pm2-list', () => {
	const path = `${join(packages, '.bin')}:${process.env['PATH']}`;
	const pm2 = (home: string, ...words: string[]) =>
		execFileSync(join(packages, '.bin/pm2'), words, {
			cwd: dirname(home),
			env: { PATH: path, PM2_HOME: home, HOME: home, HUSH: 'hush', LANG: 'C', PM2_DISABLE_VERSION_CHECK: '1' },
			stdio: 'ignore',
			timeout: 60_000,
		});

	test('starts no PM2 where none runs', async () => {
		const home = newFolder();
		mkdirSync(home);
		const { code, stderr } = await runCommand(['init', '--from-pm2-list', '--print'], { PATH: path, PM2_HOME: home });
		assert.equal(code, 4, stderr);
		assert.match(stderr, /No PM2 runs in .*, and none was started/);
		assert.ok(!existsSync(join(home, 'rpc.sock')));
	});

	test('takes over what a running PM2 has', { timeout: 120_000 }, async () => {
		const at = newFolder();
		const home = join(at, 'home');
		mkdirSync(home, { recursive: true });
		write(at, {
			'idle.js': 'setInterval(() => undefined, 1000);',
			'ecosystem.config.js': `module.exports = { apps: [{ name: 'Listed App', script: 'idle.js', instances: 2, exec_mode: 'cluster', args: '-a b', kill_timeout: 7000,
				node_args: '--no-warnings', max_memory_restart: '300M', env: { PORT: 23001, FROM_FILE: 'yes' } }] };`,
		});
		try {
			pm2(home, 'start', join(at, 'ecosystem.config.js'));
			const config = join(at, 'rollcall.yaml');
			const { code, stderr } = await runCommand(['init', '--from-pm2-list', '--config', config], {
				PATH: path,
				PM2_HOME: home,
			});
			assert.equal(code, 0, stderr);
			const [app, ...others] = appsIn(config, at) as Record<string, unknown>[];
			assert.equal(others.length, 0);
			const { env, ...rest } = app ?? {};
			assert.deepEqual(sorted(rest), {
				args: ['-a', 'b'],
				drain: { timeout: '7s' },
				instances: 2,
				max_memory: '307200k',
				name: 'listed-app',
				node_args: ['--no-warnings'],
				script: join(at, 'idle.js'),
			});
			assert.deepEqual(env, { HUSH: 'hush', PORT: '23001', FROM_FILE: 'yes' });
			assert.equal((await runCommand(['validate', '--config', config])).code, 0);
		} finally {
			pm2(home, 'kill');
		}
	});
});
