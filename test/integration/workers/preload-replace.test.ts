import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

const workers = 2;
const rounds = 2;
let primary: Primary;
beforeEach(() => {
	primary = new Primary();
});
afterEach(() => primary.stop());

async function startSet(env: Record<string, string>): Promise<TestWorker[]> {
	const set = await Promise.all(Array.from({ length: workers }, () => primary.start('http.cjs', { env })));
	await Promise.all(set.map((worker) => worker.listening()));
	await Promise.all(set.map((worker) => worker.control.live()));
	return set;
}

async function drainSet(set: TestWorker[], handOver: boolean): Promise<void> {
	await Promise.all(set.map((worker) => worker.control.drain({ timeoutMs: 20_000, handOver })));
	for (const worker of set) assert.equal((await within(`exit of ${worker.id}`, worker.exited, 30_000)).code, 0);
}

for (const { name, delay, handOver } of [
	{ name: 'fast answers', delay: '0', handOver: false },
	{ name: 'answers that take 300 ms', delay: '300', handOver: false },
	{ name: 'fast answers, idle connections handed over', delay: '0', handOver: true },
	{ name: 'answers that take 300 ms, idle connections handed over', delay: '300', handOver: true },
]) {
	test(`replacing every worker, new before old, loses no request: ${name}`, async () => {
		const port = await freePort();
		const env = { PORT: String(port), DELAY_MS: delay, KEEP_ALIVE_MS: '3000' };
		let set = await startSet(env);
		const load = startLoad({ urls: `http://127.0.0.1:${port}/`, ratePerSecond: 200 });
		await load.answered(200);
		for (let round = 0; round < rounds; round++) {
			const fresh = await startSet(env);
			await drainSet(set, handOver);
			set = fresh;
			await load.answered(100);
		}
		const report = await load.stop();
		assert.equal(report.lost, 0, report.failures.join('\n'));
		assert.ok(report.sent > 350, `only ${report.sent} requests were sent`);
	});
}
