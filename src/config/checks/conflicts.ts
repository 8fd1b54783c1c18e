import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { KeyPath } from '../document/faults.js';
import { isLoopback, listensOnSame } from '../document/network.js';
import { nodeArgumentFault, nodeOptionsFault } from './node-options.js';
import type { ClusterConfig, Config, HttpWorkerConfig } from '../schema.js';
import { hookConflicts, hookMs } from './hooks.js';
import { isSilent, proofConflicts } from './silent-programs.js';
import { trafficConflicts } from './traffic.js';
import { appUserDefault, controlUser } from './system-users.js';
import { durationText, portNumber } from '../document/values.js';

/** A mistake that shows only when several keys are seen together. */
export interface Conflict {
	/** The key to name; where it is not given, the next one is. */
	at: readonly KeyPath[];
	expected: string;
	got: string;
	hint?: string | null;
}

/** Linux: sun_path holds 108 bytes, the last one is NUL (unix(7)). */
export const socketPathBytesMax = 107;

/** Everything that the schema alone cannot see. */
export function findConflicts(config: Config, underSystemd: boolean): Conflict[] {
	return [
		...config.http_workers.flatMap((app, index) => appConflicts(config, app, index, underSystemd)),
		...repeatedNames(config),
		...hookConflicts(config, underSystemd),
		...portConflicts(config),
		...socketConflicts(config, underSystemd),
		...listenerConflicts(config),
		...(config.cluster === undefined ? [] : clusterConflicts(config, config.cluster)),
	];
}

/** The number of workers of an app; `max` is one a CPU that this process may use. */
export function instancesOf(app: HttpWorkerConfig): number {
	return app.instances === 'max' ? availableParallelism() : app.instances;
}

/** PM2's cluster mode runs only Node; other programs run in fork mode and open their own sockets. */
export function runsInForkMode(app: Pick<HttpWorkerConfig, 'interpreter'>): boolean {
	return app.interpreter !== 'node';
}

function appConflicts(config: Config, app: HttpWorkerConfig, index: number, underSystemd: boolean): Conflict[] {
	const at = (...path: (string | number)[]): KeyPath => ['http_workers', index, ...path];
	const conflicts: Conflict[] = [];
	// A worker that is busy when its drain begins has health.timeout to say that it heard.
	const parts: [string, number][] = [
		['health.deadline', app.health.deadline],
		['health.soak', app.health.soak],
		['health.timeout', app.health.timeout],
		['drain.timeout', app.drain.timeout],
		...(!isSilent(app) && (runsInForkMode(app) || !app.overlap)
			? [['rollout.lb_wait', config.rollout.lb_wait] satisfies [string, number]]
			: []),
		...(app.traffic.window > 0 ? [['traffic.window', app.traffic.window] satisfies [string, number]] : []),
		...hookMs(config),
	];
	const stepMs = parts.reduce((sum, [, ms]) => sum + ms, 0);
	if (config.rollout.deadline <= stepMs) {
		const sum = parts.map(([key, ms]) => `${key} ${durationText(ms)}`).join(' + ');
		conflicts.push({
			at: [
				['rollout', 'deadline'],
				at('health', 'deadline'),
				at('drain', 'timeout'),
				at('health', 'soak'),
				at('health', 'timeout'),
				at('traffic', 'window'),
				at(),
			],
			expected: `rollout.deadline above ${durationText(stepMs)} (${sum} of app ${app.name})`,
			got: durationText(config.rollout.deadline),
		});
	}
	if (app.user !== undefined && !underSystemd) {
		conflicts.push({
			at: [at('user')],
			expected: 'no user, since without systemd every worker runs as the user of the daemon',
			got: JSON.stringify(app.user),
			hint: 'start Rollcall by its systemd units, or take the key out',
		});
	}
	if (underSystemd && (app.user === 'root' || app.user === controlUser)) {
		const why =
			app.user === 'root' ? 'nothing of Rollcall runs as root' : 'its apps could read state and use the admin socket';
		conflicts.push({
			at: [at('user')],
			expected: `another user than ${app.user}, since ${why}`,
			got: JSON.stringify(app.user),
			hint: `useradd --system --shell /usr/sbin/nologin ${app.name}, or leave the key out: ${appUserDefault}`,
		});
	}
	conflicts.push(...repeatedPorts(app, at), ...proofConflicts(app, at), ...trafficConflicts(app, at));
	return [...conflicts, ...(runsInForkMode(app) ? forkConflicts(app, at) : clusterModeConflicts(app, at))];
}

