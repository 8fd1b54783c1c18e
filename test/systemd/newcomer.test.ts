import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { names } from '../support/fleet/host-fleet.js';
import { type Host, repository, TestHosts } from '../support/hosts/hosts.js';
import { servingOn } from '../support/hosts/installed-host.js';
import { lossOf, startLoad } from '../support/workers/load.js';
import { codeBlocks, readPage } from '../support/pages/pages.js';

const network = '10.88.4';
const minutesMax = 5;
const run = promisify(execFile);

let bed: TestHosts;
let folder: string;
const hosts: Host[] = [];
before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-new-'));
	bed = await TestHosts.create('rcnew', network);
	hosts.push(...(await Promise.all(names.map((name, index) => bed.up(name, index + 1)))));
});
after(async () => {
	await bed?.clear();
	await rm(folder, { recursive: true, force: true });
});

/** The code blocks of the README below a heading. */
const blocksBelow = (heading: string): string[] =>
	codeBlocks(readPage('README.md').split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '');

/** The README's addresses are the author's; whoever follows it has others. */
const here = (text: string): string => text.replaceAll('10.0.0.', `${network}.`);

test('whoever follows the README word by word has three fresh hosts rolling within five minutes, without a lost request', async (t) => {
	const [app = ''] = codeBlocks(readPage('src/manual/begin/quickstart-fleet.md'));
	const [onOwnMachine = '', onEachHost = '', onAny = ''] = blocksBelow('A fleet');
	assert.match(onEachHost, /^name=alpha\n/);
	const [clone, bin] = [join(folder, 'rollcall'), join(folder, 'bin')];
	await Promise.all([clone, bin].map((path) => mkdir(path)));
	const parts = ['node_modules', 'dist', '.git', 'fleet-ca'].map((part) => `--exclude=./${part}`).join(' ');
	await run('sh', ['-c', `tar -cf - ${parts} -C "$1" . | tar -xf - -C "$2"`, 'sh', repository, clone]);
	await bed.writeSecureShell(join(bin, 'ssh'));
	await Promise.all(hosts.map((host) => host.write('/srv/web/server.js', app)));

	const began = performance.now();
	const took = () => `${((performance.now() - began) / 1000).toFixed(0)} s`;
	const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, npm_config_prefer_offline: 'true' };
	await run('bash', ['-euc', onOwnMachine], { cwd: clone, env, maxBuffer: 64 * 1024 * 1024 });
	t.diagnostic(`built, and brought to three hosts: ${took()}`);
	for (const [index, name] of names.entries()) {
		const text = here(onEachHost).replace(/^name=alpha\n/, `name=${name}\n`);
		const { code, stdout, stderr } = (await hosts[index]?.try(['bash', '-euc', `cd /root\n${text}`])) ?? {};
		assert.equal(code, 0, `${name}: ${stdout}${stderr}`);
	}
	t.diagnostic(`installed on three hosts: ${took()}`);
	const before = await Promise.all(hosts.map((host) => servingOn(host, 2)));
	const load = startLoad({ urls: hosts.map(({ address }) => `http://${address}:8080/`), ratePerSecond: 60 });
	await load.answered(60);
	const [first] = hosts;
	const { code, stdout, stderr } = (await first?.try(['bash', '-euc', onAny])) ?? {};
	assert.equal(code, 0, `${stdout}${stderr}`);
	const tookMs = performance.now() - began;
	t.diagnostic(`the first roll has completed: ${took()} (a newcomer has ${minutesMax} minutes)`);
	await load.answered(60);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.match(stdout ?? '', /^alpha is ready/);
	assert.match(stdout ?? '', /^completed: http_workers, 3 of 3 nodes back/m);
	assert.deepEqual([report.lost, report.failures], [0, []]);
	for (const [index, host] of hosts.entries()) {
		const pids = await servingOn(host, 2);
		assert.ok(pids.every((pid) => !before[index]?.includes(pid)));
	}
	assert.ok(tookMs < minutesMax * 60_000, `it took ${tookMs} ms`);
});

test('the lines of the README for one host, typed as they are where it is built, have its workers rolled', async () => {
	const [app = ''] = codeBlocks(readPage('src/manual/begin/quickstart-host.md'));
	const [lines = ''] = blocksBelow('One host');
	assert.match(lines, /^npm ci +#/);
	const solo = await bed.up('solo', names.length + 1);
	await solo.write('/srv/web/server.js', app);
	const text = lines.replace(/^npm ci.*\n/, '');
	// The hosts see this clone read-only; the newcomer writes into its own.
	const clone = `mkdir /srv/rollcall && cd ${repository} && cp -r dist src node_modules config systemd *.json *.md LICENSE /srv/rollcall`;
	const { code, stdout, stderr } = await solo.try(['bash', '-euc', `${clone}\ncd /srv/rollcall\n${text}`]);
	assert.equal(code, 0, `${stdout}${stderr}`);
	assert.match(stdout, /^completed: http_workers, 1 of 1 node/m);
	await servingOn(solo, 2);
});
