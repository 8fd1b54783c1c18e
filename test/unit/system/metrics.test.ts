import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../../src/system/metrics.js';
import { lintMetrics } from '../../support/system/promlint.js';

const dead = { memory: null, cpu: null };

function filled(): ReturnType<typeof createMetrics> {
	const metrics = createMetrics('1.2.3');
	metrics.operation('get_status', 200, 0.25);
	metrics.operation('get_status', 200, 0.75);
	metrics.operation('restart', 409, 0.01);
	metrics.workerRestarted('web', 'crash');
	metrics.rolloutEnded('restart_service', 'completed');
	metrics.stepEnded('back', 4);
	metrics.recordError('rollouts');
	metrics.observe({
		workers: () => [
			{
				app: 'web',
				id: 'web-1',
				state: 'serving',
				release: '/srv/2/server.js',
				revision: 'v2',
				memory: 5e7,
				cpu: 12.5,
			},
			{
				app: 'web',
				id: 'web-2',
				state: 'serving',
				release: '/srv/2/server.js',
				revision: 'v2',
				memory: 6e7,
				cpu: null,
			},
			{ ...dead, app: 'web', id: 'web-3', state: 'backoff', release: '/srv/1/server.js', revision: null },
			{ ...dead, app: 'api', id: 'api-1', state: 'failed', release: '/srv/api.js', revision: 'v9' },
		],
		links: () => [
			{ node: 'beta', connected: true, rtt_ms: 2, sent: 5, received: 6, reconnects: 1 },
			{ node: 'gamma', connected: false, rtt_ms: 2, sent: 0, received: 0, reconnects: 0 },
		],
		ready: () => true,
		apps: () => [{ app: 'web', wanted: 3, healthy: 2 }],
		certificates: () => [{ key: 'cluster.tls.cert', expiresAt: 1_900_000_000_000 }],
		rollout: () => ({ state: 'halted', nodes: ['back', 'refused', 'pending', 'pending'] }),
	});
	return metrics;
}

test('every metric keeps the naming rules of promtool', async () => {
	assert.deepEqual(lintMetrics(await filled().text()), []);
});

test('what was recorded stands in the text, and asking twice counts nothing twice', async () => {
	const metrics = filled();
	await metrics.text();
	const text = await metrics.text();
	const lines = text.split('\n');
	for (const line of [
		'rollcall_build_info{version="1.2.3"} 1',
		'rollcall_operation_duration_seconds_count{operation="get_status",status="200"} 2',
		'rollcall_operation_duration_seconds_sum{operation="get_status",status="200"} 1',
		'rollcall_worker_restarts_total{app="web",reason="crash"} 1',
		'rollcall_rollouts_total{type="restart_service",state="completed"} 1',
		'rollcall_rollout_step_duration_seconds_sum{outcome="back"} 4',
		'rollcall_record_errors_total{store="rollouts"} 1',
		'rollcall_ready 1',
		'rollcall_workers{app="web",state="serving"} 2',
		'rollcall_workers{app="web",state="backoff"} 1',
		'rollcall_release_info{app="web",path="/srv/2/server.js",revision="v2"} 1',
		'rollcall_release_info{app="web",path="/srv/1/server.js",revision=""} 1',
		'rollcall_wanted_workers{app="web"} 3',
		'rollcall_healthy_workers{app="web"} 2',
		'rollcall_worker_resident_memory_bytes{app="web",worker="web-1"} 50000000',
		'rollcall_worker_processor_ratio{app="web",worker="web-1"} 0.125',
		'rollcall_certificate_expiry_timestamp_seconds{key="cluster.tls.cert"} 1900000000',
		'rollcall_rollout_state{state="halted"} 1',
		'rollcall_rollout_nodes{state="refused"} 1',
		'rollcall_rollout_nodes{state="pending"} 2',
		'rollcall_link_up{node="beta"} 1',
		'rollcall_link_up{node="gamma"} 0',
		'rollcall_link_round_trip_seconds{node="beta"} 0.002',
		'rollcall_link_sent_messages_total{node="beta"} 5',
		'rollcall_link_reconnects_total{node="beta"} 1',
	]) {
		assert.ok(lines.includes(line), `${line} is missing`);
	}
	assert.ok(!text.includes('v9'), 'what was given up does not run');
	assert.ok(!/_ratio\{[^}]*web-2|_bytes\{[^}]*web-3/.test(text), 'what is not known has no series');
	assert.ok(!lines.some((line) => line.startsWith('rollcall_link_round_trip_seconds{node="gamma"')));
});

test('the snapshot holds the same figures as rows', async () => {
	const snapshot = await filled().snapshot();
	assert.deepEqual(snapshot.operations, [
		{ operation: 'get_status', status: '200', count: 2, seconds_sum: 1, seconds_mean: 0.5 },
		{ operation: 'restart', status: '409', count: 1, seconds_sum: 0.01, seconds_mean: 0.01 },
	]);
	assert.deepEqual(snapshot.rollout_steps, [{ outcome: 'back', count: 1, seconds_sum: 4, seconds_mean: 4 }]);
	assert.deepEqual(snapshot.workers, [
		{ app: 'web', state: 'serving', count: 2 },
		{ app: 'web', state: 'backoff', count: 1 },
		{ app: 'api', state: 'failed', count: 1 },
	]);
	assert.deepEqual(snapshot.worker_restarts, [{ app: 'web', reason: 'crash', count: 1 }]);
	assert.deepEqual(snapshot.rollouts, [{ type: 'restart_service', state: 'completed', count: 1 }]);
	assert.equal(snapshot.links.length, 2);
});

test('the lint itself finds what promtool would', () => {
	const text = [
		'# HELP good_seconds Fine.\n# TYPE good_seconds gauge\ngood_seconds 1',
		'# TYPE no_help gauge\nno_help 1',
		'# HELP misnamed_total A gauge.\n# TYPE misnamed_total gauge\nmisnamed_total 1',
		'# HELP requests A counter.\n# TYPE requests counter\nrequests 1',
		'# HELP wait_milliseconds Not base.\n# TYPE wait_milliseconds gauge\nwait_milliseconds 1',
		'# HELP size_kb Short.\n# TYPE size_kb gauge\nsize_kb{someLabel="x"} 1',
		'# HELP load_gauge Type.\n# TYPE load_gauge gauge\nload_gauge 1',
		'# HELP stray_count Reserved.\n# TYPE stray_count gauge\nstray_count 1',
	].join('\n');
	assert.deepEqual(
		lintMetrics(text).map((finding) => finding.split(':')[0]),
		['no_help', 'misnamed_total', 'requests', 'wait_milliseconds', 'size_kb', 'size_kb', 'load_gauge', 'stray_count'],
	);
});
