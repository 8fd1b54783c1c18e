/** An app's user whose home the control plane uses tries to reach, by way of it, another user's workers and the control plane itself. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type Host, repository, TestHosts } from '../support/hosts/hosts.js';
import { installOn, isActive, mainPidOf, servingOn, workersOf } from '../support/hosts/installed-host.js';
import { lossOf, startLoad } from '../support/workers/load.js';

/** Three users: the control plane's, web, and the one of apps that name none. */
const configuration = `
node: {name: alpha}
http_workers:
  - name: web
    script: ./server.js
    cwd: /srv/web
    user: web
    instances: 1
    env: {PORT: "8080"}
    health: {path: /healthz}
  - name: neighbour
    script: /srv/neighbour/neighbour.cjs
    instances: 1
    env: {PORT: "8081", NEIGHBOUR_HOME: /var/lib/rollcall-workers/rollcall-app}
    health: {deadline: 20s, soak: 200ms}
    drain: {timeout: 5s}
`;
const daemon = 'rollcall.service';
const neighbourHost = 'rollcall-workers@rollcall-app.service';
const requests = 20;

let hosts: TestHosts;
let host: Host;

before(async () => {
	hosts = await TestHosts.create('rcnbr', '10.88.9');
	host = await hosts.up('alpha', 1);
	for (const name of ['neighbour.cjs', 'fake-host.cjs']) {
		await host.write(
			`/srv/neighbour/${name}`,
			await readFile(join(repository, 'dist/test/support/apps', name), 'utf8'),
		);
	}
	await installOn(host, configuration);
	await servingOn(host, 1);
	await neighbour();
});
after(async () => {
	await hosts?.clear();
});

/** The neighbour's worker, once it serves. */
const neighbour = () =>
	host.until(
		'the neighbour',
		async () => (await workersOf(host)).find(({ app }) => app === 'neighbour'),
		(row) => row?.state === 'serving' && row.healthy,
	);

/** Says the neighbour's word; answers what it did. */
async function attack<Answer>(path: string): Promise<Answer> {
	const answer = await fetch(`http://${host.address}:8081${path}`);
	const text = await answer.text();
	assert.equal(answer.status, 200, text);
	return JSON.parse(text) as Answer;
}

/** The only worker of the other user, and the process of the control plane; each attack leaves both as they are. */
async function victims(): Promise<{ worker: number; id: string; daemon: number; restarts: string }> {
	const [worker = 0] = await servingOn(host, 1);
	const id = (await workersOf(host)).find(({ app }) => app === 'web')?.id ?? '';
	const restarts = await host.run('systemctl', 'show', '--property=NRestarts', '--value', daemon);
	return { worker, id, daemon: await mainPidOf(host, daemon), restarts };
}

/** Requests to the other user's only worker before, while and after something happens: none of them may be lost. */
async function losesNothing(t: TestContext, what: () => Promise<void>): Promise<void> {
	const load = startLoad({ urls: `http://${host.address}:8080/`, ratePerSecond: 20 });
	await load.answered(requests);
	await what();
	await load.answered(requests);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
}

test('a link in the place of a worker’s control socket reaches no other user’s worker, which serves on', async (t) => {
	const before = await victims();
	await losesNothing(t, async () => {
		const planted = await attack<string[]>(
			`/link?to=/var/lib/rollcall-workers/web/w/${before.id}.${before.worker}.ctl`,
		);
		assert.equal(planted.length, 1);
		// The next control plane connects anew, by the names that it finds.
		await host.run('systemctl', 'restart', daemon);
		await host.until('started', () => isActive(host, daemon), Boolean);
		// Whatever comes of it: the old worker is asked to drain at its control socket.
		await host.try(['rollcall', 'restart_service', 'service=http_workers', 'app=neighbour']);
	});
	const { worker } = await victims();
	assert.equal(worker, before.worker, 'the same process of the other user serves');
	await neighbour();
});

test('a program in the worker host’s place that names other processes as its workers has none of them signalled or taken in', async (t) => {
	const before = await victims();
	await host.write(
		`/etc/systemd/system/${neighbourHost}.d/test.conf`,
		// Time for what the fake host says, before the unit's own host ends what is in the way.
		'[Service]\nRestartSec=60s\n',
	);
	await host.run('systemctl', 'daemon-reload');
	await losesNothing(t, async () => {
		const words = {
			daemon: before.daemon,
			daemon_started: await startOf(before.daemon),
			victim: before.worker,
			victim_started: await startOf(before.worker),
			worker: before.id,
			pm_id: 0,
			own: (await neighbour())?.id,
			port: 8082,
		};
		await attack(`/host?${new URLSearchParams({ words: JSON.stringify(words) })}`);
		// Its own process, which it named last, is to be ended again and again: the others have had their turn by then.
		const signals = ({ calls }: Said) => calls.flatMap(({ argument }) => argument?.orphan?.pid ?? []);
		const said = await host.until('three signals for what is its own', saidByHost, (all) => signals(all).length >= 3);
		assert.deepEqual(new Set(signals(said)), new Set([said.pid]));
	});
	assert.deepEqual(await victims(), before);
	await host.shell(
		`rm -r /etc/systemd/system/${neighbourHost}.d; systemctl daemon-reload; systemctl restart ${neighbourHost}`,
	);
	await neighbour();
});

/** Field 22 of /proc/PID/stat. */
const startOf = (pid: number): Promise<string> => host.shell(`sed 's/.*) //' /proc/${pid}/stat | cut -d ' ' -f 20`);

/** What the program in the host's place was asked, once it is there. */
interface Said {
	pid: number;
	calls: { method: string; argument: { orphan?: { pid: number } } | null }[];
}

async function saidByHost(): Promise<Said> {
	try {
		return (await (await fetch(`http://${host.address}:8082/`)).json()) as Said;
	} catch {
		return { pid: 0, calls: [] };
	}
}
