import type { PeerMessage } from '../../../src/fleet/core/events.js';
import type { QueryMessage } from '../../../src/fleet/queries/schema.js';
import type { Ending, Report } from '../../../src/rollout/messages.js';
import type { NodeRecord, RolloutSpec, RolloutView, Snapshot } from '../../../src/rollout/types.js';

export const epoch = { counter: 4, node: 'alpha' };
const version = { epoch, n: 2 };
const snapshot: Snapshot = {
	boot: 3,
	workers: [{ id: 'web-1', pid: 811, started: 51_234 }],
	links: [{ node: 'beta', id: 'alpha.3.7' }],
	configHash: 'ab12',
};
const hookRun = { state: 'failed' as const, node: 'beta', detail: 'exited with 1', accepted: 'admin' };
const nodeHooks = { before_node: hookRun, after_node: hookRun };
const recordedHook = { ...hookRun, epoch, ending: { state: 'aborted' as const, reason: 'why' } };
const record: NodeRecord = {
	rollout: 'r1',
	state: 'back',
	begun: 5,
	epoch,
	attempt: 1,
	startedAt: 1_700_000_000_000,
	endedAt: 1_700_000_001_500,
	before: snapshot,
	result: {
		outcome: 'back',
		before: snapshot,
		after: { ...snapshot, workers: [{ id: 'web-2', pid: 812, started: 51_300, proven: true, joined: true }] },
		wanted: 1,
		oldGone: true,
		cutOff: 0,
		reason: 'why',
	},
	hooks: nodeHooks,
};
const members = [{ name: 'alpha', zone: 'rack-1' }];
const spec: RolloutSpec = {
	id: 'r1',
	type: 'restart_service',
	service: 'clustering_config',
	app: 'web',
	replicated: true,
	user: 'admin',
	maxUnavailable: 1,
	onFailure: 'halt',
	waitBetweenMs: 0,
	deadlineMs: 1.5,
	members,
	memberHash: 'ab12',
	membersNext: members,
	memberHashNext: 'ab12',
	configHashes: { alpha: 'ab12' },
	reverts: 'r0',
	putBack: { alpha: { web: { path: '/srv/41/server.js', revision: '41' } } },
	revertAs: 'r2',
	hooks: ['before_rollout', 'after_rollout'],
	createdAt: 1_621_364_589_540,
};
const flags = {
	version,
	attempt: 1,
	skipped: ['beta'],
	left: ['gamma'],
	paused: false,
	aborting: { by: 'admin' },
	halted: 'why',
	advice: 'resume_rollout',
	revert: 'due' as const,
	hooks: { before_rollout: recordedHook, after_rollout: recordedHook },
};
const worker = { id: 'web-1', pid: 811, started: 51_234 };
const view: RolloutView = {
	id: 'r1',
	type: 'restart',
	service: null,
	app: null,
	replicated: true,
	user: 'admin',
	state: 'running',
	reason: 'why',
	waiting_for: 'beta',
	coordinator: 'alpha',
	epoch: '4@alpha',
	max_unavailable: 1,
	order: ['beta', 'alpha'],
	nodes: [
		{
			node: 'beta',
			state: 'restarting',
			attempt: 1,
			before: { boot: 3, workers: [worker] },
			after: { boot: 4, workers: [worker] },
			started_at: 1_621_364_589_543,
			back_at: 1_621_364_589_643,
			reason: 'why',
			hooks: nodeHooks,
		},
	],
	hooks: { before_rollout: hookRun, after_rollout: hookRun },
	created_at: 1_621_364_589_540,
	ended_at: 1_621_364_589_740,
	reverts: 'r0',
	reverted_by: 'r2',
};
const endings: Ending[] = [{ rollout: 'r1', epoch, view }];
const open = [{ spec, flags }];
const readiness = {
	apps: [{ app: 'web', wanted: 2, healthy: 1 }],
	availability: 'Available' as const,
	draining: false,
	configuration: 'last_good' as const,
	authorities: { accepts: [{ id: 'ab12', name: 'Rollcall fleet', from: 1_700_000_000_000 }], presents: ['ab12'] },
};
export const report: Report = {
	boot: 3,
	sequence: 9,
	echo: 2,
	readiness,
	memberHash: 'ab12',
	out: ['r1'],
	records: [record],
	have: [{ rollout: 'r1', version }],
	ended: ['r0'],
	progress: '1 of 2',
	endedHere: [{ rollout: 'r1', reason: 'ended on alpha alone' }],
};

