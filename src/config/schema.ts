import { z } from '../zod.js';
import { nodeNamePattern } from './checks/certificates.js';
import { hooks } from './checks/hooks.js';
import {
	duration,
	list,
	matching,
	oneOf,
	path,
	section,
	share,
	size,
	text,
	truth,
	userName,
	whole,
	wholeOr,
	wholeOrPercent,
} from './value-types.js';

/**
 * The one schema of the configuration. Types, defaults, the JSON Schema, the reference table, the environment overrides
 * and the messages all come from it. Durations become ms, sizes bytes, the socket's mode a number.
 */

/** What a rollout tells the addresses of `rollout.notify`. */
export const rolloutEvents = ['started', 'held', 'halted', 'completed', 'aborted', 'reverted'] as const;

export const nodesMax = 128;
export const instancesMax = 256;

const port = whole(1, 65_535);
const listenPort = whole(0, 65_535);
const host = matching(/^[A-Za-z0-9.:_-]{1,253}$/, 'a host name or an address');
const nodeName = matching(nodeNamePattern, 'a name of 1 to 63 characters out of a-z, 0-9 and -, and not constructor');
const zone = matching(/^[A-Za-z0-9._-]{1,63}$/, 'a name of 1 to 63 letters, digits, dots, dashes and underscores');
// The name is part of the path of each worker's private socket, which the kernel bounds at 107 bytes.
const appName = matching(
	/^(?!constructor$)[a-z0-9-]{1,31}$/,
	'a name of 1 to 31 characters out of a-z, 0-9 and -, and not constructor',
);
export const environmentName = matching(
	/^(?!ROLLCALL_|__proto__$)[A-Za-z_][A-Za-z0-9_]{0,254}$/,
	'names of variables out of letters, digits and underscores, none of them beginning with ROLLCALL_',
);
const environmentValue = z.string({ error: 'a text' }).regex(/^[^\0]*$/, { error: 'a text without the character NUL' });

const node = section({
	name: nodeName
		.optional()
		.describe('Name of this node in the fleet; default: the host name up to its first dot, in small letters.'),
	zone: zone
		.optional()
		.describe('Zone (rack, room) of this node; a rollout goes through the nodes zone by zone; default none.'),
});

const socket = section({
	path: path().optional().describe('Path of the admin socket, at most 107 bytes; default: admin.sock in runtime_dir.'),
	mode: matching(/^0?[67][0-7]0$/, 'a file mode in quotes that keeps others out, such as "0660" or "0600"')
		.transform((value) => Number.parseInt(value, 8))
		.prefault('0660')
		.describe(
			'File mode of the admin socket, in octal digits in quotes: every user with write access to it is super_user; default "0660".',
		),
	group: userName.optional().describe('Group of the admin socket; default: left as the daemon makes it.'),
});

const tls = section({
	cert: path().describe('PEM file of the certificate, with its chain; must be given.'),
	key: path().describe('PEM file of the private key, not readable by others; must be given.'),
});

const http = section({
	host: host
		.default('127.0.0.1')
		.describe('Address that the operations API listens on; anything but loopback needs tls; default 127.0.0.1.'),
	port: listenPort.default(9925).describe('TCP port of the operations API, 0 takes a free one; default 9925.'),
	tls: tls.optional().describe('Certificate and key, which turn HTTP into HTTPS; default: off.'),
});

const healthListener = section({
	host: host.default('127.0.0.1').describe('Address that the health listener listens on; default 127.0.0.1.'),
	port: listenPort.default(9926).describe('TCP port of the health listener, 0 takes a free one; default 9926.'),
});

const metricsListener = section({
	host: host
		.default('127.0.0.1')
		.describe(
			'Address that the metrics listener listens on, without credentials and in the clear: one that only Prometheus reaches; default 127.0.0.1.',
		),
	port: listenPort.default(9927).describe('TCP port of the metrics listener, 0 takes a free one; default 9927.'),
});

const operationsApi = section({
	socket: socket.prefault({}).describe('The admin socket, which is always on.'),
	http: http.optional().describe('The operations API over TCP, always with credentials; default: off.'),
	health: healthListener
		.optional()
		.describe('A plain listener with /livez and /readyz alone, for load balancers; default: off.'),
	metrics: metricsListener.optional().describe('A plain listener with /metrics alone, for Prometheus; default: off.'),
});

