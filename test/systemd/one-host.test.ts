import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { TlsMaterial } from '../../src/config/checks/certificates.js';
import { installShape } from '../../src/cli/output/json-schemas.js';
import { TestAuthority } from '../support/fleet/authority.js';
import { plantSecrets, searchHost } from '../support/hosts/host-canaries.js';
import { type Host, repository, TestHosts } from '../support/hosts/hosts.js';
import {
	installOn,
	isActive,
	mainPidOf,
	operation,
	processesOf,
	servingOn,
	workersOf,
} from '../support/hosts/installed-host.js';
import { type Load, lossOf, startLoad } from '../support/workers/load.js';

const configuration = `
node: {name: alpha}
operations_api:
  socket: {group: rollcall}
  http: {host: 10.88.1.1, port: 9925, tls: {cert: /etc/rollcall/tls/cert.pem, key: /etc/rollcall/tls/key.pem}}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 2
    env: {PORT: "8080", SECRET_OF_WEB: "known to web alone"}
    health: {path: /healthz}
    drain: {timeout: 10s}
  - name: hostile
    script: /srv/hostile/server.cjs
    env: {PORT: "8081"}
`;
const daemon = 'rollcall.service';
const workerHost = 'rollcall-workers@web.service';
const hostileApp = join(repository, 'dist/test/support/apps/hostile.cjs');
/** Of the app that names no user. */
const defaultHost = 'rollcall-workers@rollcall-app.service';

let hosts: TestHosts;
let host: Host;
let tls: TlsMaterial;

before(async () => {
	const folder = await mkdtemp(join(tmpdir(), 'rc-ca-'));
	tls = (await (await TestAuthority.make(folder)).issue('alpha')).material;
	await rm(folder, { recursive: true });
	hosts = await TestHosts.create('rcone', '10.88.1');
	host = await hosts.up('alpha', 1);
});
after(async () => {
	await hosts?.clear();
});

const loadOn = (): Load => startLoad({ urls: `http://${host.address}:8080/`, ratePerSecond: 100 });

/** Holds the load while something happens; asserts that nothing was lost and that the same workers serve before and after. */
async function losesNothing(t: TestContext, what: () => Promise<void>): Promise<void> {
	const pids = await servingOn(host, 2);
	const load = loadOn();
	await load.answered(100);
	await what();
	await load.answered(100);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
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
	await host.write('/srv/hostile/server.cjs', await readFile(hostileApp, 'utf8'));
	await host.write('/etc/hosts', `127.0.0.1 localhost\n${host.address} alpha\n`);
	const files = Object.entries(tls).map(([name, text]): [string, string] => [`/etc/rollcall/tls/${name}.pem`, text]);
	await installOn(host, configuration, Object.fromEntries(files));
	assert.equal(await isActive(host, daemon), true);
	await servingOn(host, 2);
	assert.match(await host.run('rollcall', 'status'), /^alpha is ready/);
	const again = await host.run('rollcall', 'install', '--json');
	const { steps } = installShape.parse(JSON.parse(again));
	assert.deepEqual(
		steps.filter((step) => step.outcome !== 'as it was'),
		[],
	);
	const shown = await host.run('systemctl', 'show', '--property=StatusText,NotifyAccess', daemon);
	assert.match(shown, /NotifyAccess=main/);
	assert.match(shown, /StatusText=ready; web 2 of 2; hostile 1 of 1$/m);
});

test('the walls hold: a hostile app, run as a worker, reaches no state, socket, configuration, process or home but its own', async (t) => {
	const web = (await workersOf(host)).find(({ app }) => app === 'web')?.pid;
	const victims = `daemon=${await mainPidOf(host, daemon)}&worker=${web}&user=web`;
	const answer = await fetch(`http://${host.address}:8081/attempts?${victims}`);
	const { tried, succeeded } = (await answer.json()) as { tried: number; succeeded: string[] };
	assert.deepEqual(succeeded, []);
	t.diagnostic(`${tried} attempts of a hostile app, ${succeeded.length} went well`);
	const users = await host.shell(
		`for pid in $(cat /sys/fs/cgroup/system.slice/rollcall.service/cgroup.procs /sys/fs/cgroup/system.slice/system-rollcall*/rollcall-workers@*/cgroup.procs); do stat -c %U /proc/$pid; done | sort -u`,
	);
	assert.deepEqual(users.split('\n'), ['rollcall', 'rollcall-app', 'web']);
	// What an app itself gets is its own environment and nothing of the control plane's groups.
	const environment = await host.shell(`cat /proc/${web}/environ`);
	assert.ok(environment.includes('SECRET_OF_WEB'));
	const groups = await host.shell(`grep ^Groups: /proc/${web}/status | tr -d ' \\t'`);
	assert.equal(groups, `Groups:${await host.run('id', '-g', 'web')}`);
});

