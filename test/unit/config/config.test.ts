import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { toWorkerApps } from '../../../src/config/apps.js';
import { ConfigurationFolder } from '../../support/config/configuration.js';

const app = 'http_workers: [{name: web, script: s.js}]';

/** Text of a file, and the lines it must be refused with. */
const refusals: Record<string, [text: string[], lines: string[]]> = {
	'unknown keys, with the one that was meant': [
		['node:', '  nmae: alpha', 'clutser: {}', 'rollout: {', '  "on failure": halt }'],
		[
			'2:3: node.nmae: expected a key out of name, zone, got another one (did you mean name?)',
			'3:1: clutser: expected a key out of node, state_dir, worker_dir, runtime_dir, operations_api, http_workers, cluster, rollout, logging, got another one (did you mean cluster?)',
			'5:3: rollout["on failure"]: expected a key out of max_unavailable, deadline, lease, on_failure, hold_after, hooks, notify, wait_between, lb_wait, got another one (did you mean on_failure?)',
		],
	],
	'a whole file that is no section': [
		['- a'],
		[
			'1:1: expected a section with keys out of node, state_dir, worker_dir, runtime_dir, operations_api, http_workers, cluster, rollout, logging, got a list',
		],
	],
	'names that are none': [
		['node: {name: Alpha, zone: a b}', 'http_workers:', `  - {name: ${'w'.repeat(32)}, script: s.js, user: Web}`],
		[
			'1:14: node.name: expected a name of 1 to 63 characters out of a-z, 0-9 and -, and not constructor, got "Alpha"',
			'1:27: node.zone: expected a name of 1 to 63 letters, digits, dots, dashes and underscores, got "a b"',
			`3:12: http_workers[0].name: expected a name of 1 to 31 characters out of a-z, 0-9 and -, and not constructor, got "${'w'.repeat(32)}"`,
			'3:66: http_workers[0].user: expected the name of a system user or group, got "Web"',
		],
	],
	'instances that are no number, none, or too many': [
		[
			'http_workers:',
			'  - name: a',
			'    script: s.js',
			'    instances: two',
			'  - {name: b, script: s.js, instances: 0}',
			'  - {name: c, script: s.js, instances: 257}',
			'  - {name: d, script: s.js, instances: 1.5}',
		],
		[
			'4:16: http_workers[0].instances: expected a whole number of at least 1 or max, got "two"',
			'5:40: http_workers[1].instances: expected a whole number of at least 1 or max, got 0',
			'6:40: http_workers[2].instances: expected a whole number of at most 256 or max, got 257',
			'7:40: http_workers[3].instances: expected a whole number of at least 1 or max, got 1.5',
		],
	],
	'durations without a unit, out of range, or with a fraction': [
		['rollout:', '  lease: 3', '  deadline: 25h', '  lb_wait: 1.5s', '  wait_between: -1s'],
		[
			'2:10: rollout.lease: expected a duration from 100ms to 24h, such as 500ms, 30s or 5m, got 3',
			'3:13: rollout.deadline: expected a duration from 1ms to 24h, such as 500ms, 30s or 5m, got "25h"',
			'4:12: rollout.lb_wait: expected a duration from 0s to 24h, such as 500ms, 30s or 5m, got "1.5s"',
			'5:17: rollout.wait_between: expected a duration from 0s to 24h, such as 500ms, 30s or 5m, got "-1s"',
		],
	],
	'sizes, words, truth values and shares of another form': [
		[
			'logging: {level: loud, max_size: 50MB, keep: -1}',
			'rollout: {max_unavailable: 0%, on_failure: stop}',
			'http_workers: [{name: a, script: s.js, gate: "no", surge: 101%, max_memory: 0M}]',
		],
		[
			'1:18: logging.level: expected one of fatal, error, warn, info, debug, trace, silent, got "loud"',
			'1:34: logging.max_size: expected a size such as 512k, 512M or 2G, got "50MB"',
			'1:46: logging.keep: expected a whole number from 0 to 1000, got -1',
			'2:28: rollout.max_unavailable: expected a whole number from 1 to 128, or 1% to 100%, got "0%"',
			'2:44: rollout.on_failure: expected one of halt, continue, revert, got "stop"',
			'3:46: http_workers[0].gate: expected true or false, got "no"',
			'3:59: http_workers[0].surge: expected a whole number from 1 to 256, or 1% to 100%, got "101%"',
			'3:77: http_workers[0].max_memory: expected a size such as 512k, 512M or 2G, got "0M"',
		],
	],
	'numbers where texts belong': [
		[
			'node: {name: 42}',
			'operations_api: {socket: {mode: 0660}}',
			'http_workers:',
			'  - {name: a, script: s.js, env: {PORT: 80}}',
		],
		[
			'1:14: node.name: expected a name of 1 to 63 characters out of a-z, 0-9 and -, and not constructor, got 42 (put it in quotes)',
			'2:33: operations_api.socket.mode: expected a file mode in quotes that keeps others out, such as "0660" or "0600", got 660 (put it in quotes)',
			'4:41: http_workers[0].env.PORT: expected a text, got a number (put it in quotes)',
		],
	],
	'a socket that others may write to': [
		['operations_api: {socket: {mode: "0666"}}'],
		[
			'1:33: operations_api.socket.mode: expected a file mode in quotes that keeps others out, such as "0660" or "0600", got "0666"',
		],
	],
	'keys that are missing or empty': [
		['http_workers:', '  - name: web', '  -', 'cluster:', '  secret_file:', '  peers:', '    - {name: b}'],
		[
			'2:5: http_workers[0].script: expected a path, got nothing',
			'3:4: http_workers[1]: expected a section with keys out of name, script, cwd, args, node_args, interpreter, user, instances, env, env_file, health, gate, ports, reuse_port, overlap, drain, surge, traffic, max_memory, crash_loop, got nothing (give it a value, or take the key out)',
			'4:1: cluster.listen: expected a section with keys out of host, port, got nothing',
			'5:3: cluster.secret_file: expected a path, got nothing (give it a value, or take the key out)',
			'7:7: cluster.peers[0].url: expected an address that begins with wss:// (or ws:// on loopback), got nothing',
		],
	],
	'an app name, a peer name that stands there twice': [
		[
			'node: {name: a}',
			'http_workers: [{name: web, script: s.js}, {name: web, script: t.js}]',
			'cluster:',
			'  listen: {host: 127.0.0.1}',
			'  secret_file: secret',
			'  peers:',
			'    - {name: b, url: ws://127.0.0.1:1}',
			'    - {name: b, url: ws://127.0.0.1:2}',
		],
		[
			'2:50: http_workers[1].name: expected a name that no other app has, got "web"',
			'8:14: cluster.peers[1].name: expected a name that no other peer has, got "b"',
		],
	],
	'a rollout.deadline that an app cannot keep': [
		[
			'http_workers:',
			'  - {name: a, script: s.js, health: {deadline: 4m}, drain: {timeout: 1m}}',
			'rollout: {deadline: 303s}',
		],
		[
			'3:21: rollout.deadline: expected rollout.deadline above 303s (health.deadline 4m + health.soak 1s + health.timeout 2s + drain.timeout 1m of app a), got 303s',
		],
	],
	'a default rollout.deadline that an app cannot keep, at the key of the app': [
		['http_workers:', '  - {name: a, script: s.js, drain: {timeout: 1h}}'],
		[
			'2:46: http_workers[0].drain.timeout: expected rollout.deadline above 3633s (health.deadline 30s + health.soak 1s + health.timeout 2s + drain.timeout 1h of app a), got 5m',
		],
	],
	'user without systemd': [
		['http_workers: [{name: a, script: s.js, user: web}]'],
		[
			'1:46: http_workers[0].user: expected no user, since without systemd every worker runs as the user of the daemon, got "web" (start Rollcall by its systemd units, or take the key out)',
		],
	],
	'ports and fork mode that do not go together': [
		[
			'http_workers:',
			'  - {name: a, script: s.js, ports: [], reuse_port: true}',
			'  - {name: b, script: b.py, interpreter: python3, instances: 2}',
			'  - {name: c, script: c.py, interpreter: python3, health: {path: /}}',
			'  - {name: d, script: d.py, interpreter: python3, instances: 3, ports: [8000, 65534]}',
			'  - {name: e, script: e.py, interpreter: python3, ports: [8002]}',
			'  - {name: f, script: f.py, interpreter: python3, instances: 9, ports: [8100, 8200], reuse_port: true}',
			'  - {name: g, script: g.js, reuse_port: true}',
			'  - {name: h, script: h.py, interpreter: python3, instances: 9, ports: [8300], reuse_port: true}',
		],
		[
			'2:52: http_workers[0].reuse_port: expected no reuse_port, since ports: [] says that the app listens nowhere, got true',
			'3:62: http_workers[1].instances: expected ports, since several workers in fork mode cannot share one, got none (each worker gets the next port after those given)',
			'4:66: http_workers[2].health.path: expected ports beside health.path, since a worker in fork mode is asked on its port, got none',
			'5:79: http_workers[3].ports[1]: expected ports up to 65535 for all instances, got 65536',
			'6:59: http_workers[4].ports[0]: expected ports that no other worker listens on, got 8002, also of app d',
			'7:72: http_workers[5].ports: expected exactly one port with reuse_port, which all instances share, got 8100, 8200',
			'8:41: http_workers[6].reuse_port: expected no reuse_port, since an app of interpreter node shares whatever port it listens on, got true (reuse_port is for fork mode)',
		],
	],
	'proof by an answer for an app that listens nowhere, and by its word for one that listens': [
		[
			'http_workers:',
			'  - {name: a, script: s.js, ports: [], health: {path: /healthz, port: 8080}}',
			'  - {name: b, script: b.py, ports: [], interpreter: python3, health: {ready: true}}',
			'  - {name: c, script: s.js, health: {ready: true}}',
			'  - {name: d, script: d.py, ports: [8080], interpreter: python3, health: {command: [./check]}}',
		],
		[
			'2:55: http_workers[0].health.path: expected no health.path, since ports: [] says that the app listens nowhere, got /healthz (health.command asks a program that does not listen; or name its port in ports)',
			'2:71: http_workers[0].health.port: expected no health.port, since ports: [] says that the app listens nowhere, got 8080 (health.command asks a program that does not listen; or name its port in ports)',
			"3:78: http_workers[1].health.ready: expected no health.ready, since only a program of interpreter node can say process.send('ready'), got true (let health.command exit 0 once the program is ready)",
			'4:45: http_workers[2].health.ready: expected ports: [] beside health.ready, which is for an app that listens nowhere, got true (an app that listens is asked where it listens: see health.path)',
			'5:84: http_workers[3].health.command: expected ports: [] beside health.command, which is for an app that listens nowhere, got ./check (an app that listens is asked where it listens: see health.path)',
		],
	],
	'a judgement of traffic that cannot be': [
		[
			'rollout: {deadline: 2m}',
			'http_workers:',
			'  - {name: a, script: a.py, interpreter: python3, ports: [8090], traffic: {window: 30s}}',
			'  - {name: b, script: s.js, ports: [], traffic: {window: 30s}}',
			'  - {name: c, script: s.js, overlap: false, traffic: {window: 30s}}',
			'  - {name: d, script: s.js, traffic: {window: 4s}}',
			'  - {name: e, script: s.js, traffic: {window: 1m}}',
			'  - {name: f, script: s.js, traffic: {slow: 500ms}}',
		],
		[
			'1:21: rollout.deadline: expected rollout.deadline above 123s (health.deadline 30s + health.soak 1s + health.timeout 2s + drain.timeout 30s + traffic.window 1m of app e), got 2m',
			'3:84: http_workers[0].traffic.window: expected no traffic.window, since only workers of interpreter node count their answers and python3 runs in fork mode, got 30s (take traffic out: the release is proven by its health alone)',
			'4:58: http_workers[1].traffic.window: expected no traffic.window, since ports: [] says that the app listens nowhere, got 30s (take traffic out: there are no answers to compare)',
			'5:63: http_workers[2].traffic.window: expected no traffic.window beside overlap: false, since old and new workers never serve side by side, got 30s (take one of the two out)',
			'6:47: http_workers[3].traffic.window: expected 0s, or a window of at least 5s, got 4s (30s or 1m show a good deal)',
			'8:45: http_workers[5].traffic.slow: expected no traffic.slow without a traffic.window, in which answers are compared, got 500ms (set traffic.window, such as 1m, or take traffic.slow out)',
		],
	],
	'one port twice for one app': [
		[
			'http_workers:',
			'  - {name: a, script: s.js, ports: [8080, 8081, 8080]}',
			'  - {name: b, script: b.py, interpreter: python3, ports: [8090, 8090]}',
		],
		[
			'2:49: http_workers[0].ports[2]: expected each port once, got 8080 again (take the second one out)',
			'3:65: http_workers[1].ports[1]: expected each port once, got 8090 again (take the second one out)',
		],
	],
	'one port for two apps': [
		[
			'http_workers:',
			'  - {name: a, script: s.js, env: {PORT: "8000"}, ports: [8000, 8001], health: {port: 8000}}',
			'  - {name: b, script: s.js, env: {PORT: "8000"}}',
			'  - {name: c, script: s.js, ports: [8001]}',
			'  - {name: d, script: s.js, health: {port: 8001}}',
			'  - {name: e, script: e.py, interpreter: python3, ports: [8000]}',
			'  - {name: f, script: s.js, env: {PORT: /run/f.sock}}',
			'  - {name: g, script: s.js, env: {PORT: /run/f.sock}}',
			'  - {name: h, script: h.py, interpreter: python3, instances: 2, ports: [8300], health: {port: 8301}}',
		],
		[
			'3:41: http_workers[1].env.PORT: expected ports that no other worker listens on, got 8000, also of app a',
			'4:37: http_workers[2].ports[0]: expected ports that no other worker listens on, got 8001, also of app a',
			'5:44: http_workers[3].health.port: expected ports that no other worker listens on, got 8001, also of app a',
			'6:59: http_workers[4].ports[0]: expected ports that no other worker listens on, got 8000, also of app a',
			'9:95: http_workers[7].health.port: expected health.port only for a single instance with ports and without reuse_port, in fork mode, got 8301 (leave it out: each worker is asked on its own port)',
		],
	],
	'socket paths that the kernel does not take': [
		[
			`operations_api: {socket: {path: /${'r'.repeat(107)}}}`,
			`worker_dir: /${'w'.repeat(72)}`,
			'http_workers: [{name: web, script: s.js}]',
		],
		[
			`1:33: operations_api.socket.path: expected a socket path of at most 107 bytes, got 108 bytes: /${'r'.repeat(107)}`,
			`2:13: worker_dir: expected a worker_dir so short that the sockets of app web have at most 107 bytes, got 108 bytes: /${'w'.repeat(72)}/self/w/web-9999999.9999999.99.sock (shorten worker_dir, or the names of app and user)`,
		],
	],
	'http on a network in the clear': [
		['operations_api: {http: {host: 0.0.0.0}}'],
		[
			'1:31: operations_api.http.host: expected a loopback address such as 127.0.0.1, or operations_api.http.tls beside it, got "0.0.0.0" (passwords must not cross a network in the clear)',
		],
	],
	'one port for two listeners': [
		['operations_api:', '  http: {port: 9000}', '  health: {host: "::", port: 9000}'],
		['3:30: operations_api.health.port: expected a port other than that of operations_api.http.port, got 9000'],
	],
};

