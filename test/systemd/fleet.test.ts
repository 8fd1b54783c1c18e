import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestAuthority } from '../support/authority.js';
import { type Host, TestHosts } from '../support/hosts.js';
import { installOn, isActive, operation, type Rollout, servingOn } from '../support/installed-host.js';
import { type Load, startLoad } from '../support/load.js';

const names = ['alpha', 'beta', 'gamma'] as const;
type Name = (typeof names)[number];
const network = '10.88.2';
const addressOf = (name: Name): string => `${network}.${names.indexOf(name) + 1}`;

const configurationOf = (name: Name): string => `
node: {name: ${name}}
operations_api:
  socket: {group: rollcall}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 2
    env: {PORT: "8080"}
    health: {path: /healthz, deadline: 60s}
    drain: {timeout: 10s}
cluster:
  listen: {host: ${addressOf(name)}, port: 9933}
  tls: {ca: /etc/rollcall/tls/ca.pem, cert: /etc/rollcall/tls/cert.pem, key: /etc/rollcall/tls/key.pem}
  peers:
${names.map((peer) => `    - {name: ${peer}, url: "wss://${peer}:9933"}`).join('\n')}
rollout: {deadline: 4m, lease: 5s}
`;

let hosts: TestHosts;
let folder: string;
const fleet = new Map<Name, Host>();

const hostOf = (name: Name): Host => {
	const host = fleet.get(name);
	assert.ok(host);
	return host;
};

before(async () => {
	hosts = await TestHosts.create('rcflt', network);
	folder = await mkdtemp(join(tmpdir(), 'rc-ca-'));
	const authority = await TestAuthority.make(folder);
	const table = names.map((name) => `${addressOf(name)} ${name}`).join('\n');
	await Promise.all(
		names.map(async (name, index) => {
			const { material } = await authority.issue(name);
			const host = await hosts.up(name, index + 1);
			fleet.set(name, host);
			await host.write('/etc/hosts', `127.0.0.1 localhost\n${table}\n`);
			await installOn(host, configurationOf(name), {
				'/etc/rollcall/tls/ca.pem': material.ca,
				'/etc/rollcall/tls/cert.pem': material.cert,
				'/etc/rollcall/tls/key.pem': material.key,
			});
		}),
	);
	await linked();
});
after(async () => {
	await hosts?.clear();
	if (folder) await rm(folder, { recursive: true });
});

interface ClusterStatus {
	nodes: { name: string; link: string; boot: number | null; version: string | null; ready: boolean | null }[];
}

/** Resolves once every node hears every other and all of them are ready. */
async function linked(): Promise<void> {
	for (const host of fleet.values()) {
		await host.until(
			'a whole and ready fleet',
			async () => {
				const { code, stdout } = await host.try(['rollcall', 'cluster_status', '--json']);
				return code === 0 ? (JSON.parse(stdout) as ClusterStatus).nodes : [];
			},
			(nodes) => nodes.length === 3 && nodes.every((node) => node.link !== 'down' && node.ready === true),
			180_000,
		);
	}
}

const loadOn = (): Load =>
	startLoad({ urls: names.map((name) => `http://${addressOf(name)}:8080/`), ratePerSecond: 90 });

async function allPids(): Promise<number[][]> {
	return Promise.all(names.map((name) => servingOn(hostOf(name), 2)));
}

async function newest(host: Host): Promise<Rollout | undefined> {
	return (await operation<Rollout[]>(host, 'list_rollouts', 'limit=1'))[0];
}

const isOver = (rollout: Rollout | undefined): boolean =>
	rollout !== undefined && ['completed', 'halted', 'aborted'].includes(rollout.state);

test('a replicated restart_service replaces every worker of three hosts and loses no request', async () => {
	const before = await allPids();
	const load = loadOn();
	await load.answered(100);
	await hostOf('alpha').run('rollcall', 'restart_service', 'service=http_workers', 'replicated=true');
	await load.answered(100);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
	const afterwards = await allPids();
	for (const [index, pids] of before.entries()) {
		assert.ok(
			pids.every((pid) => !afterwards[index]?.includes(pid)),
			`${names[index]} has old workers`,
		);
	}
	const rollout = await newest(hostOf('gamma'));
	assert.equal(rollout?.state, 'completed');
	assert.equal(rollout?.order.at(-1), 'alpha');
});

