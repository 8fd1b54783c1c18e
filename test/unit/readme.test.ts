import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.js';
import { faults } from '../../src/errors.js';
import { operations } from '../../src/operations/table.js';
import { readmeFile, readReadme, withGeneratedParts } from '../support/pages/readme.js';

const root = new URL('./', readmeFile);

test('the generated parts of the README are as the code has them (npm run readme)', () => {
	const page = readReadme();
	assert.equal(page, withGeneratedParts(page));
});

test('the README names every command, and none that does not exist', () => {
	const page = readReadme();
	const known = commandsBelow(program(), []);
	for (const words of known) assert.ok(page.includes(`rollcall ${words.join(' ')}`), `rollcall ${words.join(' ')}`);
	const names = new Set([...known.map(([first]) => first), ...operations.map(({ name }) => name)]);
	for (const [, word = ''] of codeOf(page).matchAll(/(?:^|[\s(])(?:rollcall|dist\/src\/main\.js) ([a-z][a-z_-]*)/gm)) {
		assert.ok(names.has(word), `there is no command or operation 'rollcall ${word}'`);
	}
});

test('every npm script and every file that the README names exists', () => {
	const page = readReadme();
	const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
		scripts: Record<string, string>;
	};
	const named = [...page.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name ?? '');
	assert.ok(named.length > 5);
	for (const name of named) assert.ok(scripts[name], `there is no script ${name}`);
	for (const [, path] of page.matchAll(/\]\(([\w./-]+)\)/g)) {
		assert.ok(existsSync(new URL(path ?? '', root)), `there is no file ${path}`);
	}
});

test('the README names every exit code that a command can end with', () => {
	const codes = new Set<number>([0, 130, ...Object.values(faults).map(({ exit }) => exit)]);
	const rows = [...readReadme().matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
	assert.deepEqual(new Set(rows), codes);
});

function program(): Command {
	const nothing = async () => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	return buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
}

/** The words of every command that does something itself. */
function commandsBelow(command: Command, before: string[]): string[][] {
	return command.commands.flatMap((below) => {
		const words = [...before, below.name()];
		return below.commands.length > 0 ? commandsBelow(below, words) : [words];
	});
}

/** What stands in code blocks and between backticks. */
function codeOf(page: string): string {
	const blocks = [...page.matchAll(/```[a-z]*\n([\s\S]*?)```/g)].map(([, text]) => text);
	const words = [...page.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].map(([, text]) => text);
	return [...blocks, ...words].join('\n');
}
