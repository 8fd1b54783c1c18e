import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeCertificate } from '../support/fleet/certificate.js';
import { HostFleet, names, rolloutEnd } from '../support/fleet/host-fleet.js';
import { repository } from '../support/hosts/hosts.js';
import { operation } from '../support/hosts/installed-host.js';
import { type Load, lossOf, startLoad } from '../support/workers/load.js';
import { freePorts } from '../support/system/ports.js';
import { appFile } from '../support/workers/primary.js';

const network = '10.88.3';

let fleet: HostFleet;
/** What config/integrations has for three nodes at 10.0.0.1 and so on. */
let shipped: string;
let folder: string;
let balancer: ChildProcess;
/** What the balancer speaks with the nodes, each on a port of its own. */
const urls = { http: '', h2c: '', h2: '' };

before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-lb-'));
	const { key, cert } = makeCertificate(folder);
	shipped = await readFile(join(repository, 'config/integrations/haproxy.cfg'), 'utf8');
	fleet = await HostFleet.boot('rclb', network, {
		// Long enough for the balancer to see a node unready (two looks) before its workers leave.
		lbWait: '3s',
		apps: `${http2App('h2c', 8081, '')}${http2App('h2', 8443, ', TLS_KEY: /srv/h2/key.pem, TLS_CERT: /srv/h2/cert.pem')}`,
		files: {
			'/srv/h2/server.cjs': await readFile(appFile('http2.cjs'), 'utf8'),
			'/srv/h2/key.pem': await readFile(key, 'utf8'),
			'/srv/h2/cert.pem': await readFile(cert, 'utf8'),
		},
	});
	const [http = 0, h2c = 0, h2 = 0] = await freePorts(3);
	Object.assign(urls, { http: urlOf(http), h2c: urlOf(h2c), h2: urlOf(h2) });
	const file = join(folder, 'haproxy.cfg');
	await writeFile(file, configuration({ http, h2c, h2 }));
	balancer = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'inherit', 'inherit'] });
	await once(balancer, 'spawn');
	for (const url of Object.values(urls)) await answers(url);
});
after(async () => {
	if (balancer?.exitCode === null) {
		balancer.kill('SIGKILL');
		await once(balancer, 'exit');
	}
	await fleet?.clear();
	if (folder) await rm(folder, { recursive: true });
});

const urlOf = (port: number): string => `http://127.0.0.1:${port}/`;

const http2App = (name: string, port: number, env: string): string => `\
  - name: ${name}
    script: ./server.cjs
    cwd: /srv/h2
    user: web
    instances: 1
    env: {PORT: "${port}", HOST: 0.0.0.0, DELAY_MS: "5"${env}}
    health: {path: /, deadline: 60s}
    drain: {timeout: 10s}
`;

/**
 * The HTTP/2 backends ask no node whether it is ready: requests go to it all the time that it is rolled. In the clear
 * none is sent twice; over TLS what a node refuses is, as the README advises.
 */
function configuration(ports: { http: number; h2c: number; h2: number }): string {
	const servers = (port: number, how: string): string =>
		names.map((name) => `	server ${name} ${fleet.address(name)}:${port} ${how}`).join('\n');
	return `${shipped.replace('bind :80', `bind 127.0.0.1:${ports.http}`).replaceAll('10.0.0.', `${network}.`)}
listen h2c
	bind 127.0.0.1:${ports.h2c}
	retries 0
	http-reuse always
${servers(8081, 'proto h2')}
listen h2
	bind 127.0.0.1:${ports.h2}
	retries 10
	retry-on conn-failure empty-response
	http-reuse always
${servers(8443, 'ssl verify none alpn h2')}
`;
}

/** The balancer has a node to send to. */
async function answers(url: string): Promise<void> {
	const end = performance.now() + 60_000;
	while (performance.now() < end) {
		const status = await fetch(url).then(
			(response) => response.status,
			() => 0,
		);
		if (status === 200) return;
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error(`HAProxy answers nothing at ${url}`);
}

const loadOn = (): Load => startLoad({ urls: urls.http, ratePerSecond: 100 });

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

for (const rolls of [0, 3]) {
	test(`HAProxy that speaks HTTP/2 with the nodes loses no request in ${rolls} replicated restarts of workers`, async (t) => {
		const loads = [urls.h2c, urls.h2].map((url) => startLoad({ urls: url, ratePerSecond: 100, keepAliveShare: 1 }));
		const answered = async (): Promise<void> => {
			await Promise.all(loads.map((load) => load.answered(200)));
		};
		await answered();
		for (let roll = 0; roll < rolls; roll++) {
			await fleet.host('alpha').run('rollcall', 'restart_service', 'service=http_workers', 'replicated=true');
			await answered();
		}
		for (const [index, load] of loads.entries()) {
			const report = await load.stop();
			t.diagnostic(`${['in the clear', 'over TLS'][index]}: ${lossOf(report)}`);
			assert.deepEqual([report.lost, report.failures], [0, []]);
		}
	});
}
