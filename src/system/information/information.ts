import { cpus, uptime } from 'node:os';
import type { ThreadRow } from '../../workers/types.js';
import { isSystemAttribute, type SystemAttribute, systemAttributes } from './attributes.js';
import { createDiskActivity, type DiskActivity } from './disk-activity.js';
import { createHostFacts, type HostFacts } from './host.js';
import { readSystemIdentity } from './identity.js';
import { createInterfaceActivity, type InterfaceActivity } from './interface-activity.js';
import { createProcessRows, type ProcessRow } from './process-rows.js';

/** The fields of a `replication` row that this file reads. The fleet's rows have more, and all are answered. */
export interface PeerRow {
	node: string;
	connected: boolean;
	rtt_ms: number | null;
}

/** Sources of `system_information` in other rooms. If one fails, its attribute is null. */
export interface InformationSources {
	/** Process ids: the daemon's, the worker hosts', the http workers'. */
	processes(): { daemon: number; hosts: readonly number[]; workers: readonly number[] };
	/** One row for each durable store; `table_size` in bytes. */
	stores(): readonly { table: string; record_count: number; table_size: number }[];
	threads(): readonly ThreadRow[];
	replication(): readonly PeerRow[];
	/** Counters and latencies, of src/system/metrics.ts. */
	metrics(): unknown;
}

export interface SystemInformation {
	/** The attributes asked for (none: all eleven), in the contract's order. Names that are none are left out: operations refuses them before. */
	information(attributes: readonly string[]): Promise<Record<string, unknown>>;
	close(): Promise<void>;
}

export interface InformationOptions {
	hostFacts?: HostFacts;
	diskActivity?: () => DiskActivity | null;
	/** A source or a host call failed or was late; its fields are null. */
	onFault?: (what: string, reason: string) => void;
}

/**
 * How old a fact may be, in ms. Past `fresh` it is asked again; up to `bound` that happens behind the answer, which has
 * the older value; past `bound` the answer waits. A measurement of now is never answered from before.
 */
const age = {
	hardware: { freshMs: 300_000, boundMs: 3_600_000 },
	slow: { freshMs: 15_000, boundMs: 90_000 },
	now: { freshMs: 500, boundMs: 500 },
} as const;

export function createSystemInformation(
	sources: InformationSources,
	options: InformationOptions = {},
): SystemInformation {
	const { onFault = () => undefined } = options;
	const host = options.hostFacts ?? createHostFacts({ onFault });
	const rows = createProcessRows();
	const diskActivity = options.diskActivity ?? createDiskActivity();
	const interfaceActivity = createInterfaceActivity();
	const readers: { [Attribute in SystemAttribute]: () => unknown } = {
		system: () => readSystemIdentity(),
		time: () => readTime(),
		cpu: () => readCpu(host),
		memory: () => readMemory(host),
		disk: () => readDisk(host, diskActivity()),
		network: () => readNetwork(host, interfaceActivity, settled(sources.replication)),
		harperdb_processes: () => readProcesses(sources, rows),
		table_size: () => sources.stores(),
		metrics: () => sources.metrics(),
		threads: () => sources.threads(),
		replication: () => sources.replication(),
	};

	async function read(attribute: SystemAttribute): Promise<unknown> {
		try {
			return (await readers[attribute]()) ?? null;
		} catch (error) {
			onFault(attribute, String(error));
			return null;
		}
	}

	return {
		async information(attributes) {
			const wanted = attributes.filter(isSystemAttribute);
			const names = systemAttributes.filter((name) => attributes.length === 0 || wanted.includes(name));
			const values = await Promise.all(names.map(read));
			return Object.fromEntries(names.map((name, index) => [name, values[index]]));
		},
		close: () => host.close(),
	};
}

function settled<Value>(source: () => Value): Value | null {
	try {
		return source();
	} catch {
		return null;
	}
}

