/** How long things take, beside what the app itself takes to start on this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { startLoad } from '../support/workers/load.js';
import { isOver } from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';
import { appFile } from '../support/workers/primary.js';
import { answers, type Contender, gone, Pm2Reload, Rollcall } from './contenders.js';

/** One thing that was timed, and what it may take. */
export interface Span {
	what: string;
	/** The app's own start: from `node app.js`, as many side by side, to the last one's first answer. */
	ownMs: number;
	/** What else counts. */
	parts: string;
	atMostMs: number;
	tookMs: number;
}

const soakMs = 1_000;
/** What a canary, and then the others, may take without five public requests. */
const settleCapMs = 500;
const allowanceMs = 500;
const crashFactor = 1.5;
const tries = 2;

/** So many started side by side, by nobody's hand but Node's. */
async function ownStartMs(app: string, count: number): Promise<number> {
	const ports = await freePorts(count);
	const children: ChildProcess[] = [];
	const from = performance.now();
	try {
		await Promise.all(
			ports.map((port) => {
				const env = { PATH: process.env['PATH'], PORT: String(port) };
				children.push(spawn(process.execPath, [app], { stdio: 'ignore', env }));
				return answers(`http://127.0.0.1:${port}/`);
			}),
		);
		return performance.now() - from;
	} finally {
		await Promise.all(
			children.map((child) => {
				child.kill('SIGKILL');
				return once(child, 'exit');
			}),
		);
	}
}

async function quickest(run: () => Promise<number>): Promise<number> {
	const times: number[] = [];
	for (let index = 0; index < tries; index += 1) times.push(await run());
	return Math.min(...times);
}

/** By the operation, under a load whose slowest request takes `slowMs`, for each number of workers. */
export async function timeReplacements(counts: readonly number[], slowMs: number): Promise<Span[]> {
	const spans: Span[] = [];
	for (const count of counts) {
		const ownMs = await quickest(() => ownStartMs(appFile('bench.cjs'), count));
		const rollcall = new Rollcall(count);
		try {
			await rollcall.start();
			const load = startLoad({ urls: [rollcall.url, `${rollcall.url}?ms=${slowMs}`], ratePerSecond: 100 });
			await load.answered(100);
			const tookMs = await quickest(() => replaceMs(rollcall));
			await load.stop();
			const settlesMs = (count > 1 ? 2 : 1) * settleCapMs;
			const atMostMs = ownMs + soakMs + settlesMs + slowMs + allowanceMs;
			const parts = `soak ${soakMs} ms, canary and others up to ${settlesMs} ms, slowest request ${slowMs} ms, ${allowanceMs} ms`;
			spans.push({ what: count === 1 ? '1 worker' : `${count} workers`, ownMs, parts, atMostMs, tookMs });
		} finally {
			await rollcall.end();
		}
	}
	return spans;
}

async function replaceMs(rollcall: Rollcall): Promise<number> {
	const { node } = rollcall;
	const old = rollcall.workers();
	const from = performance.now();
	const { json } = await node.call('restart_service', { service: 'http_workers' });
	const view = await node.rollout(String(json['job_id']), isOver);
	if (view.state !== 'completed') throw new Error(JSON.stringify(view));
	await gone(old);
	return performance.now() - from;
}

/** A single worker is killed: how long until its successor answers, where the app itself starts in `ownMs`. */
export async function timeStarts(): Promise<Span[]> {
	const spans: Span[] = [];
	for (const [what, file] of [
		['node:http', 'bench.cjs'],
		['express', 'express.cjs'],
	] as const) {
		const ownMs = await quickest(() => ownStartMs(appFile(file), 1));
		for (const contender of [new Pm2Reload('PM2', 1, false, file), new Rollcall(1, { script: appFile(file) })]) {
			try {
				await contender.start();
				const tookMs = await quickest(() => crashToServingMs(contender));
				const atMostMs = crashFactor * ownMs;
				spans.push({ what: `${what}, ${contender.name}`, ownMs, parts: `× ${crashFactor}`, atMostMs, tookMs });
			} finally {
				await contender.end();
			}
		}
	}
	return spans;
}

/** The replacement in between is there to let the next crash be the first one again. */
async function crashToServingMs(contender: Contender): Promise<number> {
	await contender.replace();
	await answers(contender.url);
	const [pid = 0] = contender.workers();
	const from = performance.now();
	process.kill(pid, 'SIGKILL');
	await gone([pid]);
	await answers(contender.url);
	return performance.now() - from;
}
