import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
	type ClusterStatus,
	HostFleet,
	type Name,
	names,
	newestRollout,
	rolloutEnd,
} from '../support/fleet/host-fleet.js';
import { isActive, mainPidOf, operation } from '../support/hosts/installed-host.js';
import { type Load, lossOf, startLoad } from '../support/workers/load.js';

let fleet: HostFleet;
before(async () => {
	fleet = await HostFleet.boot('rcflt', '10.88.2');
});
after(async () => {
	await fleet?.clear();
});

const urlOf = (name: Name): string => `http://${fleet.address(name)}:8080/`;
const loadOn = (): Load => startLoad({ urls: names.map(urlOf), ratePerSecond: 90 });

test('a replicated restart_service replaces every worker of three hosts and loses no request', async (t) => {
	const before = await fleet.pids();
	const load = loadOn();
	await load.answered(100);
	await fleet.host('alpha').run('rollcall', 'restart_service', 'service=http_workers', 'replicated=true');
	await load.answered(100);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	const afterwards = await fleet.pids();
	for (const [index, pids] of before.entries()) {
		assert.ok(
			pids.every((pid) => !afterwards[index]?.includes(pid)),
			`${names[index]} has old workers`,
		);
	}
	const rollout = await newestRollout(fleet.host('gamma'));
	assert.equal(rollout?.state, 'completed');
	assert.equal(rollout?.order.at(-1), 'alpha');
});

test('an upgrade, node by node, loses no request and no worker', async (t) => {
	const before = await fleet.pids();
	const load = loadOn();
	await load.answered(100);
	for (const name of names) {
		const host = fleet.host(name);
		await host.shell(
			`cp -r /usr/lib/rollcall/ /root/next; sed -i 's/"version": "[^"]*"/"version": "99.0.0"/' /root/next/package.json
			node /root/next/dist/src/main.js install; systemctl restart rollcall`,
		);
		await fleet.linked();
	}
	await load.answered(100);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	assert.deepEqual(await fleet.pids(), before);
	const { nodes } = await operation<ClusterStatus>(fleet.host('beta'), 'cluster_status');
	assert.deepEqual(
		nodes.map((node) => node.version),
		['99.0.0', '99.0.0', '99.0.0'],
	);
});

test('a replicated restart starts every instance again, one after the other', async () => {
	const bootsOf = async () =>
		new Map(
			(await operation<ClusterStatus>(fleet.host('alpha'), 'cluster_status')).nodes.map((node) => [
				node.name,
				node.boot,
			]),
		);
	const before = await bootsOf();
	const pids = await fleet.pids();
	await operation(fleet.host('beta'), 'restart', 'replicated=true', '--detach');
	const ended = await rolloutEnd(fleet.host('alpha'));
	assert.deepEqual([ended.state, ended.reason], ['completed', null]);
	await fleet.linked();
	for (const [name, boot] of await bootsOf()) assert.equal(boot, (before.get(name) ?? 0) + 1, name);
	const afterwards = await fleet.pids();
	for (const [index, old] of pids.entries()) assert.ok(old.every((pid) => !afterwards[index]?.includes(pid)));
});

test('a node that hears nobody is no dead daemon: its watchdog is fed, it says what is wrong, and its workers serve', async (t) => {
	const host = fleet.host('alpha');
	await host.write('/etc/systemd/system/rollcall.service.d/watchdog.conf', '[Service]\nWatchdogSec=3s\n');
	await host.shell('systemctl daemon-reload; systemctl restart rollcall');
	await fleet.linked();
	const pid = await mainPidOf(host, 'rollcall.service');
	const fed = async () =>
		Number(await host.run('systemctl', 'show', '--property=WatchdogTimestampMonotonic', '--value', 'rollcall.service'));
	const peers = ['beta', 'gamma'] as const;
	const load = startLoad({ urls: urlOf('alpha'), ratePerSecond: 60 });
	for (const peer of peers) await host.run('ip', 'route', 'add', 'blackhole', `${fleet.address(peer)}/32`);
	await host.until(
		'both links to be down',
		() => operation<ClusterStatus>(host, 'cluster_status'),
		({ nodes }) => nodes.filter(({ link }) => link === 'down').length === 2,
	);
	const first = await fed();
	// In microseconds: three times the limit that a daemon which is not fed would be killed after.
	await host.until('the watchdog to be fed on', fed, (at) => at > first + 9_000_000);
	assert.equal(await mainPidOf(host, 'rollcall.service'), pid);
	assert.match(await host.run('rollcall', 'status'), /! no link to beta/);
	for (const peer of peers) await host.run('ip', 'route', 'del', 'blackhole', `${fleet.address(peer)}/32`);
	await fleet.linked();
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	await host.shell('rm -r /etc/systemd/system/rollcall.service.d; systemctl daemon-reload; systemctl restart rollcall');
	await fleet.linked();
});

test('a host that shuts down in the middle of a rollout is named, no other loses a request, and the fleet rolls again afterwards', async (t) => {
	const load = startLoad({
		urls: [urlOf('alpha'), urlOf('beta')],
		ratePerSecond: 60,
	});
	await load.answered(60);
	await operation(fleet.host('alpha'), 'restart_service', 'service=http_workers', 'replicated=true', '--detach');
	const rollout = await newestRollout(fleet.host('alpha'));
	assert.equal(rollout?.state, 'running');
	await fleet.host('gamma').shutDown();
	const seen = await fleet.host('alpha').until(
		'the rollout to name gamma, or to have been through with it before',
		() => newestRollout(fleet.host('alpha')),
		(view) => ['completed', 'halted', 'aborted'].includes(view?.state ?? '') || JSON.stringify(view).includes('gamma'),
		240_000,
	);
	assert.ok(seen);
	await load.answered(60);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	await fleet.up('gamma');
	await fleet.linked();
	await rollsAgain('alpha');
});

test('the power cut of the coordinator in the middle of a rollout leaves a fleet that comes back and rolls again', async () => {
	await operation(fleet.host('alpha'), 'restart_service', 'service=http_workers', 'replicated=true', '--detach');
	await fleet.host('alpha').cutPower();
	await fleet.up('alpha');
	await fleet.linked();
	await rollsAgain('alpha');
});

/** Goes on with what is unfinished, then rolls the whole fleet once more, to its end. */
async function rollsAgain(name: Name): Promise<void> {
	const host = fleet.host(name);
	const left = await host.until(
		'no rollout under way',
		() => newestRollout(host),
		(view) => view === undefined || view.state !== 'running',
		300_000,
	);
	if (left?.state === 'paused') await operation(host, 'abort_rollout', `id=${left.id}`);
	const { code, stdout, stderr } = await host.try([
		...['rollcall', 'restart_service', 'service=http_workers', 'replicated=true', '--timeout', '5m'],
	]);
	assert.equal(code, 0, `${stdout}${stderr}`);
	assert.ok(await isActive(host, 'rollcall.service'));
	await fleet.pids();
}
