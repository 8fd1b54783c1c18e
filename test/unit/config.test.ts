import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { toWorkerApps } from '../../src/config/apps.js';
import { ConfigurationError } from '../../src/config/faults.js';
import { type LoadOptions, loadConfig } from '../../src/config/load.js';

let folder: string;
before(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-config-'));
	mkdirSync(join(folder, 'wide'));
});
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string, mode = 0o600): string {
	const file = join(folder, name);
	writeFileSync(file, text, { mode });
	return file;
}

function load(text: string, options: Partial<LoadOptions> = {}) {
	return loadConfig({ file: write('rollcall.yaml', text), env: {}, ...options });
}

/** The lines of the refusal, the file's path cut to its name. */
function refusals(text: string, options: Partial<LoadOptions> = {}): string[] {
	try {
		load(text, options);
	} catch (error) {
		assert.ok(error instanceof ConfigurationError, String(error));
		assert.equal(error.exitCode, 2);
		return error.message.split('\n').map((line) => line.replaceAll(`${folder}/`, ''));
	}
	assert.fail('the configuration was accepted');
}

describe('configuration', () => {
	it('has a default for everything but what an app or a cluster must say', () => {
		const config = load('node: {name: alpha}\nhttp_workers: [{name: web, script: server.js}]\n');
		assert.equal(config.operations_api.socket.path, '/run/rollcall/admin.sock');
		assert.equal(config.operations_api.socket.mode, 0o660);
		assert.deepEqual(config.rollout, {
			max_unavailable: 1,
			deadline: 300_000,
			lease: 3000,
			on_failure: 'halt',
			wait_between: 0,
			lb_wait: 0,
		});
		assert.deepEqual(toWorkerApps(config), [
			{
				name: 'web',
				script: join(folder, 'server.js'),
				cwd: folder,
				args: [],
				interpreter: 'node',
				user: null,
				instances: 1,
				env: {},
				health: { path: null, timeoutMs: 2000, deadlineMs: 30_000, soakMs: 1000, intervalMs: 5000, failures: 3 },
				gate: true,
				ports: [],
				drainTimeoutMs: 30_000,
				surge: 1,
				maxMemory: null,
				crashLoop: { intensity: 5, periodMs: 60_000 },
			},
		]);
	});

	it('says for each mistake where it stands, what was expected and what stands there', () => {
		const text = [
			'node:',
			'  nmae: alpha',
			'http_workers:',
			'  - name: web',
			'    script: ./server.js',
			'    instances: two',
			'    max_memory: 512',
			'    env:',
			'      PORT: 8080',
			'  - name: api',
			'rollout: {lease: 3}',
		].join('\n');
		assert.deepEqual(refusals(text), [
			'rollcall.yaml:2:3: node.nmae: expected a key out of name, zone, got another one (did you mean name?)',
			'rollcall.yaml:6:16: http_workers[0].instances: expected a whole number of at least 1 or max, got "two"',
			'rollcall.yaml:7:17: http_workers[0].max_memory: expected a size such as 512k, 512M or 2G, got 512',
			'rollcall.yaml:9:13: http_workers[0].env.PORT: expected a text, got a number (put it in quotes)',
			'rollcall.yaml:10:5: http_workers[1].script: expected a path, got nothing',
			'rollcall.yaml:11:18: rollout.lease: expected a duration from 100ms to 24h, such as 500ms, 30s or 5m, got 3',
		]);
	});
});