function readTime(): Record<string, unknown> {
	const now = new Date();
	const aheadMinutes = -now.getTimezoneOffset();
	const distance = Math.abs(aheadMinutes);
	const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
	return {
		current: now.getTime(),
		uptime: uptime(),
		timezone: `GMT${aheadMinutes < 0 ? '-' : '+'}${two(distance / 60)}${two(distance % 60)}`,
		timezoneName: Intl.DateTimeFormat().resolvedOptions().timeZone,
	};
}

async function readCpu(host: HostFacts): Promise<Record<string, unknown>> {
	const [cpu, flags, speed, load] = await Promise.all([
		host.ask('cpu', age.hardware),
		host.ask('cpuFlags', age.hardware),
		host.ask('cpuCurrentSpeed', age.now),
		host.ask('currentLoad', age.now),
	]);
	const hardware = pick(cpu, [
		'manufacturer',
		'brand',
		'vendor',
		'speed',
		'cores',
		'physicalCores',
		'processors',
		'flags',
		'virtualization',
	]);
	return {
		...hardware,
		// A virtual machine may hide its clock rate from lscpu; the kernel's own figure in MHz is the next best.
		speed: hardware.speed || Math.round((cpus()[0]?.speed ?? 0) / 10) / 100,
		flags: flags || hardware.flags,
		cpu_speed: pick(speed, ['min', 'max', 'avg', 'cores']),
		current_load: pick(load, [
			'avgLoad',
			'currentLoad',
			'currentLoadUser',
			'currentLoadSystem',
			'currentLoadNice',
			'currentLoadIdle',
			'currentLoadIrq',
			'currentLoadSteal',
			'currentLoadGuest',
			'cpus',
		]),
	};
}

/** The host's memory, and beside it the daemon's own; all bytes. */
async function readMemory(host: HostFacts): Promise<Record<string, unknown>> {
	const memory = await host.ask('mem', age.now);
	return {
		...pick(memory, [
			'total',
			'free',
			'used',
			'active',
			'available',
			'reclaimable',
			'swaptotal',
			'swapused',
			'swapfree',
			'writeback',
			'dirty',
		]),
		...process.memoryUsage(),
	};
}

/** The named fields, each null when there was no answer or the answer lacks it: a key never goes missing. */
function pick<Answer extends object, Key extends keyof Answer>(
	answer: Answer | null,
	keys: readonly Key[],
): Record<Key, Answer[Key] | null> {
	return Object.fromEntries(keys.map((key) => [key, answer?.[key] ?? null])) as Record<Key, Answer[Key] | null>;
}

async function readDisk(host: HostFacts, activity: DiskActivity | null): Promise<Record<string, unknown>> {
	return {
		io: activity?.io ?? null,
		read_write: activity?.read_write ?? null,
		size: await host.ask('fsSize', age.slow),
	};
}

/** Latency is the fleet's own round trip: no host outside is ever contacted. */
async function readNetwork(
	host: HostFacts,
	activity: (iface: string) => InterfaceActivity[],
	peers: readonly PeerRow[] | null,
): Promise<Record<string, unknown>> {
	const [defaultInterface, interfaces, connections] = await Promise.all([
		host.ask('networkInterfaceDefault', age.slow),
		host.ask('networkInterfaces', age.slow),
		host.ask('networkConnections', age.slow),
	]);
	const roundTrips = (peers ?? []).flatMap((peer) => (peer.connected && peer.rtt_ms !== null ? [peer.rtt_ms] : []));
	const meanMs = roundTrips.reduce((sum, ms) => sum + ms, 0) / roundTrips.length;
	return {
		default_interface: defaultInterface,
		latency: roundTrips.length === 0 ? null : { ok: true, ms: meanMs, peers: roundTrips.length },
		interfaces,
		stats: defaultInterface === null ? null : activity(defaultInterface),
		connections,
	};
}

/** The links live in the daemon itself, so that no process stands under `clustering`; the list is there for those who read it. */
function readProcesses(
	sources: InformationSources,
	rows: (pids: readonly number[]) => ProcessRow[],
): Record<string, unknown> {
	const { daemon, hosts, workers } = sources.processes();
	return { core: rows([daemon, ...hosts, ...workers]), clustering: [] };
}
