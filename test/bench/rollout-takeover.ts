/** How long after the SIGKILL of the coordinator another node holds the lease, beside lease and syncs. */
import { StubFleet, type Told } from '../support/fleet/stub-fleet.js';
import type { Figure } from './figures.js';
import { syncsOf } from './rollout-gap.js';

const names = ['n1', 'n2', 'n3'];
const leaseMs = 1_000;
const allowedMs = 50;

export async function takeoverRun(): Promise<Figure[]> {
	const fleet = await StubFleet.make(names, 10_000, { lease: leaseMs });
	try {
		await fleet.start();
		const request = {
			type: 'restart_service',
			service: 'http_workers',
			app: null,
			replicated: true,
			user: '',
		} as const;
		fleet.command('n1', { ask: 'roll', request });
		await fleet.wait(({ news }) => news.news === 'began', 'a step to begin');
		// Anywhere between two heartbeats, as a kill comes.
		await new Promise((resolve) => setTimeout(resolve, Math.random() * leaseMs));
		const from = fleet.told.length;
		const killedAt = Number(process.hrtime.bigint()) / 1e6;
		await fleet.kill('n1');
		const { news } = await fleet.wait((told: Told) => told.news.news === 'lease', 'a takeover', 60_000, from);
		const heldAt = news.news === 'lease' ? news.at : Number.NaN;
		const syncs = [...(await syncsOf(fleet, ['n2', 'n3'])).values()].flat();
		const inPath = syncs
			.filter(({ at, ms }) => at - ms >= killedAt && at <= heldAt)
			.reduce((sum, { ms }) => sum + ms, 0);
		return [
			{ what: 'takeover', value: heldAt - killedAt, unit: 'ms', most: leaseMs + allowedMs + inPath },
			{ what: 'lease', value: leaseMs, unit: 'ms' },
			{ what: 'syncs in its path, together', value: inPath, unit: 'ms' },
		];
	} finally {
		await fleet.close();
	}
}