test('an upgrade, node by node, loses no request and no worker', async () => {
	const before = await allPids();
	const load = loadOn();
	await load.answered(100);
	for (const host of fleet.values()) {
		await host.shell(
			`cp -r /usr/lib/rollcall/ /root/next; sed -i 's/"version": "[^"]*"/"version": "99.0.0"/' /root/next/package.json
			node /root/next/dist/src/main.js install; systemctl restart rollcall`,
		);
		await linked();
	}
	await load.answered(100);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
	assert.deepEqual(await allPids(), before);
	const { nodes } = await operation<ClusterStatus>(hostOf('beta'), 'cluster_status');
	assert.deepEqual(
		nodes.map((node) => node.version),
		['99.0.0', '99.0.0', '99.0.0'],
	);
});

test('a replicated restart starts every instance again, one after the other', async () => {
	const bootsOf = async () =>
		new Map(
			(await operation<ClusterStatus>(hostOf('alpha'), 'cluster_status')).nodes.map((node) => [node.name, node.boot]),
		);
	const before = await bootsOf();
	const pids = await allPids();
	await operation(hostOf('beta'), 'restart', 'replicated=true', '--detach');
	const ended = await hostOf('alpha').until(
		'the end of the rollout',
		() => newest(hostOf('alpha')).catch(() => undefined),
		(rollout) => isOver(rollout),
		240_000,
	);
	assert.deepEqual([ended?.state, ended?.reason], ['completed', null]);
	await linked();
	for (const [name, boot] of await bootsOf()) assert.equal(boot, (before.get(name) ?? 0) + 1, name);
	const afterwards = await allPids();
	for (const [index, old] of pids.entries()) assert.ok(old.every((pid) => !afterwards[index]?.includes(pid)));
});

test('a host that shuts down in the middle of a rollout is named, no other loses a request, and the fleet rolls again afterwards', async () => {
	const load = startLoad({
		urls: [`http://${addressOf('alpha')}:8080/`, `http://${addressOf('beta')}:8080/`],
		ratePerSecond: 60,
	});
	await load.answered(60);
	await operation(hostOf('alpha'), 'restart_service', 'service=http_workers', 'replicated=true', '--detach');
	const rollout = await newest(hostOf('alpha'));
	assert.equal(rollout?.state, 'running');
	await hostOf('gamma').shutDown();
	const seen = await hostOf('alpha').until(
		'the rollout to name gamma, or to have been through with it before',
		() => newest(hostOf('alpha')),
		(view) => isOver(view) || JSON.stringify(view).includes('gamma'),
		240_000,
	);
	assert.ok(seen);
	await load.answered(60);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
	fleet.set('gamma', await hosts.up('gamma', 3));
	await linked();
	await rollsAgain('alpha');
});

test('the power cut of the coordinator in the middle of a rollout leaves a fleet that comes back and rolls again', async () => {
	await operation(hostOf('alpha'), 'restart_service', 'service=http_workers', 'replicated=true', '--detach');
	await hostOf('alpha').cutPower();
	fleet.set('alpha', await hosts.up('alpha', 1));
	await linked();
	await rollsAgain('alpha');
});

/** Goes on with what is unfinished, then rolls the whole fleet once more, to its end. */
async function rollsAgain(name: Name): Promise<void> {
	const host = hostOf(name);
	const left = await host.until(
		'no rollout under way',
		() => newest(host),
		(view) => view === undefined || view.state !== 'running',
		300_000,
	);
	if (left?.state === 'paused') await operation(host, 'abort_rollout', `id=${left.id}`);
	const { code, stdout, stderr } = await host.try([
		...['rollcall', 'restart_service', 'service=http_workers', 'replicated=true', '--timeout', '5m'],
	]);
	assert.equal(code, 0, `${stdout}${stderr}`);
	assert.ok(await isActive(host, 'rollcall.service'));
	await allPids();
}
