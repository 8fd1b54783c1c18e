import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { Links } from '../../../src/fleet/links/links.js';
import { runStep, type StepPorts } from '../../../src/fleet/core/run-step.js';
import type { RolloutSpec, Snapshot } from '../../../src/rollout/types.js';
import { FakeNode } from '../../support/rollout/fake-node.js';

test('links renewed by a daemon that was started in the middle: its workers are looked at once it has met them', async () => {
	const local = new FakeNode('beta');
	const before: Snapshot = {
		boot: 1,
		workers: local.workers,
		links: [{ node: 'alpha', id: 'a.1.1' }],
		configHash: null,
	};
	const met = local.workers;
	local.workers = [];
	local.settled = async () => {
		local.workers = met;
	};
	const links = Object.assign(new EventEmitter(), { live: () => [{ node: 'alpha', id: 'a.2.1' }] });
	const ports: StepPorts = {
		local,
		links: links as unknown as Links,
		clock: { now: () => 0, wall: () => 0, after: () => () => undefined, random: () => 0 },
		readConfig: () => Promise.reject(new Error('not read')),
		membership: () => {
			throw new Error('not asked here');
		},
		peers: () => [],
		snapshot: () => ({ boot: 2, workers: local.workers, links: [], configHash: null }),
		apply: () => Promise.reject(new Error('not applied')),
		closing: new AbortController().signal,
	};
	const spec = { type: 'restart_service', service: 'clustering', deadlineMs: 1000 } as RolloutSpec;
	const request = { kind: 'run_step', spec, attempt: 1, before, recovered: true } as const;
	const { outcome, after } = await runStep(ports, request, () => undefined);
	assert.equal(outcome, 'back');
	assert.deepEqual(
		after?.workers.map(({ pid }) => pid),
		met.map(({ pid }) => pid),
	);
});

test('a cluster section that was replaced since it was checked is not applied', async () => {
	const local = new FakeNode('beta');
	const applied: unknown[] = [];
	const before: Snapshot = { boot: 1, workers: local.workers, links: [], configHash: null };
	const ports = {
		readConfig: async () => ({ node: { name: 'beta' } }),
		snapshot: () => before,
		apply: async (next: unknown) => applied.push(next),
	} as unknown as StepPorts;
	const run = async (checked: string): Promise<string> => {
		const configHashes = { beta: checked.repeat(64) };
		const spec = { type: 'restart_service', service: 'clustering_config', configHashes } as unknown as RolloutSpec;
		const request = { kind: 'run_step', spec, attempt: 1, before, recovered: false } as const;
		return (await runStep(ports, request, () => undefined)).outcome;
	};
	assert.equal(await run('f'), 'refused');
	assert.equal(applied.length, 0);
	assert.equal(await run('0'), 'back');
	assert.equal(applied.length, 1);
});
