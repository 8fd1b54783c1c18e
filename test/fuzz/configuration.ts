import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { toWorkerApps } from '../../src/config/apps.js';
import { parseConfig } from '../../src/config/load.js';
import { RollcallError } from '../../src/errors.js';
import { type FuzzKind, mutate, seeded, shown } from './kind.js';

const small = [
	'node: {name: alpha}\nhttp_workers:\n  - {name: web, script: ./server.js, instances: 2, env: {PORT: "8080"}}\n',
	'cluster:\n  listen: {host: 127.0.0.1, port: 9933}\n  secret_file: s\n  peers: [{name: beta, url: "ws://127.0.0.1:9934"}]\n',
	'operations_api: {socket: {path: /run/a.sock, mode: "0660"}, http: {host: 127.0.0.1, port: 9925}}\n',
	'rollout: {max_unavailable: 50%, deadline: 5m, lease: 3s}\nlogging: {level: info, max_size: 50M, keep: 5}\n',
	'a: &a [1, *a]\n',
	'',
];

const variables = [
	'NODE__NAME',
	'OPERATIONS_API__HTTP__PORT',
	'HTTP_WORKERS__0__INSTANCES',
	'ROLLOUT__LEASE',
	'ROLLOUT',
	'X__',
];

/** Configuration files, good ones changed and texts of any kind, with overrides from the environment. */
export const configuration: FuzzKind = {
	name: 'configuration',
	perMille: 25,
	async run(inputs, seed) {
		const random = seeded(seed);
		const example = await readFile(fileURLToPath(new URL('../../../config/rollcall.example.yaml', import.meta.url)));
		// The example is long, and what is near to it costs accordingly.
		const samples = [...small, ...small, ...small].map((text) => Buffer.from(text)).concat(example);
		const made = fc.sample(fc.oneof(fc.string(), fc.json()), { numRuns: Math.ceil(inputs / 10), seed });
		for (let input = 0; input < inputs; input++) {
			const given = made[input];
			const bytes = given === undefined ? mutate(random, samples) : Buffer.from(given);
			const value = mutate(random, [Buffer.from('1'), Buffer.from('web'), Buffer.from('3s')]).toString('latin1');
			const env = random.chance(0.3) ? { [`ROLLCALL_${random.pick(variables)}`]: value } : {};
			try {
				const text = bytes.toString('utf8');
				const config = parseConfig(text, { file: '/nowhere/rollcall.yaml', env, secretFiles: 'ignored' });
				toWorkerApps({ http_workers: config.http_workers.map((app) => ({ ...app, env_file: undefined })) });
			} catch (thrown) {
				const what = `${JSON.stringify(env)} ${shown(bytes)}`;
				assert.ok(thrown instanceof RollcallError, `${thrown instanceof Error ? thrown.stack : thrown} for ${what}`);
				assert.equal(thrown.exitCode, 2, `${thrown.message} for ${what}`);
			}
		}
	},
};
