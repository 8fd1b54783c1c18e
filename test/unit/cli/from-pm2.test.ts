/** Every field that PM2 documents is taken over or named, and whatever its file holds, what comes of it is a valid configuration. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { canonicalName, counterparts, withoutCounterpart } from '../../../src/cli/commands/from-pm2/fields.js';
import { migrate } from '../../../src/cli/commands/from-pm2/migrate.js';
import { needsShell, splitWords } from '../../../src/cli/commands/from-pm2/words.js';
import { configurationTemplate } from '../../../src/config/publish/template.js';

/** The table by which PM2 itself checks an app. */
const documented = JSON.parse(
	readFileSync(new URL('../../../../node_modules/pm2/lib/API/schema.json', import.meta.url), 'utf8'),
) as Record<string, { alias?: string | string[] }>;
const around = { folder: '/srv/app', environment: null, user: null };

describe("PM2's fields", () => {
	test('each one that PM2 documents, by every spelling, has a counterpart or a reason', () => {
		const unknown = Object.entries(documented).flatMap(([field, { alias = [] }]) =>
			[field, ...[alias].flat()].filter((name) => {
				const known = canonicalName(name);
				return !name.startsWith('^env_') && !counterparts.has(known) && withoutCounterpart[known] === undefined;
			}),
		);
		assert.deepEqual(unknown, []);
		assert.ok(Object.keys(documented).length > 50);
	});

	test('each one has a remark', () => {
		const fields = Object.keys(documented).filter((field) => !field.startsWith('^'));
		const values: Record<string, unknown> = {
			name: 'web',
			script: 'a.js',
			env: { A: '1' },
			uid: 'daemon',
			autorestart: true,
			autostart: true,
			exec_interpreter: 'node',
			node_args: '--no-warnings',
		};
		const app = Object.fromEntries(fields.map((field) => [field, values[field] ?? '8']));
		const { remarks, apps } = migrate({ apps: [app] }, around);
		assert.equal(apps.length, 1);
		const named = new Set(remarks.map(({ field }) => field));
		assert.deepEqual(
			fields.filter((field) => !named.has(canonicalName(field))),
			[],
		);
	});

	test('whatever they hold, the configuration is valid and says what the entries say', () => {
		const fields = Object.keys(documented).map((field) => (field.startsWith('^') ? 'env_x' : field));
		const value = fc.oneof(
			fc.jsonValue(),
			fc.string({ unit: 'binary' }),
			fc.constantFrom(
				'node',
				'none',
				'python3',
				'npm',
				'8080',
				'a.js',
				'a b',
				'0',
				'-1',
				'3s',
				'1G',
				"'",
				'$(x)',
				'--eval',
				'a\nb: c',
				-1,
				1e20,
			),
			fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.integer())),
		);
		const app = fc.dictionary(fc.constantFrom(...fields), value);
		const apps = fc.array(
			fc
				.record({ script: fc.constantFrom('a.js', 'b.py', 'bin/www'), more: app })
				.map(({ script, more }) => ({ script, ...more })),
			{ minLength: 1, maxLength: 4 },
		);
		fc.assert(
			fc.property(apps, (given) => {
				const made = migrate(given, around).apps;
				const text = configurationTemplate({ apps: made });
				const read = (parse(text) as { http_workers?: unknown }).http_workers ?? [];
				assert.deepEqual(read, JSON.parse(JSON.stringify(made)));
			}),
			{ numRuns: 300 },
		);
	});
});

describe('the words of a command line', () => {
	const cases: readonly (readonly [string, readonly string[] | null])[] = [
		['start -p 3000', ['start', '-p', '3000']],
		[`a "b c" 'd "e"' f\\ g`, ['a', 'b c', 'd "e"', 'f g']],
		['""', ['']],
		['"open', null],
		['', []],
	];
	for (const [text, words] of cases) {
		test(`${text} comes to ${JSON.stringify(words)}`, () => assert.deepEqual(splitWords(text), words));
	}
	test('a shell is needed for several commands, variables and redirections', () => {
		assert.deepEqual(['a && b', 'a $B', 'a > b', 'a; b', 'a b'].map(needsShell), [true, true, true, true, false]);
	});
});
