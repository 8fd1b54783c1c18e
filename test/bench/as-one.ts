/**
 * How long the workers of all nodes take to be shown, asked at one of them: `npm run bench:as-one`, or with `-- --nodes 20`.
 * All nodes stand in this one process, over real links on loopback; two of them are dead in the second half: one has no link
 * any more, one takes the question and never answers.
 */
import { TestFleet } from '../support/fleet/fleet.js';
import { until } from '../support/fleet/links.js';
import type { Fleet } from '../../src/fleet/types.js';
import type { QueryPart } from '../../src/fleet/queries/schema.js';

const at = process.argv.indexOf('--nodes');
const count = at < 0 ? 50 : Number(process.argv[at + 1]);
const rounds = 20;
/** Until all nodes are linked to all others, on a busy machine. */
const linksMsMax = 120_000;
const row = {
	pid: 811,
	state: 'serving',
	started_at: 1_700_000_000_000,
	restarts: 0,
	healthy: true,
	memory: 100_000_000,
	cpu: 1.5,
	release: '/srv/web/releases/4f2a9c1/server.js',
	revision: '4f2a9c1',
	pinned: null,
	requests: null,
} as const;

const names = Array.from({ length: count }, (_, index) => `node-${String(index).padStart(2, '0')}`);
// Long enough that a busy machine loses no link meanwhile.
const fleet = await TestFleet.make(names, { lease: 60_000 });
for (const { local, name } of fleet.nodes)
	local.answer = async function* (): AsyncGenerator<QueryPart> {
		const ids = Array.from({ length: 16 }, (_, index) => `web-${index + 1}`);
		yield { about: 'workers', rows: ids.map((id) => ({ app: name, id, ...row })) };
	};

async function ask(): Promise<{ ms: number; processorMs: number; rows: number; silent: string[] }> {
	const [began, processor] = [performance.now(), process.cpuUsage()];
	const asked = { node: 'all', role: 'viewer', signal: new AbortController().signal } as const;
	let rows = 0;
	const silent: string[] = [];
	await Promise.all(
		fleet
			.fleet(names[0] ?? '')
			.ask({ about: 'workers' }, asked)
			.map(async ({ node, parts }) => {
				try {
					for await (const part of parts) rows += part.rows.length;
				} catch (error) {
					silent.push(`${node}: ${(error as Error).message}`);
				}
			}),
	);
	const { user, system } = process.cpuUsage(processor);
	return { ms: performance.now() - began, processorMs: (user + system) / 1000, rows, silent };
}

async function measure(what: string, times: number): Promise<void> {
	const taken: number[] = [];
	const processor: number[] = [];
	let last = await ask();
	for (let round = 0; round < times; round++) {
		last = await ask();
		taken.push(last.ms);
		processor.push(last.processorMs);
	}
	taken.sort((one, other) => one - other);
	processor.sort((one, other) => one - other);
	const [median, worst] = [taken[Math.floor(times / 2)] ?? 0, taken.at(-1) ?? 0];
	process.stdout.write(
		`${what}: ${last.rows} rows, median ${median.toFixed(0)} ms, longest ${worst.toFixed(0)} ms; processor time of all nodes, median ${(processor[Math.floor(times / 2)] ?? 0).toFixed(0)} ms\n${last.silent.map((line) => `  ${line}\n`).join('')}`,
	);
}

try {
	for (const node of fleet.nodes) await fleet.startNode(node);
	const isLinked = (one: Fleet) => one.clusterStatus().nodes.every(({ link }) => link !== 'down');
	for (const name of names) {
		const one = fleet.fleet(name);
		await until(one, ['link'], () => isLinked(one), `${name} is linked`, linksMsMax);
	}
	await measure(`${count} nodes`, rounds);
	await fleet.stop(names[1] ?? '');
	fleet.node(names[2] ?? '').local.answer = async function* (): AsyncGenerator<QueryPart> {
		await new Promise(() => undefined);
		yield { about: 'workers', rows: [] };
	};
	await measure(`${count} nodes, two of them dead`, 5);
} finally {
	await fleet.close();
}