const health = section({
	path: matching(/^\/[\x21-\x7e]*$/, 'a path that begins with /')
		.optional()
		.describe(
			'Path that a healthy worker answers with a status of 2xx on health.port; default: GET / with any status below 500, in fork mode a TCP connect.',
		),
	port: port
		.optional()
		.describe(
			'Port that is asked, which the app must listen on; default: the port in PORT of its environment if it listens there, else its first listener that speaks HTTP.',
		),
	ready: truth()
		.default(false)
		.describe(
			"Whether a worker of interpreter node that listens nowhere (ports: []) must say process.send('ready') before it is proven; default false.",
		),
	command: list(text(), 64, 'texts')
		.default([])
		.describe(
			'Command, with its arguments, that exits 0 while a worker that listens nowhere (ports: []) is healthy; it runs as the user of the app in cwd, with ROLLCALL_WORKER and ROLLCALL_PID; default none.',
		),
	timeout: duration().prefault('2s').describe('Longest that one health check may take, as a duration; default 2s.'),
	deadline: duration()
		.prefault('30s')
		.describe('Longest that a new worker may take to become healthy, as a duration; default 30s.'),
	soak: duration(0)
		.prefault('1s')
		.describe('How long a new worker must stay healthy before it joins, as a duration; default 1s.'),
	interval: duration(100)
		.prefault('5s')
		.describe('Pause between two checks of a worker that has joined, as a duration of at least 100ms; default 5s.'),
	failures: whole(1, 1000)
		.default(3)
		.describe('How many checks in a row must fail before a worker that has joined is replaced; default 3.'),
});

const crashLoop = section({
	intensity: whole(1, 1000)
		.default(5)
		.describe('How many crashes a worker may have within the period; with one more it has failed; default 5.'),
	period: duration(1000)
		.prefault('60s')
		.describe('Time over which crashes are counted, as a duration of at least 1s; default 60s.'),
});

/** A node's step, and its start after a power cut in the middle of one, take as much longer. */
const comparisonLongestMs = 600_000;

/** A second's requests are compared ten seconds later at the latest: by then each is known to be late or not. */
const slowLongestMs = 9_000;

const traffic = section({
	window: duration(0, comparisonLongestMs)
		.prefault('0s')
		.describe(
			'How long old and new workers serve side by side before the old ones drain, while their answers are compared, as a duration of 5s to 10m; 0s: not at all; default 0s.',
		),
	requests: whole(1, 1_000_000)
		.default(20)
		.describe('How many requests new workers must have got before they may be refused for their answers; default 20.'),
	errors: share()
		.prefault('5%')
		.describe(
			'By how much the share of requests that new workers answer 5xx may be above that of the old ones, such as 5% or 0.5% of the requests; default 5%.',
		),
	slow: duration(0, slowLongestMs)
		.prefault('0s')
		.describe(
			"From when on an answer is late, as a duration of at most 9s from a request's head to that of its answer: the share of late answers is judged as that of 5xx is, by the same errors; 0s: answers are not timed; default 0s.",
		),
});