function repeatedPorts({ ports = [] }: HttpWorkerConfig, at: (...path: (string | number)[]) => KeyPath): Conflict[] {
	return ports.flatMap((port, position) =>
		ports.indexOf(port) === position
			? []
			: [
					{
						at: [at('ports', position)],
						expected: 'each port once',
						got: `${port} again`,
						hint: 'take the second one out',
					},
				],
	);
}

/** An app of interpreter node shares whatever port it listens on; `ports` says where it has to. */
function clusterModeConflicts(app: HttpWorkerConfig, at: (...path: (string | number)[]) => KeyPath): Conflict[] {
	const conflicts: Conflict[] = [];
	const argument = nodeArgumentFault(app.node_args);
	if (argument !== null) conflicts.push({ at: [at('node_args', argument.index), at('node_args')], ...argument });
	const options = nodeOptionsFault(app.env['NODE_OPTIONS'] ?? '');
	if (options !== null) conflicts.push({ at: [at('env', 'NODE_OPTIONS')], ...options });
	if (app.reuse_port && !isSilent(app)) {
		conflicts.push({
			at: [at('reuse_port')],
			expected: 'no reuse_port, since an app of interpreter node shares whatever port it listens on',
			got: 'true',
			hint: 'reuse_port is for fork mode',
		});
	}
	return conflicts;
}

/** Other programs open their own sockets; `ports` says which. */
function forkConflicts(app: HttpWorkerConfig, at: (...path: string[]) => KeyPath): Conflict[] {
	if (app.node_args.length > 0) {
		return [
			{
				at: [at('node_args')],
				expected: `no node_args, since ${app.interpreter} runs in fork mode`,
				got: `${app.node_args.length} of them`,
				hint: 'node_args are for interpreter node; give another program its options by a script of your own',
			},
		];
	}
	if (isSilent(app)) return [];
	const ports = app.ports ?? [];
	if (app.health.port !== undefined && (instancesOf(app) > 1 || app.reuse_port || ports.length === 0)) {
		return [
			{
				at: [at('health', 'port')],
				expected: 'health.port only for a single instance with ports and without reuse_port, in fork mode',
				got: String(app.health.port),
				hint: 'leave it out: each worker is asked on its own port',
			},
		];
	}
	if (app.reuse_port && ports.length !== 1) {
		return [
			{
				at: [at('ports'), at('reuse_port')],
				expected: 'exactly one port with reuse_port, which all instances share',
				got: ports.join(', ') || 'none',
			},
		];
	}
	if (ports.length === 0 && instancesOf(app) > 1) {
		return [
			{
				at: [at('ports'), at('instances'), at()],
				expected: 'ports, since several workers in fork mode cannot share one',
				got: 'none',
				hint: 'each worker gets the next port after those given',
			},
		];
	}
	if (ports.length === 0 && app.health.path !== undefined) {
		return [
			{
				at: [at('health', 'path')],
				expected: 'ports beside health.path, since a worker in fork mode is asked on its port',
				got: 'none',
			},
		];
	}
	return [];
}

