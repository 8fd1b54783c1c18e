import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDiskActivity } from '../../../src/system/information/disk-activity.js';
import type { HostFacts } from '../../../src/system/information/host.js';
import { createInterfaceActivity } from '../../../src/system/information/interface-activity.js';
import { createSystemInformation, type InformationSources } from '../../../src/system/information/information.js';

const silentHost: HostFacts = { ask: async () => null, close: async () => undefined };
const broken = (): never => {
	throw new Error('broken on purpose');
};
const empty: InformationSources = {
	processes: () => ({ daemon: process.pid, hosts: [], workers: [] }),
	stores: () => [],
	threads: () => [],
	replication: () => [],
	metrics: () => ({}),
};

test('a source that throws gives null for its attribute alone, and says so', async () => {
	const faults: string[] = [];
	const system = createSystemInformation(
		{ ...empty, threads: broken, replication: broken, processes: broken },
		{ hostFacts: silentHost, onFault: (what) => faults.push(what) },
	);
	const all = await system.information([]);
	assert.equal(Object.keys(all).length, 11);
	assert.deepEqual([all.threads, all.replication, all.harperdb_processes], [null, null, null]);
	assert.deepEqual(all.table_size, []);
	assert.deepEqual(faults.sort(), ['harperdb_processes', 'replication', 'threads']);
});

test('a host that answers nothing leaves every key in place, with null', async () => {
	const system = createSystemInformation(empty, { hostFacts: silentHost, diskActivity: () => null });
	const { memory, cpu, disk, network } = (await system.information([])) as Record<string, Record<string, unknown>>;
	assert.equal(memory?.total, null);
	assert.equal(typeof memory?.heapUsed, 'number');
	assert.deepEqual(cpu?.cpu_speed, { min: null, max: null, avg: null, cores: null });
	assert.deepEqual(disk, { io: null, read_write: null, size: null });
	assert.equal(network?.latency, null);
});

test('latency is the mean round trip of the links that are up', async () => {
	const link = { url: '', since: 1, sent: 0, received: 0, reconnects: 0 };
	const system = createSystemInformation(
		{
			...empty,
			replication: () => [
				{ ...link, node: 'beta', connected: true, rtt_ms: 1 },
				{ ...link, node: 'gamma', connected: true, rtt_ms: 3 },
				{ ...link, node: 'delta', connected: false, rtt_ms: 90 },
			],
		},
		{ hostFacts: silentHost },
	);
	const { network } = (await system.information(['network'])) as Record<string, Record<string, unknown>>;
	assert.deepEqual(network?.latency, { ok: true, ms: 2, peers: 2 });
});

test('disk figures are the kernel’s: whole disks alone, mounted devices once, rates since the reading before', () => {
	const line = (device: string, factor: number): string =>
		`${device} ${[10, 0, 20, 30, 40, 0, 50, 60, 0, 70, 90].map((figure) => figure * factor).join(' ')}`;
	const statistics = (factor: number): string =>
		['8 0 sda', '8 1 sda1', '259 0 nvme0n1', '7 0 loop0', '253 0 dm-0']
			.map((device) => line(device, factor))
			.join('\n');
	const mounts =
		'20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:1 /srv /srv rw - ext4 /dev/sda1 rw\n22 20 0:5 / /proc rw';
	const readings = [
		{ statistics: statistics(1), mounts, at: 1_000 },
		{ statistics: statistics(2), mounts, at: 1_100 },
		{ statistics: statistics(3), mounts, at: 3_000 },
		{ statistics: statistics(1), mounts, at: 4_000 },
		{ statistics: null, mounts, at: 5_000 },
	];
	const read = createDiskActivity(() => readings.shift() ?? assert.fail('no reading is left'));
	const first = read();
	assert.deepEqual(first?.io, {
		...{ rIO: 20, wIO: 80, tIO: 100, rIO_sec: null, wIO_sec: null, tIO_sec: null },
		...{ rWaitTime: 60, wWaitTime: 120, tWaitTime: 180 },
		...{ rWaitPercent: null, wWaitPercent: null, tWaitPercent: null, ms: 0 },
	});
	const bytes = { rx: 20 * 512, wx: 50 * 512, tx: 70 * 512, rx_sec: null, wx_sec: null, tx_sec: null, ms: 0 };
	assert.deepEqual(first.read_write, bytes);
	assert.equal(read(), first, 'a rate over 100 ms is noise');
	const later = read();
	assert.deepEqual([later?.io.rIO, later?.io.rIO_sec, later?.io.rWaitPercent, later?.io.ms], [60, 20, 6, 2_000]);
	assert.deepEqual([later?.read_write.wx, later?.read_write.wx_sec], [150 * 512, 50 * 512]);
	assert.equal(read()?.io.tIO_sec, 0, 'a disk that is gone is no negative rate');
	assert.equal(read(), null);
});

test('an interface’s figures are the kernel’s, with rates since the reading before; a name that is a path reads nothing', () => {
	let bytes = 1_000;
	let now = 1_000;
	const read = (path: string): string | null => {
		if (!path.startsWith('/sys/class/net/eth0/')) return null;
		return path.endsWith('operstate') ? 'up\n' : path.endsWith('_bytes') ? `${bytes}\n` : '0\n';
	};
	const activity = createInterfaceActivity(read, () => now);
	const counts = { rx_dropped: 0, rx_errors: 0, tx_dropped: 0, tx_errors: 0 };
	const first = { iface: 'eth0', operstate: 'up', rx_bytes: 1_000, tx_bytes: 1_000, ...counts };
	assert.deepEqual(activity('eth0'), [{ ...first, rx_sec: null, tx_sec: null, ms: 0 }]);
	[bytes, now] = [5_000, 3_000];
	const [later] = activity('eth0');
	assert.deepEqual([later?.rx_bytes, later?.rx_sec, later?.tx_sec, later?.ms], [5_000, 2_000, 2_000, 2_000]);
	for (const name of ['', '.', '..', '../eth0', 'eth0/', 'eth1', 'a name']) assert.deepEqual(activity(name), [], name);
});
