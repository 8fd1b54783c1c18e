/**
 * Time between one node's evidence and the next node's step, with real processes on this machine, beside the syncs in its
 * path: `node dist/test/bench/rollout-gap.js [nodes] [rolls]`. Prints one JSON document.
 */
import { StubFleet } from '../support/stub-fleet.js';

const [nodeCount = 3, rolls = 20] = process.argv.slice(2).map(Number);
const names = Array.from({ length: nodeCount }, (_, index) => `n${String(index + 1).padStart(3, '0')}`);
const fleet = await StubFleet.make(names, 5);
try {
	await fleet.start();
	const gaps: number[] = [];
	const answers: number[] = [];
	for (let roll = 0; roll < rolls; roll++) {
		const from = fleet.told.length;
		const asked = Number(process.hrtime.bigint()) / 1e6;
		const request = {
			type: 'restart_service',
			service: 'http_workers',
			app: null,
			replicated: true,
			user: 'bench',
		} as const;
		fleet.command(names[roll % names.length] ?? '', { ask: 'roll', request });
		const { news } = await fleet.wait((told) => told.news.news === 'answered', 'the answer', 30_000, from);
		if (news.news !== 'answered' || news.id === null) throw new Error(JSON.stringify(news));
		answers.push(news.at - asked);
		const id = news.id;
		for (const name of names)
			await fleet.wait(
				({ node, news }) => node === name && news.news === 'rollout' && news.id === id && news.state === 'completed',
				`completed on ${name}`,
				60_000,
				from,
			);
		const steps = fleet.told
			.slice(from)
			.flatMap(({ news }) => (news.news === 'began' || news.news === 'ended' ? [news] : []));
		steps.sort((a, b) => a.at - b.at);
		for (let index = 1; index + 1 < steps.length; index += 2)
			gaps.push((steps[index + 1]?.at ?? 0) - (steps[index]?.at ?? 0));
	}
	const syncs: number[] = [];
	for (const name of names) {
		const from = fleet.told.length;
		fleet.command(name, { ask: 'syncs' });
		const { news } = await fleet.wait(
			(told) => told.node === name && told.news.news === 'syncs',
			'syncs',
			30_000,
			from,
		);
		if (news.news === 'syncs') syncs.push(...news.durations);
	}
	const result = {
		nodes: nodeCount,
		rolls,
		gap_ms: summary(gaps),
		answer_ms: summary(answers),
		sync_ms: summary(syncs),
	};
	process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
	await fleet.close();
}

function summary(values: readonly number[]): Record<string, number> {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (share: number): number =>
		Math.round((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN) * 1000) / 1000;
	return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
