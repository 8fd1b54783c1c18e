import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type TemplateOptions, configurationTemplate } from '../../../src/config/publish/template.js';
import {
	configurationJsonSchema,
	configurationJsonSchemaText,
	type JsonSchema,
} from '../../../src/config/publish/json-schema.js';
import { configurationReference, referenceRows } from '../../../src/config/publish/reference.js';
import { RollcallError } from '../../../src/errors.js';
import { ConfigurationFolder } from '../../support/config/configuration.js';

// Compiled tests lie two levels deeper than their sources.
const shipped = fileURLToPath(new URL('../../../../config/', import.meta.url));

describe('the JSON Schema of the configuration', () => {
	it('is checked in as it is generated (npm run schema)', () => {
		assert.equal(readFileSync(join(shipped, 'rollcall.schema.json'), 'utf8'), configurationJsonSchemaText());
	});

	it('is the same on every host', () => {
		assert.equal(configurationJsonSchema().properties?.['node']?.properties?.['name']?.default, undefined);
	});

	it('refuses unknown keys in every section, and has a pattern that compiles for every text with one', () => {
		let sections = 0;
		const visit = (schema: JsonSchema): void => {
			if (schema.properties !== undefined) {
				sections += 1;
				assert.equal(schema.additionalProperties, false);
			}
			if (schema.pattern !== undefined) assert.ok(new RegExp(schema.pattern, 'u'));
			for (const below of [...Object.values(schema.properties ?? {}), ...(schema.anyOf ?? [])]) visit(below);
			if (schema.items !== undefined) visit(schema.items);
		};
		visit(configurationJsonSchema());
		assert.equal(sections, 25);
	});
});

describe('the reference table', () => {
	it('has one row with a sentence for every key, and the default that the schema has', () => {
		const defaults = new Map<string, unknown>();
		const visit = (schema: JsonSchema, key: string): void => {
			for (const [name, below] of Object.entries(schema.properties ?? {})) {
				const here = key === '' ? name : `${key}.${name}`;
				const required = schema.required?.includes(name) === true;
				defaults.set(here, required ? 'must be given' : below.default);
				visit(below, here);
				if (below.items !== undefined) visit(below.items, `${here}[]`);
			}
		};
		visit(configurationJsonSchema(), '');
		const rows = referenceRows();
		assert.deepEqual(new Set(rows.map((row) => row.key)), new Set(defaults.keys()));
		for (const row of rows) {
			assert.match(row.meaning, /^[A-Z].*[A-Za-z0-9)]\.$/, row.key);
			const value = defaults.get(row.key);
			if (Array.isArray(value)) assert.equal(row.default, value.length === 0 ? 'none' : 'all', row.key);
			else if (value !== undefined && typeof value !== 'object') {
				assert.equal(row.default.replaceAll('"', ''), String(value), row.key);
			}
			// What has no default and need not be given says what happens then.
			else if (value === undefined) assert.notEqual(row.default, '', row.key);
		}
	});

	it('is a Markdown table that names types in words', () => {
		const lines = configurationReference().split('\n');
		assert.equal(lines[0], '| key | type | default | meaning |');
		const instances =
			'| `http_workers[].instances` | whole number, 1 to 256 or max | 1 | Number of workers, or max for one a CPU. |';
		assert.ok(lines.includes(instances));
		assert.ok(lines.some((line) => line.startsWith('| `rollout.lease` | duration | 3s |')));
		assert.ok(lines.some((line) => line.startsWith('| `logging.max_size` | size | 50M |')));
	});
});

describe('the example', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
	});
	after(() => folder.remove());
	const text = readFileSync(join(shipped, 'rollcall.example.yaml'), 'utf8');

	it('is a valid configuration as it stands', () => {
		const config = folder.load(text);
		assert.equal(config.node.name, 'alpha');
		assert.equal(config.http_workers[0]?.script, '/srv/web/server.js');
	});

	it('is a valid configuration with every key that is switched off switched on', () => {
		for (const name of ['ca', 'cert', 'key']) folder.write(`tls/${name}.pem`, name);
		folder.write('web.env', 'TOKEN=x\n');
		folder.write('webhook.secret', 'a secret of more than thirty-two bytes');
		const all = text.replaceAll(/^#(?! [^ ]|$)/gm, '');
		const config = folder.load(all, { underSystemd: true });
		assert.deepEqual(
			config.http_workers.map((app) => [app.name, app.user]),
			[
				['web', 'web'],
				['reports', undefined],
				['jobs', undefined],
			],
		);
		assert.equal(config.cluster?.peers.length, 3);
		assert.equal(config.operations_api.socket.group, 'rollcall');
		assert.equal(config.operations_api.http?.tls?.cert, join(folder.path, 'tls/cert.pem'));
	});

	it('shows every key but those that stand instead of another', () => {
		const shown = text.replaceAll(/^#(?! [^ ]|$)/gm, '');
		const missing = referenceRows()
			.map((row) => row.key.split('.').at(-1)?.replace('[]', '') ?? '')
			.filter((key) => !new RegExp(`\\b${key}:`).test(shown));
		assert.deepEqual(
			missing,
			['secret_file'].filter((key) => !shown.includes(`${key}:`)),
		);
	});
});

