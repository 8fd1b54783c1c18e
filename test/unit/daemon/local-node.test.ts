import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import { createLocalNode, type LocalNodeParts } from '../../../src/daemon/local-node.js';
import type { RolloutSpec, Snapshot } from '../../../src/rollout/types.js';

const fault = 'rollcall.yaml:3:1: surplus: expected a key';
const before: Snapshot = { boot: 1, workers: [], links: [], configHash: null };

/** A node whose file does not check, started by it while it did or by the last good one. */
function nodeWith(standsIn: boolean) {
	const ended: string[] = [];
	const read = (): never => {
		throw new Error(fault);
	};
	const configuration = Object.assign(new EventEmitter(), { standsIn, read, accepted: async () => undefined });
	const supervisor = Object.assign(new EventEmitter(), {
		readiness: () => [{ app: 'web', wanted: 2, healthy: 2, degraded: null }],
		identities: () => [],
		replace: () => assert.fail('nothing may be replaced'),
	});
	const local = createLocalNode({
		supervisor,
		started: Promise.resolve(),
		standing: Object.assign(new EventEmitter(), { availability: null, draining: false }),
		boot: () => 2,
		readApps: read,
		configuration,
		restartInstance: () => ended.push('restart'),
	} as unknown as LocalNodeParts);
	const step = (type: RolloutSpec['type'], recovered: boolean) =>
		local.execute({
			spec: { type, service: type === 'restart' ? null : 'http_workers', app: null } as RolloutSpec,
			only: null,
			attempt: 1,
			before,
			recovered,
			putBack: null,
			onProgress: () => undefined,
		});
	return { local, step, ended, configuration };
}

const look = { only: null, dryRun: false, putBack: null };
const refusal = { code: 'unavailable', message: `the configuration does not check: ${fault}` };

describe('a node whose configuration file does not check', () => {
	it('refuses a part in every rollout while it runs by the last good one, and says so in its readiness', async () => {
		const { local, configuration } = nodeWith(true);
		for (const service of ['http_workers', 'clustering', 'clustering_config', null] as const)
			await assert.rejects(local.preflight({ service, ...look }), refusal, String(service));
		assert.equal(local.readiness().configuration, 'last_good');
		let told = 0;
		local.onReadiness(() => {
			told += 1;
		});
		configuration.standsIn = false;
		configuration.emit('changed');
		assert.deepEqual([told, 'configuration' in local.readiness()], [1, false]);
	});

	it('is not taken down by a restart, since it would come back by another configuration', async () => {
		const { step, ended } = nodeWith(false);
		await assert.rejects(step('restart', false), refusal);
		assert.deepEqual(ended, []);
	});

	it('is not back when a restart or a replacement ends in a start by the last good one', async () => {
		const { step } = nodeWith(true);
		await assert.rejects(step('restart', true), refusal);
		await assert.rejects(step('restart_service', true), refusal);
	});
});
