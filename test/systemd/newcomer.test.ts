import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type ClusterStatus, names } from '../support/fleet/host-fleet.js';
import { type Host, repository, TestHosts } from '../support/hosts/hosts.js';
import { nodePackage } from '../support/hosts/node-package.js';
import { operation, servingOn } from '../support/hosts/installed-host.js';
import { lossOf, startLoad } from '../support/workers/load.js';
import { codeBlocks, readPage } from '../support/pages/pages.js';

const network = '10.88.4';
const minutesMax = 5;
/** The node that comes later. */
const added = 'delta';
const run = promisify(execFile);

let bed: TestHosts;
let folder: string;
const hosts: Host[] = [];
before(async () => {
	// Below the repository, so that the hosts see it.
	await mkdir(join(repository, 'dist'), { recursive: true });
	folder = await mkdtemp(join(repository, 'dist/newcomer-'));
	bed = await TestHosts.create('rcnew', network);
	hosts.push(...(await Promise.all([...names, added].map((name, index) => bed.up(name, index + 1)))));
	const node = await nodePackage(folder, '20.19.2+dfsg-1');
	await Promise.all(hosts.map((host) => host.run('dpkg', '--install', node)));
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

test('who follows the README word by word has three fresh hosts rolling within five minutes, without a lost request', async (t) => {
	const [app = ''] = codeBlocks(readPage('src/manual/begin/quickstart-fleet.md'));
	const [onOwnMachine = '', onEachHost = '', onAny = ''] = blocksBelow('A fleet');
	assert.match(onEachHost, / --bundle alpha\.tgz /);
	const [clone, bin] = [join(folder, 'rollcall'), join(folder, 'bin')];
	await Promise.all([clone, bin].map((path) => mkdir(path)));
	const parts = ['node_modules', 'dist', '.git'].map((part) => `--exclude=./${part}`).join(' ');
	await run('sh', ['-c', `tar -cf - ${parts} -C "$1" . | tar -xf - -C "$2"`, 'sh', repository, clone]);
	await bed.writeSecureCopy(join(bin, 'scp'));
	await Promise.all(hosts.map((host) => host.write('/srv/web/server.js', app)));

	const began = performance.now();
	const took = () => `${((performance.now() - began) / 1000).toFixed(0)} s`;
	const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, npm_config_prefer_offline: 'true' };
	await run('bash', ['-euc', here(onOwnMachine)], { cwd: clone, env, maxBuffer: 64 * 1024 * 1024 });
	t.diagnostic(`built, and brought to three hosts: ${took()}`);
	await Promise.all(
		names.map(async (name, index) => {
			const text = onEachHost.replace('alpha.tgz', `${name}.tgz`);
			const { code, stdout, stderr } = (await hosts[index]?.try(['bash', '-euc', `cd /root\n${text}`])) ?? {};
			assert.equal(code, 0, `${name}: ${stdout}${stderr}`);
		}),
	);
	t.diagnostic(`installed on three hosts: ${took()}`);
	const fleet = hosts.slice(0, names.length);
	const before = await Promise.all(fleet.map((host) => servingOn(host, 2)));
	const load = startLoad({ urls: fleet.map(({ address }) => `http://${address}:8080/`), ratePerSecond: 60 });
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
	for (const [index, host] of fleet.entries()) {
		const pids = await servingOn(host, 2);
		assert.ok(pids.every((pid) => !before[index]?.includes(pid)));
	}
	assert.ok(tookMs < minutesMax * 60_000, `it took ${tookMs} ms`);
});

test('the lines that fleet add prints bring a fourth node in, without a lost request; a bundle again changes nothing, a renewed one is taken up', async (t) => {
	const [first, , , fourth] = hosts;
	assert.ok(first && fourth);
	const clone = join(folder, 'rollcall');
	const home = async (...words: string[]) => {
		const { stdout } = await run('node', ['dist/src/main.js', 'fleet', ...words, '--json'], { cwd: clone });
		return JSON.parse(stdout) as { nodes: { node: string }[]; steps: { hosts: string[]; lines: string[] }[] };
	};
	const bring = (...nodes: string[]) =>
		Promise.all(nodes.map((name) => run(join(folder, 'bin/scp'), [join(clone, `shop/${name}.tgz`), `root@${name}:`])));
	const pids = await Promise.all(hosts.slice(0, names.length).map((host) => servingOn(host, 2)));
	const load = startLoad({
		urls: hosts.slice(0, names.length).map(({ address }) => `http://${address}:8080/`),
		ratePerSecond: 60,
	});
	const { steps } = await home('add', 'shop', '--node', `${added}=${network}.4`);
	await bring(...names, added);
	await run(join(folder, 'bin/scp'), [join(clone, 'dist/package/rollcall_0.1.0_all.deb'), `root@${added}:`]);
	for (const { hosts: on, lines } of steps) {
		for (const name of on.length > 0 ? on : ['beta']) {
			const host = hosts.find((one) => one.name === name);
			const text = lines.join('\n').replaceAll('NODE', name);
			const { code, stdout, stderr } = (await host?.try(['bash', '-euc', `cd /root\n${text}`])) ?? {};
			assert.equal(code, 0, `${name}: ${text}\n${stdout}${stderr}`);
		}
	}
	await servingOn(fourth, 2);
	const { nodes } = await operation<ClusterStatus>(first, 'cluster_status');
	assert.deepEqual(nodes.map(({ name, link }) => `${name} ${link}`).sort(), [
		'alpha self',
		'beta up',
		'delta up',
		'gamma up',
	]);
	await first.run('test', '-s', '/etc/rollcall/rollcall.yaml.old');
	assert.equal(
		await fourth.shell('stat -c "%a %U %G" /etc/rollcall/tls/key.pem /etc/rollcall/rollcall.yaml'),
		'640 root rollcall\n640 root rollcall',
	);

	const install = (host: Host, name: string) =>
		host.try(['sh', '-c', `cd /root; rollcall install --bundle ${name}.tgz --now --json`]);
	const again = await install(fourth, added);
	assert.doesNotMatch(again.stdout, /"outcome":"done"/);
	const wrong = await install(first, added);
	assert.deepEqual([wrong.code, wrong.stdout], [1, '']);
	const strangers = await fourth.try([
		'sh',
		'-c',
		'cp /root/delta.tgz /tmp/theirs.tgz; chown web /tmp/theirs.tgz; rollcall install --bundle /tmp/theirs.tgz',
	]);
	assert.match(strangers.stderr, /belongs to user \d+, who could have put anything in it/);
	const serialOf = (host: Host) => host.shell('openssl x509 -in /etc/rollcall/tls/cert.pem -noout -serial');
	const serial = await serialOf(fourth);
	await home('renew', 'shop', added);
	await bring(added);
	const renewed = await install(fourth, added);
	assert.match(renewed.stdout, /"text":"systemctl reload rollcall.service","outcome":"done"/, renewed.stderr);
	assert.notEqual(await serialOf(fourth), serial);
	await first.until(
		'the new node linked with its new certificate',
		() => operation<ClusterStatus>(first, 'cluster_status'),
		({ nodes: rows }) => rows.every(({ link }) => link === 'up' || link === 'self'),
	);
	await load.answered(30);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	for (const [index, host] of hosts.slice(0, names.length).entries())
		assert.deepEqual(await servingOn(host, 2), pids[index]);
});

test('the lines of the README for one host, typed as they are where it is built, have its workers rolled', async () => {
	const [app = ''] = codeBlocks(readPage('src/manual/begin/quickstart-host.md'));
	const [lines = ''] = blocksBelow('One host');
	assert.match(lines, /^npm ci +#/);
	const solo = await bed.up('solo', names.length + 2);
	await solo.write('/srv/web/server.js', app);
	const text = lines.replace(/^npm ci.*\n/, '');
	// The hosts see this clone read-only; the newcomer writes into its own.
	const clone = `mkdir /srv/rollcall && cd ${repository} && cp -r dist src node_modules config systemd *.json *.md LICENSE /srv/rollcall`;
	const { code, stdout, stderr } = await solo.try(['bash', '-euc', `${clone}\ncd /srv/rollcall\n${text}`]);
	assert.equal(code, 0, `${stdout}${stderr}`);
	assert.match(stdout, /^completed: http_workers, 1 of 1 node/m);
	await servingOn(solo, 2);
});
