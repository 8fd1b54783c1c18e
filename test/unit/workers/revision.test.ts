/** A release is called by its REVISION file, else by its commit, else by a hash of its script; what cannot be read safely is passed over. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
	chmodSync,
	chownSync,
	mkdirSync,
	mkdtempSync,
	realpathSync,
	rmSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { releaseOf, revisionOf } from '../../../src/workers/host/revision.js';
import { revisionText } from '../../../src/workers/host/revision-text.js';
import { isReleaseQuestion, readReleases } from '../../../src/workers/pm2/releases.js';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'rr-')));
chmodSync(root, 0o755);
after(() => rmSync(root, { recursive: true, force: true }));
const program = 'console.log(1);\n';
const hash = `sha256:${createHash('sha256').update(program).digest('hex')}`;
let folders = 0;

/** A folder of its own with a script. */
function release(below = ''): { folder: string; script: string } {
	folders += 1;
	const folder = join(root, String(folders));
	mkdirSync(join(folder, below), { recursive: true });
	const script = join(folder, below, 'server.js');
	writeFileSync(script, program);
	return { folder, script };
}

const git = (folder: string, ...words: string[]): string =>
	execFileSync(
		'git',
		['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'protocol.file.allow=always', ...words],
		{
			encoding: 'utf8',
			stdio: ['ignore', 'pipe', 'ignore'],
			env: {
				...process.env,
				GIT_CONFIG_GLOBAL: '/dev/null',
				GIT_CONFIG_SYSTEM: '/dev/null',
			},
		},
	).trim();

function repository(...options: string[]): {
	folder: string;
	script: string;
	commit: string;
} {
	const made = release('dist');
	git(made.folder, 'init', '-q', '-b', 'main', ...options);
	git(made.folder, 'add', '.');
	git(made.folder, 'commit', '-q', '-m', 'one');
	return { ...made, commit: git(made.folder, 'rev-parse', 'HEAD') };
}

/** Calls as a user who owns nothing here: as root each file can be read. */
function asNobody<Value>(call: () => Value): Value {
	if (process.geteuid?.() !== 0) return call();
	process.seteuid?.(65_534);
	try {
		return call();
	} finally {
		process.seteuid?.(0);
	}
}

describe('the REVISION file', () => {
	for (const [what, content, expected] of [
		['is one line', '3f786850e387\n', '3f786850e387'],
		['gives its first line alone', '\r\n v1.2 \r\nsecond\n', 'v1.2'],
		['has no control characters left', 'a\u001b[31mb\u0000c\u202ed\u2028e', 'a [31mb c d e'],
		['is cut at its bound', 'x'.repeat(3_000), 'x'.repeat(128)],
		['counts for nothing when empty', ' \n\n', hash],
		['counts for nothing when it is long', `v1\n${'y'.repeat(5_000)}`, hash],
	] as const) {
		test(what, () => {
			const { folder, script } = release();
			writeFileSync(join(folder, 'REVISION'), content);
			assert.equal(revisionOf(script), expected);
		});
	}

	test('lies beside the script or above it; the nearer one counts, before a commit at the same place', () => {
		const { folder, script } = repository();
		writeFileSync(join(folder, 'REVISION'), 'outer');
		assert.equal(revisionOf(script), 'outer');
		writeFileSync(join(folder, 'dist', 'REVISION'), 'inner');
		assert.equal(revisionOf(script), 'inner');
	});

	test('that is a pipe, a link, a folder, sparse and huge, or unreadable is passed over at once', () => {
		const { folder, script } = release();
		const file = join(folder, 'REVISION');
		execFileSync('mkfifo', [file]);
		assert.equal(revisionOf(script), hash);
		unlinkSync(file);
		writeFileSync(join(folder, 'secret'), 'secret');
		symlinkSync('secret', file);
		assert.equal(revisionOf(script), hash);
		unlinkSync(file);
		mkdirSync(file);
		assert.equal(revisionOf(script), hash);
		rmSync(file, { recursive: true });
		writeFileSync(file, 'huge');
		truncateSync(file, 8 * 1024 ** 3);
		assert.equal(revisionOf(script), hash);
		unlinkSync(file);
		writeFileSync(file, 'closed', { mode: 0 });
		assert.equal(
			asNobody(() => revisionOf(script)),
			hash,
		);
	});
});

describe('the commit', () => {
	test('is read from a branch, a packed branch, a detached HEAD, a worktree, a submodule and a bare link between refs', () => {
		const { folder, script, commit } = repository();
		assert.equal(revisionOf(script), commit);
		git(folder, 'pack-refs', '--all');
		assert.equal(revisionOf(script), commit, 'packed');
		git(folder, 'worktree', 'add', '-q', '-b', 'side/branch', join(root, 'tree'));
		git(join(root, 'tree'), 'commit', '-q', '--allow-empty', '-m', 'two');
		const second = git(join(root, 'tree'), 'rev-parse', 'HEAD');
		assert.notEqual(second, commit);
		assert.equal(revisionOf(join(root, 'tree', 'dist', 'server.js')), second, 'worktree');
		git(join(root, 'tree'), 'pack-refs', '--all');
		assert.equal(revisionOf(join(root, 'tree', 'dist', 'server.js')), second, 'worktree, packed');
		git(folder, 'symbolic-ref', 'refs/heads/alias', 'refs/heads/side/branch');
		git(folder, 'symbolic-ref', 'HEAD', 'refs/heads/alias');
		assert.equal(revisionOf(script), second, 'over another ref');
		git(folder, 'checkout', '-q', '--detach', commit);
		assert.equal(revisionOf(script), commit, 'detached');
		const outer = repository();
		git(outer.folder, 'submodule', '--quiet', 'add', folder, 'part');
		const part = join(outer.folder, 'part');
		assert.equal(revisionOf(join(part, 'dist', 'server.js')), git(part, 'rev-parse', 'HEAD'), 'submodule');
		const long = repository('--object-format=sha256');
		assert.match(long.commit, /^[0-9a-f]{64}$/);
		assert.equal(revisionOf(long.script), long.commit, 'SHA-256');
	});

	for (const [what, head] of [
		['without a commit yet', 'ref: refs/heads/none\n'],
		['that leads out of the repository', 'ref: refs/../../../../etc/passwd\n'],
		['with no hash', 'root:x:0:0\n'],
		['that names itself', 'ref: refs/heads/loop\n'],
		['that is huge', `ref: refs/heads/${'x'.repeat(5_000)}`],
	] as const) {
		test(`of a HEAD ${what} is passed over`, () => {
			const { folder, script } = release();
			mkdirSync(join(folder, '.git', 'refs', 'heads'), { recursive: true });
			writeFileSync(join(folder, '.git', 'HEAD'), head);
			writeFileSync(join(folder, '.git', 'refs', 'heads', 'loop'), 'ref: refs/heads/loop\n');
			assert.equal(revisionOf(script), hash);
		});
	}

	test('of a .git that is a pipe, or whose HEAD is one, is passed over at once', () => {
		const { folder, script } = release();
		execFileSync('mkfifo', [join(folder, '.git')]);
		assert.equal(revisionOf(script), hash);
		unlinkSync(join(folder, '.git'));
		mkdirSync(join(folder, '.git'));
		execFileSync('mkfifo', [join(folder, '.git', 'HEAD')]);
		assert.equal(revisionOf(script), hash);
	});

	test('of another user who can write above the release is not taken for it', (t) => {
		const { folder, script } = release('app');
		writeFileSync(join(folder, 'REVISION'), 'stranger');
		assert.equal(revisionOf(script), 'stranger');
		if (process.geteuid?.() !== 0) return t.diagnostic('only root can give a file away');
		chownSync(join(folder, 'REVISION'), 65_533, 65_533);
		assert.equal(revisionOf(script), hash);
	});
});

test('a script that is huge, unreadable, no file or gone has no revision, and links are resolved', () => {
	const { folder, script } = release();
	symlinkSync('server.js', join(folder, 'current.js'));
	assert.deepEqual(releaseOf(join(folder, 'current.js')), {
		path: script,
		revision: hash,
		readable: true,
	});
	writeFileSync(script, 'other');
	assert.notEqual(revisionOf(script), hash, 'a script that was written over has another hash');
	truncateSync(script, 33 * 1024 * 1024);
	assert.equal(revisionOf(script), null);
	writeFileSync(script, program);
	chmodSync(script, 0);
	assert.equal(
		asNobody(() => revisionOf(script)),
		null,
	);
	assert.equal(revisionOf(folder), null);
	assert.deepEqual(releaseOf(join(folder, 'none.js')), {
		path: join(folder, 'none.js'),
		revision: null,
		readable: false,
	});
});

test('what a worker host says of releases is believed no more than its words allow', () => {
	const told = {
		releases: [
			{ path: '/a', revision: 'x\u001b\n', readable: false },
			{ path: 7, revision: {}, readable: {} },
		],
	};
	assert.deepEqual(readReleases(told, ['/link', '/b', '/c']), [
		{ path: '/a', revision: 'x', readable: false },
		{ path: '/b', revision: null, readable: true },
		{ path: '/c', revision: null, readable: true },
	]);
	assert.deepEqual(readReleases(null, ['/b']), [{ path: '/b', revision: null, readable: true }]);
	assert.equal(revisionText('é'.repeat(10_000_000)), 'é'.repeat(128));
	assert.equal(isReleaseQuestion({ scripts: ['/a'] }), true);
	for (const bad of [null, {}, { scripts: '/a' }, { scripts: [7] }, { scripts: ['x'.repeat(5_000)] }])
		assert.equal(isReleaseQuestion(bad), false);
	assert.equal(isReleaseQuestion({ scripts: Array.from({ length: 257 }, () => '/a') }), false);
});
