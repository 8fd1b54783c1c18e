/** The house is tidy: each room knows only what the table lets it know, nothing imports in a circle, nothing has grown too large. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../../src/', import.meta.url));
const linesMax = 400;
const entriesMax = 12;

/** Everyone may import these files of `src` itself, which know no room but `system`. */
const shared = ['errors.ts', 'log.ts', 'zod.ts'];

interface Room {
	/** Rooms that its files may import; or one file of a room, without its ending. */
	readonly mayKnow: readonly string[];
	/** Rooms of which it may import types alone. */
	readonly types?: readonly string[];
}

/** From the bottom up; a room that is not named may not be imported. */
const rooms: Readonly<Record<string, Room>> = {
	system: { mayKnow: [], types: ['workers'] },
	config: { mayKnow: ['system'], types: ['workers'] },
	coordination: { mayKnow: [] },
	rollout: { mayKnow: ['coordination/port', 'coordination/epoch'], types: ['workers'] },
	workers: { mayKnow: ['config', 'system'] },
	fleet: { mayKnow: ['rollout', 'coordination', 'config', 'system'] },
	operations: { mayKnow: ['system'], types: ['fleet', 'rollout', 'workers', 'config'] },
	server: { mayKnow: ['operations', 'config', 'system'], types: ['workers'] },
	cli: { mayKnow: ['operations', 'config', 'system', 'fleet'], types: ['rollout', 'workers'] },
	demo: { mayKnow: ['cli'] },
	package: { mayKnow: ['cli'] },
	daemon: { mayKnow: ['server', 'operations', 'fleet', 'workers', 'config', 'system'], types: ['rollout'] },
};

/** Each of these packages is imported by one file. */
const packages: Readonly<Record<string, string>> = {
	pm2: 'workers/pm2/raw.ts',
	ws: 'fleet/links/websocket.ts',
	systeminformation: 'system/information/systeminformation.ts',
	zod: 'zod.ts',
	'prom-client': 'system/metrics.ts',
};

/** Pure: no package, no node: module, no log, no error table; what happens outside reaches them as events. */
const pure = [
	'rollout/',
	'coordination/',
	'fleet/core/core.ts',
	'fleet/core/durable.ts',
	'fleet/core/events.ts',
	'fleet/core/state.ts',
	'fleet/core/turn.ts',
	'workers/replacement/batches.ts',
	'workers/replacement/steps.ts',
	'workers/replacement/due.ts',
	'workers/health/traffic/evidence.ts',
	'workers/pool/lifecycle.ts',
];

interface Import {
	readonly specifier: string;
	readonly typesOnly: boolean;
	/** The file of `src` that it names; null for a package. */
	readonly target: string | null;
}

function list(folder: string): string[] {
	return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
		entry.isDirectory() ? list(join(folder, entry.name)) : [join(folder, entry.name)],
	);
}

const files = list(source)
	.map((file) => relative(source, file))
	.filter((file) => /\.[cm]?ts$/.test(file));

function importsOf(file: string): Import[] {
	const text = readFileSync(join(source, file), 'utf8');
	const found: Import[] = [];
	for (const [, type, names = '', specifier = ''] of text.matchAll(
		/^(?:import|export)\s+(type\s+)?((?:[^;'"]*?\sfrom\s+)?)'([^']+)'/gm,
	))
		found.push(importOf(file, specifier, type !== undefined || onlyTypes(names)));
	for (const [, specifier = ''] of text.matchAll(/^import\s+\w+\s*=\s*require\('([^']+)'\)/gm))
		found.push(importOf(file, specifier, false));
	for (const [, specifier = ''] of text.matchAll(/\bimport\('([^']+)'\)(?!\.)/g))
		found.push(importOf(file, specifier, false));
	return found;
}

function importOf(file: string, specifier: string, typesOnly: boolean): Import {
	const target = specifier.startsWith('.') ? join(dirname(file), specifier).replace(/\.([cm]?)js$/, '.$1ts') : null;
	return { specifier, typesOnly, target };
}

function onlyTypes(names: string): boolean {
	const inside = /^\{([^}]*)\}\s*from/.exec(names.trim())?.[1];
	return inside?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

const imports = new Map(files.map((file) => [file, importsOf(file)]));
const roomOf = (file: string): string => file.split('/')[0] ?? file;

/** Whether a file may import another one of `src`. */
function isAllowed(file: string, { target, typesOnly }: Import): boolean {
	if (target === null) return true;
	const [from, to] = [roomOf(file), roomOf(target)];
	if (from === to || from === 'main.ts' || shared.includes(to)) return true;
	if (shared.includes(from)) return to === 'system';
	const room = rooms[from];
	const mayKnow = room?.mayKnow.some((one) => one === to || `${one}.ts` === target) ?? false;
	return mayKnow || (typesOnly && (room?.types?.includes(to) ?? false));
}

const isPure = (file: string): boolean => pure.some((one) => (one.endsWith('/') ? file.startsWith(one) : file === one));

/** Files that import each other in a circle by what runs, not by types, sorted. */
function circles(): string[] {
	const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
		(imports.get(from) ?? []).some(({ target, typesOnly }) => {
			if (target === null || typesOnly || seen.has(target)) return false;
			seen.add(target);
			return target === to || reaches(target, to, seen);
		});
	return files.filter((file) => reaches(file, file)).sort();
}

describe('the rooms of src', () => {
	test('a file imports only rooms that its own room may know, as the table has it', () => {
		const wrong = [...imports].flatMap(([file, found]) =>
			found.filter((one) => !isAllowed(file, one)).map((one) => `${file} imports ${one.target}`),
		);
		assert.deepEqual(wrong, []);
	});

	test('every room stands in the table, and every row has its room', () => {
		const present = new Set(files.filter((file) => file.includes('/')).map(roomOf));
		assert.deepEqual([...present].sort(), Object.keys(rooms).sort());
	});

	test('each of the named packages is imported by one file alone', () => {
		const wrong = [...imports].flatMap(([file, found]) =>
			found
				.filter(({ specifier }) => {
					const owner = packages[specifier.split('/')[0] ?? ''];
					return owner !== undefined && owner !== file;
				})
				.map(({ specifier }) => `${file} imports ${specifier}`),
		);
		assert.deepEqual(wrong, []);
	});

	test('pure files import nothing that runs but each other', () => {
		const wrong = [...imports]
			.filter(([file]) => isPure(file))
			.flatMap(([file, found]) =>
				found
					.filter(({ target, typesOnly }) => !typesOnly && (target === null || !isPure(target)))
					.map(({ specifier }) => `${file} imports ${specifier}`),
			);
		assert.deepEqual(wrong, []);
	});

	test('no files import each other in a circle', () => {
		assert.deepEqual(circles(), []);
	});

	test(`no file has more than ${linesMax} lines, no folder more than ${entriesMax} entries`, () => {
		const long = files
			.map((file) => [file, readFileSync(join(source, file), 'utf8').split('\n').length - 1] as const)
			.filter(([, lines]) => lines > linesMax)
			.map(([file, lines]) => `${file} has ${lines} lines`);
		const folders = new Set(list(source).map((file) => dirname(relative(source, file))));
		folders.delete('.');
		const full = [...folders]
			.map((folder) => [folder, readdirSync(join(source, folder)).length] as const)
			.filter(([, entries]) => entries > entriesMax)
			.map(([folder, entries]) => `${folder} has ${entries} entries`);
		assert.deepEqual([...long, ...full], []);
	});
});
