/** Each check of `rollcall doctor` is fine with a node that is well, and says what is wrong and what mends it when one thing is not. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runChecks } from '../../../src/cli/doctor/doctor.js';
import { checksBySubject } from '../../../src/cli/doctor/table.js';
import type { CheckState } from '../../../src/cli/doctor/types.js';
import { TestAuthority } from '../../support/fleet/authority.js';
import { type FakeHost, makePapers, type Papers, type Well, wellNode } from '../../support/doctor/well.js';
import { rolloutView } from '../../support/fleet/views.js';

interface Illness {
	check: string;
	/** Makes the node ill. */
	strike: (well: Well) => void | Promise<void>;
	state: CheckState;
	says: RegExp;
	/** The command that fixes it. */
	command: RegExp;
}

const replace = (from: string, to: string) => (well: Well) => {
	assert.ok(well.configuration.includes(from), from);
	well.configuration = well.configuration.replace(from, to);
};
const mode = (path: string, bits: number) => (well: Well) => {
	const facts = well.host.facts[path];
	assert.ok(typeof facts === 'object', path);
	well.host.facts[path] = { ...facts, mode: bits };
};
const missing = (path: string) => (well: Well) => {
	well.host.facts[path] = 'missing';
};
const output = (words: string, text: string) => (well: Well) => {
	assert.ok(well.host.output[words] !== undefined, words);
	well.host.output[words] = text;
};
const text = (path: string, content: string) => (well: Well) => {
	well.host.texts[path] = content;
};
const kernel = (path: string, content: string) => text(`/proc/${path}`, content);
const host = (change: Partial<FakeHost>) => (well: Well) => {
	Object.assign(well.host, change);
};
const space = (change: Partial<FakeHost['space']>) => (well: Well) => {
	Object.assign(well.host.space, change);
};
const noProgram = (name: string) => (well: Well) => {
	well.host.programs[name] = undefined;
};
const filesOf = ({ configuration }: Well) => {
	const [, ca = '', cert = '', key = ''] = /tls: \{ca: (\S+), cert: (\S+), key: (\S+)\}/.exec(configuration) ?? [];
	return { ca, cert, key };
};
const peer = (name: string, change: Partial<Well['daemon']['cluster']['nodes'][number]>) => (well: Well) => {
	const found = well.daemon.cluster.nodes.find((node) => node.name === name);
	assert.ok(found);
	Object.assign(found, change);
};

