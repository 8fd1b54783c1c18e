import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { lives, programs, Supervised, until } from '../../support/workers/supervised.js';

const moments: Record<string, RegExp> = {
	'while the new ones are proven': /1 of 2 new workers healthy/,
	'while they join': /of 2 new workers serving/,
	'while the old ones drain': /draining/,
};
for (const [when, progress] of Object.entries(moments)) {
	test(`a control plane killed ${when}: the replacement goes forward, without loss, and no surplus worker stays`, async () => {
		const node = await Supervised.start(programs.good);
		try {
			const before = node.pids;
			const load = startLoad({ urls: node.url, ratePerSecond: 50 });
			await load.answered(20);
			await node.replaceAndDie(progress);
			await until(() => !before.some(lives), 30_000, 'the old workers to be gone');
			await until(() => node.supervisor.rows().length === 2, 10_000, 'the rows of the new set alone');
			await node.full();
			await load.answered(20);
			const report = await load.stop();
			assert.deepEqual({ lost: report.lost, failures: report.failures }, { lost: 0, failures: [] });
			assert.ok(node.supervisor.rows().every((row) => row.state === 'serving'));
			// Asked to go on with the same set, it finds that there is nothing left to do.
			const again = node.pids;
			const identities = before.map((pid, index) => ({ id: `web-${index + 1}`, pid, started: 1 }));
			const result = await node.supervisor.replace({
				only: null,
				apps: [node.app],
				before: identities,
				deadlineMs: 60_000,
			});
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.deepEqual(node.pids.sort(), again.sort());
		} finally {
			await node.end();
		}
	});
}
