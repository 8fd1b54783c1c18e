import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ConfigurationFolder } from '../../support/config/configuration.js';

const text = [
	'node: {name: alpha}',
	'http_workers:',
	'  - name: web',
	'    script: s.js',
	'    env: &env {A: file}',
	'  - {name: api, script: s.js, env: *env}',
].join('\n');
/** A section whose keys are all taken out. */
const emptySection = `${text}\nlogging:\n`;

describe('environment overrides', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
		folder.write('secret', 'a secret of thirty two characters');
	});
	after(() => folder.remove());

	const load = (env: NodeJS.ProcessEnv) => folder.load(text, { env });

	it('win over the file and are named in what is loaded', () => {
		const config = load({ ROLLCALL_HTTP_WORKERS__0__INSTANCES: '4', ROLLCALL_STATE_DIR: '/elsewhere', PATH: '/bin' });
		assert.equal(config.http_workers[0]?.instances, 4);
		assert.equal(config.state_dir, '/elsewhere');
		assert.deepEqual(config.source.overrides, [
			{ variable: 'ROLLCALL_HTTP_WORKERS__0__INSTANCES', path: ['http_workers', 0, 'instances'] },
			{ variable: 'ROLLCALL_STATE_DIR', path: ['state_dir'] },
		]);
	});

	it('make the sections and list items that the file does not have, items in the order of their number', () => {
		const env: NodeJS.ProcessEnv = {
			ROLLCALL_LOGGING__KEEP: '7',
			ROLLCALL_CLUSTER__LISTEN__HOST: '127.0.0.1',
			ROLLCALL_CLUSTER__SECRET_FILE: 'secret',
			ROLLCALL_HTTP_WORKERS__2__NAME: 'third',
			ROLLCALL_HTTP_WORKERS__2__SCRIPT: 't.js',
		};
		for (let index = 10; index >= 0; index--) env[`ROLLCALL_HTTP_WORKERS__2__ARGS__${index}`] = `arg ${index}`;
		const config = folder.load(emptySection, { env });
		assert.equal(config.logging.keep, 7);
		assert.equal(config.cluster?.listen.host, '127.0.0.1');
		assert.equal(config.http_workers[2]?.name, 'third');
		assert.deepEqual(config.http_workers[2].args[10], 'arg 10');
	});

	it('change the one place they name, also where an alias shares a section', () => {
		const config = load({ ROLLCALL_HTTP_WORKERS__1__ENV__A: 'variable' });
		assert.equal(config.http_workers[0]?.env['A'], 'file');
		assert.equal(config.http_workers[1]?.env['A'], 'variable');
	});

	it('are read as YAML scalars, yet stay texts where only a text can be meant', () => {
		const at = 'ROLLCALL_HTTP_WORKERS__0__';
		const config = load({
			ROLLCALL_NODE__NAME: '42',
			ROLLCALL_OPERATIONS_API__SOCKET__MODE: '0600',
			ROLLCALL_ROLLOUT__MAX_UNAVAILABLE: '25%',
			[`${at}GATE`]: 'false',
			[`${at}MAX_MEMORY`]: '"64M"',
			[`${at}ENV__PORT`]: '8080',
			[`${at}ENV__HASH`]: 'a #b',
			[`${at}ENV__JSON`]: '{"a": 1}',
			[`${at}ENV__TAG`]: '!x',
			[`${at}ENV__LINES`]: 'a\nb',
			[`${at}ENV__EMPTY`]: '',
			[`${at}ENV__lower__LEVEL`]: "'x'",
		});
		const [web] = config.http_workers;
		assert.equal(config.node.name, '42');
		assert.equal(config.operations_api.socket.mode, 0o600);
		assert.equal(config.rollout.max_unavailable, '25%');
		assert.equal(web?.gate, false);
		assert.equal(web.max_memory, 64 * 1024 ** 2);
		assert.deepEqual(web.env, {
			A: 'file',
			PORT: '8080',
			HASH: 'a #b',
			JSON: '{"a": 1}',
			TAG: '!x',
			LINES: 'a\nb',
			EMPTY: '',
			lower__LEVEL: 'x',
		});
	});

	it('leave the reserved names alone', () => {
		const config = load({
			ROLLCALL_ADMIN_USERNAME: 'admin',
			ROLLCALL_ADMIN_PASSWORD: 'x',
			ROLLCALL_USERNAME: 'admin',
			ROLLCALL_PASSWORD: 'x',
			ROLLCALL_TOKEN: 'x',
			ROLLCALL_WORKER: '{}',
		});
		assert.deepEqual(config.source.overrides, []);
	});

	it('are named instead of a line when their value is wrong, or makes what is there incomplete', () => {
		assert.deepEqual(
			folder.refusals(emptySection, {
				env: {
					ROLLCALL_HTTP_WORKERS__0__INSTANCES: 'two',
					ROLLCALL_HTTP_WORKERS__2__NAME: 'third',
					ROLLCALL_CLUSTER__LISTEN__PORT: '0',
					ROLLCALL_NODE__ZONE: '',
				},
			}),
			[
				'ROLLCALL_NODE__ZONE: node.zone: expected a name of 1 to 63 letters, digits, dots, dashes and underscores, got ""',
				'ROLLCALL_HTTP_WORKERS__0__INSTANCES: http_workers[0].instances: expected a whole number of at least 1 or max, got "two"',
				'ROLLCALL_HTTP_WORKERS__2__NAME: http_workers[2].script: expected a path, got nothing',
				'ROLLCALL_CLUSTER__LISTEN__PORT: cluster.listen.host: expected a host name or an address, got nothing',
				'ROLLCALL_CLUSTER__LISTEN__PORT: cluster.listen.port: expected a whole number from 1 to 65535, got 0',
				'7:1: logging: expected a section with keys out of level, max_size, keep, got nothing (give it a value, or take the key out)',
			],
		);
	});

	it('are named when only other keys make their value wrong', () => {
		assert.deepEqual(folder.refusals('node: {name: a}', { env: { ROLLCALL_OPERATIONS_API__HTTP__HOST: '0.0.0.0' } }), [
			'ROLLCALL_OPERATIONS_API__HTTP__HOST: operations_api.http.host: expected a loopback address such as 127.0.0.1, or operations_api.http.tls beside it, got "0.0.0.0" (passwords must not cross a network in the clear)',
		]);
	});

	for (const [variable, got] of [
		['ROLLCALL_HTTP_WORKERS__0__INSTANCE', 'an unknown one (did you mean ROLLCALL_HTTP_WORKERS__0__INSTANCES?)'],
		['ROLLCALL_STATEDIR', 'an unknown one (did you mean ROLLCALL_STATE_DIR?)'],
		['ROLLCALL_state_dir', 'an unknown one'],
		['ROLLCALL_', 'an unknown one'],
		['ROLLCALL_STATE_DIR__0', 'an unknown one'],
		['ROLLCALL_HTTP_WORKERS__web__NAME', 'no list index'],
		['ROLLCALL_HTTP_WORKERS__00__NAME', 'no list index'],
		['ROLLCALL_CLUSTER', 'a whole section or list'],
		['ROLLCALL_HTTP_WORKERS__0__ENV', 'a whole section or list'],
		['ROLLCALL_HTTP_WORKERS__0__ENV__A-B', 'a name that no variable of an app may have'],
		['ROLLCALL_HTTP_WORKERS__0__ENV____proto__', 'a name that no variable of an app may have'],
		['ROLLCALL_HTTP_WORKERS__0__ENV__ROLLCALL_X', 'a name that no variable of an app may have'],
	] as const) {
		it(`refuse ${variable}, and never repeat its value`, () => {
			const [line = ''] = folder.refusals('node: {name: a}', { env: { [variable]: 'CANARY' } });
			assert.ok(
				line.startsWith(`${variable}: expected a key of the configuration that holds one value, got ${got}`),
				line,
			);
			assert.ok(!line.includes('CANARY'));
		});
	}

	it('refuse a gap in a list, and a section where the file has none', () => {
		assert.deepEqual(folder.refusals('node: {name: a}', { env: { ROLLCALL_HTTP_WORKERS__1__NAME: 'x' } }), [
			'ROLLCALL_HTTP_WORKERS__1__NAME: http_workers[1].name: expected an index of at most 0, got 1',
		]);
		assert.deepEqual(folder.refusals('node: alpha', { env: { ROLLCALL_NODE__NAME: 'x' } }), [
			'ROLLCALL_NODE__NAME: node.name: expected a section in the file, got something else',
			'1:7: node: expected a section with keys out of name, zone, got a text',
		]);
	});
});