function repeatedNames(config: Config): Conflict[] {
	const repeated = (names: readonly string[], path: KeyPath, what: string): Conflict[] =>
		names.flatMap((name, index) =>
			names.indexOf(name) === index
				? []
				: [{ at: [[...path, index, 'name']], expected: `a name that no other ${what} has`, got: JSON.stringify(name) }],
		);
	return [
		...repeated(
			config.http_workers.map((app) => app.name),
			['http_workers'],
			'app',
		),
		...repeated(
			(config.cluster?.peers ?? []).map((peer) => peer.name),
			['cluster', 'peers'],
			'peer',
		),
	];
}

/** Each worker of a fork mode app has ports of its own; the workers of a Node app share theirs. No two apps share one. */
function portConflicts(config: Config): Conflict[] {
	const owners = new Map<number, string>();
	const conflicts: Conflict[] = [];
	for (const [index, app] of config.http_workers.entries()) {
		for (const { at, first, last } of portsOf(app, ['http_workers', index])) {
			if (last > 65_535) conflicts.push({ at, expected: 'ports up to 65535 for all instances', got: String(last) });
			const taken = Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
			// In fork mode two instances of one app may not meet either.
			const clash = taken.find((port) => owners.has(port) && (owners.get(port) !== app.name || runsInForkMode(app)));
			if (clash !== undefined) {
				conflicts.push({
					at,
					expected: 'ports that no other worker listens on',
					got: `${clash}, also of app ${owners.get(clash)}`,
				});
			}
			for (const port of taken) if (!owners.has(port)) owners.set(port, app.name);
		}
	}
	return conflicts;
}

interface PortRange {
	at: KeyPath[];
	first: number;
	last: number;
}

/** The ports of an app as far as the file shows them. */
function portsOf(app: HttpWorkerConfig, path: KeyPath): PortRange[] {
	// A PORT that it shares with another app by one env_file is none of its own.
	if (isSilent(app)) return [];
	const ports = app.ports ?? [];
	if (runsInForkMode(app)) {
		const more = app.reuse_port ? 0 : instancesOf(app) - 1;
		// A repeated port has a conflict of its own.
		return [...new Set(ports)].map((first) => ({
			at: [[...path, 'ports', ports.indexOf(first)]],
			first,
			last: first + more,
		}));
	}
	const named = [
		...ports.map((port, position) => ({ at: [[...path, 'ports', position]], port })),
		{ at: [[...path, 'env', 'PORT'], path], port: portNumber(app.env['PORT'] ?? null) },
		{ at: [[...path, 'health', 'port']], port: app.health.port ?? null },
	];
	return named.flatMap(({ at, port }) => (port === null ? [] : [{ at, first: port, last: port }]));
}

function socketConflicts(config: Config, underSystemd: boolean): Conflict[] {
	const conflicts: Conflict[] = [];
	const tooLong = (path: string) => Buffer.byteLength(path) > socketPathBytesMax;
	const bytes = (path: string) => `${Buffer.byteLength(path)} bytes: ${path}`;
	const admin = config.operations_api.socket.path;
	if (tooLong(admin)) {
		conflicts.push({
			at: [['operations_api', 'socket', 'path'], ['runtime_dir'], []],
			expected: `a socket path of at most ${socketPathBytesMax} bytes`,
			got: bytes(admin),
		});
	}
	for (const [index, app] of config.http_workers.entries()) {
		const longest = join(
			config.worker_dir,
			app.user ?? (underSystemd ? appUserDefault : 'self'),
			'w',
			`${app.name}-9999999.9999999.99.sock`,
		);
		if (!tooLong(longest)) continue;
		conflicts.push({
			at: [['worker_dir'], ['http_workers', index, 'name']],
			expected: `a worker_dir so short that the sockets of app ${app.name} have at most ${socketPathBytesMax} bytes`,
			got: bytes(longest),
			hint: 'shorten worker_dir, or the names of app and user',
		});
	}
	return conflicts;
}