const httpWorker = section({
	name: appName.describe('Name of the app, once only; must be given.'),
	script: path().describe(
		"The app's script, relative to cwd; a link is followed afresh at every replacement; must be given.",
	),
	cwd: path()
		.optional()
		.describe("Folder that the app runs in, relative to the configuration file's folder; default: that folder."),
	args: list(text(), 256, 'texts').default([]).describe('Arguments of the script; default none.'),
	node_args: list(text(), 64, 'texts')
		.default([])
		.describe(
			'Options of Node that the script runs with, such as --import or --max-old-space-size=512; for interpreter node alone; default none.',
		),
	interpreter: path('the name or path of a program')
		.default('node')
		.describe(
			'Program that runs the script; anything but node runs in fork mode, without the gate, and shares a port only with reuse_port; none: the script runs by itself; default node.',
		),
	user: userName
		.optional()
		.describe(
			"System user that the app's workers run as, under systemd only; default: rollcall-app there, elsewhere the user of the daemon.",
		),
	instances: wholeOr(1, instancesMax, 'max').default(1).describe('Number of workers, or max for one a CPU; default 1.'),
	env: z
		.record(environmentName, environmentValue, { error: 'a section of variables with texts' })
		.default({})
		.describe('Environment variables of the app as texts (numbers in quotes); they win over env_file; default none.'),
	env_file: path()
		.optional()
		.describe('File of KEY=VALUE lines for the environment of the app, not readable by others; default none.'),
	health: health.prefault({}).describe('How a worker proves that it is healthy.'),
	gate: truth()
		.default(true)
		.describe(
			'Whether a new worker is proven on a private socket before it takes part in the public port; false for an app that turns healthy only once it listens there; default true.',
		),
	ports: list(port, 16, 'ports')
		.optional()
		.describe(
			'Ports that the app listens on. A worker of interpreter node must have all of them open before it is proven; without them, every port that the workers before it had. In fork mode each instance has one, the next after those given where there are more, unless they share it by reuse_port. An empty list: the app listens nowhere, such as a queue worker, and is no part of readiness; default none.',
		),
	reuse_port: truth()
		.default(false)
		.describe(
			'Whether a fork mode app binds its one port with SO_REUSEPORT, so that its instances share it and new ones start beside the old; default false.',
		),
	overlap: truth()
		.default(true)
		.describe(
			'Whether a new worker may run beside the old one; false: one old worker at a time ends before its successor starts, so that never more than instances run on this node; default true.',
		),
	drain: section({
		timeout: duration()
			.prefault('30s')
			.describe('Longest that a replaced worker may take to finish its requests or jobs, as a duration; default 30s.'),
	})
		.prefault({})
		.describe('How a replaced worker leaves.'),
	surge: wholeOrPercent(instancesMax)
		.default('100%')
		.describe(
			'How many replacements may run beside the old workers at once, as a number or per cent of instances, at least one; default 100%.',
		),
	traffic: traffic.prefault({}).describe('How a release of interpreter node is judged by its answers to users.'),
	max_memory: size()
		.optional()
		.describe('Resident memory above which a worker is replaced, as a size; default: no limit.'),
	crash_loop: crashLoop.prefault({}).describe('When a worker that keeps crashing is given up.'),
});

const peer = section({
	name: nodeName.describe("The peer's node.name; must be given."),
	url: matching(/^wss?:\/\/[^\s\p{Cc}]+$/u, 'an address that begins with wss:// (or ws:// on loopback)').describe(
		"Address of the peer's cluster.listen, as wss://HOST:PORT (ws:// with secret_file); must be given.",
	),
	zone: zone.optional().describe("The peer's zone, used until the peer itself has said it; default none."),
});

const cluster = section({
	listen: section({
		host: host.describe('Address that this node accepts its peers on; must be given.'),
		port: port.default(9933).describe('TCP port that this node accepts its peers on; default 9933.'),
	}).describe('Where this node accepts its peers; must be given.'),
	tls: section({
		ca: path().describe("PEM file of the authority that signed every node's certificate; must be given."),
		cert: path().describe("PEM file of this node's certificate; must be given."),
		key: path().describe("PEM file of this node's private key, not readable by others; must be given."),
	})
		.optional()
		.describe(
			'Mutual TLS between the nodes, required when any address is not loopback; exactly one of tls and secret_file is needed; default none.',
		),
	secret_file: path()
		.optional()
		.describe(
			'File with the shared secret, at least 16 bytes and not readable by others; for loopback addresses only; default none.',
		),
	peers: list(peer, nodesMax, 'peers')
		.default([])
		.describe(
			'The nodes of the fleet; the own entry may stand among them, so that one file serves all hosts; default none.',
		),
});

const notify = section({
	url: matching(
		/^(https:\/\/[^\s/@]+(\/\S*)?|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(\/\S*)?)$/,
		'an https:// address without credentials (http:// on loopback alone)',
	).describe('Address that each event is sent to, as https://HOST/PATH; must be given.'),
	secret_file: path().describe(
		'File with the secret that events are signed with, at least 32 bytes, not readable by others; must be given.',
	),
	events: list(oneOf(rolloutEvents), rolloutEvents.length, 'events')
		.default([...rolloutEvents])
		.describe(`The events that are sent, out of ${rolloutEvents.join(', ')}; default all.`),
});

