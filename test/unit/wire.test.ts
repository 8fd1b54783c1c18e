import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { peerMessage } from '../../src/fleet/messages.js';
import { handshakeMessage, parseFrame } from '../../src/fleet/wire.js';
import type { Ending, PeerMessage, Report } from '../../src/rollout/protocol.js';
import type { NodeRecord, RolloutSpec, RolloutView, Snapshot } from '../../src/rollout/types.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 5_000);

const epoch = { counter: 4, node: 'alpha' };
const version = { epoch, n: 2 };
const snapshot: Snapshot = {
	boot: 3,
	workers: [{ id: 'web-1', pid: 811, started: 51_234 }],
	links: [{ node: 'beta', id: 'alpha.3.7' }],
	configHash: 'ab12',
};
const record: NodeRecord = {
	rollout: 'r1',
	state: 'back',
	begun: 5,
	epoch,
	attempt: 1,
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
		},
	],
	created_at: 1_621_364_589_540,
	ended_at: 1_621_364_589_740,
};
const endings: Ending[] = [{ rollout: 'r1', epoch, view }];
const open = [{ spec, flags }];
const readiness = {
	apps: [{ app: 'web', wanted: 2, healthy: 1 }],
	availability: 'Available' as const,
	draining: false,
};
const report: Report = {
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
};

/** One of each kind, with every field filled. */
const samples: PeerMessage[] = [
	{
		kind: 'greeting',
		promised: epoch,
		voting: true,
		instance: 'i-1',
		memberHash: 'ab12',
		readiness,
		open: ['r1'],
		stranger: false,
	},
	{ kind: 'prepare', epoch, purpose: 'takeover', rollout: 'r1', memberHashes: ['ab12'] },
	{ kind: 'promise', epoch, report, open, ended: endings },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'conflict', rollout: 'r1' } },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'live', coordinator: 'beta' } },
	{ kind: 'nack', epoch, promised: epoch, reason: { kind: 'left', rollout: 'r1' } },
	{ kind: 'heartbeat', epoch, number: 1, live: true },
	{ kind: 'report', epoch, report },
	{ kind: 'store', epoch, open, ended: endings },
	{ kind: 'check', epoch, rollout: 'r1', service: 'http_workers', app: 'web' },
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
	{ kind: 'ended', endings },
];

type Path = (string | number)[];

/** Every place inside a value that holds something. */
function* places(value: unknown, path: Path = []): Generator<Path> {
	if (typeof value !== 'object' || value === null) return;
	for (const [key, inner] of Object.entries(value)) {
		const here = [...path, Array.isArray(value) ? Number(key) : key];
		yield here;
		yield* places(inner, here);
	}
}

function changed(value: unknown, path: Path, change: (holder: Record<string, unknown>, key: string) => void): string {
	const copy = structuredClone(value);
	let holder = copy as Record<string, unknown>;
	for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
	change(holder, String(path.at(-1)));
	return JSON.stringify(copy);
}

/** Records keyed by what the message itself says hold any key. */
const isFree = (path: Path): boolean => path.at(-2) === 'extra' || path.at(-2) === 'configHashes';

describe('messages on a link', () => {
	it('every kind passes its schema unchanged', () => {
		for (const sample of samples)
			assert.deepEqual(parseFrame(peerMessage, JSON.stringify(sample)), { ok: true, value: sample });
	});

	it('a field that is missing, of another type or unknown is refused, wherever it stands', () => {
		let tried = 0;
		for (const sample of samples) {
			for (const path of places(sample)) {
				const inArray = typeof path.at(-1) === 'number';
				const where = `${sample.kind} ${path.join('.')}`;
				const wrong = changed(sample, path, (holder, key) => {
					holder[key] = [{ wrong: true }];
				});
				assert.equal(parseFrame(peerMessage, wrong).ok, false, `wrong type: ${where}`);
				tried += 1;
				if (inArray || isFree(path)) continue;
				const without = changed(sample, path, (holder, key) => delete holder[key]);
				assert.equal(parseFrame(peerMessage, without).ok, false, `missing: ${where}`);
				const unknown = changed(sample, path, (holder) => {
					holder['surplus'] = 1;
				});
				assert.equal(parseFrame(peerMessage, unknown).ok, false, `unknown: ${where}`);
			}
		}
		assert.ok(tried > 300, `${tried} places`);
	});

	it('whatever bytes come, the answer is a value of the schema or a reason that repeats none of them', () => {
		const frames = samples.map((sample) => Buffer.from(JSON.stringify(sample)));
		const mutated = fc
			.tuple(fc.constantFrom(...frames), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
			.map(([frame, changes, cut]) => {
				const copy = Buffer.from(frame);
				for (const [at, byte] of changes) copy[at % copy.length] = byte;
				return copy.subarray(0, cut % 3 === 0 ? cut % copy.length : copy.length).toString('utf8');
			});
		const noise = fc.oneof(mutated, fc.json(), fc.string());
		fc.assert(
			fc.property(noise, (text) => {
				for (const parsed of [parseFrame(peerMessage, text), parseFrame(handshakeMessage, text)]) {
					if (parsed.ok) assert.deepEqual(parsed.value, JSON.parse(text));
					else assert.ok(parsed.reason.length < 120);
				}
			}),
			{ numRuns: runs },
		);
	});

	it('numbers, lists and texts beyond their limits are refused', () => {
		const beyond: unknown[] = [
			{ kind: 'heartbeat', epoch, number: -1, live: true },
			{ kind: 'heartbeat', epoch, number: 1.5, live: true },
			{ kind: 'heartbeat', epoch: { counter: 2 ** 60, node: 'alpha' }, number: 1, live: true },
			{ kind: 'heartbeat', epoch: { counter: 1, node: 'Alpha' }, number: 1, live: true },
			{ kind: 'handover', epoch, rollout: 'r'.repeat(200) },
			{
				kind: 'forward',
				id: 't1',
				word: { kind: 'resume', rollout: 'r1', skip: Array(2_000).fill('beta'), user: 'a' },
			},
			{ kind: 'report', epoch, report: { ...report, progress: 'x'.repeat(300_000) } },
			'['.repeat(100_000),
		];
		for (const value of beyond)
			assert.equal(parseFrame(peerMessage, typeof value === 'string' ? value : JSON.stringify(value)).ok, false);
	});
});