function listenerConflicts(config: Config): Conflict[] {
	const { http, health, metrics } = config.operations_api;
	const conflicts: Conflict[] = [];
	if (http !== undefined && http.tls === undefined && !isLoopback(http.host)) {
		conflicts.push({
			at: [['operations_api', 'http', 'host']],
			expected: 'a loopback address such as 127.0.0.1, or operations_api.http.tls beside it',
			got: JSON.stringify(http.host),
			hint: 'passwords must not cross a network in the clear',
		});
	}
	const listeners: { path: KeyPath; host: string; port: number }[] = [];
	if (http !== undefined) listeners.push({ path: ['operations_api', 'http', 'port'], ...http });
	if (health !== undefined) listeners.push({ path: ['operations_api', 'health', 'port'], ...health });
	if (metrics !== undefined) listeners.push({ path: ['operations_api', 'metrics', 'port'], ...metrics });
	if (config.cluster !== undefined) listeners.push({ path: ['cluster', 'listen', 'port'], ...config.cluster.listen });
	for (const [index, one] of listeners.entries()) {
		const other = listeners.slice(0, index).find((before) => {
			return one.port !== 0 && before.port === one.port && listensOnSame(before.host, one.host);
		});
		if (other !== undefined) {
			const at = [one.path, one.path.slice(0, -1)];
			conflicts.push({ at, expected: `a port other than that of ${other.path.join('.')}`, got: String(one.port) });
		}
	}
	return conflicts;
}

function clusterConflicts(config: Config, cluster: ClusterConfig): Conflict[] {
	const conflicts = cluster.peers.flatMap((peer, index) => peerConflicts(cluster, peer, ['cluster', 'peers', index]));
	if (cluster.tls !== undefined && cluster.secret_file !== undefined) {
		conflicts.push({
			at: [['cluster', 'secret_file']],
			expected: 'exactly one of cluster.tls and cluster.secret_file',
			got: 'both',
		});
	}
	if (cluster.tls === undefined && cluster.secret_file === undefined) {
		conflicts.push({
			at: [['cluster']],
			expected: 'cluster.tls (or cluster.secret_file, where all addresses are loopback)',
			got: 'neither',
			hint: 'nodes must prove to each other who they are',
		});
	}
	if (cluster.tls === undefined && !isLoopback(cluster.listen.host)) {
		conflicts.push({
			at: [['cluster', 'listen', 'host']],
			expected: 'a loopback address such as 127.0.0.1, or cluster.tls beside it',
			got: JSON.stringify(cluster.listen.host),
		});
	}
	const own = cluster.peers.findIndex((peer) => peer.name === config.node.name);
	const ownZone = cluster.peers[own]?.zone;
	if (ownZone !== undefined && config.node.zone !== undefined && ownZone !== config.node.zone) {
		conflicts.push({
			at: [['cluster', 'peers', own, 'zone']],
			expected: `the same zone as node.zone, ${JSON.stringify(config.node.zone)}`,
			got: JSON.stringify(ownZone),
		});
	}
	return conflicts;
}

/** The address itself is never shown as a whole: someone may have put a password into it. */
function peerConflicts(cluster: ClusterConfig, peer: ClusterConfig['peers'][number], path: KeyPath): Conflict[] {
	const at = [[...path, 'url']];
	if (!URL.canParse(peer.url)) return [{ at, expected: 'an address such as wss://alpha:9933', got: 'none' }];
	const url = new URL(peer.url);
	if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
		return [{ at, expected: 'an address without user, password, ? and #', got: 'one with them' }];
	}
	if (cluster.tls !== undefined && url.protocol !== 'wss:') {
		return [{ at, expected: 'wss://, since cluster.tls is given', got: `${url.protocol}//` }];
	}
	if (cluster.tls === undefined && !isLoopback(url.hostname)) {
		return [
			{ at, expected: 'a loopback address such as 127.0.0.1, or cluster.tls', got: JSON.stringify(url.hostname) },
		];
	}
	if (cluster.tls === undefined && url.protocol !== 'ws:') {
		return [{ at, expected: 'ws://, since cluster.tls is not given', got: `${url.protocol}//` }];
	}
	return [];
}
