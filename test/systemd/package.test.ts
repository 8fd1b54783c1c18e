/** The packages are the same bytes whenever they are built; the .deb comes, changes and goes without touching what runs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { installShape } from '../../src/cli/output/json-schemas.js';
import { type CommandResult, type Host, repository, TestHosts } from '../support/hosts/hosts.js';
import { isActive, mainPidOf, processesOf, servingOn, writeApp } from '../support/hosts/installed-host.js';
import { nodePackage } from '../support/hosts/node-package.js';
import { lossOf, startLoad } from '../support/workers/load.js';

const run = promisify(execFile);
const outputBytesMax = 64 * 1024 * 1024;
const daemon = 'rollcall.service';
const workerHost = 'rollcall-workers@web.service';
const configuration = `
node: {name: alpha}
operations_api: {socket: {group: rollcall}}
http_workers:
  - {name: web, script: ./server.js, cwd: /srv/web, user: web, instances: 2, env: {PORT: "8080"}, health: {path: /healthz}}
`;
const configFile = '/etc/rollcall/rollcall.yaml';

let hosts: TestHosts;
let host: Host;
/** Below the repository, so that the hosts see it. */
let folder: string;
let older: string;
let newer: string;
let tarball: string;
let unpacked: string;

before(async () => {
	await mkdir(join(repository, 'dist'), { recursive: true });
	folder = await mkdtemp(join(repository, 'dist/packages-'));
	[older = '', tarball = ''] = await build('first', '1.0.0');
	[newer = ''] = await build('newer', '1.0.1');
	unpacked = join(folder, 'unpacked');
	await run('dpkg-deb', ['--extract', older, unpacked]);
	hosts = await TestHosts.create('rcpack', '10.88.6');
	host = await hosts.up('alpha', 1);
});
after(async () => {
	await hosts?.clear();
	await rm(folder, { recursive: true, force: true });
});

/** Paths of the .deb and of the npm tarball. */
async function build(name: string, version: string, shell = ''): Promise<string[]> {
	const words = ['dist/src/package/package.js', '--version', version, '--output', join(folder, name)];
	const text = `${shell}\nexec node "$@"`;
	const { stdout } = await run('sh', ['-euc', text, 'sh', ...words], { cwd: repository });
	return stdout.trim().split('\n');
}

/** The host name of the registry that npm uses with this environment. */
async function registryHost(env: NodeJS.ProcessEnv): Promise<string> {
	const { stdout } = await run('npm', ['config', 'get', 'registry'], { cwd: '/', env });
	return new URL(stdout.trim()).host;
}

/** With it npm answers with what it is without any settings. */
function withoutNpmSettings(): NodeJS.ProcessEnv {
	const kept = Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith('npm_config_'));
	return { ...Object.fromEntries(kept), npm_config_userconfig: '/dev/null', npm_config_globalconfig: '/nonexistent' };
}

const digest = async (path: string): Promise<string> =>
	createHash('sha256')
		.update(await readFile(path))
		.digest('hex');