test('a person who is in no group of Rollcall is told what to do, also where only the daemon may look', async () => {
	await host.shell('useradd --system --shell /usr/sbin/nologin other');
	const asOther = (text: string) =>
		host.try(['setpriv', '--reuid=other', '--regid=other', '--clear-groups', 'sh', '-c', text]);
	const { code, stderr } = await asOther('rollcall status');
	assert.equal(code, 5, stderr);
	assert.match(stderr, /You may not read .*usermod -aG rollcall NAME/);
	const socket = await asOther('rollcall status --socket /run/rollcall/admin.sock');
	assert.equal(socket.code, 5, socket.stderr);
	assert.notEqual((await asOther('ls /var/lib/rollcall-workers/web')).code, 0);
});

test('rollcall stop is refused under systemd, and names the line that stops it', async () => {
	const pids = await servingOn(host, 2);
	const { code, stdout, stderr } = await host.try(['rollcall', 'stop']);
	assert.deepEqual([code, stdout], [1, '']);
	assert.match(
		stderr,
		/systemctl stop rollcall\.service rollcall-workers@rollcall-app\.service rollcall-workers@web\.service/,
	);
	assert.deepEqual(await servingOn(host, 2), pids);
});

test('install refuses an app user whom the host does not know, or whose apps would be super_user', async () => {
	const tryUser = async (user: string): Promise<string> => {
		await host.write('/root/other.yaml', `http_workers: [{name: x, script: /srv/web/server.js, user: ${user}}]\n`);
		await host.shell(
			'cp -a /etc/rollcall/rollcall.yaml /root/kept.yaml; cat /root/other.yaml > /etc/rollcall/rollcall.yaml',
		);
		const { code, stderr } = await host.try(['rollcall', 'install']);
		await host.shell('cat /root/kept.yaml > /etc/rollcall/rollcall.yaml');
		assert.equal(code, 2, stderr);
		return stderr;
	};
	assert.match(await tryUser('nobody-knows'), /useradd --system --shell \/usr\/sbin\/nologin nobody-knows/);
	assert.match(await tryUser('root'), /nothing of Rollcall runs as root/);
	await host.shell('usermod -aG rollcall other');
	assert.match(await tryUser('other'), /gpasswd -d other rollcall/);
	await host.shell('gpasswd -d other rollcall; rollcall install');
});

test('an app that drains longer than the unit waits gets a unit that waits longer', async () => {
	const waits = async () =>
		secondsOf(await host.run('systemctl', 'show', '--property=TimeoutStopUSec', '--value', workerHost));
	assert.equal(await waits(), 90);
	await host.shell(
		`cp -a /etc/rollcall/rollcall.yaml /root/kept.yaml
		sed 's/drain: {timeout: 10s}/drain: {timeout: 2m}/' /root/kept.yaml > /etc/rollcall/rollcall.yaml; rollcall install`,
	);
	assert.equal(await waits(), 140);
	assert.match(await host.run('systemctl', 'show', '--property=Environment', workerHost), /STOP_TIMEOUT=135s/);
	await host.shell('cat /root/kept.yaml > /etc/rollcall/rollcall.yaml; rollcall install');
	assert.equal(await waits(), 90);
});

/** systemd's way to say a span: `1min 30s`. */
const secondsOf = (text: string): number =>
	[...text.matchAll(/(\d+)(min|s)/g)].reduce(
		(sum, [, count, unit]) => sum + Number(count) * (unit === 'min' ? 60 : 1),
		0,
	);

test('restarting the control plane loses no request and no worker', async (t) => {
	await losesNothing(t, async () => void (await host.run('systemctl', 'restart', daemon)));
});

