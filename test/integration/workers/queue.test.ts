/**
 * Programs that listen nowhere: what proves them, that no job of theirs is cut off by a replacement, and that with
 * `overlap: false` never two of them run at a time.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { WorkerApp } from '../../../src/workers/types.js';
import { nodeQueue, pythonQueue, queueApp, Queues, type Ways } from '../../support/workers/queue.js';
import { lives, until } from '../../support/workers/supervised.js';

interface Row {
	name: string;
	program: (ways?: Ways) => string;
	/** How the release differs from what ran before. */
	release: string;
	/** What the file says of the app. */
	settings?: Partial<WorkerApp>;
	/** What it says of the release. */
	changes?: Partial<WorkerApp>;
	/** Why it is refused; null: it is not. */
	says: RegExp | null;
	/** It throws its own jobs away. */
	dies?: true;
}

const health = queueApp.health;
/** It dies well within: no stall of a busy machine makes up the difference. */
const patient = { ...health, soakMs: 2_500 };
const impatient = { ...health, deadlineMs: 7_000 };
const python: Partial<WorkerApp> = { interpreter: 'python3' };
const endless: Ways = { jobMs: 600_000, finishes: false };
const command = (...words: string[]): Partial<WorkerApp> => ({ health: { ...health, command: words } });

const rows: Row[] = [
	{ name: 'lives', program: () => nodeQueue({ jobMs: 400, child: true }), release: nodeQueue(), says: null },
	{
		name: 'says-ready',
		program: nodeQueue,
		release: nodeQueue({ before: `setTimeout(() => process.send('ready'), 100);` }),
		changes: { health: { ...health, ready: true } },
		says: null,
	},
	{
		name: 'never-ready',
		program: nodeQueue,
		release: nodeQueue({ before: `process.send('almost');` }),
		changes: { health: { ...impatient, ready: true } },
		says: /not healthy within .*it has not said process\.send\('ready'\).*or take health\.ready out/,
	},
	{
		name: 'dies-in-soak',
		program: nodeQueue,
		release: nodeQueue({ before: `setTimeout(() => { throw new Error('no broker'); }, 150);` }),
		changes: { health: patient },
		dies: true,
		says: /no broker|its process ended; a program that listens nowhere has to stay/,
	},
	{
		name: 'ready-then-dies',
		program: nodeQueue,
		release: nodeQueue({ before: `process.send('ready'); setTimeout(() => process.exit(0), 150);` }),
		changes: { health: { ...patient, ready: true } },
		dies: true,
		says: /its process ended; a program that listens nowhere has to stay/,
	},
	{
		name: 'zombie',
		program: nodeQueue,
		release: `Promise.reject(new Error('cannot load')); setInterval(() => {}, 1000);`,
		settings: { health: { ...patient, command: ['true'] } },
		says: /unhandled rejection: Error: cannot load/,
	},
	{
		name: 'command-hangs',
		program: nodeQueue,
		release: nodeQueue(),
		changes: { health: { ...impatient, timeoutMs: 500, command: ['sh', '-c', 'sleep 600 & wait'] } },
		says: /health\.command sh did not end within 500 ms/,
	},
	{
		name: 'command-fails',
		program: pythonQueue,
		release: pythonQueue(),
		settings: python,
		changes: { health: { ...impatient, command: ['sh', '-c', 'echo "no broker for $ROLLCALL_WORKER"; exit 3'] } },
		says: /health\.command sh exited with 3: no broker for command-fails-2/,
	},
	{
		name: 'command-well',
		program: () => pythonQueue({ jobMs: 400, child: true }),
		release: pythonQueue(),
		settings: { ...python, ...command('sh', '-c', 'test -d /proc/$ROLLCALL_PID && test "$QUEUE" = command-well') },
		says: null,
	},
	{
		name: 'python-dies',
		program: pythonQueue,
		release: pythonQueue({ before: `sys.exit('no module')` }),
		settings: { ...python, ...command('sh', '-c', 'test -s jobs/$QUEUE-$ROLLCALL_PID') },
		says: /no module/,
	},
	{
		name: 'no-interpreter',
		program: () => `#!/bin/sh\n: > jobs/no-interpreter-$$\nwhile :; do sleep 0.05; done\n`,
		release: `#!/bin/sh\n: > jobs/no-interpreter-$$\nwhile :; do sleep 0.06; done\n`,
		settings: { interpreter: 'none' },
		says: null,
	},
	{
		name: 'holds-the-loop',
		program: nodeQueue,
		release: nodeQueue({
			before: `setInterval(() => { for (const end = Date.now() + 900; Date.now() < end;); }, 950);`,
		}),
		changes: { health: { ...health, timeoutMs: 300 } },
		says: null,
	},
];