const apt = (...words: string[]): Promise<CommandResult> =>
	host.try(['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '--yes', '--allow-downgrades', ...words]);

/** Answers what it printed; apt mixes what the maintainer scripts write into its own output. */
async function aptDoes(...words: string[]): Promise<string> {
	const { code, stdout, stderr } = await apt(...words);
	assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
	return stdout;
}

const releaseNow = (): Promise<string> => host.run('readlink', '/usr/lib/rollcall');

/** Holds the load while something happens: no request is lost, the same workers serve, and their host runs on. */
async function losesNothing(t: TestContext, what: () => Promise<void>): Promise<void> {
	const pids = await servingOn(host, 2);
	const hostPid = await mainPidOf(host, workerHost);
	const load = startLoad({ urls: `http://${host.address}:8080/`, ratePerSecond: 100 });
	await load.answered(100);
	await what();
	await load.answered(100);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	assert.deepEqual(await servingOn(host, 2), pids);
	assert.equal(await mainPidOf(host, workerHost), hostPid);
}

test('built again, under another umask, time zone and folder, the packages are the same bytes', async (t) => {
	const other = await mkdtemp(join(tmpdir(), 'rc-elsewhere-'));
	const again = await build('again', '1.0.0', `umask 077; export TZ=Asia/Tokyo LC_ALL=C TMPDIR=${other}`);
	await rm(other, { recursive: true });
	assert.deepEqual(await Promise.all(again.map(digest)), await Promise.all([older, tarball].map(digest)));
	t.diagnostic(`${((await readFile(older)).length / 1e6).toFixed(1)} MB .deb`);
});

test('what is bundled stands in the SBOM with its checksum, and in licences.txt; nothing is native', async () => {
	const program = join(unpacked, 'usr/lib/rollcall-package');
	const read = (path: string): Promise<string> => readFile(join(program, path), 'utf8');
	const { stdout } = await run('find', [join(program, 'node_modules'), '-name', 'package.json'], {
		maxBuffer: outputBytesMax,
	});
	const packages = stdout.split('\n').filter((path) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path));
	assert.ok(packages.length > 80, `${packages.length} packages`);
	const { components } = JSON.parse(await read('sbom.json')) as {
		components: { name: string; version: string; hashes?: { content: string }[] }[];
	};
	const hashed = new Set(components.filter(({ hashes }) => hashes).map((one) => `${one.name} ${one.version}`));
	const licences = await read('licences.txt');
	for (const path of packages) {
		const { name, version } = JSON.parse(await readFile(path, 'utf8')) as { name: string; version: string };
		assert.ok(hashed.has(`${name} ${version}`), `${name} ${version} in sbom.json`);
		assert.ok(licences.includes(`\n==== ${name} ${version}\n\n`), `${name} ${version} in licences.txt`);
	}
	const { stdout: native } = await run('find', [unpacked, '-name', '*.node', '-o', '-name', '*.so']);
	assert.equal(native, '');
});

test('the packages name neither a folder of the machine that built them nor its registry', async () => {
	// The public registry is named in packages of others; one that this machine is set to would have got there from it.
	const registries = await Promise.all([registryHost(process.env), registryHost(withoutNpmSettings())]);
	const strings = [repository, folder, ...(registries[0] === registries[1] ? [] : [String(registries[0])])];
	const search = strings.flatMap((text) => ['-e', text]);
	const { stdout } = await run('sh', ['-c', 'grep -rlF "$@" || test $? = 1', 'sh', ...search, unpacked]);
	assert.equal(stdout, '');
});

test('lintian finds no error in the .deb', async (t) => {
	const { stdout } = await run('lintian', ['--allow-root', '--fail-on', 'none', older], { maxBuffer: outputBytesMax });
	const lines = stdout.split('\n');
	t.diagnostic(`${lines.filter((line) => line.startsWith('W:')).length} warnings`);
	assert.doesNotMatch(stdout, /groff-message|bad-whatis-entry|man page/i);
	assert.deepEqual(
		lines.filter((line) => line.startsWith('E:')),
		[],
	);
});

test('npm install --global takes the tarball without a registry and without a warning', async () => {
	const home = join(folder, 'npm');
	const words = ['install', '--global', '--offline', '--no-update-notifier', '--prefix', home, tarball];
	const { stdout, stderr } = await run('npm', words, {
		env: { ...process.env, npm_config_cache: join(home, 'cache') },
	});
	assert.doesNotMatch(`${stdout}${stderr}`, /warn|error/i);
	assert.equal((await run(join(home, 'bin/rollcall'), ['--version'])).stdout, '1.0.0\n');
	assert.match((await run(join(home, 'bin/rollcall'), ['install', '--help'])).stdout, /--dry-run/);
	assert.match((await run(join(home, 'bin/rollcall'), ['help', 'limits'])).stdout, /^# Known limits\n/);
});

test('a Node that is too old is refused before anything starts: by apt as a package, by postinst where it stands first in the path', async () => {
	await aptDoes('install', await nodePackage(folder, '18.20.4+dfsg-1~deb12u3'));
	const byApt = await apt('install', older);
	assert.notEqual(byApt.code, 0);
	assert.match(`${byApt.stdout}${byApt.stderr}`, /Depends: nodejs \(>= 20\.19\)/);
	assert.equal((await host.try(['test', '-e', '/usr/lib/rollcall-package'])).code, 1);
	await aptDoes('install', await nodePackage(folder, '20.19.2+dfsg-1'));
	await host.shell('mv /usr/local/bin/node /root/node');
	await host.shell(`printf '#!/bin/sh\\necho v18.20.4\\n' > /usr/local/bin/node; chmod 755 /usr/local/bin/node`);
	const byScript = await apt('install', older);
	assert.notEqual(byScript.code, 0);
	assert.match(byScript.stdout, /\/usr\/local\/bin\/node is v18\.20\.4, which is too old.*20\.19/);
	assert.equal((await host.try(['test', '-e', '/usr/lib/rollcall'])).code, 1);
	await host.shell('mv /root/node /usr/local/bin/node; dpkg --configure rollcall');
	assert.equal(await host.run('rollcall', '--version'), '1.0.0');
});

test('the .deb installs program, users and units; rollcall install then starts the configuration, and again changes nothing', async () => {
	await writeApp(host);
	await host.write('/root/rollcall.yaml', configuration);
	await host.run('rollcall', 'install', '--config', '/root/rollcall.yaml', '--now');
	await servingOn(host, 2);
	assert.match(await host.run('rollcall', 'status'), /^alpha is ready/);
	const { steps } = installShape.parse(JSON.parse(await host.run('rollcall', 'install', '--json')));
	assert.deepEqual(
		steps.filter((step) => step.outcome !== 'as it was'),
		[],
	);
	assert.match(await host.run('rollcall', 'help', 'limits'), /^# Known limits\n/);
	assert.equal(await host.run('dpkg', '--verify', 'rollcall'), '');
	assert.match(await host.run('dpkg', '--listfiles', 'rollcall'), /\/usr\/lib\/systemd\/system\/rollcall\.service$/m);
});

test('another installation beside the package, and an uninstall behind the back of dpkg, are refused with the command to run', async () => {
	const clone = await host.try(['node', join(repository, 'dist/src/main.js'), 'install']);
	assert.deepEqual([clone.code, clone.stdout], [1, '']);
	assert.match(clone.stderr, /apt install \.\/rollcall_VERSION_all\.deb/);
	const uninstall = await host.try(['rollcall', 'uninstall', '--purge']);
	assert.equal(uninstall.code, 1);
	assert.match(uninstall.stderr, /apt purge rollcall/);
	await servingOn(host, 2);
});

for (const [what, version] of [
	['an upgrade', '1.0.1'],
	['a downgrade', '1.0.0'],
] as const) {
	test(`under load ${what} restarts the control plane alone: no lost request, and what runs keeps its files`, async (t) => {
		const [pid, release] = [await mainPidOf(host, daemon), await releaseNow()];
		await losesNothing(t, async () => void (await aptDoes('install', version === '1.0.1' ? newer : older)));
		assert.notEqual(await mainPidOf(host, daemon), pid);
		assert.equal(await isActive(host, daemon), true);
		assert.equal(await host.run('rollcall', '--version'), version);
		assert.notEqual(await releaseNow(), release);
		await host.run('test', '-e', join(release, 'dist/src/main.js'));
	});
}

test('an upgrade over a configuration that does not check says so and leaves the old control plane running', async (t) => {
	await host.shell(`cp -a ${configFile} /root/good.yaml; echo 'cluster: {listen: 7}' >> ${configFile}`);
	const pid = await mainPidOf(host, daemon);
	await losesNothing(t, async () => {
		assert.match(await aptDoes('install', newer), /cluster\.listen[\s\S]*mend the configuration/);
	});
	assert.equal(await mainPidOf(host, daemon), pid);
	await host.shell(`cat /root/good.yaml > ${configFile}; rollcall install; systemctl restart rollcall`);
	await servingOn(host, 2);
});

test('a removal ends every process and leaves the configuration; a purge leaves nothing', async () => {
	await aptDoes('remove', 'rollcall');
	assert.equal(await processesOf(host), '');
	const left = () =>
		host.shell(
			"find / -xdev -iname '*rollcall*' -not -path '/var/log/*' -not -path '/root/*' -not -path '/tmp/*' -not -path '/proc/*' | sort",
		);
	assert.deepEqual(
		(await left()).split('\n').filter((path) => !/^\/(etc\/rollcall|var\/lib\/rollcall|var\/lib\/dpkg)/.test(path)),
		[],
	);
	await host.run('test', '-e', configFile);
	await aptDoes('purge', 'rollcall');
	assert.equal(await left(), '');
	for (const user of ['rollcall', 'rollcall-app']) assert.equal((await host.try(['id', user])).code, 1);
});

test('into an image, where no systemd runs, the same two commands install; it serves after its first boot', async () => {
	const image = (text: string): Promise<CommandResult> =>
		host.try(['unshare', '--mount', 'sh', '-euc', `mount -t tmpfs tmpfs /run\n${text}`]);
	const dryRun = await image(`node ${join(repository, 'dist/src/main.js')} install --dry-run`);
	assert.equal(dryRun.code, 0, dryRun.stderr);
	assert.match(dryRun.stdout, /would be done +systemd-sysusers/);
	const { code, stderr } = await image(`apt-get install --yes ${older}\nrollcall install --config /root/rollcall.yaml`);
	assert.equal(code, 0, stderr);
	const now = await image('rollcall install --now');
	assert.equal(now.code, 1);
	assert.match(now.stderr, /without --now the units start at the first boot/);
	assert.equal(await processesOf(host), '');
	await host.shutDown();
	host = await hosts.up('alpha', 1);
	await servingOn(host, 2);
});