/** One of each kind of message, with every field filled. */
export const peerMessages: PeerMessage[] = [
	{
		kind: 'greeting',
		promised: epoch,
		voting: true,
		instance: 'i-1',
		memberHash: 'ab12',
		readiness,
		open: ['r1'],
		stranger: false,
		catchUp: { open, ended: endings },
	},
	{ kind: 'prepare', epoch, purpose: 'takeover', rollout: 'r1', memberHashes: ['ab12'] },
	{ kind: 'promise', epoch, report, open, ended: endings },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'conflict', rollout: 'r1' } },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'live', coordinator: 'beta' } },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'left', rollout: 'r1' } },
	{ kind: 'heartbeat', epoch, number: 1, live: true },
	{ kind: 'report', epoch, report },
	{ kind: 'store', epoch, open, ended: endings },
	{ kind: 'check', epoch, rollout: 'r1', service: 'http_workers', app: 'web', putBack: spec.putBack?.['alpha'] },
	{
		kind: 'checked',
		epoch,
		rollout: 'r1',
		result: { fault: 'why', members, memberHash: 'ab12', configHash: 'ab12' },
	},
	{ kind: 'restart', epoch, rollout: 'r1', version, attempt: 1 },
	{ kind: 'handover', epoch, rollout: 'r1' },
	{ kind: 'forward', id: 't1', word: { kind: 'resume', rollout: 'r1', skip: ['beta'], user: 'admin' } },
	{
		kind: 'answer',
		id: 't1',
		answer: { ok: false, refusal: { code: 'conflict', message: 'why', extra: { job_id: 'r1' } } },
	},
	{ kind: 'answer', id: 't1', answer: { ok: true, view } },
	{ kind: 'view', epoch, number: 3, view },
	{
		kind: 'view_change',
		epoch,
		number: 4,
		rollout: 'r1',
		base: 3,
		change: {
			state: 'halted',
			reason: 'why',
			waiting_for: 'an operator',
			coordinator: 'alpha',
			epoch: '4@alpha',
			reverted_by: 'r2',
			order: ['beta', [0, 1]],
			nodes: view.nodes,
		},
	},
	{ kind: 'view_wanted', rollout: 'r1' },
	{ kind: 'ended', endings },
	{ kind: 'look', id: 'l1', service: 'http_workers', app: 'web' },
	{ kind: 'looked', id: 'l1', result: { fault: 'why', members, memberHash: 'ab12', configHash: 'ab12' } },
	{ kind: 'inquiry', rollout: 'r1' },
	{ kind: 'ongoing', rollout: 'r1' },
];

export const queryMessages: QueryMessage[] = [
	{ kind: 'query', id: 'q1', role: 'viewer', query: { about: 'workers' } },
	{
		kind: 'query_part',
		id: 'q1',
		part: {
			about: 'workers',
			rows: [
				{
					app: 'web',
					id: 'web-1',
					pid: 811,
					state: 'serving',
					started_at: 1_700_000_000_000,
					restarts: 0,
					healthy: true,
					memory: 1_024,
					cpu: 1.5,
					release: '/srv/web/server.js',
					revision: 'v1',
					pinned: { rollout: 'r1', reason: 'why' },
					requests: { total: 250, errors: 31 },
				},
			],
		},
	},
	{
		kind: 'query',
		id: 'q2',
		role: 'operator',
		query: {
			about: 'logs',
			app: 'web',
			worker: 'web-1',
			release: 'v1',
			lines: 20,
			agoMs: 60_000,
			charactersMax: 1_000_000,
			follow: true,
		},
	},
	{
		kind: 'query_part',
		id: 'q2',
		part: {
			about: 'logs',
			rows: [{ time: 1_700_000_000_000, app: 'web', worker: 'web-1', stream: 'error', text: 'said' }],
			leftOut: false,
		},
	},
	{ kind: 'query', id: 'q3', role: 'super_user', query: { about: 'status' } },
	{
		kind: 'query_part',
		id: 'q3',
		part: {
			about: 'status',
			rows: [
				{
					ready: false,
					reasons: ['draining'],
					notes: ['why'],
					apps: [
						{
							app: 'web',
							wanted: 2,
							healthy: 1,
							degraded: 'why',
							release: { path: '/srv/web/server.js', revision: 'v1' },
							pinned: null,
						},
					],
				},
			],
		},
	},
	{ kind: 'query', id: 'q4', role: 'super_user', query: { about: 'availability', wanted: 'Unavailable', user: 'ann' } },
	{ kind: 'query_part', id: 'q4', part: { about: 'availability', rows: [{ availability: 'Unavailable' }] } },
	{ kind: 'query_more', id: 'q1', parts: 1 },
	{ kind: 'query_end', id: 'q1', error: 'why' },
	{ kind: 'query_cancel', id: 'q1' },
];