const rollout = section({
	max_unavailable: wholeOrPercent(nodesMax)
		.default(1)
		.describe(
			'How many nodes a rollout may take out at once, as a number or per cent of the nodes (rounded down, at least one); default 1.',
		),
	deadline: duration()
		.prefault('5m')
		.describe(
			'Longest that the step of one node may take, as a duration above health.deadline + health.soak + health.timeout + drain.timeout of every app; default 5m.',
		),
	lease: duration(100)
		.prefault('3s')
		.describe(
			'How long a coordinator may be silent before another node takes over, as a duration of at least 100ms; default 3s.',
		),
	on_failure: oneOf(['halt', 'continue', 'revert'])
		.default('halt')
		.describe(
			'What a rollout does after a node failed: halt, continue, or revert, which halts and then puts the nodes back that were done; revert is for http_workers over the fleet, and other rollouts halt; default halt.',
		),
	hold_after: whole(0, nodesMax)
		.default(0)
		.describe(
			'After how many nodes that are back a rollout of http_workers over the fleet pauses until an operator resumes it, as a whole number; 0: it does not; default 0.',
		),
	hooks: hooks
		.prefault({})
		.describe('Commands run before and after rollouts and nodes, for rollouts that restart workers.'),
	notify: list(notify, 16, 'addresses')
		.default([])
		.describe('Addresses that are told what becomes of a rollout; default none.'),
	wait_between: duration(0).prefault('0s').describe('Pause between one node and the next, as a duration; default 0s.'),
	lb_wait: duration(0)
		.prefault('0s')
		.describe(
			'How long readiness is off before a node goes out, so that load balancers see it, as a duration; default 0s.',
		),
});

const logging = section({
	level: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
		.default('info')
		.describe("Least severity of the daemon's log lines; default info."),
	max_size: size()
		.prefault('50M')
		.describe("Size at which a worker's log file is put aside and begun anew; default 50M."),
	keep: whole(0, 1000).default(5).describe('How many log files put aside are kept for each worker; default 5.'),
});

/** Where a node's state lies when its file does not say. */
export const stateDirDefault = '/var/lib/rollcall';

export const configurationSchema = section({
	node: node.prefault({}).describe('This node.'),
	state_dir: path()
		.default(stateDirDefault)
		.describe('Folder (0700) of the wanted state, the users and the rollout records; default /var/lib/rollcall.'),
	worker_dir: path()
		.default('/var/lib/rollcall-workers')
		.describe(
			"Folder of the worker hosts and of the workers' private sockets, so its path must be short; default /var/lib/rollcall-workers.",
		),
	runtime_dir: path().default('/run/rollcall').describe('Folder of the admin socket; default /run/rollcall.'),
	operations_api: operationsApi.prefault({}).describe('Where operations are taken.'),
	http_workers: list(httpWorker, 128, 'apps').default([]).describe('The http apps that this node runs; default none.'),
	cluster: cluster
		.optional()
		.describe('The other nodes and how they are reached; without it the node stands alone; default none.'),
	rollout: rollout.prefault({}).describe('How a rolling restart goes through the fleet.'),
	logging: logging.prefault({}).describe("The daemon's log and the workers' log files."),
}).describe('Configuration of Rollcall.');

export type ParsedConfiguration = z.output<typeof configurationSchema>;
/** An http app as it stands in the file, before defaults. */
export type HttpWorkerEntry = z.input<typeof httpWorker>;
type ParsedHttpWorker = ParsedConfiguration['http_workers'][number];
type ParsedOperationsApi = ParsedConfiguration['operations_api'];

/** An http app as configured, with `script`, `cwd` and `env_file` absolute. */
export type HttpWorkerConfig = Omit<ParsedHttpWorker, 'cwd'> & { cwd: string };

/** The cluster section, with its files absolute. */
export type ClusterConfig = NonNullable<ParsedConfiguration['cluster']>;

/** The whole configuration: every default filled in, every path absolute, durations in ms, sizes in bytes. */
export type Config = Omit<ParsedConfiguration, 'node' | 'operations_api' | 'http_workers'> & {
	node: Omit<ParsedConfiguration['node'], 'name'> & { name: string };
	operations_api: Omit<ParsedOperationsApi, 'socket'> & {
		socket: Omit<ParsedOperationsApi['socket'], 'path'> & { path: string };
	};
	http_workers: HttpWorkerConfig[];
};
