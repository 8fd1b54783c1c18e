/**
 * What a roll costs its coordinator: processor time as share of a core, and bytes written a second, from the request to the end.
 * The coordinator is a process with a real fleet, links and record file; its peers are links of another process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from '../support/system/ports.js';
import type { StubNews, StubOptions } from '../support/fleet/stub-daemon.js';
import type { PeersOptions } from './cost-peers.js';
import type { Figure } from './figures.js';
import { processorMs } from './processor-time.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const leaseMs = 3_000;
const workers = 2;
/** Longest that links may take to come up, and that a roll may take. */
const linksMsMax = 120_000;
const rollMsMax = 1_800_000;
/** Until greetings are over. */
const settleMs = 2_000;

export interface CostRun {
	nodes: number;
	/** Nodes at a time, or per cent. */
	budget: number | string;
	stepMs: number;
	/** The most it may be: % of a core, MB/s. */
	most?: { share: number; megabytes: number };
}

/** Steps last as those of small apps do; fleets of a thousand nodes take quicker ones, so that their roll ends in time. */
export const costRuns: readonly CostRun[] = [
	{ nodes: 300, budget: 1, stepMs: 500, most: { share: 3, megabytes: 0.5 } },
	{ nodes: 300, budget: '10%', stepMs: 5_000, most: { share: 9, megabytes: 1.5 } },
	{ nodes: 1_000, budget: 1, stepMs: 500, most: { share: 10, megabytes: 2 } },
	{ nodes: 1_000, budget: '10%', stepMs: 5_000, most: { share: 30, megabytes: 6 } },
];

/**
 * `build`: root of the build whose daemon coordinates. `windowMs`: measured is no more than that of the roll, which is then
 * given up; 0: all of it.
 */
export async function costFigures(run: CostRun, build = here('../../../'), windowMs = 0): Promise<Figure[]> {
	const folder = mkdtempSync(join(tmpdir(), 'rc-cost-'));
	const children: ChildProcess[] = [];
	try {
		const { daemon, peers } = await startAll(folder, run, build, children);
		await delay(settleMs);
		const request = { type: 'restart_service', service: 'http_workers', app: null, replicated: true, user: 'bench' };
		const [began, before] = [performance.now(), spentBy(daemon)];
		daemon.send({ ask: 'roll', request });
		const ended = isOver(daemon);
		await (windowMs > 0 ? Promise.race([delay(windowMs), ended]) : ended);
		const [seconds, after] = [(performance.now() - began) / 1_000, spentBy(daemon)];
		if (peers.killed || daemon.exitCode !== null) throw new Error('a process of the measurement ended');
		return figuresOf(run, seconds, after.processorMs - before.processorMs, after.written - before.written);
	} finally {
		const gone = children.filter(({ exitCode }) => exitCode === null).map((child) => once(child, 'exit'));
		for (const child of children) child.kill('SIGKILL');
		await Promise.all(gone);
		rmSync(folder, { recursive: true, force: true });
	}
}

function figuresOf(run: CostRun, seconds: number, processorMs: number, written: number): Figure[] {
	const { nodes, budget, most } = run;
	const which = `${nodes} nodes, budget ${budget}`;
	return [
		{ what: `${which}: the roll, or what was measured of it`, value: seconds, unit: 's' },
		{
			what: `${which}: coordinator`,
			value: processorMs / seconds / 10,
			unit: '% of a core',
			...(most && { most: most.share }),
		},
		{
			what: `${which}: sent`,
			value: written / seconds / 1e6,
			unit: 'MB/s',
			...(most && { most: most.megabytes }),
		},
	];
}

async function startAll(
	folder: string,
	{ nodes, budget, stepMs }: CostRun,
	build: string,
	children: ChildProcess[],
): Promise<{ daemon: ChildProcess; peers: ChildProcess }> {
	const secretFile = join(folder, 'secret');
	writeFileSync(secretFile, 'a secret of the benchmark alone\n', { mode: 0o600 });
	const ports = await freePorts(nodes);
	const names = ports.map((_, index) => `n${String(index + 1).padStart(4, '0')}`);
	const listed = names.map((name, index) => ({ name, url: `ws://127.0.0.1:${ports[index]}` }));
	// In the middle of the alphabet: of half its links it is the end that pings, of the other half not.
	const own = Math.floor(nodes / 2);
	const name = names[own] ?? '';
	const port = ports[own] ?? 0;
	const options: StubOptions = {
		config: {
			node: { name },
			cluster: { listen: { host: '127.0.0.1', port }, secret_file: secretFile, peers: listed },
			rollout: {
				max_unavailable: budget,
				deadline: 60_000,
				lease: leaseMs,
				on_failure: 'halt',
				hold_after: 0,
				wait_between: 0,
				lb_wait: 0,
			},
		},
		stateDir: join(folder, name),
		stepMs,
		held: false,
		firstPid: 1_000,
	};
	const start = (script: string, given: object): ChildProcess => {
		const child = fork(script, [JSON.stringify(given)]);
		children.push(child);
		return child;
	};
	const daemon = start(join(build, 'dist/test/support/fleet/stub-daemon.js'), options);
	await until(daemon, (news: StubNews) => news.news === 'ready', 'the daemon to start', linksMsMax);
	const others: PeersOptions = {
		daemon: { name, url: `ws://127.0.0.1:${port}` },
		peers: names.flatMap((peer, index) => (peer === name ? [] : [{ name: peer, port: ports[index] ?? 0 }])),
		...{ secretFile, leaseMs, stepMs, workers },
	};
	const peers = start(here('./cost-peers.js'), others);
	await until(peers, (news: { linked: number }) => news.linked === nodes - 1, 'all links', linksMsMax);
	return { daemon, peers };
}

function until<News>(
	child: ChildProcess,
	fits: (news: News) => boolean,
	what: string,
	withinMs: number,
): Promise<void> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`waited for ${what}`)), withinMs);
		const hear = (news: unknown): void => {
			if (!fits(news as News)) return;
			clearTimeout(timer);
			child.off('message', hear);
			resolve();
		};
		child.on('message', hear);
	});
}

async function isOver(daemon: ChildProcess): Promise<void> {
	let fault: string | null = null;
	const isEnd = (news: StubNews): boolean => {
		if (news.news === 'answered' && news.error !== null) fault = news.error.slice(-400);
		if (news.news === 'rollout' && news.state === 'halted') fault = 'the rollout halted';
		return fault !== null || (news.news === 'rollout' && news.state === 'completed');
	};
	await until(daemon, isEnd, 'the end of the roll', rollMsMax);
	if (fault !== null) throw new Error(fault);
}

/** Processor time of all its threads, ms, and the bytes that it has written: nearly all of them to its links. */
function spentBy({ pid = 0 }: ChildProcess): { processorMs: number; written: number } {
	const written = Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
	return { processorMs: processorMs(pid), written };
}
