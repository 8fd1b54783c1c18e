/**
 * Replacing the workers of one app, side by side in one run: PM2's `reload`, plain and as its documentation advises, and
 * Rollcall, each beside a control in which nothing is replaced. Prints Markdown tables, or with --json one document.
 *   node dist/test/bench/workers.js [--rounds N] [--workers N] [--rate N] [--json]
 */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadReport } from '../support/workers/load.js';
import { LoadProcess } from '../support/workers/load-process.js';
import { type Contender, gone, Pm2Reload, residentBytes, Rollcall } from './contenders.js';
import { countConnections } from './connections.js';
import { type Span, timeReplacements, timeStarts } from './spans.js';

const { values } = parseArgs({
	options: {
		rounds: { type: 'string', default: '3' },
		workers: { type: 'string', default: '4' },
		rate: { type: 'string', default: '300' },
		json: { type: 'boolean', default: false },
	},
});
const rounds = Number(values.rounds);
const workers = Number(values.workers);
const ratePerSecond = Number(values.rate);

const slowMs = 300;
const controlMs = 1_500;
const lookMs = 50;
const connectionsMs = 2_000;
/** A hanging request is lost after this; nothing here takes nearly as long. */
const timeoutMs = 5_000;

/** One replacement (or none) under load. */
interface Sample {
	sent: number;
	lost: number;
	failures: string[];
	/** From the command to the last old process's end. */
	replacedMs: number | null;
	longestGapMs: number;
	p99Ms: number;
	peakBytes: number;
}

interface Row {
	contender: string;
	answers: string;
	control: boolean;
	samples: Sample[];
}

const contenders: Contender[] = [
	new Pm2Reload('`pm2 reload`', workers, false),
	new Pm2Reload('`pm2 reload`, wait_ready and a SIGINT handler', workers, true),
	new Rollcall(workers),
];

async function sample(contender: Contender, ms: number, control: boolean): Promise<Sample> {
	const load = new LoadProcess({
		all: { urls: `${contender.url}?ms=${ms}`, ratePerSecond, keepAliveSockets: 128, openMax: 500, timeoutMs },
	});
	let peakBytes = 0;
	const look = setInterval(() => {
		peakBytes = Math.max(peakBytes, residentBytes(contender.processes()));
	}, lookMs);
	try {
		await load.answered(ratePerSecond);
		await load.lap();
		const old = contender.workers();
		const from = performance.now();
		if (control) await delay(controlMs);
		else {
			await contender.replace();
			await gone(old);
		}
		const replacedMs = control ? null : Math.round(performance.now() - from);
		const laps = await load.lap();
		// What was under way at the end is still to be answered.
		await load.answered(Math.round(ratePerSecond / 4));
		const { all } = (await load.stop()) as { all: LoadReport };
		const { p99, longestGapMs } = laps['all'] ?? { p99: 0, longestGapMs: 0 };
		const { sent, lost, failures } = all;
		return { sent, lost, failures, replacedMs, longestGapMs, p99Ms: p99, peakBytes };
	} finally {
		clearInterval(look);
		load.kill();
	}
}

function median(numbers: readonly number[]): number {
	const sorted = [...numbers].sort((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const grouped = (number: number): string => Math.round(number).toLocaleString('en-US');

async function compare(): Promise<Row[]> {
	const rows: Row[] = [];
	for (const [answers, ms] of [
		['at once', 0],
		[`after ${slowMs} ms`, slowMs],
	] as const) {
		for (const contender of contenders) {
			// One control for each program; PM2's two ways differ in nothing while nothing is replaced.
			if (contender !== contenders[1]) rows.push({ contender: contender.name, answers, control: true, samples: [] });
			rows.push({ contender: contender.name, answers, control: false, samples: [] });
		}
		for (let round = 0; round < rounds; round += 1) {
			for (const row of rows.filter((one) => one.answers === answers)) {
				const contender = contenders.find((one) => one.name === row.contender);
				if (contender) row.samples.push(await sample(contender, ms, row.control));
				process.stderr.write('.');
			}
		}
	}
	return rows;
}

function comparison(rows: readonly Row[]): string {
	const mebibytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`;
	const lines = rows.map(({ contender, answers, control, samples }) => {
		const of = (pick: (sample: Sample) => number): number => median(samples.map(pick));
		const lost = `${grouped(sum(samples.map((one) => one.lost)))} of ${grouped(sum(samples.map((one) => one.sent)))}`;
		const name = control ? `${contender === 'Rollcall' ? contender : 'PM2'}, nothing replaced` : contender;
		const replaced = control ? '–' : `${(of((one) => one.replacedMs ?? 0) / 1000).toFixed(1)} s`;
		const gap = `${Math.round(of((one) => one.longestGapMs))} ms`;
		const p99 = `${Math.round(of((one) => one.p99Ms))} ms`;
		return `| ${answers} | ${name} | ${lost} | ${replaced} | ${gap} | ${p99} | ${mebibytes(of((one) => one.peakBytes))} |`;
	});
	return [
		'| answers | | requests lost | replaced in | longest gap | p99 meanwhile | memory at most |',
		'|---|---|---|---|---|---|---|',
		...lines,
	].join('\n');
}

async function connections(): Promise<Record<string, number>> {
	const counts: Record<string, number> = {};
	for (const contender of [contenders[0], contenders[2]]) {
		if (!contender) continue;
		const rates: number[] = [];
		for (let round = 0; round < rounds; round += 1) rates.push(await countConnections(contender.url, connectionsMs));
		counts[contender === contenders[0] ? 'PM2' : contender.name] = Math.round(median(rates));
	}
	return counts;
}

function spansTable(title: string, spans: readonly Span[]): string {
	const lines = spans.map(({ what, ownMs, parts, atMostMs, tookMs }) => {
		const text = tookMs <= atMostMs ? 'yes' : `**${Math.round(tookMs - atMostMs)} ms more**`;
		return `| ${what} | ${Math.round(ownMs)} ms | ${parts} | ${Math.round(atMostMs)} ms | ${Math.round(tookMs)} ms | ${text} |`;
	});
	return [`| ${title} | own start | with | at most | took | kept |`, '|---|---|---|---|---|---|', ...lines].join('\n');
}

const measured = await (async () => {
	try {
		for (const contender of contenders) await contender.start();
		return { rows: await compare(), perSecond: await connections() };
	} finally {
		await Promise.allSettled(contenders.map((contender) => contender.end()));
	}
})();
const replacements = await timeReplacements([1, 4, 8], slowMs);
const starts = await timeStarts();
if (values.json) {
	const result = { rounds, workers, ratePerSecond, ...measured, replacements, starts };
	process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} else {
	const rates = Object.entries(measured.perSecond).map(([name, count]) => `${name} ${grouped(count)}`);
	process.stdout.write(
		`${workers} workers, ${ratePerSecond} requests/s, half over kept-alive and half over new connections, ` +
			`no retries; ${rounds} rounds, medians.\n\n${comparison(measured.rows)}\n\n` +
			`New connections/s with nothing replaced: ${rates.join(', ')}.\n\n` +
			`${spansTable('replaced', replacements)}\n\n${spansTable('killed to serving', starts)}\n`,
	);
}
