/**
 * What a request and a connection cost the workers: their processor time, beside a bare cluster with each of Node's policies,
 * PM2, and PM2 without its instrumentation; how many are served a second; and how evenly kept-alive connections are spread.
 * All stand at once and take turns to and fro, so that what else the machine does falls on all of them; the median counts.
 *   node dist/test/bench/cost.js [--rounds N] [--workers N] [--seconds N]
 * Prints a table, then one line of JSON; exits 1 if a figure is beyond what it may be.
 */
import { parseArgs } from 'node:util';
import { BareCluster, type Contender, Pm2Reload, Rollcall } from './contenders.js';
import { askFor } from './connections.js';
import { type Figure, isHeld, median, table } from './figures.js';
import { processorMs } from './processor-time.js';
import { largestShare } from './spread.js';

const { values } = parseArgs({
	options: {
		rounds: { type: 'string', default: '6' },
		workers: { type: 'string', default: '2' },
		seconds: { type: 'string', default: '2' },
	},
});
const rounds = Number(values.rounds);
const workers = Number(values.workers);
const turnMs = Number(values.seconds) * 1_000;

const requestCostMost = 1.08;
const connectionCostMost = 1.05;
/** As shares: of the bare cluster's requests, of PM2's connections. */
const requestRateLeast = 0.93;
const connectionRateLeast = 3;
const spreadMost = 1.5;
const spreadConnections = 16;

type Kind = 'requests' | 'connections';

/** One turn: processor time of the workers for each answer, and answers a second. */
interface Turn {
	costUs: number;
	perSecond: number;
}

const bare = new BareCluster('bare cluster', workers, 'none');
const pm2 = new Pm2Reload('PM2', workers, false);
const ours = new Rollcall(workers);
const contenders: Contender[] = [
	bare,
	new BareCluster('bare cluster, round robin', workers, 'rr'),
	pm2,
	new Pm2Reload('PM2 without instrumentation', workers, false, 'bench.cjs', { pmx: false }),
	ours,
];

async function turn(contender: Contender, kind: Kind): Promise<Turn> {
	const pids = contender.workers();
	if (pids.length !== workers) throw new Error(`${contender.name} has ${pids.length} workers`);
	const before = processorMs(...pids);
	const { answered, perSecond } = await askFor(contender.url, kind === 'requests', turnMs);
	return { costUs: ((processorMs(...pids) - before) * 1_000) / answered, perSecond };
}

async function measure(kind: Kind): Promise<Map<Contender, Turn>> {
	const turns = new Map<Contender, Turn[]>(contenders.map((contender) => [contender, []]));
	for (let round = 0; round < rounds; round += 1) {
		const order = round % 2 === 0 ? contenders : contenders.toReversed();
		for (const contender of order) turns.get(contender)?.push(await turn(contender, kind));
		process.stderr.write('.');
	}
	return new Map(
		[...turns].map(([contender, all]) => [
			contender,
			{ costUs: median(all.map((one) => one.costUs)), perSecond: median(all.map((one) => one.perSecond)) },
		]),
	);
}

function figuresOf(kind: Kind, measured: Map<Contender, Turn>): Figure[] {
	const what = kind === 'requests' ? 'kept-alive request' : 'new connection';
	const of = (contender: Contender): Turn => measured.get(contender) ?? { costUs: Number.NaN, perSecond: Number.NaN };
	const rows = contenders.flatMap((contender): Figure[] => [
		{ what: `${what}, ${contender.name}`, value: of(contender).costUs, unit: 'µs of processor' },
		{ what: `${kind} a second, ${contender.name}`, value: of(contender).perSecond, unit: '/s' },
	]);
	const costMost = kind === 'requests' ? requestCostMost : connectionCostMost;
	const beside = kind === 'requests' ? bare : pm2;
	const least = kind === 'requests' ? requestRateLeast : connectionRateLeast;
	return [
		...rows,
		{ what: `${what}, Rollcall beside bare`, value: of(ours).costUs / of(bare).costUs, unit: '×', most: costMost },
		{
			what: `${kind} a second, ${beside.name} beside Rollcall`,
			value: of(beside).perSecond / of(ours).perSecond,
			unit: '×',
			most: 1 / least,
		},
	];
}

async function spread(): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const contender of contenders) {
		const shares: number[] = [];
		for (let round = 0; round < rounds * 2; round += 1) {
			shares.push((await largestShare(contender.url, spreadConnections)) * workers);
		}
		const what = `largest share of ${spreadConnections} connections, ${contender.name}`;
		figures.push({
			what,
			value: Math.max(...shares),
			unit: '× its own',
			...(contender === ours && { most: spreadMost }),
		});
	}
	return figures;
}

const figures = await (async () => {
	try {
		for (const contender of contenders) await contender.start();
		const requests = figuresOf('requests', await measure('requests'));
		const connections = figuresOf('connections', await measure('connections'));
		return [...requests, ...connections, ...(await spread())];
	} finally {
		await Promise.allSettled(contenders.map((contender) => contender.end()));
	}
})();
process.stdout.write(
	`${workers} workers, ${rounds} rounds, medians\n\n${table(figures)}\n${JSON.stringify(figures)}\n`,
);
process.exitCode = figures.every(isHeld) ? 0 : 1;
