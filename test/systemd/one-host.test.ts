import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Host, repository, TestHosts } from '../support/hosts.js';
import { installOn, isActive, mainPidOf, processesOf, servingOn, workersOf } from '../support/installed-host.js';
import { type Load, startLoad } from '../support/load.js';

const configuration = `
node: {name: alpha}
operations_api:
  socket: {group: rollcall}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 2
    env: {PORT: "8080", SECRET_OF_WEB: "known to web alone"}
    health: {path: /healthz}
    drain: {timeout: 10s}
`;
const daemon = 'rollcall.service';
const workerHost = 'rollcall-workers@web.service';

let hosts: TestHosts;
let host: Host;

before(async () => {
	hosts = await TestHosts.create('rcone', '10.88.1');
	host = await hosts.up('alpha', 1);
});
after(async () => {
	await hosts?.clear();
});

const loadOn = (): Load => startLoad({ urls: `http://${host.address}:8080/`, ratePerSecond: 100 });

/** Holds the load while something happens; asserts that nothing was lost and that the same workers serve before and after. */
async function losesNothing(what: () => Promise<void>): Promise<void> {
	const pids = await servingOn(host, 2);
	const load = loadOn();
	await load.answered(100);
	await what();
	await load.answered(100);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
	assert.deepEqual(await servingOn(host, 2), pids);
}

test('a dry run of install says what it would do and does nothing', async () => {
	const main = join(repository, 'dist/src/main.js');
	const said = await host.run('node', main, 'install', '--dry-run');
	assert.match(said, /would be done +systemd-sysusers/);
	assert.equal((await host.try(['id', 'rollcall'])).code, 1);
	assert.equal((await host.try(['test', '-e', '/usr/lib/rollcall'])).code, 1);
});

test('install puts it on the host, started and ready; a second time changes nothing', async () => {
	await installOn(host, configuration);
	assert.equal(await isActive(host, daemon), true);
	await servingOn(host, 2);
	assert.match(await host.run('rollcall', 'status'), /^alpha is ready/);
	const again = await host.run('rollcall', 'install', '--json');
	const { steps } = JSON.parse(again) as { steps: { text: string; outcome: string }[] };
	assert.deepEqual(
		steps.filter((step) => step.outcome !== 'as it was'),
		[],
	);
	assert.match(await host.run('systemctl', 'show', '--property=StatusText,NotifyAccess', daemon), /NotifyAccess=main/);
});

test('the walls hold: an app can read no state, socket, configuration or environment that is not its own user’s', async () => {
	await host.shell('id -u other >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin other');
	const pid = (await workersOf(host))[0]?.pid;
	const asUser = (user: string, text: string) =>
		host.try(['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', 'sh', '-c', text]);
	const forbidden: [user: string, text: string][] = [
		['web', 'cat /var/lib/rollcall/records.log'],
		['web', 'ls /var/lib/rollcall'],
		['web', 'cat /etc/rollcall/rollcall.yaml'],
		[
			'web',
			`node -e "require('net').connect('/run/rollcall/admin.sock').on('error', () => process.exit(1)).on('connect', () => process.exit(0))"`,
		],
		['web', `cat /proc/${await mainPidOf(host, daemon)}/environ`],
		['other', `cat /proc/${pid}/environ`],
		['other', 'ls /var/lib/rollcall-workers/web'],
		[
			'other',
			`node -e "require('net').connect('/var/lib/rollcall-workers/web/rpc.sock').on('error', () => process.exit(1)).on('connect', () => process.exit(0))"`,
		],
		['other', 'cat /etc/rollcall/rollcall.yaml'],
	];
	for (const [user, text] of forbidden) {
		const { code, stdout } = await asUser(user, text);
		assert.notEqual(code, 0, `${user} could: ${text}: ${stdout}`);
	}
	const root = await host.shell(
		`for pid in $(cat /sys/fs/cgroup/system.slice/rollcall.service/cgroup.procs /sys/fs/cgroup/system.slice/system-rollcall*/rollcall-workers@web.service/cgroup.procs); do stat -c %U /proc/$pid; done | sort -u`,
	);
	assert.deepEqual(root.split('\n'), ['rollcall', 'web']);
	// What the app itself got is its own environment and nothing of the control plane's groups.
	const environment = await host.shell(`cat /proc/${pid}/environ`);
	assert.ok(environment.includes('SECRET_OF_WEB'));
	const groups = await host.shell(`grep ^Groups: /proc/${pid}/status | tr -d ' \\t'`);
	assert.equal(groups, `Groups:${await host.run('id', '-g', 'web')}`);
});

test('restarting the control plane loses no request and no worker', async () => {
	await losesNothing(async () => void (await host.run('systemctl', 'restart', daemon)));
});

test('a control plane that is killed comes back by itself, without a lost request or worker', async () => {
	const pid = await mainPidOf(host, daemon);
	await losesNothing(async () => {
		await host.run('systemctl', 'kill', '--signal=KILL', daemon);
		await host.until(
			'active again',
			() => mainPidOf(host, daemon),
			(now) => now !== pid && now !== 0,
		);
		await host.until('started', () => isActive(host, daemon), Boolean);
	});
});