const illnesses: readonly Illness[] = [
	{
		check: 'node-version',
		strike: host({ nodeVersion: '20.18.3' }),
		state: 'wrong',
		says: /20\.18\.3 is older than 20\.19/,
		command: /install Node/,
	},
	{
		check: 'node-end-of-life',
		strike: host({ nodeVersion: '18.20.0' }),
		state: 'warning',
		says: /no long-term support/,
		command: /install Node/,
	},
	{
		check: 'node-of-units',
		strike: noProgram('node'),
		state: 'wrong',
		says: /the units find no node/,
		command: /^ln -s .* \/usr\/local\/bin\/node$/,
	},
	{
		check: 'openssl',
		strike: noProgram('openssl'),
		state: 'warning',
		says: /not on PATH/,
		command: /apt-get install openssl/,
	},
	{
		check: 'flock',
		strike: noProgram('flock'),
		state: 'warning',
		says: /cannot lock/,
		command: /apt-get install util-linux/,
	},
	{
		check: 'systemd',
		strike: missing('/run/systemd/system'),
		state: 'warning',
		says: /no systemd runs/,
		command: /rollcall daemon --config/,
	},
	{
		check: 'units-enabled',
		strike: output('systemctl show --property UnitFileState --value rollcall.service', 'disabled'),
		state: 'warning',
		says: /does not start after a boot/,
		command: /^systemctl enable rollcall\.service$/,
	},
	{
		check: 'units-active',
		strike: output('systemctl show --property ActiveState --value rollcall-workers@web.service', 'failed'),
		state: 'wrong',
		says: /rollcall-workers@web\.service has failed/,
		command: /journalctl -u rollcall-workers@web\.service/,
	},
	{
		check: 'clock-synchronized',
		strike: output('timedatectl show --property NTPSynchronized --value', 'no'),
		state: 'warning',
		says: /keeps the clock/,
		command: /^timedatectl set-ntp true$/,
	},
	{
		check: 'pm2-on-path',
		strike: (well) => {
			well.host.programs['pm2'] = '/opt/pm2/bin/pm2';
			well.host.texts['/opt/pm2/package.json'] = '{"version":"5.1.0"}';
		},
		state: 'warning',
		says: /pm2 on PATH is 5\.1\.0/,
		command: /npm uninstall -g pm2/,
	},
	{
		check: 'pm2-of-worker-hosts',
		strike: ({ host }) =>
			void host.commandLines.splice(1, 1, 'PM2 v6.0.1: God Daemon (/var/lib/rollcall-workers/web/pm2)'),
		state: 'warning',
		says: /runs PM2 6\.0\.1/,
		command: /^rollcall restart$/,
	},
	{
		check: 'other-pm2',
		strike: ({ host }) => void host.commandLines.push('PM2 v5.3.0: God Daemon (/home/deploy/.pm2)'),
		state: 'warning',
		says: /another PM2 runs in \/home\/deploy\/\.pm2/,
		command: /^PM2_HOME=\/home\/deploy\/\.pm2 pm2 kill$/,
	},
	{
		check: 'configuration',
		strike: (well) => without(well, { config: null, configurationFault: 'rollcall.yaml:3: expected a number' }),
		state: 'wrong',
		says: /expected a number/,
		command: /^rollcall validate --config/,
	},
	{
		check: 'configuration-mode',
		strike: (well) => mode(join(well.folder, 'rollcall.yaml'), 0o644)(well),
		state: 'warning',
		says: /others may read/,
		command: /^chmod o-rwx /,
	},
	{
		check: 'workers-configuration',
		strike: missing('/etc/rollcall/workers.yaml'),
		state: 'warning',
		says: /is not there/,
		command: /^rollcall install$/,
	},
	{
		check: 'app-scripts',
		strike: missing('/srv/web/server.js'),
		state: 'wrong',
		says: /web: \/srv\/web\/server\.js is no file/,
		command: /^ls -lL /,
	},
	{
		check: 'app-folders',
		strike: missing('/srv/api'),
		state: 'wrong',
		says: /api: \/srv\/api is no folder/,
		command: /^install -d /,
	},
	{
		check: 'app-interpreters',
		strike: noProgram('python3'),
		state: 'wrong',
		says: /python3 is not there/,
		command: /^command -v python3$/,
	},
	{
		check: 'state-folder',
		strike: mode('/var/lib/rollcall', 0o755),
		state: 'wrong',
		says: /mode 0755/,
		command: /^chmod 700 /,
	},
	{
		check: 'worker-folder',
		strike: mode('/var/lib/rollcall-workers', 0o777),
		state: 'wrong',
		says: /others may put sockets/,
		command: /^chmod go-w /,
	},
	{
		check: 'admin-socket',
		strike: mode('/run/rollcall/admin.sock', 0o666),
		state: 'wrong',
		says: /mode 0666, not 0660/,
		command: /^chmod 0660 /,
	},
	{
		check: 'app-users',
		strike: text('/etc/passwd', 'rollcall:x:990:990::/:/bin/false\n'),
		state: 'wrong',
		says: /there is no user web/,
		command: /^useradd .* web$/,
	},
	{
		check: 'control-user',
		strike: text('/etc/group', 'rollcall:x:990:\nrollcall-control:x:992:\n'),
		state: 'wrong',
		says: /not in group rollcall-control/,
		command: /^rollcall install$/,
	},
	{
		check: 'keys-for-units',
		strike: (well) => mode(filesOf(well).key, 0o600)(well),
		state: 'wrong',
		says: /may not read/,
		command: /^chgrp rollcall .* && chmod 640 /,
	},
	{
		check: 'secret-modes',
		strike: mode('/etc/rollcall/api.env', 0o644),
		state: 'wrong',
		says: /others may read \/etc\/rollcall\/api\.env/,
		command: /^chmod o-rwx /,
	},
	{
		check: 'certificate-dates',
		strike: (well) => issued(well, 'alpha', -10, -2, 'cert'),
		state: 'wrong',
		says: /expired on/,
		command: /^rollcall ca issue alpha /,
	},
	{
		check: 'certificate-dates',
		strike: (well) => issued(well, 'alpha', -10, 5, 'cert'),
		state: 'warning',
		says: /[45] days from now/,
		command: /^rollcall ca issue alpha /,
	},
	{
		check: 'certificate-dates',
		strike: (well) => issued(well, 'alpha', 5, 50, 'cert'),
		state: 'wrong',
		says: /is the clock of this host right/,
		command: /^timedatectl$/,
	},
	{
		check: 'certificate-fit',
		strike: (well) => issued(well, 'beta', -1, 50, 'cert', 'key'),
		state: 'wrong',
		says: /one of beta/,
		command: /^rollcall ca issue alpha /,
	},
	{
		check: 'certificate-fit',
		strike: (well) => issued(well, 'alpha', -1, 50, 'key'),
		state: 'wrong',
		says: /private key/,
		command: /^rollcall ca issue alpha /,
	},
	{
		check: 'certificate-fit',
		strike: async (well) => {
			const { ca } = filesOf(well);
			const another = await TestAuthority.make(well.folder);
			well.host.texts[ca] = readFileSync(another.caFile, 'utf8');
		},
		state: 'wrong',
		says: /another authority/,
		command: /^rollcall ca issue alpha /,
	},
	{
		check: 'authority-dates',
		strike: (well) => issued(well, 'alpha', -10, 3, 'ca'),
		state: 'warning',
		says: /days from now/,
		command: /^rollcall ca rotate /,
	},
	{
		check: 'http-certificate-dates',
		strike: (well) => issued(well, 'alpha', -10, -1, 'cert'),
		state: 'wrong',
		says: /expired/,
		command: /^systemctl reload rollcall/,
	},
	{
		check: 'http-certificate-key',
		strike: (well) => issued(well, 'alpha', -1, 50, 'key'),
		state: 'wrong',
		says: /is not the key of/,
		command: /^openssl x509 /,
	},
	{
		check: 'link-encryption',
		strike: onLoopback,
		state: 'warning',
		says: /in the clear/,
		command: /^rollcall ca init /,
	},
	{
		check: 'daemon-ports',
		strike: ({ host }) => void host.open.delete('127.0.0.1:9933'),
		state: 'wrong',
		says: /cluster\.listen 0\.0\.0\.0:9933 accepts no connection: ECONNREFUSED/,
		command: /^ss -ltnp/,
	},
	{
		check: 'daemon-ports',
		strike: (well) => without(well, { daemon: null }),
		state: 'wrong',
		says: /is taken, though the daemon does not answer/,
		command: /^ss -ltnp/,
	},
	{
		check: 'app-ports',
		strike: ({ host }) => void host.open.delete('127.0.0.1:8080'),
		state: 'warning',
		says: /web: port 8080 accepts no connection/,
		command: /^ss -ltnp/,
	},
	{
		check: 'app-ports',
		strike: ({ daemon }) => void daemon.workers.splice(0, 2),
		state: 'warning',
		says: /nothing says that its workers hold it/,
		command: /^ss -ltnp/,
	},
	{
		check: 'outgoing-ports',
		strike: kernel('sys/net/ipv4/ip_local_port_range', '1024 60999'),
		state: 'warning',
		says: /may take 9925,9926,9933,8080,8081/,
		command: /ip_local_reserved_ports=9925,9926,9933,8080,8081$/,
	},
	{
		check: 'listens-for-peers',
		strike: replace('listen: {host: 0.0.0.0', 'listen: {host: 127.0.0.1'),
		state: 'wrong',
		says: /beta, gamma cannot reach it/,
		command: /cluster\.listen\.host/,
	},
	{
		check: 'health-listener',
		strike: replace('  health: {host: 0.0.0.0, port: 9926}\n', ''),
		state: 'warning',
		says: /there is no health listener/,
		command: /operations_api\.health/,
	},
	{
		check: 'health-listener',
		strike: replace('health: {host: 0.0.0.0', 'health: {host: 127.0.0.1'),
		state: 'warning',
		says: /only a load balancer on this host/,
		command: /operations_api\.health\.host/,
	},
	{
		check: 'health-answer',
		strike: host({ status: 503 }),
		state: 'wrong',
		says: /answers 503/,
		command: /^rollcall status$/,
	},
	{
		check: 'load-balancer-wait',
		strike: replace('lb_wait: 10s', 'lb_wait: 0s'),
		state: 'warning',
		says: /lb_wait is 0s/,
		command: /rollout\.lb_wait/,
	},
	{
		check: 'fleet-size',
		strike: replace(', {name: gamma, url: "wss://10.0.0.3:9933"}', ''),
		state: 'warning',
		says: /a fleet of 2/,
		command: /cluster\.peers/,
	},
	{
		check: 'node-name',
		strike: ({ daemon }) => void Object.assign(daemon.cluster, { node: 'delta' }),
		state: 'wrong',
		says: /runs as node delta, the file says alpha/,
		command: /^systemctl restart rollcall$/,
	},
	{
		check: 'peer-names',
		strike: host({ names: {} }),
		state: 'wrong',
		says: /beta\.example has no address/,
		command: /^getent hosts beta\.example$/,
	},
	{
		check: 'peers-reachable',
		strike: ({ host }) => void host.open.delete('10.0.0.3:9933'),
		state: 'wrong',
		says: /gamma \(10\.0\.0\.3:9933\) accepts no connection/,
		command: /^nc -vz 10\.0\.0\.3 9933/,
	},
	{
		check: 'links',
		strike: peer('beta', { link: 'down', reason: 'it refuses this node' }),
		state: 'wrong',
		says: /beta is not linked: it refuses this node/,
		command: /^rollcall status/,
	},
	{
		check: 'clock-skew',
		strike: peer('gamma', { clock_offset_ms: -7200000 }),
		state: 'warning',
		says: /gamma is 2 h 0 min behind/,
		command: /^timedatectl set-ntp true/,
	},
	{
		check: 'fleet-versions',
		strike: peer('gamma', { version: '0.9.0' }),
		state: 'warning',
		says: /gamma 0\.9\.0/,
		command: /^rollcall install/,
	},
	{
		check: 'fleet-configurations',
		strike: peer('beta', { configuration: 'last_good' }),
		state: 'wrong',
		says: /^beta: the configuration does not check/,
		command: /^rollcall validate/,
	},
	{
		check: 'memory-for-surge',
		strike: kernel('meminfo', 'MemTotal: 8000000 kB\nMemAvailable:   60000 kB\n'),
		state: 'wrong',
		says: /web: a roll takes 100\.0 MiB more \(2 new workers/,
		command: /^set surge of web to 1$/,
	},
	{
		check: 'memory-limits',
		strike: replace('instances: 2', 'instances: 2, max_memory: 6G'),
		state: 'warning',
		says: /may take 12\.0 GiB/,
		command: /max_memory/,
	},
	{
		check: 'processors',
		strike: replace('instances: 2', 'instances: 40'),
		state: 'warning',
		says: /41 workers on 4 processors/,
		command: /instances/,
	},
	{
		check: 'disk',
		strike: space({ freeBytes: 1e6 }),
		state: 'wrong',
		says: /cannot be written for long/,
		command: /^df -h /,
	},
	{
		check: 'disk',
		strike: space({ freeBytes: 2 * 1024 ** 3 }),
		state: 'warning',
		says: /2\.0 GiB of 100\.0 GiB are free/,
		command: /^df -h /,
	},
	{
		check: 'inodes',
		strike: space({ freeInodes: 10 }),
		state: 'warning',
		says: /10 of 1000000 inodes/,
		command: /^df -i /,
	},
	{
		check: 'log-space',
		strike: space({ freeBytes: 1024 ** 3 }),
		state: 'warning',
		says: /logs of 3 workers may grow to 1\.8 GiB/,
		command: /logging\.max_size/,
	},
	{
		check: 'inotify-instances',
		strike: kernel('sys/fs/inotify/max_user_instances', '8'),
		state: 'warning',
		says: /is 8/,
		command: /^sysctl -w fs\.inotify\.max_user_instances=128$/,
	},
	{
		check: 'inotify-watches',
		strike: kernel('sys/fs/inotify/max_user_watches', '100'),
		state: 'warning',
		says: /is 100/,
		command: /^sysctl -w fs\.inotify\.max_user_watches=8192$/,
	},
	{
		check: 'connection-backlog',
		strike: kernel('sys/net/core/somaxconn', '128'),
		state: 'warning',
		says: /is 128/,
		command: /^sysctl -w net\.core\.somaxconn=511$/,
	},
	{
		check: 'open-files',
		strike: kernel('sys/fs/file-nr', '90 0 100'),
		state: 'warning',
		says: /90 of 100 open files/,
		command: /^sysctl -w fs\.file-max=200$/,
	},
	{
		check: 'file-limit',
		strike: (well) => {
			missing('/run/systemd/system')(well);
			kernel('self/limits', 'Max open files            1024                 4096                 files\n')(well);
		},
		state: 'warning',
		says: /may open 1024 files/,
		command: /^ulimit -n 65536/,
	},
	{
		check: 'process-ids',
		strike: kernel('sys/kernel/pid_max', '600'),
		state: 'warning',
		says: /500 of 600 process ids/,
		command: /^sysctl -w kernel\.pid_max=1200$/,
	},
	{
		check: 'daemon',
		strike: (well) => without(well, { daemon: null, daemonFault: 'nothing listens there.' }),
		state: 'unseen',
		says: /nothing listens there/,
		command: /^$/,
	},
	{
		check: 'daemon-version',
		strike: peer('alpha', { version: '0.9.9' }),
		state: 'warning',
		says: /runs 0\.9\.9, this command is 1\.0\.0/,
		command: /^systemctl restart rollcall$/,
	},
	{
		check: 'readiness',
		strike: ({ daemon }) => {
			daemon.ready = false;
			daemon.reasons = ['web has no healthy worker'];
		},
		state: 'wrong',
		says: /not ready: web has no healthy worker/,
		command: /^rollcall status$/,
	},
	{
		check: 'notes',
		strike: ({ daemon }) => void daemon.notes.push('The disk is full.'),
		state: 'warning',
		says: /The disk is full/,
		command: /^rollcall status$/,
	},
	{
		check: 'workers',
		strike: ({ daemon }) => void Object.assign(daemon.workers[2] ?? {}, { healthy: false }),
		state: 'wrong',
		says: /api: 0 of 1 workers/,
		command: /^rollcall logs api/,
	},
	{
		check: 'crashes',
		strike: ({ daemon }) => void Object.assign(daemon.workers[0] ?? {}, { restarts: 9 }),
		state: 'warning',
		says: /crashed 9 times/,
		command: /^rollcall logs web$/,
	},
	{
		check: 'rollouts',
		strike: ({ daemon }) => void daemon.rollouts.push({ ...rolloutView({}), state: 'halted', reason: 'beta failed' }),
		state: 'warning',
		says: /is halted: beta failed/,
		command: /^rollcall rollout resume /,
	},
	{
		check: 'unrolled-apps',
		strike: replace('name: web', 'name: shop'),
		state: 'warning',
		says: /shop would come, web would go/,
		command: /^rollcall rollout plan/,
	},
	{
		check: 'users',
		strike: ({ daemon }) => void Object.assign(daemon, { users: 0 }),
		state: 'warning',
		says: /there is no user/,
		command: /^rollcall add_user /,
	},
];

/** Changes what the checks are given as a whole. */
function without(well: Well, change: Partial<ReturnType<Well['examination']>>): void {
	const { examination } = well;
	well.examination = () => ({ ...examination(), ...change });
}

/** Another certificate of the same authority in the place of these files. */
async function issued(well: Well, node: string, from: number, to: number, ...places: ('ca' | 'cert' | 'key')[]) {
	const { material } = await well.authority.issueFrom(node, from, to);
	for (const place of places) well.host.texts[filesOf(well)[place]] = place === 'key' ? material.key : material.cert;
}

function onLoopback(well: Well): void {
	const secret = join(well.folder, 'secret');
	writeFileSync(secret, 'x'.repeat(32));
	well.configuration = `node: {name: alpha}\ncluster: {listen: {host: 127.0.0.1, port: 9933}, secret_file: ${secret}, peers: []}\n`;
}

describe('rollcall doctor', () => {
	let folder: string;
	let papers: Papers;
	before(async () => {
		folder = mkdtempSync(join(tmpdir(), 'rc-doctor-'));
		papers = await makePapers(folder);
	});
	after(() => rmSync(folder, { recursive: true }));

	test('finds nothing wrong with a node that is well, and every check has looked', async () => {
		const findings = await runChecks(wellNode(folder, papers).examination());
		assert.deepEqual(
			findings.filter(({ state }) => state !== 'ok'),
			[],
		);
		const names = Object.values(checksBySubject).flatMap((checks) => checks.map(({ name }) => name));
		assert.deepEqual([...new Set(findings.map(({ check }) => check))].sort(), [...names].sort());
		assert.ok(names.length >= 25 && new Set(names).size === names.length);
	});

	test('there is an illness for each check', () => {
		const names = Object.values(checksBySubject).flatMap((checks) => checks.map(({ name }) => name));
		assert.deepEqual(
			names.filter((name) => !illnesses.some(({ check }) => check === name)),
			[],
		);
	});

	for (const { check, strike, state, says, command } of illnesses) {
		test(`${check} is ${state}: ${says.source}`, async () => {
			const well = wellNode(folder, papers);
			await strike(well);
			const findings = (await runChecks(well.examination())).filter((finding) => finding.check === check);
			const found = findings.find((finding) => finding.state === state && says.test(finding.text));
			assert.ok(found, JSON.stringify(findings));
			assert.match(found.command ?? '', command);
		});
	}

	test('a check that fails itself is one that did not see, and the others look all the same', async () => {
		const well = wellNode(folder, papers);
		const examination = well.examination();
		const broken = {
			...examination.host,
			find: () => {
				throw new Error('broken');
			},
		};
		const findings = await runChecks({ ...examination, host: broken });
		const openssl = findings.find(({ check }) => check === 'openssl');
		assert.deepEqual([openssl?.state, openssl?.text], ['unseen', 'the check itself failed: broken']);
		assert.ok(findings.length > 50);
	});

	test('without configuration and daemon it looks at what is left, and says what it did not see', async () => {
		const examination = {
			...wellNode(folder, papers).examination(),
			config: null,
			configurationFault: 'none',
			daemon: null,
		};
		const findings = await runChecks(examination);
		assert.ok(findings.filter(({ state }) => state === 'ok').length > 10);
		assert.ok(findings.some(({ check, state }) => check === 'links' && state === 'unseen'));
		assert.ok(findings.every(({ text }) => !text.includes('check itself failed')));
	});
});
