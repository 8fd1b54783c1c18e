import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LoadedConfig, parseConfig } from '../../../src/config/load.js';
import type { DaemonAnswers, Examination, FileFacts, Host } from '../../../src/cli/doctor/types.js';
import type { ClusterNode } from '../../../src/fleet/types.js';
import type { WorkerRow } from '../../../src/workers/types.js';
import { TestAuthority, type TestCertificate } from '../fleet/authority.js';

/** What a host of pasteboard says; a test changes it before it looks. */
export interface FakeHost {
	nodeVersion: string;
	processors: number;
	texts: Record<string, string>;
	facts: Record<string, FileFacts | 'missing' | 'denied'>;
	programs: Record<string, string | undefined>;
	/** By the words of the command. */
	output: Record<string, string>;
	/** Ports that accept connections, by `host:port`. */
	open: Set<string>;
	status: number | null;
	names: Record<string, string[]>;
	space: { freeBytes: number; totalBytes: number; freeInodes: number; inodes: number };
	commandLines: string[];
}

/** A node of three that has nothing wrong: node alpha with an app, mutual TLS, HTTP, and a health listener. */
export interface Well {
	folder: string;
	host: FakeHost;
	configuration: string;
	daemon: DaemonAnswers;
	authority: TestAuthority;
	/** As the checks see it. */
	examination(): Examination;
}

const gibibyte = 1024 ** 3;
const file = (mode: number, uid = 0, gid = 0): FileFacts => ({ kind: 'file', mode, uid, gid });
const folderOf = (mode: number): FileFacts => ({ kind: 'folder', mode, uid: 0, gid: 0 });

/** Real certificates, which may serve many nodes. */
export interface Papers {
	authority: TestAuthority;
	certificate: TestCertificate;
}

export async function makePapers(below: string): Promise<Papers> {
	const authority = await TestAuthority.make(below);
	return { authority, certificate: await authority.issue('alpha') };
}

/** In a new folder below the given one. */
export function wellNode(below: string, { authority, certificate }: Papers): Well {
	const { ca, cert, key } = certificate.files;
	const folder = mkdtempSync(join(below, 'well-'));
	const configFile = join(folder, 'rollcall.yaml');
	const pm2Version = (
		JSON.parse(readFileSync(new URL('../../../../node_modules/pm2/package.json', import.meta.url), 'utf8')) as {
			version: string;
		}
	).version;
	const well: Omit<Well, 'examination'> = {
		folder,
		authority,
		configuration: `
node: {name: alpha}
state_dir: /var/lib/rollcall
operations_api:
  http: {host: 10.0.0.1, port: 9925, tls: {cert: ${cert}, key: ${key}}}
  health: {host: 0.0.0.0, port: 9926}
http_workers:
  - {name: web, script: server.js, cwd: /srv/web, user: web, instances: 2, env: {PORT: "8080"}}
  - {name: api, script: api.py, cwd: /srv/api, user: web, interpreter: python3, ports: [8081], env_file: /etc/rollcall/api.env}
cluster:
  listen: {host: 0.0.0.0, port: 9933}
  tls: {ca: ${ca}, cert: ${cert}, key: ${key}}
  peers: [{name: alpha, url: "wss://10.0.0.1:9933"}, {name: beta, url: "wss://beta.example:9933"}, {name: gamma, url: "wss://10.0.0.3:9933"}]
rollout: {lb_wait: 10s}
`,
		host: {
			nodeVersion: '24.9.0',
			processors: 4,
			texts: {
				'/etc/passwd':
					'root:x:0:0::/root:/bin/sh\nrollcall:x:990:990::/var/lib/rollcall:/bin/false\nweb:x:991:991::/:/bin/false\n',
				'/etc/group': 'rollcall:x:990:\nrollcall-control:x:992:rollcall\n',
				'/proc/meminfo': 'MemTotal:       8000000 kB\nMemAvailable:   4000000 kB\n',
				'/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
				'/proc/sys/net/ipv4/ip_local_reserved_ports': '\n',
				'/proc/sys/fs/inotify/max_user_instances': '128\n',
				'/proc/sys/fs/inotify/max_user_watches': '65536\n',
				'/proc/sys/net/core/somaxconn': '4096\n',
				'/proc/sys/fs/file-nr': '3000\t0\t800000\n',
				'/proc/sys/kernel/pid_max': '4194304\n',
				'/proc/loadavg': '0.10 0.10 0.10 1/500 4242\n',
				'/proc/self/limits': 'Max open files            65536                65536                files\n',
			},
			facts: {
				'/run/systemd/system': folderOf(0o755),
				[configFile]: file(0o640, 0, 990),
				'/etc/rollcall/workers.yaml': file(0o644),
				'/etc/rollcall/api.env': file(0o640, 0, 990),
				'/srv/web': folderOf(0o755),
				'/srv/web/server.js': file(0o644),
				'/srv/api': folderOf(0o755),
				'/srv/api/api.py': file(0o644),
				'/var/lib/rollcall': folderOf(0o700),
				'/var/lib/rollcall-workers': folderOf(0o751),
				'/run/rollcall/admin.sock': { kind: 'socket', mode: 0o660, uid: 990, gid: 990 },
				[key]: file(0o640, 0, 990),
			},
			programs: {
				node: '/usr/bin/node',
				openssl: '/usr/bin/openssl',
				flock: '/usr/bin/flock',
				python3: '/usr/bin/python3',
			},
			output: {
				'systemctl show --property UnitFileState --value rollcall.service': 'enabled',
				'systemctl show --property UnitFileState --value rollcall-workers@web.service': 'enabled',
				'systemctl show --property ActiveState --value rollcall.service': 'active',
				'systemctl show --property ActiveState --value rollcall-workers@web.service': 'active',
				'timedatectl show --property NTPSynchronized --value': 'yes',
			},
			open: new Set([
				'10.0.0.1:9925',
				'127.0.0.1:9926',
				'127.0.0.1:9933',
				'127.0.0.1:8080',
				'127.0.0.1:8081',
				'beta.example:9933',
				'10.0.0.3:9933',
			]),
			status: 200,
			names: { 'beta.example': ['10.0.0.2'], '10.0.0.3': ['10.0.0.3'] },
			space: { freeBytes: 50 * gibibyte, totalBytes: 100 * gibibyte, freeInodes: 900_000, inodes: 1_000_000 },
			commandLines: ['node server.js', `PM2 v${pm2Version}: God Daemon (/var/lib/rollcall-workers/web/pm2)`],
		},
		daemon: {
			cluster: { node: 'alpha', nodes: ['alpha', 'beta', 'gamma'].map(clusterNode) },
			workers: ['web', 'web', 'api'].map(workerRow),
			rollouts: [],
			ready: true,
			reasons: [],
			notes: [],
			users: 1,
		},
	};
	return Object.assign(well, { examination: () => examinationOf(well, configFile) });
}

