/** A worker keeps the release that its process was started from, whatever happens to the files, its host or its supervisor. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { kill, lives, programs, python, Supervised, until } from '../../support/workers/supervised.js';

const health = {
	path: '/',
	timeoutMs: 2_000,
	deadlineMs: 10_000,
	soakMs: 200,
	intervalMs: 200,
	failures: 2,
};

/** Points the link of the app at a folder of its own with this revision. */
function deploy(node: Supervised, revision: string, program: string): string {
	const folder = join(node.folder, `r-${revision}`);
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, 'server.js'), program);
	writeFileSync(join(folder, 'REVISION'), `${revision}\n`);
	unlinkSync(node.link);
	symlinkSync(join(folder, 'server.js'), node.link);
	return join(folder, 'server.js');
}

const releases = ({ supervisor }: Supervised) =>
	supervisor.rows().map(({ release, revision }) => ({ release, revision }));

for (const [what, program, settings] of [
	['a Node app', programs.good, {}],
	['a program that is not Node', python('one'), { interpreter: 'python3', health }],
] as const) {
	test(`${what} runs what it was started from, over replacement, crash, a new supervisor and a new host`, async () => {
		const node = await Supervised.start(program, { ...settings, instances: 1 });
		try {
			assert.match(releases(node)[0]?.revision ?? '', /^sha256:[0-9a-f]{64}$/, 'without a name it is a hash');
			const one = deploy(node, 'one', program);
			const replaced = await node.replace();
			assert.equal(replaced.outcome, 'back', replaced.reason ?? '');
			assert.deepEqual(releases(node), [{ release: one, revision: 'one' }]);

			const two = deploy(node, 'two', program);
			await node.restartSupervisor();
			await node.full();
			assert.deepEqual(releases(node), [{ release: one, revision: 'one' }], 'adopted, with the link moved on');

			const { pids, hostPid } = node;
			await node.supervisor.detach();
			kill(hostPid, 'SIGKILL');
			await until(() => !lives(hostPid), 5_000, 'the host to be gone');
			node.supervisor = node.create();
			const seen: (string | null)[] = [];
			node.supervisor.on('readiness', () => {
				const old = node.supervisor.rows().find(({ pid }) => pid !== null && pids.includes(pid));
				if (old) seen.push(`${old.release} ${old.revision}`);
			});
			await node.supervisor.start();
			await node.onlyNew(pids);
			assert.deepEqual([...new Set(seen)], [`${one} one`], 'an orphan keeps it');
			assert.deepEqual(releases(node), [{ release: two, revision: 'two' }]);

			writeFileSync(join(node.folder, 'r-two', 'REVISION'), 'written over');
			assert.equal(releases(node)[0]?.revision, 'two', 'what runs was not started from that');
			const [crashing] = node.pids;
			kill(crashing, 'SIGKILL');
			await node.onlyNew([crashing ?? 0]);
			assert.deepEqual(releases(node), [{ release: two, revision: 'written over' }], 'a new process was');
		} finally {
			await node.end();
		}
	});
}
