import { isLoopback } from '../../../config/document/network.js';
import { portNumber } from '../../../config/document/values.js';
import type { LoadedConfig } from '../../../config/load.js';
import { clockOffsetNamedMs } from '../../../fleet/links/clock-offset.js';
import { count, span } from '../../output/format.js';
import {
	type Check,
	type Examination,
	type Finding,
	ok,
	unseen,
	warning,
	withConfig,
	withDaemon,
	wrong,
} from '../types.js';

interface Listener {
	what: string;
	host: string;
	port: number;
}

/** Where the daemon listens, ports that it chooses aside. */
const listenersOf = ({ operations_api: { http, health, metrics }, cluster }: LoadedConfig): Listener[] =>
	[
		...(http === undefined ? [] : [{ what: 'operations_api.http', ...http }]),
		...(health === undefined ? [] : [{ what: 'operations_api.health', ...health }]),
		...(metrics === undefined ? [] : [{ what: 'operations_api.metrics', ...metrics }]),
		...(cluster === undefined ? [] : [{ what: 'cluster.listen', ...cluster.listen }]),
	].filter(({ port }) => port !== 0);

/** An address that stands for all is asked on loopback. */
const reachable = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host);

const whoListens = (port: number): string => `ss -ltnp 'sport = :${port}'`;

const daemonPorts = withConfig(async (config, { host, daemon }) =>
	Promise.all(
		listenersOf(config).map(async ({ what, host: address, port }) => {
			const fault = await host.connect(reachable(address), port);
			const at = `${what} ${address}:${port}`;
			if (daemon !== null && fault === null) return ok(`${at} accepts connections`);
			if (daemon !== null) return wrong(`${at} accepts no connection: ${fault}`, whoListens(port));
			if (fault !== null) return ok(`${at} is free`);
			return wrong(`${at} is taken, though the daemon does not answer`, whoListens(port));
		}),
	),
);

/** The ports that the file shows. */
const portsOf = ({ env, ports = [] }: LoadedConfig['http_workers'][number]): number[] => {
	const port = portNumber(env['PORT'] ?? null);
	return [...new Set([...ports, ...(port === null ? [] : [port])])];
};

const appPorts = withConfig(async (config, { host, daemon }) => {
	const all = config.http_workers.flatMap((app) => portsOf(app).map((port) => ({ name: app.name, port })));
	return await Promise.all(
		all.map(async ({ name, port }) => {
			const isOpen = (await host.connect('127.0.0.1', port)) === null || (await host.connect('::1', port)) === null;
			const runs = daemon?.workers.some(({ app, healthy }) => app === name && healthy) === true;
			if (runs && isOpen) return ok(`${name}: port ${port} accepts connections`);
			// Its own workers serve without a control plane, too.
			if (isOpen)
				return warning(`${name}: port ${port} is open, and nothing says that its workers hold it`, whoListens(port));
			if (!runs) return ok(`${name}: port ${port} is free`);
			return warning(`${name}: port ${port} accepts no connection on loopback`, whoListens(port));
		}),
	);
});

/** A port out of this range may be taken by any outgoing connection in the moment that the listener is made. */
const outgoingPorts = withConfig((config, { host }) => {
	const [first, last] = (host.readText('/proc/sys/net/ipv4/ip_local_port_range') ?? '').trim().split(/\s+/).map(Number);
	if (first === undefined || last === undefined) return [unseen('the range of outgoing ports cannot be read')];
	const reserved = (host.readText('/proc/sys/net/ipv4/ip_local_reserved_ports') ?? '').trim().split(',');
	const isReserved = (port: number) =>
		reserved.some((part) => {
			const [from, to = from] = part.split('-').map(Number);
			return from !== undefined && to !== undefined && port >= from && port <= to;
		});
	const ports = [...listenersOf(config).map(({ port }) => port), ...config.http_workers.flatMap(portsOf)];
	const inside = [...new Set(ports)].filter((port) => port >= first && port <= last && !isReserved(port));
	if (inside.length === 0) return [ok(`no port is out of ${first} to ${last}, which outgoing connections use`)];
	const list = inside.join(',');
	const text = `outgoing connections may take ${list}, out of their range ${first} to ${last}, before a listener does`;
	return [warning(text, `sysctl -w net.ipv4.ip_local_reserved_ports=${[...reserved.filter(Boolean), list].join(',')}`)];
});

