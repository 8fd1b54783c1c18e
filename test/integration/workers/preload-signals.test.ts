import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, Primary, type TestWorker, within } from '../../support/workers/primary.js';

let primary: Primary;
before(() => {
	primary = new Primary();
});
after(() => primary.stop());

const lookMs = 10;

async function startLive(how: string, hooksMs = 50): Promise<{ worker: TestWorker; diary: () => string }> {
	const port = await freePort();
	const path = join(primary.directory, `diary-${port}`);
	const env = { PORT: String(port), DIARY: path, HOW: how, HOOKS_MS: String(hooksMs) };
	const worker = await primary.start('re-raises.cjs', { env });
	await worker.listening();
	await worker.control.live();
	return { worker, diary: () => (existsSync(path) ? readFileSync(path, 'utf8') : '') };
}

const says = { hooks: 'hooks begin\nhooks end\n', count: 'alone\n', both: 'hooks begin\nhooks end\nalone\n' };

for (const [how, said] of Object.entries(says)) {
	test(`an app that raises its signal again (${how}) ends by that, without waiting for the time that handlers have`, async () => {
		const ways = {
			SIGTERM: (worker: TestWorker) => process.kill(worker.pid, 'SIGTERM'),
			SIGINT: (worker: TestWorker) => worker.control.drain({ timeoutMs: 5_000, handOver: true }),
		};
		for (const [signal, tell] of Object.entries(ways)) {
			const { worker, diary } = await startLive(how);
			await tell(worker);
			// At the end of their time the preload would end it with code 0.
			const { code, signal: endedBy } = await within('exit', worker.exited);
			assert.deepEqual({ code, endedBy }, { code: null, endedBy: signal });
			assert.equal(diary(), said);
			assert.deepEqual(
				readdirSync(primary.directory).filter((name) => name.startsWith(`${worker.id}.`)),
				[],
				'its sockets are removed',
			);
		}
	});
}

test('a signal from outside does not cut short what an app does before it raises its own', async () => {
	const { worker, diary } = await startLive('hooks', 1_000);
	await worker.control.drain({ timeoutMs: 5_000, handOver: true });
	const begun = async (): Promise<void> => {
		while (!diary().includes('begin')) await delay(lookMs);
	};
	await within('the hooks to begin', begun());
	// As PM2's does when the drain was quick.
	process.kill(worker.pid, 'SIGINT');
	assert.equal((await within('exit', worker.exited)).signal, 'SIGINT');
	assert.equal(diary(), says.hooks);
});
