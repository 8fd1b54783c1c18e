/** What the supervisor does when its record cannot be written, and once it can again. */
import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { systemClock } from '../../../src/workers/clock.js';
import { kill, lives, programs, Supervised, until } from '../../support/workers/supervised.js';

/** Events as they are logged. */
const lines: string[] = [];
const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
const said = (event: string): boolean => lines.some((line) => line.includes(`"event":"${event}"`));

/** A folder in the record's place fails every write, as a full disk does. */
const recordOf = (node: Supervised): string => join(node.folder, 's', 'workers.json');
function breakRecord(node: Supervised): void {
	rmSync(recordOf(node));
	mkdirSync(recordOf(node));
}

test('a set that could not be started for want of its record is started once that can be written', async () => {
	const node = await Supervised.start(
		`process.on('disconnect', () => process.exit(0)); ${programs.good}`,
		{},
		{ logger },
	);
	try {
		const { hostPid, pids } = node;
		breakRecord(node);
		kill(hostPid, 'SIGKILL');
		await until(() => said('workers_not_started'), 30_000, 'the start to fail');
		assert.equal(pids.some(lives), false);
		rmdirSync(recordOf(node));
		await node.onlyNew(pids);
	} finally {
		await node.end();
	}
});

test('a replacement refused for want of its record is not carried out by a later start', async () => {
	const node = await Supervised.start(programs.good);
	try {
		const { pids } = node;
		breakRecord(node);
		const { outcome, reason } = await node.replace();
		assert.equal(outcome, 'refused');
		assert.match(reason ?? '', /workers\.json could not be written \(EISDIR.*\); free space or repair the disk/);
		rmdirSync(recordOf(node));
		await node.restartSupervisor();
		await node.full();
		assert.deepEqual(node.pids, pids);
	} finally {
		await node.end();
	}
});

test('a frozen worker that could not be replaced for want of its record is replaced later', async () => {
	let skippedMs = 0;
	const clock = { ...systemClock, now: () => systemClock.now() + skippedMs };
	const node = await Supervised.start(programs.good, { instances: 1 }, { logger, clock });
	try {
		const { pids } = node;
		breakRecord(node);
		kill(pids[0], 'SIGSTOP');
		await until(() => said('worker_not_replaced'), 30_000, 'the replacement to fail');
		rmdirSync(recordOf(node));
		skippedMs = 60_000;
		await node.onlyNew(pids);
	} finally {
		await node.end();
	}
});