test('a control plane whose event loop is blocked is ended by the watchdog and comes back, without a lost request', async () => {
	await host.write(
		'/etc/systemd/system/rollcall.service.d/test.conf',
		'[Service]\nWatchdogSec=8s\nEnvironment=NODE_OPTIONS=--require=/srv/block.cjs\n',
	);
	await host.write('/srv/block.cjs', `process.on('SIGUSR2', () => { for (;;); });\n`);
	await host.shell('systemctl daemon-reload; systemctl restart rollcall');
	const pid = await mainPidOf(host, daemon);
	await losesNothing(async () => {
		await host.run('systemctl', 'kill', '--signal=USR2', '--kill-who=main', daemon);
		await host.until(
			'another process',
			() => mainPidOf(host, daemon),
			(now) => now !== pid && now !== 0,
		);
		await host.until('started', () => isActive(host, daemon), Boolean);
	});
	assert.match(await host.run('journalctl', '--unit', daemon, '--output=cat'), /Watchdog timeout/);
	await host.shell('rm -r /etc/systemd/system/rollcall.service.d; systemctl daemon-reload; systemctl restart rollcall');
});

test('systemctl reload applies a change of the cluster, and fails with a file that does not check, which changes nothing', async () => {
	await losesNothing(async () => void (await host.run('systemctl', 'reload', daemon)));
	await host.shell(
		'cp /etc/rollcall/rollcall.yaml /root/good.yaml; echo "cluster: {listen: 7}" >> /etc/rollcall/rollcall.yaml',
	);
	assert.notEqual((await host.try(['systemctl', 'reload', daemon])).code, 0);
	await host.shell('cat /root/good.yaml > /etc/rollcall/rollcall.yaml');
	assert.equal(await isActive(host, daemon), true);
	await servingOn(host, 2);
});

test('with rollcall.socket a client that comes while the control plane restarts waits, and is answered', async () => {
	await host.shell(
		'systemctl stop rollcall.service; systemctl start rollcall.socket; systemctl start rollcall.service',
	);
	const asked: Promise<string>[] = [];
	await losesNothing(async () => {
		const restarted = host.run('systemctl', 'restart', daemon);
		for (let count = 0; count < 5; count++) asked.push(host.run('rollcall', 'get_status', '--json'));
		await Promise.all([restarted, ...asked]);
	});
	assert.deepEqual(new Set(await Promise.all(asked)), new Set(['[]']));
	assert.equal(await host.run('stat', '-c', '%a %G', '/run/rollcall/admin.sock'), '660 rollcall');
	await host.shell('systemctl stop rollcall.socket rollcall.service; systemctl start rollcall.service');
	assert.equal(await host.run('stat', '-c', '%a %G', '/run/rollcall/admin.sock'), '660 rollcall');
});

test('the journal carries the priority of each line', async () => {
	const warnings = await host.run('journalctl', '--unit', daemon, '--priority=warning', '--output=json', '--lines=50');
	const lines = warnings.split('\n').map((line) => JSON.parse(line) as { PRIORITY: string; MESSAGE: string });
	const own = lines.filter((line) => line.MESSAGE.startsWith('{'));
	assert.ok(own.length > 0);
	for (const { MESSAGE } of own) assert.ok((JSON.parse(MESSAGE) as { level: number }).level >= 40);
});

test('a worker host that is killed leaves its workers serving, comes back by itself and takes their place, without a lost request', async () => {
	const workers = await servingOn(host, 2);
	const pid = await mainPidOf(host, workerHost);
	const load = loadOn();
	await load.answered(100);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost);
	await host.until(
		'a new host',
		() => mainPidOf(host, workerHost),
		(now) => now !== pid && now !== 0,
	);
	await host.until('started', () => isActive(host, workerHost), Boolean);
	await host.until(
		'a set of the new host',
		() => servingOn(host, 2),
		(pids) => pids.every((one) => !workers.includes(one)),
	);
	await load.answered(200);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
});

test('stop ends every process of both units within its time, also workers that had outlived their host', async () => {
	await host.run('systemctl', 'stop', daemon);
	const pid = await mainPidOf(host, workerHost);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost);
	await host.until(
		'a new host',
		() => mainPidOf(host, workerHost),
		(now) => now !== pid && now !== 0,
	);
	// The new host, the two workers of the old one, and what was about to take their place.
	assert.ok((await processesOf(host)).split('\n').length >= 3);
	const began = performance.now();
	await host.run('systemctl', 'stop', workerHost);
	assert.ok(performance.now() - began < 60_000);
	assert.equal(await processesOf(host), '');
	await host.run('systemctl', 'start', daemon);
	await servingOn(host, 2);
});

test('stop ends everything also in the very moment after a crash', async () => {
	await host.run('systemctl', 'stop', daemon);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost);
	await host.run('systemctl', 'stop', workerHost);
	assert.equal(await processesOf(host), '');
	await host.run('systemctl', 'start', daemon);
	await servingOn(host, 2);
});

test('after a power cut and a boot it serves again without anybody doing anything', async () => {
	await host.run('sync');
	await host.cutPower();
	host = await hosts.up('alpha', 1);
	await servingOn(host, 2);
	const load = loadOn();
	await load.answered(50);
	assert.equal((await load.stop()).lost, 0);
});

test('uninstall takes everything away but what the operator owns, and with --purge that too', async () => {
	await host.run('rollcall', 'uninstall');
	assert.equal(await processesOf(host), '');
	const left = await host.shell(
		'ls -d /usr/lib/rollcall* /usr/local/bin/rollcall /usr/lib/systemd/system/rollcall* /etc/systemd/system/*.wants/rollcall* 2>/dev/null || true',
	);
	assert.equal(left, '');
	assert.match(await host.shell('ls /etc/rollcall'), /rollcall\.yaml/);
	await host.run('node', join(repository, 'dist/src/main.js'), 'uninstall', '--purge');
	assert.equal((await host.try(['id', 'rollcall'])).code, 1);
	assert.equal(await host.shell('ls -d /etc/rollcall /var/lib/rollcall* 2>/dev/null || true'), '');
});