test('a control plane that is killed comes back by itself, without a lost request or worker', async (t) => {
	const pid = await mainPidOf(host, daemon);
	await losesNothing(t, async () => {
		await host.run('systemctl', 'kill', '--signal=KILL', daemon);
		await host.until(
			'active again',
			() => mainPidOf(host, daemon),
			(now) => now !== pid && now !== 0,
		);
		await host.until('started', () => isActive(host, daemon), Boolean);
	});
});

test('a control plane whose event loop is blocked is ended by the watchdog and comes back, without a lost request', async (t) => {
	await host.write(
		'/etc/systemd/system/rollcall.service.d/test.conf',
		'[Service]\nWatchdogSec=8s\nEnvironment=NODE_OPTIONS=--require=/srv/block.cjs\n',
	);
	await host.write('/srv/block.cjs', `process.on('SIGUSR2', () => { for (;;); });\n`);
	await host.shell('systemctl daemon-reload; systemctl restart rollcall');
	const pid = await mainPidOf(host, daemon);
	await losesNothing(t, async () => {
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

test('systemctl reload applies a change of the cluster, and fails with a file that does not check, which changes nothing', async (t) => {
	await losesNothing(t, async () => void (await host.run('systemctl', 'reload', daemon)));
	// SIGHUP does the same: the unit is reloading meanwhile, and active again once it is over.
	await host.run('systemctl', 'kill', '--signal=HUP', '--kill-who=main', daemon);
	await host.until(
		'the reload in the journal',
		() => journal('ROLLCALL_USER=SIGHUP', 'ROLLCALL_STATE=completed'),
		(found) => found.length > 0,
	);
	await host.until('active again', () => isActive(host, daemon), Boolean);
	await host.shell(
		'cp /etc/rollcall/rollcall.yaml /root/good.yaml; echo "cluster: {listen: 7}" >> /etc/rollcall/rollcall.yaml',
	);
	assert.notEqual((await host.try(['systemctl', 'reload', daemon])).code, 0);
	await host.shell('cat /root/good.yaml > /etc/rollcall/rollcall.yaml');
	await host.until(
		'the reason among the warnings',
		() => journal('--unit', daemon, '--priority=warning', 'ROLLCALL_STATE=aborted'),
		(warnings) => warnings.some(({ MESSAGE }) => MESSAGE.includes('cluster.listen')),
	);
	assert.equal(await isActive(host, daemon), true);
	await servingOn(host, 2);
});

test('with rollcall.socket a client that comes while the control plane restarts waits, and is answered', async (t) => {
	await host.shell(
		'systemctl stop rollcall.service; systemctl start rollcall.socket; systemctl start rollcall.service',
	);
	const asked: Promise<string>[] = [];
	await losesNothing(t, async () => {
		const restarted = host.run('systemctl', 'restart', daemon);
		for (let count = 0; count < 5; count++) asked.push(host.run('rollcall', 'get_status', '--json'));
		await Promise.all([restarted, ...asked]);
	});
	assert.deepEqual(new Set(await Promise.all(asked)), new Set(['[]']));
	assert.equal(await host.run('stat', '-c', '%a %G', '/run/rollcall/admin.sock'), '660 rollcall');
	await host.shell('systemctl stop rollcall.socket rollcall.service; systemctl start rollcall.service');
	assert.equal(await host.run('stat', '-c', '%a %G', '/run/rollcall/admin.sock'), '660 rollcall');
});

interface Entry {
	MESSAGE: string;
	PRIORITY: string;
	SYSLOG_IDENTIFIER: string;
	_TRANSPORT: string;
	_PID: string;
	[field: string]: string;
}

/** Entries of the journal, as `journalctl` with these words finds them. */
async function journal(...words: string[]): Promise<Entry[]> {
	const text = await host.run('journalctl', '--output=json', '--all', ...words);
	return text
		.split('\n')
		.filter(Boolean)
		.map((line) => JSON.parse(line) as Entry);
}

test('the journal carries the priority of each line, and is searched by event, node and rollout', async (t) => {
	const warnings = await journal(
		'--unit',
		daemon,
		'--priority=warning',
		'SYSLOG_IDENTIFIER=rollcall',
		'_TRANSPORT=journal',
	);
	assert.ok(warnings.length > 0);
	for (const { MESSAGE } of warnings) assert.ok((JSON.parse(MESSAGE) as { level: number }).level >= 40);
	const { job_id } = await operation<{ job_id: string }>(host, 'restart_service', 'service=clustering', '--detach');
	const entries = await host.until(
		'the rollout in the journal',
		() => journal(`ROLLCALL_ROLLOUT=${job_id}`, 'ROLLCALL_STATE=completed'),
		(found) => found.length > 0,
	);
	const [entry] = entries;
	const { ROLLCALL_EVENT, ROLLCALL_NODE, ROLLCALL_ROOM, PRIORITY, SYSLOG_IDENTIFIER, _TRANSPORT, _SYSTEMD_UNIT } =
		entry ?? ({} as Entry);
	assert.deepEqual(
		[ROLLCALL_EVENT, ROLLCALL_NODE, ROLLCALL_ROOM, PRIORITY, SYSLOG_IDENTIFIER, _TRANSPORT, _SYSTEMD_UNIT],
		['rollout_state', 'alpha', 'rollout', '6', 'rollcall', 'journal', daemon],
	);
	t.diagnostic(
		`fields: ${Object.keys(entry ?? {})
			.filter((name) => name.startsWith('ROLLCALL_'))
			.join(' ')}`,
	);
	assert.ok((await journal('ROLLCALL_USER=web', '--unit', workerHost)).length > 0);
});

test('without koffi install starts the services through notify-exec: ready, watched, and in the journal all the same', async (t) => {
	const koffi = '/usr/lib/rollcall/node_modules/koffi';
	await host.shell(`mv ${koffi} /root/koffi; rollcall install; systemctl restart rollcall 'rollcall-workers@*'`);
	const pid = await mainPidOf(host, daemon);
	const start = await host.run('systemctl', 'show', '--property=ExecStart', daemon);
	assert.match(start, /path=\/usr\/lib\/rollcall\/systemd\/notify-exec/);
	await servingOn(host, 2);
	const [entry] = await journal('ROLLCALL_EVENT=started', `_PID=${pid}`);
	assert.equal(entry?.['_TRANSPORT'], 'journal');
	const fed = async () =>
		Number(await host.run('systemctl', 'show', '--property=WatchdogTimestampMonotonic', '--value', daemon));
	const first = await fed();
	await host.until('the watchdog to be fed', fed, (at) => at > first);
	await losesNothing(t, async () => void (await host.run('systemctl', 'restart', daemon)));
	await host.shell(`mv /root/koffi ${koffi}; rollcall install; systemctl restart rollcall 'rollcall-workers@*'`);
	assert.doesNotMatch(await host.run('systemctl', 'show', '--property=ExecStart', daemon), /notify-exec/);
	await servingOn(host, 2);
});

test('a worker host that is killed leaves its workers serving, comes back by itself and takes their place, without a lost request', async (t) => {
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
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
});

test('stop ends every process of both units within its time, also workers that had outlived their host', async (t) => {
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
	await host.run('systemctl', 'stop', workerHost, defaultHost);
	const tookMs = performance.now() - began;
	t.diagnostic(`stopped in ${Math.round(tookMs)} ms, no process left`);
	assert.ok(tookMs < 60_000);
	assert.equal(await processesOf(host), '');
	await host.run('systemctl', 'start', daemon);
	await servingOn(host, 2);
});

test('one stop of all units lets an open request finish, then ends every process within the timeout', async (t) => {
	const open = await fetch(`http://${host.address}:8080/slow`);
	const began = performance.now();
	const stopped = host.run('systemctl', 'stop', 'rollcall.service', 'rollcall-workers@*.service');
	assert.match(await open.text(), /^\d+$/);
	await stopped;
	t.diagnostic(`stopped in ${Math.round(performance.now() - began)} ms with a request of 2 s open, no process left`);
	assert.equal(await processesOf(host), '');
	await host.run('systemctl', 'start', daemon, workerHost, defaultHost);
	await servingOn(host, 2);
});

test('stop ends everything also in the very moment after a crash', async () => {
	await host.run('systemctl', 'stop', daemon);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost);
	await host.run('systemctl', 'stop', workerHost, defaultHost);
	assert.equal(await processesOf(host), '');
	await host.run('systemctl', 'start', daemon);
	await servingOn(host, 2);
});

test('no secret stands in the journal, in an argument, in an environment, or in a file but those that are meant to hold it', async (t) => {
	const canaries = await plantSecrets(host, tls);
	const ofWeb = (await servingOn(host, 2)).map((pid) => `/proc/${pid}/environ`);
	const { control, environments = [], ...found } = await searchHost(host, [...canaries, 'known to web alone']);
	assert.equal(control?.length, 1, 'what was written into the journal to be found is found');
	assert.deepEqual(environments.sort(), ofWeb.sort(), 'only the app has what was configured for it');
	// What the app's variables in the configuration hold stands in the copy of the last good one, and nothing else of these.
	const copy = '/var/lib/rollcall/last-good.yaml';
	const configured = '/etc/rollcall/rollcall.yaml';
	assert.equal((await host.run('stat', '--format=%a %U', copy)).trim(), '600 rollcall');
	assert.equal((await host.run('cat', copy)).replace(/^.*\n/, '').trim(), await host.run('cat', configured));
	const secretFiles = [configured, '/etc/rollcall/tls/key.pem', copy, '/var/lib/rollcall/users.json'];
	assert.deepEqual(found, { journal: [], arguments: [], 'files of Rollcall': secretFiles, 'files for everyone': [] });
	t.diagnostic(`${canaries.length} secrets looked for in the whole journal, /proc and the files of Rollcall`);
});

test('an app that was put back stays there over a crash, new daemons and hosts, a reboot and a power cut, until its next rollout', async (t) => {
	const deploys = (revision: string) =>
		host.shell(`cp -r /srv/releases/v0 /srv/releases/${revision}; echo ${revision} > /srv/releases/${revision}/REVISION
			ln -sfn releases/${revision} /srv/web`);
	const rolls = (...words: string[]) => host.run('rollcall', 'rollout', ...words, '--timeout', '2m');
	const runs = async (revision: string, when: string): Promise<void> => {
		await servingOn(host, 2);
		const rows = (await workersOf(host)).filter(({ app }) => app === 'web');
		assert.deepEqual([...new Set(rows.map(({ release }) => release))], [`/srv/releases/${revision}/server.js`], when);
	};
	await host.shell('mkdir /srv/releases; mv /srv/web /srv/releases/v0; ln -s releases/v0 /srv/web');
	for (const revision of ['v1', 'v2']) {
		await deploys(revision);
		await rolls('start', 'web');
	}
	await rolls('undo');
	await runs('v1', 'after the undo');

	const until = async (what: string, act: () => Promise<unknown>): Promise<void> => {
		const pids = await servingOn(host, 2);
		await act();
		const isNew = (now: number[]): boolean => now.some((pid) => !pids.includes(pid));
		await host.until(`new workers after ${what}`, () => servingOn(host, 2), isNew);
		await runs('v1', `after ${what}`);
	};
	await until('a crash', async () => host.run('kill', '-KILL', String((await servingOn(host, 2))[0])));
	await host.run('systemctl', 'restart', daemon);
	await until('a new daemon, and a new worker host', () =>
		host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost),
	);
	await host.shutDown();
	host = await hosts.up('alpha', 1);
	await runs('v1', 'after a reboot');
	await host.run('sync');
	await host.cutPower();
	const began = performance.now();
	host = await hosts.up('alpha', 1);
	await servingOn(host, 2);
	t.diagnostic(`served ${Math.round(performance.now() - began)} ms after the power was back`);
	await runs('v1', 'after a power cut');
	assert.match(await host.run('rollcall', 'status'), /web stays on this release until its next rollout/);
	const load = loadOn();
	await load.answered(50);
	assert.equal((await load.stop()).lost, 0);

	await rolls('start', 'web');
	await runs('v2', 'after the next rollout');
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
	for (const user of ['rollcall', 'rollcall-app']) assert.equal((await host.try(['id', user])).code, 1);
	assert.equal(await host.shell('ls -d /etc/rollcall /var/lib/rollcall* 2>/dev/null || true'), '');
});
