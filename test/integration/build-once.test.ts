import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'rc-build-'));
after(() => rmSync(folder, { recursive: true }));

const { scripts } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
	scripts: Record<string, string>;
};

/** Runs `prestart` with an npm that only notes that it was called. */
function builds(): boolean {
	const note = join(folder, 'noted');
	rmSync(note, { force: true });
	const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}`, NOTE: note };
	execFileSync('sh', ['-c', scripts['prestart'] ?? ''], { cwd: folder, env, stdio: 'pipe' });
	return existsSync(note) && readFileSync(note, 'utf8') === 'run build\n';
}

test('npm start builds what is not built, or older than any source, and nothing else; npm test always builds', () => {
	for (const name of ['bin', 'dist', 'src/room', 'test', 'config']) mkdirSync(join(folder, name), { recursive: true });
	writeFileSync(join(folder, 'bin/npm'), '#!/bin/sh\necho "$@" > "$NOTE"\n', { mode: 0o755 });
	const files = [
		'src/room/a.ts',
		'test/a.test.ts',
		'config/bundle.mjs',
		'package.json',
		'package-lock.json',
		'tsconfig.json',
	];
	for (const file of files) writeFileSync(join(folder, file), '');
	assert.ok(builds(), 'there is no build');
	const built = join(folder, 'dist/built');
	writeFileSync(built, '');
	const at = Math.ceil(Date.now() / 1_000) + 10;
	utimesSync(built, at, at);
	assert.ok(!builds(), 'the build is newer than every source');
	// A folder changes when a file in it is removed.
	for (const source of [...files, 'src/room']) {
		utimesSync(join(folder, source), at + 10, at + 10);
		assert.ok(builds(), `${source} is newer than the build`);
		utimesSync(join(folder, source), at - 10, at - 10);
	}
	assert.ok(!builds());
	assert.equal(scripts['pretest'], 'npm run build');
	assert.match(scripts['build'] ?? '', /^tsc && node config\/bundle\.mjs && touch dist\/built$/);
});
