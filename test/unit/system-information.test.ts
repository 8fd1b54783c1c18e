import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostFacts } from '../../src/system/information/host.js';
import { createSystemInformation, type InformationSources } from '../../src/system/information/information.js';

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
	const system = createSystemInformation(empty, { hostFacts: silentHost });
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
