import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parseDocument, stringify } from 'yaml';
import { configurationTemplate } from '../../../src/config/publish/template.js';
import { plainSocketKeys } from '../../../src/cli/client/socket-path.js';
import { readPlaces, readSocketPath } from '../../../src/cli/client/places.js';

let folder: string;
let file: string;
before(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-places-'));
	file = join(folder, 'c.yaml');
});
after(() => rmSync(folder, { recursive: true }));

/** The short way to the socket, and the long one, by the library. */
async function bothWays(text: string): Promise<{ short: string; long: string }> {
	writeFileSync(file, text);
	return { short: await readSocketPath(file, {}), long: (await readPlaces(file, {})).socketPath };
}

/** Texts that are understood without the YAML library, as most are. */
const plain = [
	'state_dir: /s\n',
	'# runtime_dir: /no\nruntime_dir: ./run   # admin.sock\n',
	'---\r\nruntime_dir: "quoted"\r\n',
	"runtime_dir: '/quoted'\n",
	'cwd:\n  runtime_dir: /nested\n',
	'runtime_dir: /a\noperations_api:\n  socket:\n    path: /b.sock\n',
	'operations_api:\n    socket:\n        mode: "0660"\n        # here\n        path: "/b.sock"\n    http: {port: 0}\n',
	'operations_api:\n  socket: {path: /b.sock, mode: "0660", group: rollcall}   # x\n',
	'operations_api: {http: {host: 127.0.0.1, port: 9925}}\n',
	'operations_api:\nruntime_dir: /a\n',
	'operations_api:\n  health:\n    port: 9926\nhttp_workers:\n- name: web\n  env: {A: "x"}\n',
	'operations_api:\n  note: |\n    socket:\n      path: /in-a-text\n  socket:\n    path: /b\n',
];
/** Texts that are left to it. */
const intricate = [
	'{runtime_dir: /flow}\n',
	'"runtime_\\x64ir": /escaped\n',
	'runtime_dir: 7\n',
	'runtime_dir: yes\n',
	'runtime_dir: /two\n  words\n',
	'runtime_dir: !!str /tagged\n',
	'runtime_dir: >\n  /folded\n',
	'runtime_dir: "/a\\u002db"\n',
	'a: &x /anchored\nruntime_dir: *x\n',
	'operations_api: &x\n  socket:\n    path: /b.sock\n',
	'operations_api: {socket: {path: /b.sock}}\n',
	'operations_api:\n  socket:\n    path:\n      /b.sock\n',
	'operations_api:\n  socket: {path: 7}\n',
	'operations_api:\n  ? socket\n  : {path: /b.sock}\n',
];

test('the socket is found without the YAML library in plain texts, with it in others, and both say the same', async () => {
	for (const text of plain) assert.notEqual(plainSocketKeys(text), null, text);
	for (const text of intricate) assert.equal(plainSocketKeys(text), null, text);
	for (const text of [...plain, ...intricate]) {
		const { short, long } = await bothWays(text);
		assert.equal(short, long, text);
	}
});

test('what init writes is a plain text', () => {
	const text = configurationTemplate({ name: 'alpha', http: '127.0.0.1:9925', script: './a.js', runtimeDir: '/run/x' });
	assert.deepEqual(plainSocketKeys(text), { runtime_dir: '/run/x', operations_api: {} });
});

test('whatever a configuration holds and however it is laid out, the short way never says another socket', async () => {
	const word = fc.oneof(
		fc.constantFrom(
			'/run/rc',
			'run',
			'./x',
			'7',
			'yes',
			'null',
			'~',
			'/a b',
			"it's",
			'/a#b',
			'/a #b',
			': ',
			'- x',
			'/é',
		),
		fc.string({ maxLength: 6 }),
	);
	const scalar = fc.oneof(word, fc.boolean(), fc.integer(), fc.constant(null));
	const optional = (value: fc.Arbitrary<unknown>) => fc.option(value, { nil: undefined });
	const socket = fc.oneof(scalar, fc.record({ path: optional(scalar), mode: optional(word) }));
	const api = fc.oneof(scalar, fc.record({ http: optional(fc.record({ host: word })), socket: optional(socket) }));
	const document = fc.record({
		state_dir: optional(word),
		operations_api: optional(api),
		http_workers: optional(fc.array(fc.record({ name: word, socket, text: fc.constant('a\nruntime_dir: /no\n') }))),
		runtime_dir: optional(scalar),
	});
	const layout = fc.record({
		collectionStyle: fc.constantFrom('any' as const, 'block' as const, 'flow' as const),
		defaultStringType: fc.constantFrom('PLAIN' as const, 'QUOTE_DOUBLE' as const, 'QUOTE_SINGLE' as const),
		indentSeq: fc.boolean(),
		indent: fc.integer({ min: 1, max: 4 }),
		lineWidth: fc.constantFrom(0, 20, 80),
	});
	await fc.assert(
		fc.asyncProperty(document, layout, async (value, options) => {
			const text = stringify(value, options);
			// It writes some texts that it does not read itself: an empty list in block style below no indentation.
			fc.pre(parseDocument(text).errors.length === 0);
			const { short, long } = await bothWays(text);
			assert.equal(short, long, text);
		}),
		{ numRuns: 300 },
	);
});
