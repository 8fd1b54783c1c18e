/**
 * Time between one node's evidence and the next node's RESTART, and its step, beside the syncs in its path: real processes with real
 * links and record files, their workers stubs, so that nothing but the rollout itself takes time.
 */
import type { StubNews } from '../support/fleet/stub-daemon.js';
import { StubFleet, type Told } from '../support/fleet/stub-fleet.js';
import { type Figure, quantile } from './figures.js';

const names = ['n1', 'n2', 'n3'];
/** Long enough for followers to have been told of a step's beginning before its end, as they are of any real one. */
const stepMs = 30;
const gapMsMax = 5;
const syncsP99Max = 3;

interface Gap {
	/** Whose evidence, who coordinates, whose step. */
	nodes: Set<string>;
	from: number;
	/** RESTART is there. */
	to: number;
	/** The step begins: that it restarts is on the node's disk. */
	begins: number;
}

export async function gapRun(rolls: number): Promise<Figure[]> {
	const fleet = await StubFleet.make(names, stepMs);
	try {
		await fleet.start();
		const gaps: Gap[] = [];
		const answers: number[] = [];
		for (let roll = 0; roll < rolls; roll++) {
			const coordinator = names[roll % names.length] ?? '';
			const { answerMs, told } = await rollOnce(fleet, coordinator);
			answers.push(answerMs);
			gaps.push(...gapsOf(told, coordinator));
		}
		const syncs = await syncsOf(fleet);
		const inPath = gaps.map((gap) =>
			[...gap.nodes].flatMap((node) =>
				(syncs.get(node) ?? []).filter(({ at, ms }) => at - ms >= gap.from && at <= gap.to).map(({ ms }) => ms),
			),
		);
		const all = inPath.flat();
		const gapMs = gaps.map(({ from, to }) => to - from);
		const gapP99 = quantile(gapMs, 0.99);
		const syncP99 = quantile(all, 0.99);
		const beginsMs = gaps.map(({ from, begins }) => begins - from);
		return [
			{ what: 'gap, p50', value: quantile(gapMs, 0.5), unit: 'ms', most: gapMsMax },
			{ what: 'gap, p90', value: quantile(gapMs, 0.9), unit: 'ms' },
			{ what: 'gap, p99', value: gapP99, unit: 'ms' },
			{ what: 'gap, longest', value: Math.max(...gapMs), unit: 'ms' },
			{ what: 'syncs in the path of a gap', value: all.length / gaps.length, unit: '' },
			{ what: 'one such sync, p50', value: quantile(all, 0.5), unit: 'ms' },
			{ what: 'one such sync, p99', value: syncP99, unit: 'ms' },
			{ what: 'gap p99 / sync p99', value: gapP99 / syncP99, unit: '', most: syncsP99Max },
			{ what: 'to the step itself, p50', value: quantile(beginsMs, 0.5), unit: 'ms' },
			{ what: 'to the step itself, p99', value: quantile(beginsMs, 0.99), unit: 'ms' },
			{ what: 'request to answer, p50', value: quantile(answers, 0.5), unit: 'ms' },
			{ what: 'request to answer, p99', value: quantile(answers, 0.99), unit: 'ms' },
		];
	} finally {
		await fleet.close();
	}
}

/** One roll from the request to the last node's word that it has ended. */
export async function rollOnce(
	fleet: StubFleet,
	coordinator: string,
): Promise<{ answerMs: number; wholeMs: number; told: Told[] }> {
	const from = fleet.told.length;
	const asked = Number(process.hrtime.bigint()) / 1e6;
	const request = {
		type: 'restart_service',
		service: 'http_workers',
		app: null,
		replicated: true,
		user: 'bench',
	} as const;
	fleet.command(coordinator, { ask: 'roll', request });
	const { news } = await fleet.wait((told) => told.news.news === 'answered', 'the answer', 30_000, from);
	if (news.news !== 'answered' || news.id === null) throw new Error(JSON.stringify(news));
	const { id } = news;
	const isEnd = (name: string, told: Told): boolean =>
		told.node === name && told.news.news === 'rollout' && told.news.id === id && told.news.state === 'completed';
	for (const name of fleet.names) await fleet.wait((told) => isEnd(name, told), `the end on ${name}`, 120_000, from);
	const told = fleet.told.slice(from);
	const end = told.find((one) => isEnd(coordinator, one))?.news;
	return { answerMs: news.at - asked, wholeMs: end?.news === 'rollout' ? end.at - asked : Number.NaN, told };
}

/** Beginning and end of every step, in the order in which they happened. */
export function stepsOf(
	told: readonly Told[],
): { node: string; news: Extract<StubNews, { news: 'began' | 'ended' }> }[] {
	return told
		.flatMap(({ node, news }) => (news.news === 'began' || news.news === 'ended' ? [{ node, news }] : []))
		.sort((a, b) => a.news.at - b.news.at);
}

function gapsOf(told: readonly Told[], coordinator: string): Gap[] {
	const steps = stepsOf(told);
	return steps.flatMap((one, index) => {
		const next = steps[index + 1];
		if (one.news.news !== 'ended' || next?.news.news !== 'began') return [];
		const { at: begins, granted: to } = next.news;
		return [{ nodes: new Set([one.node, coordinator, next.node]), from: one.news.at, to, begins }];
	});
}

/** By node, on the machine's clock. */
export async function syncsOf(
	fleet: StubFleet,
	names: readonly string[] = fleet.names,
): Promise<Map<string, readonly { at: number; ms: number }[]>> {
	const syncs = new Map<string, readonly { at: number; ms: number }[]>();
	for (const name of names) {
		const from = fleet.told.length;
		fleet.command(name, { ask: 'syncs' });
		const isAnswer = ({ node, news }: Told): boolean => node === name && news.news === 'syncs';
		const { news } = await fleet.wait(isAnswer, `the syncs of ${name}`, 30_000, from);
		if (news.news === 'syncs') syncs.set(name, news.syncs);
	}
	return syncs;
}
