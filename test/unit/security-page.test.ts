import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

test('every row of SECURITY.md names a test that exists', async () => {
	const root = new URL('../../../', import.meta.url);
	const page = await readFile(new URL('SECURITY.md', root), 'utf8');
	const rows = page.split('\n').filter((line) => line.startsWith('| ') && line.includes('test/'));
	const tables = page.split('\n').filter((line) => /^\| (attack|secret) \|/.test(line));
	assert.ok(rows.length > 30 && tables.length >= 4);
	for (const row of rows) {
		const [, file, title] = /`(test\/[\w/.-]+\.test\.ts)` "([^"]+)" \|$/.exec(row) ?? [];
		assert.ok(file && title, `no test is named in: ${row}`);
		const source = await readFile(new URL(file, root), 'utf8');
		// A title that is too long for a line, or holds an apostrophe, is still one string of the source.
		assert.ok(source.includes(title), `${file} has no test "${title}"`);
	}
});