interface Peer {
	name: string;
	host: string;
	port: number;
}

const peersOf = ({ node, cluster }: LoadedConfig): Peer[] =>
	(cluster?.peers ?? [])
		.filter(({ name }) => name !== node.name)
		.map(({ name, url }) => {
			const { hostname, port, protocol } = new URL(url);
			const plain = hostname.replace(/^\[(.*)\]$/, '$1');
			return { name, host: plain, port: port === '' ? (protocol === 'wss:' ? 443 : 80) : Number(port) };
		});

const peerNames = withConfig(async (config, { host }) =>
	Promise.all(
		peersOf(config).map(async (peer) => {
			const addresses = await host.addresses(peer.host);
			if (addresses !== null && addresses.length > 0) return ok(`${peer.name}: ${addresses.join(', ')}`);
			return wrong(`${peer.name}: the name ${peer.host} has no address`, `getent hosts ${peer.host}`);
		}),
	),
);

const peersReachable = withConfig(async (config, { host }) =>
	Promise.all(
		peersOf(config).map(async (peer) => {
			const fault = await host.connect(peer.host, peer.port);
			const at = `${peer.name} (${peer.host}:${peer.port})`;
			if (fault === null) return ok(`${at} accepts connections`);
			const command = `nc -vz ${peer.host} ${peer.port}   # there: systemctl status rollcall; a firewall must let TCP ${peer.port} through`;
			return wrong(`${at} accepts no connection: ${fault}`, command);
		}),
	),
);

/** A link is proven by both ends, whichever of them opened it. */
const links = withDaemon(({ cluster }) =>
	cluster.nodes
		.filter(({ link }) => link !== 'self')
		.map(({ name, link, reason }) => {
			if (link === 'up') return ok(`${name} is linked`);
			const command = `rollcall status   # on ${name}, too: systemctl status rollcall`;
			return wrong(`${name} is not linked${reason === null ? '' : `: ${reason}`}`, command);
		}),
);

/** A node that may be asked by its peers has to listen beyond loopback. */
const listensForPeers = withConfig((config) => {
	const { cluster } = config;
	if (cluster === undefined) return [];
	const away = peersOf(config).filter(({ host }) => !isLoopback(host));
	if (away.length === 0 || !isLoopback(cluster.listen.host))
		return [ok(`peers are accepted on ${cluster.listen.host}`)];
	const text = `cluster.listen.host is ${cluster.listen.host}: ${away.map(({ name }) => name).join(', ')} cannot reach it`;
	return [wrong(text, 'set cluster.listen.host to 0.0.0.0, then rollcall restart_service service=clustering_config')];
});

const clockSkew = withDaemon(({ cluster }) =>
	cluster.nodes
		.filter(({ link }) => link === 'up')
		.map(({ name, clock_offset_ms: offset }) => {
			if (offset === null || offset === undefined) return unseen(`the clock of ${name} has not been heard yet`);
			const text = `the clock of ${name} is ${span(Math.abs(offset))} ${offset < 0 ? 'behind' : 'ahead'}`;
			return Math.abs(offset) < clockOffsetNamedMs
				? ok(text)
				: warning(text, `timedatectl set-ntp true   # here and on ${name}`);
		}),
);

const fleetSize = withConfig(({ cluster }: LoadedConfig, examination) => {
	if (cluster === undefined || examination.config === null) return [];
	const nodes = peersOf(examination.config).length + 1;
	if (nodes % 2 === 1) return [ok(count(nodes, 'node'))];
	const text = `a fleet of ${nodes} bears no more nodes lost than one of ${nodes - 1}: an odd number is better`;
	return [
		warning(
			text,
			'add a node to cluster.peers, then rollcall restart_service service=clustering_config replicated=true',
		),
	];
});

