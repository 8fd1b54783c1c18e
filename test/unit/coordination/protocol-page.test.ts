/** `src/coordination/PROTOCOL.md` says what the simulator judges, which rules it takes out, and which messages there are. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { messageKinds } from '../../../src/fleet/messages.js';
import { mutants } from '../../simulation/mutants.js';

const page = new URL('../../../../src/coordination/PROTOCOL.md', import.meta.url);
const simulation = new URL('../../../../test/simulation/', import.meta.url);
const text = readFileSync(page, 'utf8');

interface Row {
	readonly judges: readonly string[];
	/** Under which names its violations are raised. */
	readonly raisedAs: readonly string[];
	readonly mutants: readonly string[];
}

const rowOf = (name: string, judge: string, taken: string): [string, Row] => [
	name,
	{
		judges: [...judge.matchAll(/\[([\w.-]+)\]/g)].map(([, file = '']) => file),
		raisedAs: / as (.+)$/.exec(judge)?.[1]?.split(', ') ?? [name],
		mutants: [...taken.matchAll(/`([\w-]+)`/g)].map(([, mutant = '']) => mutant),
	},
];
const rows = new Map(
	[...text.matchAll(/^\| \*\*([\w-]+)\*\* \| .+ \| (.+) \| (.+) \|$/gm)].map(([, name = '', judge = '', taken = '']) =>
		rowOf(name, judge, taken),
	),
);

/** The names of violations, and the files of the simulator that raise them. */
function raised(): Map<string, string[]> {
	const found = new Map<string, string[]>();
	for (const file of readdirSync(simulation)
		.filter((one) => one.endsWith('.ts'))
		.sort()) {
		const source = readFileSync(new URL(file, simulation), 'utf8');
		const names = [...source.matchAll(/(?:\bfail|\bViolation)\(\s*'([^']+)'/g)].map(([, name = '']) => name);
		for (const name of new Set(names)) found.set(name, [...(found.get(name) ?? []), file]);
	}
	return found;
}

test('every invariant that the simulator judges has a row with the files that judge it, and every row has its judge', () => {
	const judged = raised();
	assert.ok(judged.size > 20);
	assert.equal(rows.size, text.match(/^\| \*\*/gm)?.length, 'a row has another form, or a name two rows');
	for (const [name, files] of judged) assert.deepEqual(rows.get(name)?.judges, files, `the row of ${name}`);
	for (const [name, { judges, raisedAs }] of rows)
		for (const one of raisedAs)
			for (const file of judges) assert.ok(judged.get(one)?.includes(file), `${name}: ${file} raises no ${one}`);
});

test('every mutant stands in the row of each invariant that it serves, and no row names another', () => {
	const served = Object.values(mutants).flatMap((one) => one.serves);
	assert.deepEqual(
		[...new Set(served)].filter((name) => !rows.has(name)),
		[],
	);
	for (const [name, row] of rows) {
		const serving = Object.entries(mutants).filter(([, { serves }]) => serves.includes(name));
		assert.deepEqual(
			row.mutants,
			serving.map(([mutant]) => mutant),
			`the mutants of ${name}`,
		);
	}
});

test('every message that there is has its row, and no row names another', () => {
	const table = /\n\| kind \| says \|\n([\s\S]+?)\n\n/.exec(text)?.[1] ?? '';
	const kinds = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind);
	assert.deepEqual(kinds.sort(), [...messageKinds.keys()].sort());
});

test('every file that the page links to, and every script, is there', () => {
	const targets = [...text.matchAll(/\]\((\.[^)]+)\)|^\[[\w.-]+\]: (\S+)$/gm)].map(([, a, b]) => a ?? b ?? '');
	assert.ok(targets.length > 10);
	for (const target of targets) assert.ok(existsSync(new URL(target, page)), `${target} is not there`);
	for (const { judges } of rows.values())
		for (const file of judges) assert.ok(text.includes(`\n[${file}]: `), `[${file}] links to nothing`);
	for (const script of readdirSync(new URL('scripts/', simulation)))
		assert.ok(
			targets.some((target) => target.endsWith(`/${script}`)),
			`no link to scripts/${script}`,
		);
});
