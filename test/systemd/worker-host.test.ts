import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Host, TestHosts } from '../support/hosts/hosts.js';
import { installOn, isActive, mainPidOf, servingOn, workersOf } from '../support/hosts/installed-host.js';
import { startLoad } from '../support/workers/load.js';

const configuration = `
node: {name: alpha}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 2
    env: {PORT: "8080"}
    health: {path: /healthz}
  - name: other
    script: ./other.sh
    cwd: /srv/web
    user: web
    interpreter: /bin/sh
    ports: [8090]
    drain: {timeout: 60s}
`;
const workerHost = 'rollcall-workers@web.service';

let hosts: TestHosts;
let host: Host;

before(async () => {
	hosts = await TestHosts.create('rcwhst', '10.88.7');
	host = await hosts.up('alpha', 1);
	await host.write('/srv/web/other.sh', 'exec node /srv/web/server.js\n');
	await installOn(host, configuration);
	await servingOn(host, 2);
});
after(async () => {
	await hosts?.clear();
});

const otherPid = async (): Promise<number> => {
	const row = (await workersOf(host)).find(
		({ app, state, healthy }) => app === 'other' && state === 'serving' && healthy,
	);
	return row?.pid ?? 0;
};

test('a program that is not Node and outlives its host is ended by the next host of its user, since the control plane may not', async () => {
	const first = await host.until('the program', otherPid, (pid) => pid > 0);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=KILL', workerHost);
	const second = await host.until('its successor', otherPid, (pid) => pid > 0 && pid !== first);
	assert.notEqual(second, first);
	assert.equal((await host.try(['test', '-e', `/proc/${first}`])).code, 1);
	await servingOn(host, 2);
});

test('a worker host that is frozen is ended by its watchdog, and its workers serve on until a new set does', async () => {
	await host.write(`/etc/systemd/system/${workerHost}.d/test.conf`, '[Service]\nWatchdogSec=4s\n');
	await host.shell(`systemctl daemon-reload; systemctl restart ${workerHost}`);
	await host.until('the host', () => isActive(host, workerHost), Boolean);
	const workers = await servingOn(host, 2);
	const pid = await mainPidOf(host, workerHost);
	const load = startLoad({ urls: `http://${host.address}:8080/`, ratePerSecond: 50 });
	await load.answered(50);
	await host.run('systemctl', 'kill', '--kill-who=main', '--signal=STOP', workerHost);
	await host.until(
		'a set of a new host',
		() => servingOn(host, 2),
		(pids) => pids.every((one) => !workers.includes(one)),
	);
	assert.notEqual(await mainPidOf(host, workerHost), pid);
	await load.answered(50);
	const report = await load.stop();
	assert.deepEqual([report.lost, report.failures], [0, []]);
	assert.match(await host.run('journalctl', '--unit', workerHost, '--output=cat'), /Watchdog timeout/);
});
