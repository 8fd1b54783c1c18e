import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import { createLocalNode, type LocalNodeParts } from '../../../src/daemon/local-node.js';
import { readProcessStat } from '../../../src/system/proc/process.js';
import type { Releases, RolloutSpec, Snapshot } from '../../../src/rollout/types.js';

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
		appsOf: () => [],
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

/** A node of one app whose releases can be put back, except for one; tells what its supervisor was asked for. */
function nodeOf(gone: string) {
	const replaced: unknown[] = [];
	const app = { name: 'web', script: process.execPath, interpreter: 'node', health: {}, ports: [] };
	const worker = { id: 'web-1', pid: 7, started: 7 };
	const supervisor = Object.assign(new EventEmitter(), {
		readiness: () => [{ app: 'web', wanted: 1, healthy: 1, degraded: null }],
		identities: () => [{ ...worker, proven: true, joined: true }],
		rows: () => [],
		changes: () => ({ added: [], removed: [] }),
		startingFrom: async (from: { releases: Releases }, apps: object[]) => {
			if (from.releases['web']?.path === gone) throw new Error(`app web cannot start from ${gone}: it is gone`);
			return apps.map((one) => ({ ...one, pinned: { ...from.releases['web'], cwd: '/' } }));
		},
		replace: async ({ from, rollout }: { from: unknown; rollout: unknown }) => {
			replaced.push({ from, rollout });
			const result = { before: [worker], after: [], wanted: 1, oldGone: true, cutOff: 0, reason: null };
			return { outcome: 'back', ...result };
		},
	});
	const local = createLocalNode({
		supervisor,
		started: Promise.resolve(),
		standing: new EventEmitter(),
		boot: () => 2,
		appsOf: () => [app],
		configuration: Object.assign(new EventEmitter(), {
			standsIn: false,
			read: () => ({ source: { text: '' } }),
			accepted: async () => undefined,
		}),
	} as unknown as LocalNodeParts);
	const alive = readProcessStat(process.pid)?.started ?? 0;
	const running: Snapshot = { ...before, workers: [{ id: 'web-1', pid: process.pid, started: alive }] };
	const step = (type: RolloutSpec['type'], recovered: boolean, putBack: Releases | null) => {
		const spec = {
			id: 'r2',
			type,
			service: type === 'restart' ? null : 'http_workers',
			app: null,
			reverts: 'r1',
			note: 'too slow',
		};
		const given = { only: null, attempt: 1, before: running, recovered, putBack, onProgress: () => undefined };
		return local.execute({ ...given, spec: spec as RolloutSpec });
	};
	return { local, step, replaced };
}

describe('a node that is to put an app back', () => {
	const here = { web: { path: process.execPath, revision: '1' } };
	const gone = { web: { path: '/srv/gone/server.js', revision: '1' } };
	const lost = { api: { path: '/srv/api/server.js', revision: '1' } };

	it('refuses by name what cannot be started again, when it is looked at and when its step begins', async () => {
		const { local, step, replaced } = nodeOf('/srv/gone/server.js');
		const ask = (putBack: Releases) => local.preflight({ service: 'http_workers', ...look, putBack });
		const reason = 'app web cannot start from /srv/gone/server.js: it is gone; nothing was changed';
		await assert.rejects(ask(gone), { code: 'unavailable', message: reason });
		await assert.rejects(ask(lost), /app api cannot start from \/srv\/api\/server.js: http_workers no longer has it/);
		assert.deepEqual(await ask(here), { added: [], removed: [], names: ['web'], releases: null });
		const { outcome, wanted, reason: told } = await step('restart_service', false, gone);
		assert.deepEqual([outcome, wanted, told, replaced], ['refused', 1, reason, []]);
	});

	it('starts that release and says why, while a restart of the instance leaves each app where it is', async () => {
		const { step, replaced } = nodeOf('');
		await step('restart_service', false, here);
		await step('restart_service', true, here);
		await step('restart_service', false, null);
		await step('restart', true, null);
		const from = { releases: here, rollout: 'r2', reason: 'it undoes rollout r1: too slow' };
		const asked = [from, from, 'configured', 'kept'].map((one) => ({ from: one, rollout: 'r2' }));
		assert.deepEqual(replaced, asked);
	});
});
