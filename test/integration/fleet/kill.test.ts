import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { StubFleet, type Told } from '../../support/fleet/stub-fleet.js';

const request = {
	type: 'restart_service',
	service: 'http_workers',
	app: null,
	replicated: true,
	user: 'admin',
} as const;
const names = ['alpha', 'beta', 'gamma', 'delta'];
const leaseMs = 1_000;

describe('a fleet of processes, under signals', () => {
	let fleet: StubFleet | undefined;
	afterEach(async () => {
		await fleet?.close();
		fleet = undefined;
	});

	/** Of a rollout whose steps do not end before they are told to. */
	async function rolling(): Promise<{ fleet: StubFleet; id: string }> {
		const made = await StubFleet.make(names, 0, { lease: leaseMs, max_unavailable: 2 });
		fleet = made;
		made.hold();
		await made.start();
		made.command('alpha', { ask: 'roll', request });
		const { news } = await made.wait(({ news }) => news.news === 'answered', 'the answer');
		assert.ok(news.news === 'answered' && news.id !== null, JSON.stringify(news));
		return { fleet: made, id: news.id };
	}
	const began = (told: readonly Told[], node: string): number =>
		told.filter((one) => one.node === node && one.news.news === 'began').length;
	const completed = (node: string) => (told: Told) =>
		told.node === node && told.news.news === 'rollout' && told.news.state === 'completed';
	const takenOver = ({ news }: Told): boolean => news.news === 'rollout' && news.coordinator !== 'alpha';

	it('SIGKILL of the coordinator in the middle of a step: another takes over, finishes, and none is restarted twice', async () => {
		const { fleet, id } = await rolling();
		await fleet.wait(({ news }) => news.news === 'began', 'a step has begun');
		const killedAt = Number(process.hrtime.bigint()) / 1e6;
		await fleet.kill('alpha');
		const { news } = await fleet.wait(takenOver, 'another coordinator');
		assert.ok(news.news === 'rollout' && news.id === id);
		assert.ok(
			news.at - killedAt >= leaseMs * 0.5,
			`taken over ${news.at - killedAt} ms after the kill, within the lease`,
		);
		const from = fleet.told.length;
		fleet.finish();
		await fleet.start(['alpha']);
		for (const node of names)
			await fleet.wait(completed(node), `completed on ${node}`, 60_000, node === 'alpha' ? from : 0);
		assert.deepEqual(
			names.map((node) => began(fleet.told, node)),
			[1, 1, 1, 1],
		);
	});

	it('SIGSTOP of the coordinator for longer than its lease: after SIGCONT it drives no more', async () => {
		const { fleet } = await rolling();
		await fleet.wait(({ news }) => news.news === 'began', 'a step has begun');
		await fleet.kill('alpha', 'SIGSTOP');
		await fleet.wait(takenOver, 'another coordinator');
		await fleet.kill('alpha', 'SIGCONT');
		fleet.finish();
		for (const node of names) await fleet.wait(completed(node), `completed on ${node}`, 60_000);
		assert.deepEqual(
			names.map((node) => began(fleet.told, node)),
			[1, 1, 1, 1],
		);
	});

	it('SIGKILL of a target in its step: it goes forward when it is there again, and the rollout with it', async () => {
		const { fleet } = await rolling();
		const { node } = await fleet.wait(({ news }) => news.news === 'began', 'a step has begun');
		await fleet.kill(node);
		fleet.finish();
		await fleet.start([node]);
		for (const name of names) await fleet.wait(completed(name), `completed on ${name}`, 60_000);
		// Begun, and taken up again after the kill; every other once.
		for (const name of names) assert.equal(began(fleet.told, name), name === node ? 2 : 1, name);
	});
});
