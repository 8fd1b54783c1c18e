/**
 * What daemon and worker host cost at rest and at their start, beside a bare Node, and beside another build of the program
 * if `--beside FOLDER` names one (the folder that holds its dist). All take turns in one run, so that what else the machine
 * does falls on all of them. Processor time is what a start costs on any machine; time to ready also says how busy this one
 * is. Exits 1 beyond what must hold; `--rounds N` starts each N times.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readCount, readFlags, run } from '../support/flags.js';
import { makeFleet, type RealFleet, type RealNode } from '../support/fleet/nodes.js';
import { type Figure, isHeld, median, table } from './figures.js';
import { processorMs } from './processor-time.js';

const bounds = { warm: 4, cold: 8, rssMb: 105, privateMb: 45 };
/** A process at rest has let go of what it needed to start. */
const restMs = 2_000;
const soakMs = 300;

/** One start, to ready. */
interface Start {
	ms: number;
	processorMs: number;
}

interface Memory {
	rssMb: number;
	privateMb: number;
}

interface Contender {
	name: string;
	mainScript: string;
	fleet: RealFleet;
	warm: Start[];
	cold: Start[];
	daemon: Memory[];
	host: Memory[];
}

function memory(pid: number): Memory {
	const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
	const megabytes = (key: string): number =>
		(Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(text)?.[1]) * 1_024) / 1e6;
	return { rssMb: megabytes('Rss'), privateMb: megabytes('Private_Clean') + megabytes('Private_Dirty') };
}

async function end(child: ChildProcess): Promise<void> {
	const ended = once(child, 'exit');
	child.kill('SIGTERM');
	await ended;
}

/** Until this line of its output. */
async function started(words: readonly string[], line: RegExp): Promise<{ child: ChildProcess; start: Start }> {
	const began = performance.now();
	const child = spawn(process.execPath, words, {
		stdio: ['ignore', 'pipe', 'inherit'],
		env: { PATH: process.env['PATH'] },
	});
	const { pid } = child;
	if (!child.stdout || pid === undefined) throw new Error(`${words.join(' ')} was not started`);
	for await (const text of createInterface({ input: child.stdout })) {
		if (!line.test(text)) continue;
		const start = { ms: performance.now() - began, processorMs: processorMs(pid) };
		child.stdout.resume();
		return { child, start };
	}
	throw new Error(`${words.join(' ')} ended early`);
}

async function bareNode(): Promise<{ start: Start; memory: Memory }> {
	const began = performance.now();
	await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
	const ms = performance.now() - began;
	const { child, start } = await started(['-e', 'console.log(0); setInterval(() => 0, 1e6)'], /^0$/);
	const { pid = 0 } = child;
	await delay(restMs / 4);
	const held = memory(pid);
	await end(child);
	return { start: { ms, processorMs: start.processorMs }, memory: held };
}

const nodeOf = ({ fleet }: Contender): RealNode => fleet.node('alpha');

async function round(contender: Contender): Promise<void> {
	const node = nodeOf(contender);
	const words = [contender.mainScript, 'daemon', '--config', node.configFile];
	const cold = await started(words, /"event":"started"/);
	contender.cold.push(cold.start);
	await end(cold.child);
	const warm = await started(words, /"event":"started"/);
	contender.warm.push(warm.start);
	await delay(restMs);
	const { pid: hostPid } = JSON.parse(readFileSync(join(node.workerDir, 'self', 'lock'), 'utf8')) as { pid: number };
	contender.daemon.push(memory(warm.child.pid ?? 0));
	contender.host.push(memory(hostPid));
	const ended = once(warm.child, 'exit');
	await node.stop();
	await ended;
}

const of = <Value>(values: readonly Value[], pick: (value: Value) => number): number => median(values.map(pick));

/** `isJudged`: what must hold, must hold of it. */
function figuresOf({ name, warm, cold, daemon, host }: Contender, bare: Start, isJudged: boolean): Figure[] {
	const ms = (one: Start): number => one.ms;
	const processor = (one: Start): number => one.processorMs;
	const rss = (one: Memory): number => one.rssMb;
	const alone = (one: Memory): number => one.privateMb;
	const figure = (what: string, value: number, unit: string, most?: number): Figure => ({
		what: `${name}: ${what}`,
		value,
		unit,
		...(isJudged && most !== undefined ? { most } : {}),
	});
	return [
		figure('warm start, processor', of(warm, processor), 'ms', bounds.warm * bare.processorMs),
		figure('warm start to ready', of(warm, ms), 'ms', bounds.warm * bare.ms),
		figure("cold start, the daemon's processor", of(cold, processor), 'ms'),
		figure('cold start to ready', of(cold, ms), 'ms', bounds.cold * bare.ms + soakMs),
		figure('daemon, RSS', of(daemon, rss), 'MB'),
		figure('host, RSS', of(host, rss), 'MB'),
		figure('both, RSS', of(daemon, rss) + of(host, rss), 'MB', bounds.rssMb),
		figure('daemon, private', of(daemon, alone), 'MB'),
		figure('host, private', of(host, alone), 'MB'),
		figure('both, private', of(daemon, alone) + of(host, alone), 'MB', bounds.privateMb),
	];
}

async function compare(folders: readonly string[], rounds: number): Promise<number> {
	const contenders: Contender[] = [];
	try {
		for (const [index, folder] of folders.entries()) {
			const fleet = await makeFleet([{ name: 'alpha' }]);
			const mainScript = join(folder, 'dist', 'src', 'main.js');
			const name = index === 0 ? 'this build' : 'the build beside';
			contenders.push({ name, mainScript, fleet, warm: [], cold: [], daemon: [], host: [] });
		}
		const bare: Awaited<ReturnType<typeof bareNode>>[] = [];
		const [before = 0] = loadavg();
		for (let index = 0; index < rounds; index += 1) {
			bare.push(await bareNode());
			for (const contender of contenders) await round(contender);
		}
		const [after = 0] = loadavg();
		const start = { ms: of(bare, (one) => one.start.ms), processorMs: of(bare, (one) => one.start.processorMs) };
		const figures: Figure[] = [
			{ what: 'bare node: processor', value: start.processorMs, unit: 'ms' },
			{ what: 'bare node: start to end', value: start.ms, unit: 'ms' },
			{ what: 'bare node: RSS', value: of(bare, (one) => one.memory.rssMb), unit: 'MB' },
			{ what: 'bare node: private', value: of(bare, (one) => one.memory.privateMb), unit: 'MB' },
			...contenders.flatMap((contender, index) => figuresOf(contender, start, index === 0)),
		];
		const how = `medians of ${rounds} rounds; load ${before.toFixed(1)} before, ${after.toFixed(1)} after`;
		process.stdout.write(`${how}\n${table(figures)}\n`);
		return figures.every(isHeld) ? 0 : 1;
	} finally {
		for (const { fleet } of contenders) await fleet.end();
	}
}

await run('bench:start', () => {
	const { beside, rounds = '5' } = readFlags({ beside: { type: 'string' }, rounds: { type: 'string' } });
	const own = fileURLToPath(new URL('../../../', import.meta.url));
	return compare([own, ...(beside === undefined ? [] : [resolve(beside)])], readCount('rounds', rounds, 1, 100));
});