describe('configuration', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
		folder.write('secret', 'a secret of thirty two characters');
	});
	after(() => folder.remove());

	for (const [what, [text, lines]] of Object.entries(refusals)) {
		it(`refuses ${what}, each with its place`, () => {
			assert.deepEqual(folder.refusals(text.join('\n')), lines);
		});
	}

	it('refuses root and the control plane’s own user as the user of an app, under systemd', () => {
		const text = 'http_workers: [{name: a, script: s.js, user: USER}]';
		const hint = '(useradd --system --shell /usr/sbin/nologin a, or leave the key out: rollcall-app)';
		const refused = (user: string) => folder.refusals(text.replace('USER', user), { underSystemd: true });
		assert.deepEqual(refused('root'), [
			`1:46: http_workers[0].user: expected another user than root, since nothing of Rollcall runs as root, got "root" ${hint}`,
		]);
		assert.deepEqual(refused('rollcall'), [
			`1:46: http_workers[0].user: expected another user than rollcall, since its apps could read state and use the admin socket, got "rollcall" ${hint}`,
		]);
	});

	it('refuses a hook without a user under systemd, and one of root or of the control plane; elsewhere one with a user', () => {
		const text = 'rollout: {hooks: {before_node: {command: [/bin/true]USER}}}';
		const refused = (user: string | null, underSystemd: boolean) =>
			folder.refusals(text.replace('USER', user === null ? '' : `, user: ${user}`), { underSystemd });
		const written = text.replace('USER', ', user: rollcall-hooks');
		assert.equal(folder.load(written, { underSystemd: true }).rollout.hooks.before_node?.timeout, 30_000);
		assert.equal(folder.load(text.replace('USER', '')).rollout.hooks.before_node?.user, undefined);
		assert.match(
			String(refused(null, true)),
			/expected a user, since the command must not run as that of the control plane/,
		);
		assert.match(
			String(refused('root', true)),
			/expected another user than root, since nothing of Rollcall runs as root/,
		);
		assert.match(String(refused('rollcall', true)), /since the command could read state and use the admin socket/);
		assert.match(String(refused('web', false)), /expected no user, since without systemd/);
		assert.match(String(folder.refusals('rollout: {hooks: {before_node: {command: []}}}')), /command/);
		const apps = 'http_workers: [{name: a, script: s.js}]';
		const late = `${apps}\nrollout: {deadline: 70s, hooks: {before_node: {command: [x], timeout: 8s}}}`;
		assert.match(String(folder.refusals(late)), /rollout\.deadline above .*rollout\.hooks\.before_node\.timeout 8s/);
	});

	it('is refused with exit code 2 and all faults as data', () => {
		const error = folder.refusal('node: {nmae: x}\nstate_dir: 1\n');
		assert.equal(error.exitCode, 2);
		assert.equal(error.code, 'configuration');
		assert.deepEqual(error.faults[1], {
			file: join(folder.path, 'rollcall.yaml'),
			line: 2,
			column: 12,
			variable: null,
			key: 'state_dir',
			expected: 'a path',
			got: '1',
			hint: 'put it in quotes',
		});
	});

	it('has a default for everything but what an app or a cluster must say', () => {
		const config = folder.load(`node: {name: alpha}\n${app}\n`);
		assert.equal(config.state_dir, '/var/lib/rollcall');
		assert.equal(config.worker_dir, '/var/lib/rollcall-workers');
		assert.deepEqual(config.operations_api, { socket: { path: '/run/rollcall/admin.sock', mode: 0o660 } });
		assert.equal(config.cluster, undefined);
		assert.deepEqual(config.logging, { level: 'info', max_size: 50 * 1024 ** 2, keep: 5 });
		assert.deepEqual(config.rollout, {
			max_unavailable: 1,
			deadline: 300_000,
			lease: 3000,
			on_failure: 'halt',
			hold_after: 0,
			hooks: {},
			notify: [],
			wait_between: 0,
			lb_wait: 0,
		});
		assert.deepEqual(toWorkerApps(config), [
			{
				name: 'web',
				script: join(folder.path, 's.js'),
				cwd: folder.path,
				args: [],
				nodeArgs: [],
				interpreter: 'node',
				user: null,
				instances: 1,
				env: {},
				health: { path: null, timeoutMs: 2000, deadlineMs: 30_000, soakMs: 1000, intervalMs: 5000, failures: 3 },
				gate: true,
				ports: [],
				listens: true,
				overlap: true,
				reusePort: false,
				drainTimeoutMs: 30_000,
				surge: 1,
				maxMemory: null,
				crashLoop: { intensity: 5, periodMs: 60_000 },
			},
		]);
	});

	it('lets an app that listens nowhere have several instances in fork mode, and the PORT of another app by one env_file', () => {
		const env = 'env: {PORT: "8080"}';
		const config = folder.load(
			[
				'node: {name: alpha}',
				'rollout: {lb_wait: 200s, deadline: 4m}',
				'http_workers:',
				`  - {name: web, script: s.js, ${env}}`,
				`  - {name: mail, script: s.js, ports: [], overlap: false, health: {ready: true}, ${env}}`,
				'  - {name: bills, script: b.py, interpreter: python3, instances: 4, ports: [], health: {command: [./ok, -q]}}',
			].join('\n'),
		);
		const apps = toWorkerApps(config);
		assert.deepEqual(
			apps.map(({ listens, overlap, instances, health }) => [
				listens,
				overlap,
				instances,
				health.ready,
				health.command,
			]),
			[
				[true, true, 1, undefined, undefined],
				[false, false, 1, true, undefined],
				[false, true, 4, undefined, ['./ok', '-q']],
			],
		);
	});

	it('is refused when the file is empty or holds comments alone, since it would take every app away', () => {
		for (const text of ['', '# nothing yet\n', '---\n'])
			assert.throws(
				() => folder.load(text),
				/rollcall\.yaml: expected a configuration, got an empty file \(rollcall init/,
			);
	});

	it('is complete when the file is empty and the environment has the apps; nothing else of it makes up for them', () => {
		const apps = { ROLLCALL_HTTP_WORKERS__0__NAME: 'web', ROLLCALL_HTTP_WORKERS__0__SCRIPT: './server.js' };
		for (const text of ['', '# nothing yet\n']) {
			const config = folder.load(text, { env: apps });
			assert.deepEqual(
				config.http_workers.map(({ name }) => name),
				['web'],
			);
			for (const env of [{ ROLLCALL_NODE__NAME: 'alpha' }, { ROLLCALL_LOGGING__LEVEL: 'info' }])
				assert.throws(() => folder.load(text, { env }), /expected a configuration, got an empty file/);
		}
	});

	it('reads durations as ms and sizes as bytes', () => {
		const config = folder.load('node: {name: a}\nrollout: {lease: 250ms, deadline: 2h, lb_wait: 3m, wait_between: 7s}');
		const { lease, deadline, lb_wait, wait_between } = config.rollout;
		assert.deepEqual([lease, deadline, lb_wait, wait_between], [250, 7_200_000, 180_000, 7000]);
		const size = (text: string) => folder.load(`node: {name: a}\nlogging: {max_size: ${text}}`).logging.max_size;
		assert.deepEqual(['3k', '3K', '3M', '3G'].map(size), [3072, 3072, 3_145_728, 3_221_225_472]);
	});

	it('takes socket paths that just fit', () => {
		const text = `node: {name: a}\nruntime_dir: /${'r'.repeat(95)}\nworker_dir: /${'w'.repeat(71)}\n${app}`;
		assert.equal(folder.load(text).operations_api.socket.path.length, 107);
	});

	it('takes relative paths from its own folder, and a script from its cwd', () => {
		const config = folder.load(
			[
				'runtime_dir: run',
				'state_dir: /s/../state',
				'http_workers:',
				'  - {name: a, script: current/s.js, cwd: srv, env_file: a.env, interpreter: ./bin/node}',
				'  - {name: b, script: /b.py, interpreter: python3}',
			].join('\n'),
			{ secretFiles: 'ignored', env: { ROLLCALL_NODE__NAME: 'alpha' } },
		);
		assert.equal(config.operations_api.socket.path, join(folder.path, 'run/admin.sock'));
		assert.equal(config.state_dir, '/state');
		const [a, b] = config.http_workers;
		assert.equal(a?.cwd, join(folder.path, 'srv'));
		assert.equal(a.script, join(folder.path, 'srv/current/s.js'));
		assert.equal(a.interpreter, join(folder.path, 'srv/bin/node'));
		assert.equal(a.env_file, join(folder.path, 'a.env'));
		assert.deepEqual([b?.script, b?.interpreter, b?.cwd], ['/b.py', 'python3', folder.path]);
	});

	it('takes a user where systemd starts the units, and by itself sees whether it does', () => {
		const text = 'node: {name: alpha}\nhttp_workers: [{name: a, script: s.js, user: web}]';
		const own = String(process.pid);
		assert.equal(folder.load(text, { underSystemd: true }).http_workers[0]?.user, 'web');
		assert.ok(folder.load(text, { env: { NOTIFY_SOCKET: '/run/systemd/notify' } }));
		assert.ok(folder.load(text, { env: { INVOCATION_ID: 'f00' } }));
		assert.ok(folder.load(text, { env: { INVOCATION_ID: 'f00', SYSTEMD_EXEC_PID: own } }));
		// What a service starts inherits its INVOCATION_ID.
		assert.equal(folder.refusals(text, { env: { INVOCATION_ID: 'f00', SYSTEMD_EXEC_PID: `${own}0` } }).length, 1);
	});

	it('gives workers surge and instances as numbers', () => {
		const surges = (instances: string, surge: string) => {
			const text = `node: {name: a}\nhttp_workers: [{name: a, script: s.js, instances: ${instances}, surge: ${surge}}]`;
			return toWorkerApps(folder.load(text)).map((one) => [one.instances, one.surge])[0];
		};
		assert.deepEqual(surges('4', '100%'), [4, 4]);
		assert.deepEqual(surges('4', '30%'), [4, 1]);
		assert.deepEqual(surges('3', '1%'), [3, 1]);
		assert.deepEqual(surges('2', '9'), [2, 2]);
		assert.deepEqual(surges('max', '1'), [availableParallelism(), 1]);
	});

	it('gives workers the variables of env_file under those of env, read afresh at each call', () => {
		folder.write('web.env', '# first\n\nA=1\n  B = no\n'.replace('  B = no\n', 'B="two words"\r\nC=a=b#c\nD=\n'));
		const config = folder.load(
			'node: {name: a}\nhttp_workers: [{name: a, script: s.js, env: {A: own}, env_file: web.env}]',
		);
		assert.deepEqual(toWorkerApps(config)[0]?.env, { A: 'own', B: 'two words', C: 'a=b#c', D: '' });
		folder.write('web.env', "E='x'\n");
		assert.deepEqual(toWorkerApps(config)[0]?.env, { A: 'own', E: 'x' });
	});
});
