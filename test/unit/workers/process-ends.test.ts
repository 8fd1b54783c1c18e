/** The end of a process is told at once when its host says so, and a host that says so all the time makes no more work than a silent one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { readProcessStat } from '../../../src/system/proc/process.js';
import type { Clock } from '../../../src/workers/clock.js';
import { ProcessEnds } from '../../../src/workers/connection/process-ends.js';

/** A clock that stands still; its timers fire when the test says so. */
function stillClock(): Clock & { fire(ms: number): void } {
	const timers = new Set<{ ms: number; call: () => void }>();
	return {
		now: () => 0,
		wall: () => 0,
		after(ms, call) {
			const timer = { ms, call };
			timers.add(timer);
			return () => timers.delete(timer);
		},
		sleep: () => new Promise(() => undefined),
		fire(ms) {
			for (const timer of [...timers]) if (timer.ms === ms && timers.delete(timer)) timer.call();
		},
	};
}

async function child() {
	const process = spawn('sleep', ['60']);
	await once(process, 'spawn');
	const pid = process.pid ?? 0;
	const end = async (): Promise<void> => {
		process.kill('SIGKILL');
		await once(process, 'exit');
	};
	return {
		identity: { pid, started: readProcessStat(pid)?.started ?? 0 },
		end,
	};
}

test('whoever waits for the end of a process hears of it by the host’s word, without a timer', async () => {
	const ends = new ProcessEnds(stillClock());
	const { identity, end } = await child();
	let calls = 0;
	ends.watch(identity, () => {
		calls += 1;
	});
	const gone = ends.gone(identity);
	await end();
	assert.equal(calls, 0);
	ends.hint();
	assert.equal(calls, 1);
	assert.equal(await gone, true);
});

test('a host that says without end that something ended is heard once in each gap, and its last word is not lost', async () => {
	const clock = stillClock();
	const ends = new ProcessEnds(clock);
	const { identity, end } = await child();
	let calls = 0;
	ends.watch(identity, () => {
		calls += 1;
	});
	ends.hint();
	await end();
	for (let times = 0; times < 1_000; times += 1) ends.hint();
	assert.equal(calls, 0, 'nothing is looked at before the gap is over');
	clock.fire(10);
	assert.equal(calls, 1);
});
