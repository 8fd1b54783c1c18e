import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusLine } from '../../../src/daemon/telling/status-line.js';
import { RollcallError } from '../../../src/errors.js';

const report = { ready: true, reasons: [], notes: [], apps: [{ app: 'web', wanted: 2, healthy: 2, degraded: null }] };
const nodes = ['alpha', 'beta', 'gamma'].map((name) => ({ name, link: name === 'gamma' ? 'down' : 'up' }));
const clusterStatus = () => ({ node: 'alpha', boot: 1, coordinator: null, nodes }) as never;

test('the status line tells the rollout that has not ended, or why this node cannot know of any, and that the file does not check', () => {
	const running = { service: 'http_workers', type: 'restart_service', state: 'running', waiting_for: 'beta: draining' };
	const well = { clusterStatus, complaint: () => null, list: () => [running] as never };
	assert.equal(statusLine(report, well), 'ready; web 2 of 2; 2 of 3 nodes; http_workers running, beta: draining');
	assert.match(
		statusLine(report, well, true),
		/^ready; RUNS BY ITS LAST GOOD CONFIGURATION, since the file does not check: see the log; web 2 of 2/,
	);
	const list = () => {
		throw new RollcallError('unavailable', 'no core');
	};
	const full = { clusterStatus, complaint: () => 'This node decides nothing: the disk is full', list };
	assert.equal(
		statusLine(report, full),
		'ready; web 2 of 2; 2 of 3 nodes; This node decides nothing: the disk is full',
	);
});