/** The daemon may say another name than the file. */
const nodeName = withDaemon(({ cluster }, { config }) => {
	if (config === null || config.node.name === cluster.node) return [ok(`node ${cluster.node}`)];
	const text = `the daemon runs as node ${cluster.node}, the file says ${config.node.name}`;
	return [wrong(text, 'systemctl restart rollcall')];
});

const versions = withDaemon(({ cluster }) => {
	const known = cluster.nodes.filter(({ version }) => version !== null);
	const all = [...new Set(known.map(({ version }) => version))];
	if (all.length <= 1) return [ok(`every node that is heard runs ${all[0] ?? 'an unknown version'}`)];
	const list = known.map(({ name, version }) => `${name} ${version}`).join(', ');
	return [warning(`the nodes run different versions: ${list}`, 'rollcall install   # the newest, node after node')];
});

const lastGood = withDaemon(({ cluster }) => {
	const stale = cluster.nodes.filter(({ configuration }) => configuration === 'last_good').map(({ name }) => name);
	if (stale.length === 0) return [ok('every node that is heard runs by its file')];
	const text = `${stale.join(', ')}: the configuration does not check, so the last good one counts, and no rollout starts`;
	return [wrong(text, 'rollcall validate   # there')];
});

const healthListener = withConfig((config: LoadedConfig) => {
	const { cluster, operations_api: api } = config;
	if (api.health === undefined) {
		if (cluster === undefined) return [ok('no health listener, and no other nodes')];
		const text = 'there is no health listener: a load balancer cannot see that a node goes out for a restart';
		return [warning(text, 'set operations_api.health: {host: 0.0.0.0, port: 9926}, then systemctl restart rollcall')];
	}
	if (!isLoopback(api.health.host)) return [ok(`load balancers may ask ${api.health.host}:${api.health.port}`)];
	const text = `operations_api.health listens on ${api.health.host}: only a load balancer on this host can ask it`;
	return [warning(text, 'set operations_api.health.host to 0.0.0.0, then systemctl restart rollcall')];
});

/** What a load balancer sees. */
async function healthAnswer(examination: Examination): Promise<Finding[]> {
	const { config, daemon, host } = examination;
	const health = config?.operations_api.health;
	if (health === undefined || health.port === 0) return [];
	if (daemon === null) return [unseen('it needs an answer of the daemon; see daemon')];
	const address = reachable(health.host);
	const url = `http://${address.includes(':') ? `[${address}]` : address}:${health.port}/readyz`;
	const status = await host.status(url);
	if (status === 200) return [ok(`${url} answers 200`)];
	const text = `${url} ${status === null ? 'does not answer' : `answers ${status}`}: load balancers send nothing here`;
	return [wrong(text, 'rollcall status')];
}

const loadBalancerWait = withConfig(({ operations_api: { health }, rollout }: LoadedConfig) => {
	if (health === undefined) return [];
	if (rollout.lb_wait > 0) return [ok(`readiness is off ${span(rollout.lb_wait)} before a node goes out`)];
	const text =
		'rollout.lb_wait is 0s: in a restart a node goes out before a load balancer has seen that it is not ready';
	return [
		warning(
			text,
			'set rollout.lb_wait above the interval × failures of the load balancer, then systemctl restart rollcall',
		),
	];
});

export const networkChecks: readonly Check[] = [
	{ name: 'daemon-ports', look: daemonPorts },
	{ name: 'app-ports', look: appPorts },
	{ name: 'outgoing-ports', look: outgoingPorts },
	{ name: 'listens-for-peers', look: listensForPeers },
	{ name: 'health-listener', look: healthListener },
	{ name: 'health-answer', look: healthAnswer },
	{ name: 'load-balancer-wait', look: loadBalancerWait },
];

export const fleetChecks: readonly Check[] = [
	{ name: 'fleet-size', look: fleetSize },
	{ name: 'node-name', look: nodeName },
	{ name: 'peer-names', look: peerNames },
	{ name: 'peers-reachable', look: peersReachable },
	{ name: 'links', look: links },
	{ name: 'clock-skew', look: clockSkew },
	{ name: 'fleet-versions', look: versions },
	{ name: 'fleet-configurations', look: lastGood },
];
