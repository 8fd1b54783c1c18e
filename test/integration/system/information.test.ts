import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemAttributes } from '../../../src/system/information/attributes.js';
import { createHostFacts } from '../../../src/system/information/host.js';
import { createSystemInformation, type InformationSources } from '../../../src/system/information/information.js';

const thread = {
	threadId: process.pid,
	name: 'http' as const,
	heapTotal: 1,
	heapUsed: 1,
	externalMemory: 1,
	arrayBuffers: 1,
	sinceLastUpdate: 1,
	idle: 1,
	active: 1,
	utilization: 0.5,
};
const peer = {
	node: 'beta',
	url: 'ws://127.0.0.1:1',
	connected: true,
	since: 1,
	rtt_ms: 1.5,
	sent: 1,
	received: 1,
	reconnects: 0,
};
const sources: InformationSources = {
	processes: () => ({ daemon: process.pid, hosts: [process.ppid], workers: [] }),
	stores: () => [{ table: 'rollouts', record_count: 1, table_size: 100 }],
	threads: () => [thread],
	replication: () => [peer],
	metrics: () => ({ operations: [] }),
};
const system = createSystemInformation(sources);
after(() => system.close());

type Shape = { [key: string]: 'string' | 'number' | 'boolean' | 'array' | 'object' | Shape };
const processShape: Shape = {
	...{ pid: 'number', parentPid: 'number', name: 'string', cpu: 'number', mem: 'number', priority: 'number' },
	...{ memVsz: 'number', memRss: 'number', nice: 'number', started: 'string', state: 'string', user: 'string' },
	...{ command: 'string', params: 'string', path: 'string' },
};
const shapes: Shape = {
	system: {
		...{ platform: 'string', distro: 'string', release: 'string', codename: 'string', kernel: 'string' },
		...{ arch: 'string', hostname: 'string', fqdn: 'string', node_version: 'string', npm_version: 'string' },
	},
	time: { current: 'number', uptime: 'number', timezone: 'string', timezoneName: 'string' },
	cpu: {
		...{ manufacturer: 'string', brand: 'string', vendor: 'string', speed: 'number', cores: 'number' },
		...{ physicalCores: 'number', processors: 'number', flags: 'string', virtualization: 'boolean' },
		cpu_speed: { min: 'number', max: 'number', avg: 'number', cores: 'array' },
		current_load: { avgLoad: 'number', currentLoad: 'number', currentLoadIdle: 'number', cpus: 'array' },
	},
	memory: {
		...{ total: 'number', free: 'number', used: 'number', active: 'number', available: 'number' },
		...{ reclaimable: 'number', swaptotal: 'number', swapused: 'number', swapfree: 'number', writeback: 'number' },
		...{ dirty: 'number', rss: 'number', heapTotal: 'number', heapUsed: 'number', external: 'number' },
		arrayBuffers: 'number',
	},
	disk: { io: 'object', read_write: 'object', size: 'array' },
	network: {
		...{ default_interface: 'string', latency: 'object', interfaces: 'array', stats: 'array' },
		connections: 'array',
	},
	harperdb_processes: { core: 'array', clustering: 'array' },
	table_size: 'array',
	metrics: 'object',
	threads: 'array',
	replication: 'array',
};

function assertShape(value: unknown, shape: Shape[string], path: string): void {
	if (typeof shape === 'string') {
		assert.notEqual(value, null, `${path} is there`);
		assert.equal(Array.isArray(value) ? 'array' : typeof value, shape, `${path} is of type ${shape}`);
		return;
	}
	assert.ok(typeof value === 'object' && value !== null, `${path} is an object`);
	for (const [key, inner] of Object.entries(shape)) {
		assertShape((value as Record<string, unknown>)[key], inner, `${path}.${key}`);
	}
}

test('all eleven attributes are answered, in order, each key with content of its type', async () => {
	const all = await system.information([]);
	assert.deepEqual(Object.keys(all), [...systemAttributes]);
	assertShape(all, shapes, 'system_information');
	const { system: identity, memory, harperdb_processes: processes } = all as Record<string, Record<string, unknown>>;
	assert.equal(identity?.hostname, hostname());
	assert.equal(identity?.node_version, process.versions.node);
	assert.ok(Number(memory?.total) > 1e7 && Number(memory?.rss) > 1e7);
	const core = processes?.core as Record<string, unknown>[];
	assert.deepEqual(
		core.map((row) => row.pid),
		[process.pid, process.ppid],
	);
	for (const row of core) assertShape(row, processShape, 'process');
	assert.equal(core[0]?.command, 'node');
	assert.equal(core[0]?.parentPid, process.ppid);
	assert.match(String(core[0]?.params), /system\/information\.test/);
	assert.ok(Math.abs(Date.now() - process.uptime() * 1_000 - Date.parse(String(core[0]?.started))) < 10_000);
	assert.doesNotThrow(() => JSON.stringify(all));
});

test('only the attributes asked for are answered, in the order of the contract', async () => {
	const two = await system.information(['time', 'system', 'bogus']);
	assert.deepEqual(Object.keys(two), ['system', 'time']);
});

test('the daemon goes on answering while slow calls run: its event loop is never stopped by a shell', async () => {
	const fresh = createSystemInformation(sources);
	let worstMs = 0;
	let last = performance.now();
	const ticks = setInterval(() => {
		worstMs = Math.max(worstMs, performance.now() - last);
		last = performance.now();
	}, 5);
	const began = performance.now();
	await fresh.information([]);
	const tookMs = performance.now() - began;
	clearInterval(ticks);
	await fresh.close();
	// Even the fastest cold answer waits half a second for a load figure; stopped by shells, all of it would be one gap.
	assert.ok(worstMs < tookMs / 2, `the longest gap was ${Math.round(worstMs)} of ${Math.round(tookMs)} ms`);
});

test('a fact within its bound is answered at once and refreshed behind the answer; beyond the bound it is asked anew', async () => {
	const facts = createHostFacts();
	const stale = { freshMs: 0, boundMs: Number.MAX_SAFE_INTEGER };
	const first = await facts.ask('mem', stale);
	assert.ok(first !== null && first.total > 0);
	const beyond = await facts.ask('mem', { freshMs: 0, boundMs: 0 });
	assert.notEqual(beyond, first, 'never older than the bound');
	assert.equal(await facts.ask('mem', stale), beyond, 'from memory');
	const kept = { freshMs: Number.MAX_SAFE_INTEGER, boundMs: Number.MAX_SAFE_INTEGER };
	while ((await facts.ask('mem', kept)) === beyond) await delay(10);
	await facts.close();
});
