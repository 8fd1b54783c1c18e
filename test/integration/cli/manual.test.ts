/** The manual is where the program is: in a clone, in a release folder of `rollcall install`, in both packages and in npm's. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { pagePath, topics } from '../../../src/cli/commands/help.js';
import { documentParts, programSteps } from '../../../src/cli/install/release.js';
import { stagePayload } from '../../../src/package/payload.js';
import { runCommand } from '../../support/cli/command.js';
import { repository } from '../../support/pages/pages.js';

const run = promisify(execFile);
const nothingBundled = {
	bundled: [],
	sbom: {
		metadata: { component: { 'bom-ref': 'rollcall@0', name: 'rollcall', version: '0', purl: 'pkg:npm/rollcall@0' } },
		components: [],
		dependencies: [],
	},
};

let folder: string;
before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-manual-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** What the program in a folder says, started elsewhere. */
async function helpOf(program: string, ...words: string[]): Promise<string> {
	const { stdout } = await run('node', [join(program, 'dist/src/main.js'), 'help', ...words], { cwd: '/' });
	return stdout;
}

test('rollcall help lists every topic, and shows each page as text', async () => {
	const list = await runCommand(['help']);
	assert.deepEqual([list.code, list.stderr], [0, '']);
	assert.equal((await runCommand(['--no-color', 'help', '--help'])).stdout, list.stdout);
	for (const topic of topics()) assert.match(list.stdout, new RegExp(`^- ${topic}: `, 'm'));
	const page = await runCommand(['help', 'certificates', '--no-color']);
	assert.deepEqual([page.code, page.stderr], [0, '']);
	assert.match(page.stdout, /^# Certificates\n[\s\S]*^ {4}rollcall ca issue alpha --dir fleet-ca --force$/m);
});

test('a word that is no topic ends with 2, the topics and the nearest', async () => {
	const { code, stdout, stderr } = await runCommand(['help', 'trubleshooting']);
	assert.deepEqual([code, stdout], [2, '']);
	assert.match(stderr, /Did you mean rollcall help troubleshooting\?\nTopics: benchmarks, .*users-and-tokens/);
});

test('a release folder that install makes has the manual', async () => {
	const place = join(folder, 'lib');
	for (const step of programSteps(place, join(folder, 'releases'))) await step.act();
	assert.equal(await helpOf(place, 'limits'), await helpOf(repository, 'limits'));
});

test('the content of the packages has the manual', async () => {
	const payload = join(folder, 'payload');
	stagePayload(repository, payload, '1.0.0', nothingBundled);
	await symlink(join(repository, 'node_modules'), join(payload, 'node_modules'));
	assert.equal(await helpOf(payload), await helpOf(repository));
	assert.deepEqual(await readdir(join(payload, 'src')), ['manual']);
});

test('what npm packs has the manual, and every other document that a host has', async () => {
	const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
		cwd: repository,
		maxBuffer: 16 * 1024 * 1024,
	});
	const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
	const paths = files.map(({ path }) => path);
	for (const topic of topics()) assert.ok(paths.includes(`src/manual/${pagePath(topic)}`), topic);
	for (const part of documentParts)
		assert.ok(
			paths.some((path) => path === part || path.startsWith(`${part}/`)),
			part,
		);
});