describe('an initial configuration', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
		folder.write('cluster.secret', 'a secret of thirty two characters');
		for (const name of ['ca', 'cert', 'key']) folder.write(`tls/${name}.pem`, name);
	});
	after(() => folder.remove());

	const load = (options: TemplateOptions) => folder.load(configurationTemplate(options), { underSystemd: true });

	it('loads with nothing but a name', () => {
		assert.equal(load({ name: '42' }).node.name, '42');
	});

	it('loads with an app, whatever its texts need in YAML', () => {
		const config = load({
			name: 'alpha',
			zone: 'no',
			stateDir: '/s: #t',
			runtimeDir: 'run',
			appName: 'api',
			script: "it's a: #1.js",
			cwd: '/srv/a b',
			user: 'web',
			instances: '3',
			port: 8080,
			healthPath: '/up',
			http: '[::1]:9925',
		});
		const [api] = config.http_workers;
		assert.equal(config.node.zone, 'no');
		assert.equal(config.state_dir, '/s: #t');
		assert.equal(api?.script, "/srv/a b/it's a: #1.js");
		assert.deepEqual(
			[api.name, api.user, api.instances, api.env, api.ports, api.health.path],
			['api', 'web', 3, { PORT: '8080' }, undefined, '/up'],
		);
		assert.deepEqual(config.operations_api.http, { host: '::1', port: 9925 });
	});

	it('loads with a fork mode app, which gets its ports', () => {
		const config = load({ name: 'a', script: 'a.py', interpreter: 'python3', port: 8000, instances: 2 });
		assert.deepEqual(config.http_workers[0]?.ports, [8000]);
	});

	it('loads with a fleet: a secret where all is loopback, tls where it is not', () => {
		const near = load({
			name: 'a',
			listen: '127.0.0.1:9933',
			peers: ['b=ws://127.0.0.1:9934', 'a=ws://127.0.0.1:9933'],
		});
		assert.equal(near.cluster?.secret_file, join(folder.path, 'cluster.secret'));
		assert.deepEqual(
			near.cluster.peers.map((peer) => peer.name),
			['b', 'a'],
		);
		const far = load({ name: 'a', listen: '10.0.0.1:9933', peers: ['b=wss://b:9933'] });
		assert.equal(far.cluster?.tls?.key, join(folder.path, 'tls/key.pem'));
		assert.deepEqual(load({ name: 'a', listen: 'localhost:1' }).cluster?.peers, []);
	});

	it('is refused as usage for flags that make none, naming the key', () => {
		const wrong: [TemplateOptions, RegExp][] = [
			[{ name: 'A B' }, /node\.name: expected a name/],
			[{ name: 'a', script: 'a\nb' }, /http_workers\[0\]\.script: expected a path/],
			[
				{ name: 'a', script: 's.js', instances: 'two' },
				/instances: expected a whole number of at least 1 or max, got "two"/,
			],
			[{ name: 'a', http: '9925' }, /http must be HOST:PORT/],
			[{ name: 'a', http: '0.0.0.0:9925' }, /operations_api\.http\.host: expected a loopback address/],
			[{ name: 'a', peers: ['b=ws://b'] }, /give listen/],
			[{ name: 'a', listen: '127.0.0.1:1', peers: ['b'] }, /NAME=URL/],
			[{ name: 'a', listen: '10.0.0.1:1', secretFile: 's' }, /cluster\.listen\.host: expected a loopback address/],
		];
		for (const [options, message] of wrong) {
			assert.throws(
				() => configurationTemplate(options),
				(error) => error instanceof RollcallError && error.code === 'usage' && message.test(error.message),
				String(message),
			);
		}
	});
});
