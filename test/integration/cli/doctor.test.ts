/** `rollcall doctor` on the host that it runs on: it tells what it sees without a daemon and without root. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runChecks } from '../../../src/cli/doctor/doctor.js';
import { thisHost } from '../../../src/cli/doctor/host.js';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { runCommand } from '../../support/cli/command.js';
import { startFakeDaemon } from '../../support/cli/fake-daemon.js';

let folder: string;
let config: string;
let socket: string;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-doctor-'));
	config = join(folder, 'rollcall.yaml');
	socket = join(folder, 'admin.sock');
	mkdirSync(join(folder, 'state'), { mode: 0o700 });
	const lines = [
		'node: {name: alpha}',
		'state_dir: ./state',
		'worker_dir: ./workers',
		'runtime_dir: .',
		'http_workers:',
		'  - {name: web, script: server.js}',
		'',
	];
	writeFileSync(config, lines.join('\n'), { mode: 0o600 });
});
after(() => rmSync(folder, { recursive: true }));

async function examine() {
	const { code, stdout, stderr } = await runCommand(['doctor', '--config', config, '--json']);
	const document = resultShapes.doctor.parse(JSON.parse(stdout));
	assert.equal(code, document.wrong > 0 ? 1 : 0, stderr);
	const stateOf = (check: string) => document.findings.find((finding) => finding.check === check)?.state;
	return { document, stateOf };
}

describe('rollcall doctor here', () => {
	test('without a daemon it says what is wrong, what it could not see, and is content once that is mended', async () => {
		const ill = await examine();
		assert.deepEqual(
			[ill.stateOf('app-scripts'), ill.stateOf('daemon'), ill.stateOf('links')],
			['wrong', 'unseen', 'unseen'],
		);
		assert.ok(ill.document.wrong > 0);
		writeFileSync(join(folder, 'server.js'), '');
		const mended = await examine();
		assert.equal(mended.stateOf('app-scripts'), 'ok');
		assert.equal(mended.stateOf('configuration'), 'ok');
	});

	test('a configuration that does not check is shown with its fault, the rest is looked at', async () => {
		const broken = join(folder, 'broken.yaml');
		writeFileSync(broken, 'node: {nam: alpha}\n', { mode: 0o600 });
		const { code, stdout } = await runCommand(['doctor', '--config', broken]);
		assert.equal(code, 1);
		assert.match(stdout, /^Wrong: \d+\n {2}configuration: .*nam/m);
		assert.match(stdout, /fix: rollcall validate --config/);
		assert.match(stdout, /\nFine: \d+\n\d+ checks, \d+ wrong\n$/);
	});

	test('what the daemon answers is judged: a peer that is not linked, a clock that is off', async () => {
		const daemon = await startFakeDaemon({ path: socket });
		try {
			const node = {
				zone: null,
				boot: 1,
				ready: true,
				availability: null,
				version: '0',
				configuration: 'file',
				rtt_ms: 1,
				last_seen: 1,
			};
			const nodes = [
				{ name: 'alpha', link: 'self', reason: null, clock_offset_ms: null, ...node },
				{ name: 'beta', link: 'down', reason: 'it refuses this node', clock_offset_ms: null, ...node },
				{ name: 'gamma', link: 'up', reason: null, clock_offset_ms: 90_000, ...node },
			];
			daemon.operations['cluster_status'] = () => ({ body: { node: 'alpha', boot: 1, coordinator: null, nodes } });
			daemon.operations['list_workers'] = () => ({ body: [] });
			daemon.operations['list_rollouts'] = () => ({ body: [] });
			daemon.operations['list_users'] = () => ({ status: 403, body: { error: 'not allowed' } });
			daemon.pages['/readyz'] = { status: 503, body: { ready: false, reasons: ['starting'], notes: [] } };
			const { stateOf } = await examine();
			assert.deepEqual(['daemon', 'links', 'clock-skew', 'readiness'].map(stateOf), [
				'ok',
				'wrong',
				'warning',
				'wrong',
			]);
		} finally {
			await daemon.close();
		}
	});

	test('a user without rights sees less, and no check fails', async () => {
		const secret = join(folder, 'closed');
		mkdirSync(secret, { mode: 0o700 });
		writeFileSync(join(secret, 'file'), '');
		chmodSync(secret, 0o000);
		const host = thisHost();
		const isRoot = process.geteuid?.() === 0;
		if (isRoot) process.seteuid?.(1);
		try {
			const findings = await runChecks({
				now: Date.now(),
				host,
				configFile: config,
				config: null,
				configurationFault: 'it may not be read',
				daemon: null,
				daemonFault: null,
				version: '0',
			});
			assert.deepEqual(
				findings.filter(({ text }) => text.includes('check itself failed')),
				[],
			);
			assert.equal(host.facts(join(secret, 'file')), 'denied');
		} finally {
			if (isRoot) process.seteuid?.(0);
			chmodSync(secret, 0o700);
		}
	});
});

describe('what doctor asks of a host', () => {
	const host = thisHost();

	test('files by kind and mode, links followed; space of a folder that is not there yet', () => {
		chmodSync(config, 0o640);
		symlinkSync(config, join(folder, 'link'));
		const facts = host.facts(join(folder, 'link'));
		assert.ok(typeof facts === 'object');
		assert.deepEqual([facts.kind, facts.mode, facts.uid], ['file', 0o640, process.geteuid?.()]);
		assert.equal(host.facts(join(folder, 'nothing')), 'missing');
		const space = host.space(join(folder, 'a/b/c'));
		assert.ok(space !== null && space.totalBytes >= space.freeBytes && space.freeBytes > 0);
	});

	test('programs: found on PATH or nowhere, run with what they print, whatever they end with', async () => {
		assert.ok(host.find('sh')?.startsWith('/'));
		assert.equal(host.find('no-such-program'), null);
		assert.equal(await host.run('sh', '-c', 'echo inactive; exit 3'), 'inactive');
		assert.equal(await host.run('no-such-program'), null);
		assert.ok(host.commandLines().length > 0);
	});

	test('the network: a port that listens, one that does not, a page, a name', async () => {
		const server = createServer((_request, response) => response.writeHead(503).end());
		const port = await listen(server);
		assert.equal(await host.connect('127.0.0.1', port), null);
		assert.equal(await host.status(`http://127.0.0.1:${port}/readyz`), 503);
		await new Promise((resolve) => server.close(resolve));
		assert.equal(await host.connect('127.0.0.1', port), 'ECONNREFUSED');
		assert.equal(await host.status(`http://127.0.0.1:${port}/readyz`), null);
		assert.ok((await host.addresses('localhost'))?.length);
	});

	test('a server that accepts and says nothing is no answer, after a bounded time', async () => {
		const silent = createTcpServer(() => undefined);
		const port = await listen(silent as Server);
		assert.equal(await host.status(`http://127.0.0.1:${port}/`), null);
		silent.close();
	});
});

function listen(server: Pick<Server, 'listen' | 'address'>): Promise<number> {
	return new Promise((resolve) => {
		server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
	});
}
