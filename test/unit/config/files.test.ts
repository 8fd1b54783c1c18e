import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { toWorkerApps } from '../../../src/config/apps.js';
import { ConfigurationError } from '../../../src/config/document/faults.js';
import { isTrustedOwner } from '../../../src/config/document/trusted-files.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigurationFolder } from '../../support/config/configuration.js';

const text = [
	'node: {name: a}',
	'operations_api: {http: {tls: {cert: tls/cert.pem, key: tls/key.pem}}}',
	'http_workers: [{name: web, script: s.js, env_file: web.env}]',
	'cluster:',
	'  listen: {host: 127.0.0.1}',
	'  tls: {ca: tls/ca.pem, cert: tls/cert.pem, key: tls/key.pem}',
].join('\n');
const secretText = text.replace(/ {2}tls: .*$/, '  secret_file: secret');

describe('files of the configuration', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
	});
	after(() => folder.remove());
	beforeEach(() => {
		for (const name of ['tls/ca.pem', 'tls/cert.pem']) folder.write(name, 'open', 0o644);
		folder.write('tls/key.pem', 'CANARY', 0o640);
		folder.write('web.env', 'PASSWORD=CANARY', 0o600);
		folder.write('secret', 'CANARY CANARY CANARY', 0o600);
	});

	it('are accepted when only their owner can write them, and others cannot read the secrets', () => {
		assert.equal(folder.load(text).cluster?.tls?.key, join(folder.path, 'tls/key.pem'));
		assert.equal(folder.load(secretText).cluster?.secret_file, join(folder.path, 'secret'));
	});

	it('are refused, the configuration itself first, when group or others can write them', () => {
		for (const mode of [0o620, 0o602, 0o666]) {
			const file = folder.write('wide.yaml', 'nope: 1', mode);
			const shown = (mode & 0o7777).toString(8).padStart(4, '0');
			assert.deepEqual(folder.refusals('', { file }), [
				`wide.yaml: expected a file that neither group nor others can write, got wide.yaml with mode ${shown} (chmod go-w wide.yaml)`,
			]);
		}
		chmodSync(join(folder.path, 'tls/ca.pem'), 0o664);
		chmodSync(join(folder.path, 'web.env'), 0o620);
		assert.deepEqual(folder.refusals(text), [
			'3:52: http_workers[0].env_file: expected a file that neither group nor others can write, got web.env with mode 0620 (chmod go-w web.env)',
			'6:13: cluster.tls.ca: expected a file that neither group nor others can write, got tls/ca.pem with mode 0664 (chmod go-w tls/ca.pem)',
		]);
	});

	it('are refused in a folder that group or others can write, unless it is sticky', () => {
		const wide = join(folder.path, 'wide');
		const file = folder.write('wide/rollcall.yaml', 'node: {name: a}');
		chmodSync(wide, 0o770);
		assert.deepEqual(folder.refusals('', { file }), [
			'wide/rollcall.yaml: expected a folder that neither group nor others can write, got wide with mode 0770 (chmod go-w wide)',
		]);
		chmodSync(wide, 0o1777);
		assert.ok(loadConfig({ file, env: {} }));
		chmodSync(join(folder.path, 'tls'), 0o777);
		try {
			assert.equal(folder.refusals(text).length, 5);
		} finally {
			chmodSync(join(folder.path, 'tls'), 0o700);
		}
	});

	it('are refused behind a link when the folder that they lie in can be written', () => {
		folder.write('loose/rollcall.yaml', 'node: {name: a}');
		chmodSync(join(folder.path, 'loose'), 0o777);
		mkdirSync(join(folder.path, 'links'), { mode: 0o700 });
		const link = join(folder.path, 'links/rollcall.yaml');
		symlinkSync('../loose/rollcall.yaml', link);
		assert.match(folder.refusals('', { file: link })[0] ?? '', /got loose with mode 0777/);
		chmodSync(join(folder.path, 'loose'), 0o700);
		assert.ok(loadConfig({ file: link, env: {} }));
	});

	it('are refused as secrets when others can read them', () => {
		for (const name of ['tls/key.pem', 'web.env', 'secret']) chmodSync(join(folder.path, name), 0o644);
		const secret = (name: string) =>
			`expected a secret that others cannot read, got ${name} with mode 0644 (chmod o-rwx ${name})`;
		assert.deepEqual(folder.refusals(text), [
			`2:56: operations_api.http.tls.key: ${secret('tls/key.pem')}`,
			`3:52: http_workers[0].env_file: ${secret('web.env')}`,
			`6:50: cluster.tls.key: ${secret('tls/key.pem')}`,
		]);
		assert.deepEqual(folder.refusals(secretText).at(-1), `6:16: cluster.secret_file: ${secret('secret')}`);
	});

	it('are refused when they belong to another user than root and the own one', (t) => {
		assert.deepEqual(
			[isTrustedOwner(0, 1000), isTrustedOwner(1000, 1000), isTrustedOwner(1001, 1000), isTrustedOwner(1000, 0)],
			[true, true, false, false],
		);
		if (process.geteuid?.() !== 0) return t.diagnostic('only root can give a file away');
		chownSync(join(folder.path, 'secret'), 4242, 0);
		const file = folder.write('other/rollcall.yaml', '');
		chownSync(join(folder.path, 'other'), 4242, 0);
		assert.match(
			folder.refusals(secretText).at(-1) ?? '',
			/6:16: .*expected root or the own user \(id 0\) as owner, got secret of the user with id 4242 \(chown root secret\)$/,
		);
		assert.match(folder.refusals('', { file })[0] ?? '', /got other of the user with id 4242/);
		chownSync(file, 4242, 0);
		assert.match(folder.refusals('', { file })[0] ?? '', /got other\/rollcall.yaml of the user with id 4242/);
		chownSync(join(folder.path, 'secret'), 0, 0);
	});

	it('are named when they are missing or no files', () => {
		const file = join(folder.path, 'none.yaml');
		assert.deepEqual(folder.refusals('', { file }), [
			'none.yaml: expected a file, got nothing at none.yaml (rollcall init writes one; --config FILE names another)',
		]);
		assert.match(folder.refusals('', { file: folder.path })[0] ?? '', /expected a file, got a folder/);
		assert.match(folder.refusals('', { file: '/dev/null' })[0] ?? '', /expected a file, got something else/);
		assert.deepEqual(folder.refusals(text.replace('web.env', 'no.env').replace('ca.pem', 'no.pem')), [
			'3:52: http_workers[0].env_file: expected a file, got nothing at no.env',
			'6:13: cluster.tls.ca: expected a file, got nothing at tls/no.pem',
		]);
	});

	it('are not looked at for a worker host, which may not see them', () => {
		chmodSync(join(folder.path, 'tls/key.pem'), 0o666);
		assert.ok(folder.load(text.replace('ca.pem', 'no.pem'), { secretFiles: 'ignored' }));
	});

	it('refuse a shared secret that can be guessed', () => {
		folder.write('secret', '  fifteen-bytes-x \n');
		assert.match(
			folder.refusals(secretText)[0] ?? '',
			/^6:16: cluster.secret_file: expected a secret of at least 16 bytes in secret, got a shorter one \(openssl/,
		);
	});

	it('refuse lines of an env_file that are none, at load and when the apps are read', () => {
		const config = folder.load(text);
		folder.write('web.env', 'A=1\nexport CANARY=1\nROLLCALL_X=CANARY\nCANARY\n');
		const expected = 'expected a line KEY=VALUE, with a KEY that does not begin with ROLLCALL_, got another line';
		assert.deepEqual(
			folder.refusals(text),
			[2, 3, 4].map((line) => `3:52: http_workers[0].env_file: ${expected} in web.env:${line}`),
		);
		assert.throws(
			() => toWorkerApps(config),
			(error) =>
				error instanceof ConfigurationError && error.message.startsWith(`${folder.path}/web.env:2:1: ${expected}`),
		);
		folder.write('web.env', '', 0o644);
		assert.throws(
			() => toWorkerApps(config),
			/web\.env: http_workers\.web\.env_file: expected a secret that others cannot read/,
		);
	});

	it('never reach a message with what is in them, wherever a secret was put', () => {
		const wrong = [
			'node: {name: a}\nhttp_workers: [{name: a, script: s.js, env: CANARY}]',
			'node: {name: a}\nhttp_workers: [{name: a, script: s.js, env: [CANARY]}]',
			'http_workers: [{name: a, script: s.js, env: {P: {CANARY: x}}}]',
			'http_workers: [{name: a, script: s.js, env: {"P=CANARY": x}}]',
			'http_workers: [{name: a, script: s.js, env: {P: CANARY}, env: {P: CANARY}}]',
			'http_workers: [{name: a, script: s.js, args: CANARY}]',
			'http_workers:\n  - name: a\n    env:\n      P: "CANARY\n',
			'http_workers:\n  - name: a\n    env:\n      P: CANARY: x\n',
			'http_workers:\n  - name: a\n    env:\n      P: @CANARY\n',
			'http_workers:\n  - name: a\n    env:\n      P: *CANARY\n',
			'http_workers:\n  - name: a\n    env:\n      P: !CANARY x\n',
			'http_workers:\n  - name: a\n    env:\n      CANARY\n',
			'http_workers:\n  - name: a\n    env:\n      P: "\\qCANARY"\n',
			'node: {name: a}\ncluster: {listen: {host: 127.0.0.1}, peers: [{name: b, url: "wss://u:CANARY@b"}]}',
			'cluster: {listen: {host: 127.0.0.1}, peers: ["wss://u:CANARY@b"]}',
			'cluster: {listen: {host: 127.0.0.1}, peers: [{name: b, url: "https://u:CANARY@b"}]}',
			'cluster: {listen: {host: 127.0.0.1}, tls: CANARY, secret: CANARY}',
			'cluster: {listen: {host: 127.0.0.1}, secret_file: "-----BEGIN\\nCANARY"}',
			'cluster: CANARY',
			'CANARY',
			text.replace('secret_file', 'secret').replace('web.env', 'tls/key.pem'),
		];
		for (const one of wrong) {
			const error = folder.refusal(one);
			assert.ok(!inspect(error, { depth: 9 }).includes('CANARY'), `${one}\n${error.message}`);
		}
	});
});