function clusterNode(name: string): ClusterNode {
	return {
		name,
		zone: null,
		link: name === 'alpha' ? 'self' : 'up',
		boot: 1,
		ready: true,
		availability: null,
		version: '1.0.0',
		configuration: 'file',
		rtt_ms: 1,
		last_seen: Date.now(),
		reason: null,
		clock_offset_ms: name === 'alpha' ? null : 12,
		authorities: null,
	};
}

const workerRow = (app: string, index: number): WorkerRow => ({
	app,
	id: `${app}-${index}`,
	pid: 100 + index,
	state: 'serving',
	started_at: 1,
	restarts: 0,
	healthy: true,
	memory: 50 * 1024 ** 2,
	cpu: 1,
	release: `/srv/${app}`,
	revision: null,
	pinned: null,
	requests: null,
});

function examinationOf({ host, configuration, daemon }: Omit<Well, 'examination'>, configFile: string): Examination {
	const options = { file: configFile, env: {}, underSystemd: true, secretFiles: 'ignored' } as const;
	const config: LoadedConfig = parseConfig(configuration, options);
	return {
		now: Date.now(),
		host: hostOf(host),
		configFile,
		config,
		configurationFault: null,
		daemon,
		daemonFault: null,
		version: '1.0.0',
	};
}

/** Certificates and packages are read from the disk. */
function hostOf(fake: FakeHost): Host {
	const onDisk = (path: string): string | null => {
		try {
			return readFileSync(path, 'utf8');
		} catch {
			return null;
		}
	};
	return {
		nodeVersion: fake.nodeVersion,
		processors: fake.processors,
		uid: 0,
		env: {},
		readText: (path) => fake.texts[path] ?? (/^\/(?:proc|etc)\//.test(path) ? null : onDisk(path)),
		facts: (path) => fake.facts[path] ?? 'missing',
		find: (program) => fake.programs[program] ?? null,
		run: (...words) => Promise.resolve(fake.output[words.join(' ')] ?? null),
		connect: (address, port) => Promise.resolve(fake.open.has(`${address}:${port}`) ? null : 'ECONNREFUSED'),
		status: () => Promise.resolve(fake.status),
		addresses: (name) => Promise.resolve(fake.names[name] ?? null),
		space: () => fake.space,
		commandLines: () => fake.commandLines,
	};
}
