/**
 * Programs that listen nowhere: what proves them, that no job of theirs is cut off by a replacement, and that with
 * `overlap: false` never two of them run at a time.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
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
	/** Jobs that are lost: those that outlast drain.timeout; null: of what the release itself throws away nothing is said. */
	cut?: number | null;
}

const health = queueApp.health;
/** It dies well within: no stall of a busy machine makes up the difference. */
const patient = { ...health, soakMs: 2_500 };
const impatient = { ...health, deadlineMs: 6_000 };
const python: Partial<WorkerApp> = { interpreter: 'python3' };
const endless: Ways = { jobMs: 600_000, finishes: false };
const command = (...words: string[]): Partial<WorkerApp> => ({ health: { ...health, command: words } });

const rows: Row[] = [
	{ name: 'lives', program: nodeQueue, release: nodeQueue(), says: null },
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
		cut: null,
		says: /no broker/,
	},
	{
		name: 'ready-then-dies',
		program: nodeQueue,
		release: nodeQueue({ before: `process.send('ready'); setTimeout(() => process.exit(0), 150);` }),
		changes: { health: { ...patient, ready: true } },
		cut: null,
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
		says: /health\.command sh -c sleep 600 & wait did not end within 500 ms/,
	},
	{
		name: 'command-fails',
		program: pythonQueue,
		release: pythonQueue(),
		settings: python,
		changes: { health: { ...impatient, command: ['sh', '-c', 'echo "no broker for $ROLLCALL_WORKER"; exit 3'] } },
		says: /health\.command sh -c .* exited with 3: no broker for command-fails-2/,
	},
	{
		name: 'command-well',
		program: pythonQueue,
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
	{
		name: 'outlasts',
		program: () => nodeQueue(endless),
		release: nodeQueue(),
		settings: { drainTimeoutMs: 600 },
		says: null,
		cut: 1,
	},
	{
		name: 'outlasts-too',
		program: () => pythonQueue(endless),
		release: pythonQueue(),
		settings: { ...python, drainTimeoutMs: 600 },
		says: null,
		cut: 1,
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
			for (const { name, says, cut = 0 } of rows) {
				const reason = node.reasonOf(name, result);
				const [old] = before.get(name) ?? [];
				const [now, ...others] = node.supervisor.identities(name);
				assert.deepEqual(others, [], name);
				if (says === null) assert.equal(reason, null, `${name}: ${reason ?? ''}`);
				else assert.match(reason ?? `${name} was not refused`, says);
				// What was refused has left the old worker alone.
				assert.equal(now?.pid === old?.pid, says !== null, name);
				assert.equal(old !== undefined && lives(old.pid), says !== null, name);
				if (cut !== null) assert.equal(node.cutJobs(name), cut, `${name}: jobs cut off`);
			}
			assert.equal(result.cutOff, 2);
		} finally {
			await node.end();
		}
	});

	test('without overlap never two run at a time: replaced, refused, written over, and when the control plane goes', async () => {
		const alone = { overlap: false, drainTimeoutMs: 5_000 };
		const node = await Queues.start([
			{ name: 'one', program: nodeQueue({ jobMs: 300 }), settings: alone },
			{
				name: 'two',
				program: pythonQueue({ jobMs: 300 }),
				settings: { ...alone, ...python, ...command('sh', '-c', 'test -s jobs/$QUEUE-$ROLLCALL_PID') },
			},
		]);
		const pidsOf = () => node.supervisor.identities().map(({ pid }) => pid);
		try {
			const first = pidsOf();
			node.release('one', nodeQueue());
			const two = node.release('two', pythonQueue());
			const replaced = await node.replace();
			assert.equal(replaced.outcome, 'back', replaced.reason ?? '');
			assert.ok(first.every((pid) => !lives(pid)));

			// What ran before starts again where it can; where it cannot, the reason says that nothing runs.
			node.release('one', nodeQueue({ before: `throw new Error('no table');` }));
			writeFileSync(two, pythonQueue({ before: `sys.exit('no module')` }), { mode: 0o755 });
			const refused = await node.replace();
			assert.equal(refused.outcome, 'failed', JSON.stringify([refused, node.supervisor.rows()], null, 1));
			assert.match(node.reasonOf('one', refused) ?? '', /no table/);
			assert.match(node.reasonOf('two', refused) ?? '', /overwritten.*no module/s);
			assert.equal(node.supervisor.identities('one').length, 1);

			node.release('one', nodeQueue({ jobMs: 500 }));
			node.release('two', pythonQueue({ jobMs: 500 }));
			assert.equal((await node.replace()).outcome, 'back');
			await until(() => node.supervisor.readiness().every(({ healthy }) => healthy === 1), 20_000, 'both to run');
			node.release('one', nodeQueue());
			const draining = new Promise<void>((resolve) => {
				node
					.replace((text) => {
						if (/one: .*draining/.test(text)) resolve();
					})
					.catch(() => undefined);
			});
			await draining;
			await node.supervisor.detach();
			node.supervisor = node.create();
			await node.supervisor.start();
			await until(() => node.supervisor.readiness().every(({ healthy }) => healthy === 1), 20_000, 'both to run again');
			assert.deepEqual(node.together, []);
			assert.deepEqual([node.cutJobs('one'), node.cutJobs('two')], [0, 0]);
		} finally {
			await node.end();
		}
	});
});