describe('programs that listen nowhere', () => {
	test('a release is proven by what it was asked for, or refused with what to do; no job of any is cut off', async () => {
		const node = await Queues.start(
			rows.map(({ name, program, settings = {} }) => ({ name, program: program(), settings })),
		);
		try {
			assert.deepEqual(
				node.supervisor.readiness().filter(({ healthy, wanted }) => healthy < wanted),
				[],
			);
			const before = new Map(rows.map(({ name }) => [name, node.supervisor.identities(name)]));
			for (const { name, release, changes = {} } of rows) {
				node.release(name, release);
				node.change(name, changes);
			}
			const result = await node.replace();
			for (const { name, says, dies } of rows) {
				const reason = node.reasonOf(name, result);
				const [old] = before.get(name) ?? [];
				const [now, ...others] = node.supervisor.identities(name);
				assert.deepEqual(others, [], name);
				if (says === null) assert.equal(reason, null, `${name}: ${reason ?? ''}`);
				else assert.match(reason ?? `${name} was not refused`, says);
				// What was refused has left the old worker alone.
				assert.equal(now?.pid === old?.pid, says !== null, name);
				assert.equal(old !== undefined && lives(old.pid), says !== null, name);
				if (dies === undefined) assert.equal(node.cutJobs(name), 0, `${name}: jobs cut off`);
			}
			assert.equal(result.cutOff, 0);
		} finally {
			await node.end();
		}
	});

	test('without overlap never two run at a time: replaced, refused, written over, and when the control plane goes', async () => {
		const alone = { overlap: false, drainTimeoutMs: 600 };
		const node = await Queues.start([
			{ name: 'one', program: nodeQueue(endless), settings: alone },
			{
				name: 'two',
				program: pythonQueue(endless),
				settings: { ...alone, ...python, ...command('sh', '-c', 'test -s jobs/$QUEUE-$ROLLCALL_PID') },
			},
		]);
		const pidsOf = () => node.supervisor.identities().map(({ pid }) => pid);
		try {
			// Jobs that outlast drain.timeout are cut off, and counted.
			const first = pidsOf();
			await until(() => ['one', 'two'].every((name) => node.isBusy(name)), 30_000, 'both to have a job');
			node.release('one', nodeQueue());
			const two = node.release('two', pythonQueue());
			const replaced = await node.replace();
			assert.equal(replaced.outcome, 'back', replaced.reason ?? '');
			assert.ok(first.every((pid) => !lives(pid)));
			assert.deepEqual([replaced.cutOff, node.cutJobs('one'), node.cutJobs('two')], [2, 1, 1]);
			for (const name of ['one', 'two']) node.change(name, { drainTimeoutMs: 60_000 });

			// What ran before starts again where it can; where it cannot, the reason says that nothing runs.
			node.release('one', nodeQueue({ before: `throw new Error('no table');` }));
			writeFileSync(two, pythonQueue({ before: `sys.exit('no module')` }), { mode: 0o755 });
			const refused = await node.replace();
			assert.equal(refused.outcome, 'failed', JSON.stringify([refused, node.supervisor.rows()], null, 1));
			assert.match(node.reasonOf('one', refused) ?? '', /no table|its process ended/);
			assert.match(node.reasonOf('two', refused) ?? '', /overwritten.*no module/s);
			assert.equal(node.supervisor.identities('one').length, 1);

			// The control plane goes while one is replaced for its memory, which is on no record, and the other by a roll.
			const held: Ways = { until: 'finish' };
			node.release('one', nodeQueue(held));
			node.release('two', pythonQueue(held));
			node.change('one', { maxMemory: 1 });
			const third = await node.replace();
			assert.equal(third.outcome, 'back', third.reason ?? '');
			const isLeaving = (name: string) =>
				node.supervisor.rows().some(({ app, state }) => app === name && state === 'draining');
			await until(() => isLeaving('one'), 30_000, 'one to leave for its memory');
			node.supervisor.replace({ only: ['two'], apps: node.apps, deadlineMs: 60_000 }).catch(() => undefined);
			await until(() => isLeaving('two'), 30_000, 'two to leave');
			await node.supervisor.detach();
			node.change('one', { maxMemory: null });
			node.supervisor = node.create();
			const started = node.supervisor.start();
			await until(() => isLeaving('one') && isLeaving('two'), 30_000, 'both to be known again');
			// A second one that should not be there has some time to come.
			await until(() => node.together.length > 0, 1_000, 'none').catch(() => undefined);
			writeFileSync(join(node.folder, 'finish'), '');
			await started;
			await until(() => node.supervisor.readiness().every(({ healthy }) => healthy === 1), 30_000, 'both to run again');
			assert.deepEqual(node.together, []);
			assert.deepEqual([node.cutJobs('one'), node.cutJobs('two')], [1, 1]);
		} finally {
			await node.end();
		}
	});
});
