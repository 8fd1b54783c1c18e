import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HostFleet, names, rolloutEnd } from '../support/host-fleet.js';
import { operation } from '../support/installed-host.js';
import { type Load, lossOf, startLoad } from '../support/load.js';
import { freePorts } from '../support/ports.js';

let fleet: HostFleet;
let folder: string;
let balancer: ChildProcess;
let url: string;

before(async () => {
	// Long enough for the balancer to see a node unready (two looks) before its workers leave.
	fleet = await HostFleet.boot('rclb', '10.88.3', '3s');
	folder = await mkdtemp(join(tmpdir(), 'rc-lb-'));
	const [port = 0] = await freePorts(1);
	url = `http://127.0.0.1:${port}/`;
	const file = join(folder, 'haproxy.cfg');
	await writeFile(file, configuration(port));
	balancer = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'inherit', 'inherit'] });
	await once(balancer, 'spawn');
	await answers();
});
after(async () => {
	if (balancer?.exitCode === null) {
		balancer.kill('SIGKILL');
		await once(balancer, 'exit');
	}
	await fleet?.clear();
	if (folder) await rm(folder, { recursive: true });
});

function configuration(port: number): string {
	return `
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 60s
	retries 3
	option redispatch
frontend public
	bind 127.0.0.1:${port}
	default_backend nodes
backend nodes
	balance roundrobin
	option httpchk GET /readyz
	http-check expect status 200
	default-server check port 9926 inter 500ms fall 2 rise 2
${names.map((name) => `	server ${name} ${fleet.address(name)}:8080`).join('\n')}
`;
}

/** The balancer has a node to send to. */
async function answers(): Promise<void> {
	const end = performance.now() + 60_000;
	while (performance.now() < end) {
		const status = await fetch(url).then(
			(response) => response.status,
			() => 0,
		);
		if (status === 200) return;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error('HAProxy answers nothing');
}

const loadOn = (): Load => startLoad({ urls: url, ratePerSecond: 100 });

test('behind HAProxy a replicated restart_service loses no request', async (t) => {
	const before = await fleet.pids();
	const load = loadOn();
	await load.answered(200);
	await fleet.host('beta').run('rollcall', 'restart_service', 'service=http_workers', 'replicated=true');
	await load.answered(200);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.deepEqual([report.lost, report.failures], [0, []]);
	const afterwards = await fleet.pids();
	for (const [index, pids] of before.entries()) assert.ok(pids.every((pid) => !afterwards[index]?.includes(pid)));
});

test('behind HAProxy a replicated restart of all instances loses no request', async (t) => {
	const load = loadOn();
	await load.answered(200);
	await operation(fleet.host('alpha'), 'restart', 'replicated=true', '--detach');
	const ended = await rolloutEnd(fleet.host('gamma'));
	await fleet.linked();
	await load.answered(200);
	const report = await load.stop();
	t.diagnostic(lossOf(report));
	assert.equal(ended.state, 'completed');
	assert.deepEqual([report.lost, report.failures], [0, []]);
});
