import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/log.js';
import { systemClock } from '../../../src/workers/clock.js';
import { hostHome } from '../../../src/workers/pm2/home.js';
import { HostLink } from '../../../src/workers/host/host-connection.js';
import { programs, Supervised } from '../../support/workers/supervised.js';

test('a worker host of another PM2 version is noticed, and both versions are named', async () => {
	// A client drives a daemon of another version without a word; after an upgrade the old host still runs.
	const node = await Supervised.start(programs.good, { instances: 1 });
	const link = new HostLink({
		user: null,
		home: hostHome(node.workerDir, null),
		command: null,
		clock: systemClock,
		log: createLogger('silent'),
		pm2Version: '0.0.1',
	});
	try {
		await link.start();
		assert.match(link.complaint ?? '', /runs PM2 \d+\.\d+\.\d+, this program has PM2 0\.0\.1; restart the worker host/);
	} finally {
		link.close();
		await node.end();
	}
});
