/**
 * A long load over one node whose workers are replaced again and again, beside a control of the same load with nothing
 * replaced: kept-alive and new connections, fast answers and slow ones, no retries. Prints what became of every request;
 * exits 1 when one was lost in the run or too few workers were replaced.
 *   node dist/test/bench/long-run.js [--requests N] [--replaced N] [--control N] [--rate N] [--workers N] [--json]
 */
import { parseArgs } from 'node:util';
import type { LoadReport } from '../support/workers/load.js';
import { LoadProcess } from '../support/workers/load-process.js';
import { makeFleet, type RealNode } from '../support/fleet/nodes.js';
import { appFile } from '../support/workers/primary.js';

const slowMs = 300;
/** Open requests of a kind at most: on a machine that is too slow for the rate the load gets lower, and no queue longer. */
const openMax = 96;
/** Requests before the first worker is replaced and after the last one was, as a share of all. */
const marginShare = 0.02;

const { values } = parseArgs({
	options: {
		requests: { type: 'string', default: '1000000' },
		replaced: { type: 'string', default: '200' },
		control: { type: 'string', default: '200000' },
		rate: { type: 'string', default: '2000' },
		workers: { type: 'string', default: '8' },
		json: { type: 'boolean', default: false },
	},
});
const [requests, replacedMin, control, rate, workers] = [
	values.requests,
	values.replaced,
	values.control,
	values.rate,
	values.workers,
].map(Number) as [number, number, number, number, number];

/** What is asked, by name, with its share of all requests. */
const kinds = {
	'keep-alive, fast': { share: 0.45, keepAliveShare: 1, ms: 0 },
	'new connections, fast': { share: 0.4, keepAliveShare: 0, ms: 0 },
	'keep-alive, slow': { share: 0.08, keepAliveShare: 1, ms: slowMs },
	'new connections, slow': { share: 0.07, keepAliveShare: 0, ms: slowMs },
} as const;

interface Roll {
	from: number;
	to: number;
	replaced: number;
}

interface Run {
	rolls: Roll[];
	reports: Record<string, LoadReport>;
	seconds: number;
}

function begin(node: RealNode): LoadProcess {
	const loads = Object.entries(kinds).map(([name, { share, keepAliveShare, ms }]) => {
		return [
			name,
			{
				urls: `${node.appUrl}?ms=${ms}`,
				ratePerSecond: rate * share,
				keepAliveShare,
				keepAliveSockets: openMax,
				openMax,
			},
		] as const;
	});
	return new LoadProcess(Object.fromEntries(loads));
}

const pidsOf = async (node: RealNode): Promise<(number | null)[]> => (await node.workers()).map((row) => row.pid);

/** Replaces every worker of the node. */
async function roll(node: RealNode): Promise<Roll> {
	const old = await pidsOf(node);
	const from = Date.now();
	const { status, json } = await node.call('restart_service', { service: 'http_workers' });
	if (status !== 200) throw new Error(`restart_service answered ${status}: ${JSON.stringify(json)}`);
	const view = await node.rollout(String(json['job_id']));
	if (view.state !== 'completed') throw new Error(`a rollout ended ${view.state}: ${JSON.stringify(view)}`);
	const to = Date.now();
	const replaced = (await pidsOf(node)).filter((pid) => !old.includes(pid)).length;
	return { from, to, replaced };
}

/** One load of at least so many requests, with so many replacements of the whole set spread over it. */
async function run(node: RealNode, count: number, times: number): Promise<Run> {
	const began = performance.now();
	const load = begin(node);
	try {
		const rolls: Roll[] = [];
		for (let index = 0; index < times; index += 1) {
			await load.reached(count * (marginShare + (index / times) * (1 - 3 * marginShare)));
			rolls.push(await roll(node));
			say(`${load.ok} answered, ${load.lost} lost, ${rolls.reduce((sum, one) => sum + one.replaced, 0)} replaced`);
		}
		await load.reached(count);
		const reports = await load.stop();
		return { rolls, reports, seconds: (performance.now() - began) / 1000 };
	} finally {
		load.kill();
	}
}

function say(text: string): void {
	process.stderr.write(`${text}\n`);
}

/** Each of the first losses, and where in which replacement it fell. */
function losses({ rolls, reports }: Run): string[] {
	return Object.entries(reports).flatMap(([name, report]) =>
		report.firstLosses.map(({ sentAt, afterMs, text }) => {
			const index = rolls.findLastIndex((one) => one.from <= sentAt + afterMs);
			const one = rolls[index];
			const where = one
				? `${sentAt + afterMs - one.from} ms into replacement ${index + 1}, which took ${one.to - one.from} ms`
				: 'before any replacement';
			return `${name}: ${text}; lost ${afterMs} ms after it was sent, ${where}`;
		}),
	);
}

function table(title: string, done: Run): string {
	const rows = Object.entries(done.reports).map(
		([name, { sent, lost, p50, p99, max }]) => `| ${name} | ${sent} | ${lost} | ${p50} | ${p99} | ${max} |`,
	);
	const sum = (of: (report: LoadReport) => number): number =>
		Object.values(done.reports).reduce((total, report) => total + of(report), 0);
	const sent = sum((report) => report.sent);
	const replaced = done.rolls.reduce((total, one) => total + one.replaced, 0);
	const took = done.rolls.map((one) => one.to - one.from).sort((a, b) => a - b);
	const times = took.length === 0 ? '' : ` in ${took.length} times, each within ${took[0]} to ${took.at(-1)} ms,`;
	return [
		`${title}: ${sent} requests, ${replaced} workers replaced${times} ${sum((report) => report.lost)} lost, ` +
			`${done.seconds.toFixed(0)} s, ${Math.round(sent / done.seconds)} requests/s, ` +
			`generator held up ${Math.max(...Object.values(done.reports).map((one) => one.longestStallMs))} ms at most`,
		'',
		`| requests (slow: ${slowMs} ms) | sent | lost | p50 ms | p99 ms | max ms |`,
		'|---|---|---|---|---|---|',
		...rows,
		...losses(done),
		'',
	].join('\n');
}

const app = (port: number): object => ({
	name: 'web',
	script: appFile('bench.cjs'),
	instances: workers,
	env: { PORT: String(port) },
});
const fleet = await makeFleet([{ name: 'alpha' }]);
try {
	const node = fleet.node('alpha');
	node.configure({ http_workers: [app(node.ports.app)] });
	await fleet.start();
	const controlled = await run(node, control, 0);
	const done = await run(node, requests, Math.ceil(replacedMin / workers));
	const lost = Object.values(done.reports).reduce((sum, report) => sum + report.lost, 0);
	const replaced = done.rolls.reduce((sum, one) => sum + one.replaced, 0);
	process.stdout.write(
		values.json
			? `${JSON.stringify({ control: controlled, run: done, losses: losses(done) }, null, 2)}\n`
			: `${table('Control', controlled)}\n${table('Run', done)}`,
	);
	if (lost > 0 || replaced < replacedMin) process.exitCode = 1;
} finally {
	await fleet.end();
}
